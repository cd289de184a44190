//! How much one user may ask for.

use crate::limits::METERED_USERS;
use squall_types::{Timestamp, Uid};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Requests and watches of users.
#[derive(Default)]
pub(super) struct Rates {
    buckets: Mutex<HashMap<Uid, Bucket>>,
    watches: Arc<Mutex<HashMap<Uid, u32>>>,
}

/// In thousandths of a request.
#[derive(Clone, Copy)]
struct Bucket {
    level: i64,
    at: Timestamp,
}

/// One watch of one user, counted until it is dropped.
pub(super) struct Watch {
    uid: Uid,
    watches: Arc<Mutex<HashMap<Uid, u32>>>,
}

impl Rates {
    /// Takes one request out of a user's bucket, which fills by `per_second` up to `burst`.
    pub fn take(&self, uid: Uid, per_second: u32, burst: u32, now: Timestamp) -> bool {
        let full = i64::from(burst.max(1)) * 1000;
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= METERED_USERS && !buckets.contains_key(&uid) {
            // Whoever has not asked for a while has a full bucket, which need not be remembered.
            let refilled = now.0 - i64::from(burst) * 1000 / i64::from(per_second.max(1)) - 1000;
            buckets.retain(|_, bucket| bucket.at.0 > refilled);
        }
        let bucket = buckets.entry(uid).or_insert(Bucket { level: full, at: now });
        let gained = now.since(bucket.at).0.saturating_mul(i64::from(per_second));
        bucket.level = bucket.level.saturating_add(gained).min(full);
        bucket.at = now;
        let enough = bucket.level >= 1000;
        if enough {
            bucket.level -= 1000;
        }
        enough
    }

    /// One more watch of a user, unless it has `most` already.
    pub fn watch(&self, uid: Uid, most: u32) -> Option<Watch> {
        let mut watches = self.watches.lock().unwrap_or_else(PoisonError::into_inner);
        let count = watches.entry(uid).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(Watch { uid, watches: self.watches.clone() })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut watches = self.watches.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = watches.get_mut(&self.uid) {
            *count -= 1;
            if *count == 0 {
                watches.remove(&self.uid);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_taken_and_then_the_rate_holds() {
        let rates = Rates::default();
        let start = Timestamp::from_secs(100);
        let taken = |at| (0..100).filter(|_| rates.take(Uid(1), 10, 20, at)).count();
        assert_eq!(taken(start), 20);
        assert_eq!(taken(Timestamp(start.0 + 500)), 5);
        assert_eq!(taken(Timestamp(start.0 + 3_600_000)), 20);
        assert!(rates.take(Uid(2), 10, 20, start), "another user has its own");
    }

    #[test]
    fn a_watch_that_ends_makes_room_for_another() {
        let rates = Rates::default();
        let first = rates.watch(Uid(1), 1);
        assert!(first.is_some() && rates.watch(Uid(1), 1).is_none());
        drop(first);
        assert!(rates.watch(Uid(1), 1).is_some());
    }
}
