//! The thread that clears away what forgotten runs left, while nothing starts.
//!
//! A folder for each job, removed as soon as the job is forgotten, is what made starts slow where many short jobs
//! follow one another: ext4 without a journal gives no inode out again within six minutes of its deletion, and whoever makes
//! a file looks at all of those first. So folders stay until no run has been forgotten for longer than that, or until there
//! are many, or until the agent ends; and most do not go at all, but are given to runs that come.

use crate::ledger::{Leftovers, Places};
use squall_types::ids::Run;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

/// How long an agent that is told to end waits for the folders to go. With more, the next agent clears the rest.
pub const AT_THE_END: Duration = Duration::from_secs(2);

/// Nothing has been forgotten for so long: longer than ext4 remembers what was deleted.
const QUIET: Duration = Duration::from_secs(400);
/// Between two folders: nobody waits for this, and others may be working.
const PAUSE: Duration = Duration::from_millis(1);

/// Starts the thread. It clears everything away and ends when no more can come. What it has not cleared when the agent is
/// killed, the next agent clears as it starts.
///
/// # Errors
/// Where there can be no thread.
pub fn start(places: Places, left: Arc<Leftovers>) -> io::Result<Sweeping> {
    start_with(places, left, QUIET)
}

fn start_with(places: Places, left: Arc<Leftovers>, quiet: Duration) -> io::Result<Sweeping> {
    let (sweeps, swept) = mpsc::channel();
    let thread = thread::Builder::new().name("sweeper".to_owned());
    let list = left.clone();
    thread.spawn(move || {
        while let Some(run) = list.next(quiet) {
            clear(&places, run);
            if !list.is_over() {
                thread::sleep(PAUSE);
            }
        }
        drop(sweeps);
    })?;
    Ok(Sweeping { left, swept })
}

/// The thread while it may have something to clear away.
#[derive(Debug)]
pub struct Sweeping {
    left: Arc<Leftovers>,
    swept: Receiver<()>,
}

impl Sweeping {
    /// No more will come: waits until all is cleared away; `false` where it has not been within this time.
    pub fn over_within(&self, time: Duration) -> bool {
        self.left.end();
        self.swept.recv_timeout(time) == Err(RecvTimeoutError::Disconnected)
    }
}

fn clear(places: &Places, run: Run) {
    if let Err(error) = places.clear(run) {
        tracing::warn!(job = %run.job, attempt = %run.attempt, %error, "what a run left is not cleared away");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use squall_types::{Attempt, JobId};

    fn run(job: u32) -> Run {
        Run { job: JobId(job), attempt: Attempt(1) }
    }

    #[test]
    fn what_is_left_goes_when_nothing_more_is_forgotten() {
        let state = tempfile::tempdir().unwrap();
        let places = Places::new(state.path());
        let quiet = Duration::from_secs(6);
        let left = Arc::new(Leftovers::default());
        let sweeping = start_with(places.clone(), left.clone(), quiet).unwrap();
        let forget = |job| {
            std::fs::create_dir_all(places.run(run(job))).unwrap();
            std::fs::write(places.run(run(job)).join("slurm_script"), "true").unwrap();
            left.push(run(job), 4);
        };
        (1..=3).for_each(forget);
        while (1..=3).any(|job| places.run(run(job)).exists()) {
            thread::sleep(Duration::from_millis(50));
        }
        (4..=60).for_each(forget);
        // Of an agent that ends it is not the quiet that is waited for.
        assert!(sweeping.over_within(quiet / 2));
        assert_eq!((4..=60).filter(|job| places.run(run(*job)).exists()).count(), 0);
    }
}
