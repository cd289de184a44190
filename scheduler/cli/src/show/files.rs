//! Where the streams of a job's script lead.

use squall_types::api::{AccountedJob, ArrayView, JobDetail};
use squall_types::pattern::{self, PatternValues};
use squall_types::{JobId, JobKind, NodeName, StepId};
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

/// What a job asked for, and what fills in its patterns.
struct Asked<'a> {
    job: JobId,
    array: Option<&'a ArrayView>,
    nodes: &'a [NodeName],
    user: &'a str,
    name: &'a str,
    work_dir: &'a str,
    stdin: Option<&'a str>,
    stdout: Option<&'a str>,
    stderr: Option<&'a str>,
}

impl Files {
    /// Of a job that is known to the controller.
    pub fn of(detail: &JobDetail) -> Files {
        let (view, spec) = (&detail.view, &detail.spec);
        if spec.kind != JobKind::Batch {
            return Files::default();
        }
        let asked = Asked {
            job: view.job,
            array: view.array.as_ref(),
            nodes: &view.nodes,
            user: &view.user,
            name: &view.name,
            work_dir: &view.work_dir,
            stdin: spec.stdin.as_deref(),
            stdout: spec.stdout.as_deref(),
            stderr: spec.stderr.as_deref(),
        };
        asked.files()
    }

    /// Of a job in accounting.
    pub fn accounted(job: &AccountedJob) -> Files {
        if !job.batch {
            return Files::default();
        }
        let asked = Asked {
            job: job.job,
            array: job.array.as_ref(),
            nodes: &job.nodes,
            user: &job.user,
            name: &job.name,
            work_dir: &job.work_dir,
            stdin: job.stdin.as_deref(),
            stdout: job.stdout.as_deref(),
            stderr: job.stderr.as_deref(),
        };
        asked.files()
    }
}

impl Asked<'_> {
    fn files(&self) -> Files {
        let otherwise = if self.array.is_some() { pattern::DEFAULT_ELEMENT } else { pattern::DEFAULT_JOB };
        let stdout = self.stdout.unwrap_or(otherwise);
        Files {
            stdin: match self.stdin {
                Some(given) => self.stream(given),
                None => Stream { pattern: NOWHERE.to_owned(), path: NOWHERE.to_owned() },
            },
            stdout: self.stream(stdout),
            stderr: self.stream(self.stderr.unwrap_or(stdout)),
        }
    }

    fn stream(&self, given: &str) -> Stream {
        let in_folder = |name: &str| Path::new(self.work_dir).join(name).display().to_string();
        Stream { pattern: in_folder(given), path: in_folder(&self.filled_in(given)) }
    }

    fn filled_in(&self, given: &str) -> String {
        let array = match self.array {
            Some(ArrayView::Element { array, index }) => Some((*array, *index)),
            // As Slurm shows it as long as no element has its number.
            Some(ArrayView::Pending { array, .. }) => Some((*array, u32::MAX - 1)),
            None => None,
        };
        let values = PatternValues {
            job: self.job,
            array,
            step: StepId::BATCH,
            task: 0,
            node_rank: 0,
            node: self.nodes.first().map_or("", |node| node.as_str()),
            user: self.user,
            name: self.name,
        };
        pattern::expand(given, &values).unwrap_or_else(|_| given.to_owned())
    }
}
