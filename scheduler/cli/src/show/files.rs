//! Where the streams of a job's script lead.

use squall_types::api::{ArrayView, JobDetail};
use squall_types::pattern::{self, PatternValues};
use squall_types::{JobKind, StepId};
use std::path::Path;

const NOWHERE: &str = "/dev/null";

/// Where one leads; empty where there is no script.
#[derive(Debug, Default)]
pub struct Stream {
    /// With its patterns as they were asked for.
    pub pattern: String,
    /// With its patterns filled in.
    pub path: String,
}

#[derive(Debug, Default)]
pub struct Files {
    pub stdin: Stream,
    pub stdout: Stream,
    pub stderr: Stream,
}

impl Files {
    pub fn of(detail: &JobDetail) -> Files {
        let spec = &detail.spec;
        if spec.kind != JobKind::Batch {
            return Files::default();
        }
        let array = detail.view.array.is_some();
        let otherwise = if array { pattern::DEFAULT_ELEMENT } else { pattern::DEFAULT_JOB };
        let stdout = spec.stdout.as_deref().unwrap_or(otherwise);
        let stream = |given: &str| {
            let in_folder = |name: &str| Path::new(&detail.view.work_dir).join(name).display().to_string();
            Stream { pattern: in_folder(given), path: in_folder(&filled_in(detail, given)) }
        };
        Files {
            stdin: match spec.stdin.as_deref() {
                Some(given) => stream(given),
                None => Stream { pattern: NOWHERE.to_owned(), path: NOWHERE.to_owned() },
            },
            stdout: stream(stdout),
            stderr: stream(spec.stderr.as_deref().unwrap_or(stdout)),
        }
    }
}

fn filled_in(detail: &JobDetail, given: &str) -> String {
    let view = &detail.view;
    let array = match &view.array {
        Some(ArrayView::Element { array, index }) => Some((*array, *index)),
        // As Slurm shows it as long as no element has its number.
        Some(ArrayView::Pending { array, .. }) => Some((*array, u32::MAX - 1)),
        None => None,
    };
    let values = PatternValues {
        job: view.job,
        array,
        step: StepId::BATCH,
        task: 0,
        node_rank: 0,
        node: view.nodes.first().map_or("", |node| node.as_str()),
        user: &view.user,
        name: &view.name,
    };
    pattern::expand(given, &values).unwrap_or_else(|_| given.to_owned())
}
