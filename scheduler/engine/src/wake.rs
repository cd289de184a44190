//! When to look again although nothing happens.

use crate::Engine;
use squall_types::Timestamp;

impl Engine {
    /// `None` while a batch is being written: its commit is the next turn anyway.
    pub(crate) fn next_wake(&self) -> Option<Timestamp> {
        if self.batches.is_writing() || !self.configured {
            return None;
        }
        if !self.bulk.is_empty() {
            return Some(self.now);
        }
        let timeout = self.cluster.config.timing.contact_timeout;
        let core = squall_core::next_wakeup(&self.cluster, self.now);
        let others = [
            self.cluster.counters.settled_by.filter(|_| self.sessions.any_keeps_unknown()),
            self.planning.next_at(self.now),
            self.reconciler.next_due(self.now),
            self.next_inventory(),
            self.sessions.first_silence(timeout),
        ];
        let at = others.into_iter().flatten().fold(core, Timestamp::min);
        (at < Timestamp::NEVER).then_some(at)
    }
}
