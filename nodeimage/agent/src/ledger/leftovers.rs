//! The folders of forgotten runs: they stay for a while, and a run that comes is given one instead of a new one.
//!
//! Whoever takes one out of this list, to give it away or to clear it away, is the only one who has it.

use squall_types::ids::Run;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

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
pub struct Leftovers(Mutex<Left>);

#[derive(Debug, Default)]
struct Left {
    runs: VecDeque<(Run, u64)>,
    bytes: u64,
    /// Of those that may be given away, also before they are forgotten.
    owners: BTreeMap<Run, Owner>,
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

    /// The one that goes first.
    pub fn oldest(&self) -> Option<Run> {
        self.lock().oldest()
    }

    /// One that has to go now.
    pub fn too_many(&self) -> Option<Run> {
        let mut left = self.lock();
        (left.runs.len() > MOST_FOLDERS || left.bytes > MOST_BYTES).then(|| left.oldest()).flatten()
    }

    pub fn is_empty(&self) -> bool {
        self.lock().runs.is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, Left> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Left {
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
    use squall_types::{Attempt, JobId};

    fn run(job: u32) -> Run {
        Run { job: JobId(job), attempt: Attempt(1) }
    }

    #[test]
    fn the_oldest_go_where_there_are_many_or_large_ones() {
        let left = Leftovers::default();
        for job in 0..MOST_FOLDERS as u32 {
            left.push(run(job), 10);
            assert_eq!(left.too_many(), None);
        }
        left.push(run(5_000), 10);
        assert_eq!((left.too_many(), left.too_many()), (Some(run(0)), None));
        left.push(run(5_001), MOST_BYTES - 10 * 10);
        let mut gone = 0;
        while left.too_many().is_some() {
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
        assert_eq!((left.oldest(), left.oldest()), (Some(run(2)), Some(run(3))));
        assert_eq!((left.take(other), left.is_empty()), (None, true));
        let left = left.lock();
        assert_eq!((left.bytes, left.owners.len()), (0, 0));
    }
}
