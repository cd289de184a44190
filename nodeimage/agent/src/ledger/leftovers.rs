//! The folders of forgotten runs: they stay for a while, and a run that comes is given one instead of a new one.
//!
//! Whoever takes one out of this list, to give it away or to clear it away, is the only one who has it.

use squall_types::ids::Run;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Folders that stay at most.
pub const MOST_FOLDERS: usize = 2_000;
/// What they hold at most; most of it is the jobs' environments.
pub const MOST_BYTES: u64 = 64 << 20;
/// Among so many of the latest a folder of the same user is looked for.
const LOOKED_AT: usize = 64;

/// As whom a run ran. No file of one user becomes another's: whoever has it open still could write to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    pub uid: u32,
    pub gid: u32,
}

/// The list, the oldest first.
#[derive(Debug, Default)]
pub struct Leftovers {
    left: Mutex<Left>,
    /// For whoever waits in [`Leftovers::next`], where that waits for what has happened.
    news: Condvar,
}

#[derive(Debug, Default)]
struct Left {
    runs: VecDeque<(Run, u64)>,
    bytes: u64,
    /// Of those that may be given away, also before they are forgotten.
    owners: BTreeMap<Run, Owner>,
    /// When one came last.
    came: Option<Instant>,
    /// Whoever clears away waits for the first one, and for no time.
    waits: bool,
    /// No more will come.
    over: bool,
}

impl Leftovers {
    /// The folder of this run may be given away once the run is forgotten: nothing will be written there any more.
    pub fn offer(&self, run: Run, owner: Owner) {
        let mut left = self.lock();
        left.owners.insert(run, owner);
        // Of a run that was cleared away before this came.
        if left.owners.len() > 2 * MOST_FOLDERS {
            left.owners.pop_first();
        }
    }

    /// A run was forgotten that has left so much.
    pub fn push(&self, run: Run, bytes: u64) {
        let mut left = self.lock();
        left.bytes = left.bytes.saturating_add(bytes);
        left.runs.push_back((run, bytes));
        left.came = Some(Instant::now());
        // Whoever waits for a time looks again when that is over: nobody is woken for each run.
        if left.waits || left.are_too_many() {
            self.news.notify_one();
        }
    }

    /// No more will come.
    pub fn end(&self) {
        self.lock().over = true;
        self.news.notify_one();
    }

    pub fn is_over(&self) -> bool {
        self.lock().over
    }

    /// Waits for one that is to be cleared away: where there are too many at once, otherwise when none has come for so long.
    /// Where no more will come all are, and then `None`.
    pub fn next(&self, quiet: Duration) -> Option<Run> {
        let mut left = self.lock();
        loop {
            let rests = left.came.map_or(quiet, |came| quiet.saturating_sub(came.elapsed()));
            if left.over || left.are_too_many() || rests.is_zero() {
                if let Some(run) = left.oldest() {
                    return Some(run);
                }
                if left.over {
                    return None;
                }
            }
            // An idle node is not woken every few minutes.
            left.waits = left.runs.is_empty();
            left = if left.waits {
                self.news.wait(left).unwrap_or_else(PoisonError::into_inner)
            } else {
                self.news.wait_timeout(left, rests).unwrap_or_else(PoisonError::into_inner).0
            };
            left.waits = false;
        }
    }

    /// A folder of a run of the same user. The latest is the one that the system has at hand.
    pub fn take(&self, owner: Owner) -> Option<Run> {
        let mut left = self.lock();
        let latest = left.runs.iter().enumerate().rev().take(LOOKED_AT);
        let found = latest.filter(|(_, (run, _))| left.owners.get(run) == Some(&owner)).map(|(at, _)| at).next()?;
        let (run, bytes) = left.runs.remove(found)?;
        left.gone(run, bytes);
        Some(run)
    }

    fn lock(&self) -> MutexGuard<'_, Left> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Left {
    fn are_too_many(&self) -> bool {
        self.runs.len() > MOST_FOLDERS || self.bytes > MOST_BYTES
    }

    fn oldest(&mut self) -> Option<Run> {
        let (run, bytes) = self.runs.pop_front()?;
        self.gone(run, bytes);
        Some(run)
    }

    fn gone(&mut self, run: Run, bytes: u64) {
        self.bytes = self.bytes.saturating_sub(bytes);
        self.owners.remove(&run);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// No test waits for so long.
    const LONG: Duration = Duration::from_secs(3600);
    use squall_types::{Attempt, JobId};

    fn run(job: u32) -> Run {
        Run { job: JobId(job), attempt: Attempt(1) }
    }

    #[test]
    fn the_oldest_go_where_there_are_many_or_large_ones() {
        let left = Leftovers::default();
        for job in 0..MOST_FOLDERS as u32 {
            left.push(run(job), 10);
            assert!(!left.lock().are_too_many());
        }
        left.push(run(5_000), 10);
        assert_eq!((left.next(LONG), left.lock().are_too_many()), (Some(run(0)), false));
        left.push(run(5_001), MOST_BYTES - 10 * 10);
        let mut gone = 0;
        while left.lock().are_too_many() {
            assert!(left.next(LONG).is_some());
            gone += 1;
        }
        let left = left.lock();
        assert_eq!((gone, left.runs.len(), left.bytes), (MOST_FOLDERS - 10, 11, MOST_BYTES));
    }

    #[test]
    fn a_folder_is_given_away_once_and_to_its_own_user() {
        let left = Leftovers::default();
        let (one, other) = (Owner { uid: 1, gid: 1 }, Owner { uid: 1, gid: 2 });
        left.offer(run(1), one);
        assert_eq!(left.take(one), None, "not forgotten yet");
        for job in 1..=4 {
            left.push(run(job), 1);
        }
        left.offer(run(3), other);
        left.offer(run(4), one);
        assert_eq!((left.take(one), left.take(one), left.take(one)), (Some(run(4)), Some(run(1)), None));
        left.end();
        assert_eq!((left.next(LONG), left.next(LONG), left.next(LONG)), (Some(run(2)), Some(run(3)), None));
        assert_eq!(left.take(other), None);
        let left = left.lock();
        assert_eq!((left.bytes, left.owners.len()), (0, 0));
    }
}
