//! The agent's memory on disk: what [`duty`](crate::duty) wants remembered over the agent's own death.
//!
//! ```text
//! STATE/               0711
//!   agent.lock         held by the one agent of this folder
//!   node               epoch and bound
//!   forgotten          runs whose results were acknowledged: a log of fixed-size entries
//!   runs/JOB.ATTEMPT/  0700: `record`, and what the shim writes beside it
//!   steps/             results of steps that are not acknowledged
//!   spool/             0711: what a job's own user must reach, as its script
//! ```
//!
//! One damaged file costs one run: it is named, and everything else goes on.

mod forgotten;
mod lock;
pub mod sealed;

pub use lock::{LockError, StateLock};

use crate::duty::{NodeRecord, Record, Stage};
use forgotten::Forgotten;
use sealed::SealedError;
use squall_types::agent::StepEnd;
use squall_types::ids::Run;
use squall_types::{Attempt, JobId, StepId};
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The ledger of one state folder.
#[derive(Debug)]
pub struct Ledger {
    places: Places,
    forgotten: Forgotten,
}

/// Where things are in a state folder.
#[derive(Clone, Debug)]
pub struct Places {
    pub state: PathBuf,
}

impl Places {
    pub fn new(state: &Path) -> Places {
        Places { state: state.to_owned() }
    }

    /// The private folder of a run.
    pub fn run(&self, run: Run) -> PathBuf {
        self.state.join("runs").join(run.to_string())
    }

    /// What the job's user must reach.
    pub fn spool(&self, run: Run) -> PathBuf {
        self.state.join("spool").join(run.to_string())
    }

    /// The private folder of a step.
    pub fn step(&self, run: Run, step: StepId) -> PathBuf {
        self.run(run).join(format!("step-{step}"))
    }

    fn record(&self, run: Run) -> PathBuf {
        self.run(run).join("record")
    }

    fn step_end(&self, run: Run, step: StepId) -> PathBuf {
        self.state.join("steps").join(format!("{run}.{step}"))
    }
}

impl Ledger {
    /// Opens or begins the ledger in a state folder, and reads all that it holds. The caller holds the folder's lock.
    ///
    /// # Errors
    /// Where the folder cannot be made or read. A damaged file is no error: see [`Record::Damaged`].
    pub fn open(state: &Path) -> io::Result<(Ledger, Vec<Record>)> {
        make_dir(state, 0o711)?;
        make_dir(&state.join("runs"), 0o700)?;
        make_dir(&state.join("steps"), 0o700)?;
        make_dir(&state.join("spool"), 0o711)?;
        let places = Places::new(state);
        let (forgotten, runs) = Forgotten::open(&state.join("forgotten"))?;
        let ledger = Ledger { places, forgotten };
        let mut records = Vec::new();
        ledger.read_node(&mut records)?;
        ledger.read_runs(&mut records)?;
        ledger.read_steps(&mut records)?;
        // Last, so that a run that was forgotten is forgotten also where its record could not be removed.
        records.extend(runs.into_iter().map(|run| Record::Forgotten { run }));
        Ok((ledger, records))
    }

    pub fn places(&self) -> &Places {
        &self.places
    }

    /// Makes one record durable.
    ///
    /// # Errors
    /// Any failure. After one nothing is certain but what is on disk: the agent has to start anew.
    pub fn write(&mut self, record: &Record) -> io::Result<()> {
        match record {
            Record::Node(node) => sealed::write(&self.places.state.join("node"), node),
            Record::Run { run, stage } => {
                let dir = self.places.run(*run);
                if !dir.exists() {
                    make_dir(&dir, 0o700)?;
                    sealed::sync_dir(&self.places.state.join("runs"))?;
                }
                sealed::write(&self.places.record(*run), &**stage)
            }
            Record::Step(step) => sealed::write(&self.places.step_end(step.run, step.step), step),
            Record::StepForgotten { run, step } => gone(fs::remove_file(self.places.step_end(*run, *step))),
            Record::Forgotten { run } => {
                self.forgotten.append(*run)?;
                gone(fs::remove_file(self.places.record(*run)))
            }
            Record::Damaged { .. } => Ok(()),
        }
    }

    /// Clears away what is left of a forgotten run.
    pub fn clear(&self, run: Run) -> io::Result<()> {
        gone(fs::remove_dir_all(self.places.spool(run)))?;
        gone(fs::remove_dir_all(self.places.run(run)))
    }

    fn read_node(&self, records: &mut Vec<Record>) -> io::Result<()> {
        match sealed::read::<NodeRecord>(&self.places.state.join("node")) {
            Ok(node) => records.push(Record::Node(node)),
            Err(SealedError::Missing) => {}
            // Without its epoch the agent might obey a controller that was replaced: a person has to look.
            Err(error) => {
                return Err(io::Error::other(format!("{}: {error}", self.places.state.join("node").display())));
            }
        }
        Ok(())
    }

    fn read_runs(&self, records: &mut Vec<Record>) -> io::Result<()> {
        for entry in fs::read_dir(self.places.state.join("runs"))? {
            let name = entry?.file_name();
            let Some(run) = name.to_str().and_then(parse_run) else {
                tracing::warn!(name = %name.display(), "not a run's folder: left alone");
                continue;
            };
            match sealed::read::<Stage>(&self.places.record(run)) {
                Ok(stage) => records.push(Record::Run { run, stage: Box::new(stage) }),
                // Made and not yet written, or forgotten and not yet cleared: nothing was executed, or all is said.
                Err(SealedError::Missing) if !self.was_claimed(run)? || self.forgotten.contains(run) => {
                    self.clear(run)?
                }
                Err(error) => {
                    tracing::error!(job = %run.job, attempt = %run.attempt, %error, "the record of a run is damaged");
                    records.push(Record::Damaged { run });
                }
            }
        }
        Ok(())
    }

    /// Whether a shim was ever let loose in this run's folder.
    fn was_claimed(&self, run: Run) -> io::Result<bool> {
        for entry in fs::read_dir(self.places.run(run))? {
            if entry?.file_name().to_string_lossy().starts_with("claim-") {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn read_steps(&self, records: &mut Vec<Record>) -> io::Result<()> {
        for entry in fs::read_dir(self.places.state.join("steps"))? {
            let path = entry?.path();
            if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.')) {
                gone(fs::remove_file(&path))?;
                continue;
            }
            match sealed::read::<StepEnd>(&path) {
                Ok(step) => records.push(Record::Step(step)),
                Err(error) => {
                    tracing::error!(path = %path.display(), %error, "the result of a step is damaged: dropped");
                    gone(fs::remove_file(&path))?;
                }
            }
        }
        Ok(())
    }
}

/// `JOB.ATTEMPT`, as folders are named.
pub fn parse_run(name: &str) -> Option<Run> {
    let (job, attempt) = name.split_once('.')?;
    let run = Run { job: JobId(job.parse().ok()?), attempt: Attempt(attempt.parse().ok()?) };
    (run.to_string() == name).then_some(run)
}

/// Makes a directory of exactly this mode, whatever the umask; one that exists is given the mode.
pub fn make_dir(path: &Path, mode: u32) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(mode).create(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

/// What is gone already is gone.
fn gone(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests;
