//! The agent's memory on disk: what [`duty`](crate::duty) wants remembered over the agent's own death.
//!
//! ```text
//! STATE/               0711
//!   agent.lock         held by the one agent of this folder
//!   node               epoch and bound
//!   ledger             the log: how far each run has come, results of steps, runs whose results were acknowledged
//!   runs/JOB.ATTEMPT/  0711: the way of a run, written by the agent and its shim, and folders of its steps, which
//!                      nobody else may read; and the script, which is the user's
//! ```
//!
//! A damaged entry costs no more than the run it is of, and everything else goes on.

mod held;
mod leftovers;
mod lock;
mod log;
pub mod sealed;

pub use leftovers::{Leftovers, Owner};
pub use lock::{LockError, StateLock};

use crate::duty::{NodeRecord, Record, Stage};
use crate::shim::records::Folder;
use held::Held;
use log::Log;
use sealed::SealedError;
use squall_types::ids::Run;
use squall_types::{Attempt, JobId, StepId};
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The log is written anew when it is longer than this, and than four times what it was then.
const SHORT: u64 = 4 << 20;

/// The ledger of one state folder.
#[derive(Debug)]
pub struct Ledger {
    places: Places,
    held: Held,
    log: Log,
    /// The length that makes the log long.
    long: u64,
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

    /// The folder of a run, through which its user comes to the script and to nothing else.
    pub fn run(&self, run: Run) -> PathBuf {
        self.state.join("runs").join(run.to_string())
    }

    fn log(&self) -> PathBuf {
        self.state.join("ledger")
    }

    /// Clears away what is left of a forgotten run.
    ///
    /// # Errors
    /// As the file system says; what is gone already is no error.
    pub fn clear(&self, run: Run) -> io::Result<()> {
        gone(fs::remove_dir_all(self.run(run)))
    }

    /// Gives the folder of a run that is over to another one. Nothing is left of what was written down there.
    ///
    /// # Errors
    /// As the file system says; the folder is then to be cleared away.
    pub fn pass_on(&self, over: Run, run: Run) -> io::Result<()> {
        Folder(self.run(over)).begin_anew()?;
        fs::rename(self.run(over), self.run(run))
    }

    /// The folder of a step, which is the agent's alone.
    pub fn step(&self, run: Run, step: StepId) -> PathBuf {
        self.run(run).join(format!("step-{step}"))
    }
}

impl Ledger {
    /// Opens or begins the ledger in a state folder, and reads all that it holds. The caller holds the folder's lock.
    ///
    /// # Errors
    /// Where the folder cannot be made or read. What is damaged is no error: see [`Record::Damaged`].
    pub fn open(state: &Path) -> io::Result<(Ledger, Vec<Record>)> {
        make_dir(state, 0o711)?;
        make_dir(&state.join("runs"), 0o711)?;
        let places = Places::new(state);
        let contents = log::read(&places.log())?;
        if contents.damaged > 0 {
            // Also the last entry of an agent that lost its machine: that one was never acted upon.
            tracing::warn!(path = %places.log().display(), bytes = contents.damaged, "a part of the ledger is damaged");
        }
        let mut held = Held::default();
        contents.records.into_iter().for_each(|record| held.apply(record));
        let log = Log::begin(&places.log(), held.records())?;
        let mut ledger = Ledger { places, held, log, long: 0 };
        ledger.long = ledger.longest();
        let mut records: Vec<Record> = ledger.node()?.into_iter().map(Record::Node).collect();
        let damaged = ledger.folders_without_record()?;
        let known =
            ledger.held.records().filter(|record| !matches!(record, Record::Run { run, .. } if damaged.contains(run)));
        records.extend(known.cloned());
        records.extend(damaged.iter().map(|run| Record::Damaged { run: *run }));
        Ok((ledger, records))
    }

    pub fn places(&self) -> &Places {
        &self.places
    }

    /// Writes records, and makes them durable, all at once, if somebody may wait for one of them: `true` then.
    ///
    /// # Errors
    /// Any failure. After one nothing is certain but what is on disk: the agent has to start anew.
    pub fn write(&mut self, records: Vec<Record>) -> io::Result<bool> {
        let awaited = records.iter().any(Record::is_awaited);
        let logged = |record: &&Record| !matches!(record, Record::Node(_) | Record::Damaged { .. });
        for record in &records {
            if let Record::Node(node) = record {
                sealed::write(&self.places.state.join("node"), node)?;
            }
        }
        if records.iter().any(|record| logged(&record)) {
            self.log.append(records.iter().filter(logged))?;
        }
        if awaited {
            self.log.sync()?;
        }
        records.into_iter().for_each(|record| self.held.apply(record));
        if self.log.bytes > self.long {
            self.log.begin_again(self.held.records())?;
            self.long = self.longest();
        }
        Ok(awaited)
    }

    /// How long the log may become.
    fn longest(&self) -> u64 {
        SHORT.max(4 * self.log.bytes)
    }

    fn node(&self) -> io::Result<Option<NodeRecord>> {
        let path = self.places.state.join("node");
        match sealed::read::<NodeRecord>(&path) {
            Ok(node) => Ok(Some(node)),
            Err(SealedError::Missing) => Ok(None),
            // Without its epoch the agent might obey a controller that was replaced: a person has to look.
            Err(error) => Err(io::Error::other(format!("{}: {error}", path.display()))),
        }
    }

    /// Runs whose shim was let loose and of which the log does not say so. Folders that mean nothing are cleared away.
    fn folders_without_record(&self) -> io::Result<Vec<Run>> {
        let mut damaged = Vec::new();
        for entry in fs::read_dir(self.places.state.join("runs"))? {
            let name = entry?.file_name();
            let Some(run) = name.to_str().and_then(parse_run) else {
                tracing::warn!(name = %name.display(), "not a run's folder: left alone");
                continue;
            };
            let may_have_been_claimed = match self.held.run(run) {
                Some(Record::Run { stage, .. }) => !matches!(**stage, Stage::Accepted(_)),
                _ => false,
            };
            if may_have_been_claimed {
                continue;
            }
            let claimed = self.was_claimed(run);
            match self.held.run(run) {
                // Nothing was executed.
                Some(_) if !claimed => {}
                // Made and not yet written, or forgotten and not yet cleared: nothing was executed, or all is said.
                None if !claimed || self.held.has_forgotten(run) => self.places.clear(run)?,
                _ => {
                    tracing::error!(job = %run.job, attempt = %run.attempt, "the record of a run is damaged");
                    damaged.push(run);
                }
            }
        }
        Ok(damaged)
    }

    /// Whether a shim may have been let loose for this run.
    fn was_claimed(&self, run: Run) -> bool {
        let record = Folder(self.places.run(run)).record();
        !record.is_whole() || record.claims().next().is_some()
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
