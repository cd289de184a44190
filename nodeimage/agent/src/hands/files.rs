//! Where a job's output goes, and which of its nodes has a script.

use squall_types::agent::Assignment;
use squall_types::pattern::{self, PatternError, PatternValues};
use squall_types::{JobKind, NodeName, OpenMode, StepId};

use crate::launch::{Output, Stdin};

/// Whether the batch script runs on this node.
pub fn executes(assignment: &Assignment) -> bool {
    let spec = &assignment.detail.spec;
    assignment.detail.rank == 0 && spec.kind == JobKind::Batch && spec.script.is_some()
}

/// The three files of the batch script, patterns expanded.
pub fn of_batch(assignment: &Assignment, node: &NodeName) -> Result<(Stdin, Output, Output), PatternError> {
    let spec = &assignment.detail.spec;
    let array = assignment.detail.array.as_ref();
    let values = PatternValues {
        job: assignment.run.job,
        array: array.map(|place| (place.array, place.index)),
        step: StepId::BATCH,
        task: 0,
        node_rank: assignment.detail.rank,
        node: node.as_str(),
        user: &spec.user,
        name: &spec.name,
    };
    let default = if array.is_some() { pattern::DEFAULT_ELEMENT } else { pattern::DEFAULT_JOB };
    let append = spec.open_mode == OpenMode::Append;
    let stdin = match &spec.stdin {
        Some(text) => Stdin::File(resolve(text, &values, &spec.work_dir)?),
        None => Stdin::Nothing,
    };
    let stdout = resolve(spec.stdout.as_deref().unwrap_or(default), &values, &spec.work_dir)?;
    let stderr = match &spec.stderr {
        Some(text) => Some(resolve(text, &values, &spec.work_dir)?).filter(|path| *path != stdout),
        None => None,
    };
    let file = |path| Output::File { path, append };
    Ok((stdin, file(stdout), stderr.map_or(Output::Joined, file)))
}

/// An absolute path: what is relative starts from the working directory.
pub fn resolve(text: &str, values: &PatternValues<'_>, work_dir: &str) -> Result<String, PatternError> {
    let path = pattern::expand(text, values)?;
    Ok(if path.starts_with('/') { path } else { format!("{}/{path}", work_dir.trim_end_matches('/')) })
}
