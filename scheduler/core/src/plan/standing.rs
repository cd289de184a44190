//! How a class stands in a pass: what was found for jobs of it, and what that says of the others.
//!
//! Within a pass what is free only shrinks, but for nodes that the pass itself adds, and what is too long to start, to be
//! promised a start or to wait for nodes on their way stays so, like everything that is longer. So a job needs a look only
//! if something shorter than all that failed before it, and where not even the shortest of a class can start and nothing
//! can be bought for it, the whole class is over.

use super::classes::Class;
use super::pass::Pass;
use crate::queue::QueueKey;
use squall_types::{Reason, Span};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

#[derive(Clone, Debug, Default)]
pub struct Standing {
    /// Why the first of it that cannot start waits.
    pub reason: Option<Reason>,
    /// What may still be done for others of the same length as one that cannot start.
    failed: BTreeMap<Span, Failed>,
    /// So long or longer none of it can start now, nor wait for nodes on their way.
    stuck: Option<Span>,
    /// So long or longer none of it has a start within the window.
    vain: Option<Span>,
    /// Nothing can be bought for it.
    pub shut: bool,
    /// Places, by partition and pool, where one of it would hold more than a limit allows. Within a pass what is used
    /// only grows, and where limits tell jobs apart a class has one length.
    pub exceeds: Vec<(usize, usize)>,
    /// How far the pass has come among the first jobs of their lengths, and how far ahead nothing is worth a look.
    cursor: Option<QueueKey>,
    ahead: Option<QueueKey>,
    /// Other jobs of lengths that are worth more.
    again: BinaryHeap<Reverse<(QueueKey, Span)>>,
    /// The job for which the class waits in the pass.
    pub queued: Option<QueueKey>,
    /// Jobs were left out that may be worth a look when nodes are added.
    skips: bool,
    /// Jobs that came to nothing, and after how many the shortest is tried.
    fruitless: u32,
    probe_after: u32,
    /// Nodes that the pass had added when it was last looked at.
    grown: u32,
}

/// For others of the same length.
#[derive(Clone, Copy, Debug)]
pub struct Failed {
    /// They may be promised a start as well.
    pub reserves: bool,
    /// For the first, waiting was sooner than buying; it may not be for the next.
    pub buys: bool,
}

impl Standing {
    pub fn failed(&self, length: Span) -> Option<Failed> {
        // Most classes have few lengths that failed, or none.
        if self.failed.is_empty() { None } else { self.failed.get(&length).copied() }
    }

    pub fn fail(&mut self, length: Span, failed: Failed) {
        self.failed.insert(length, failed);
    }

    pub fn is_stuck(&self, length: Span) -> bool {
        self.stuck.is_some_and(|from| from <= length)
    }

    pub fn is_vain(&self, length: Span) -> bool {
        self.vain.is_some_and(|from| from <= length)
    }

    pub fn stuck_from(&mut self, length: Span) {
        self.stuck = Some(self.stuck.map_or(length, |from| from.min(length)));
    }

    pub fn vain_from(&mut self, length: Span) {
        self.vain = Some(self.vain.map_or(length, |from| from.min(length)));
    }

    /// Nothing can be done for jobs of any length, whatever the pass adds.
    pub fn close(&mut self) {
        (self.stuck, self.vain, self.shut) = (Some(Span::ZERO), Some(Span::ZERO), true);
    }

    /// The pass has added nodes since: what failed by itself may not any more.
    pub fn notice(&mut self, grown: u32) {
        if std::mem::replace(&mut self.grown, grown) != grown {
            (self.stuck, self.vain) = (None, None);
        }
    }

    /// Whether it is time to try the shortest: each time after twice as many jobs that came to nothing.
    pub fn probes(&mut self) -> bool {
        self.fruitless += 1;
        let due = self.fruitless > self.probe_after;
        if due {
            self.probe_after = self.fruitless.saturating_mul(2);
        }
        due
    }

    /// Whether anything can be done for a job so long. `reserves`: it may be promised a start, if there is one.
    pub fn is_worth_more(&self, length: Span, reserves: bool) -> bool {
        match self.failed(length) {
            Some(failed) => failed.buys || (failed.reserves && reserves),
            None => !self.shut || !self.is_stuck(length) || (reserves && !self.is_vain(length)),
        }
    }

    /// Whether nothing can be done for any of it.
    fn is_over(&self, class: &Class, reserves: bool) -> bool {
        let hopeless = |length| self.is_stuck(length) && (!reserves || self.is_vain(length));
        self.shut && class.shortest().is_none_or(hopeless)
    }

    /// The next job that is worth a look.
    pub fn next(&mut self, class: &Class, reserves: bool) -> Option<(QueueKey, Span)> {
        if self.is_over(class, reserves) {
            self.skips = true;
            return None;
        }
        while let Some(Reverse((_, length))) = self.again.peek()
            && !self.is_worth_more(*length, reserves)
        {
            self.again.pop();
        }
        let again = self.again.peek().map(|Reverse(next)| *next);
        let mut head = None;
        for (key, length) in class.heads_after(self.cursor.max(self.ahead)) {
            if again.is_some_and(|(other, _)| other < key) {
                break;
            }
            if self.is_worth_more(length, reserves) {
                head = Some((key, length));
                break;
            }
            (self.ahead, self.skips) = (Some(key), true);
        }
        head.or(again)
    }

    /// That job is being looked at.
    pub fn pass_by(&mut self, key: QueueKey) {
        if self.again.peek().is_some_and(|Reverse((next, _))| *next == key) {
            self.again.pop();
        } else {
            self.cursor = Some(key);
        }
    }

    pub fn skips(&self) -> bool {
        self.skips
    }

    /// What was left out is looked at again, from this job on.
    pub fn resume_after(&mut self, key: QueueKey) {
        (self.ahead, self.skips) = (None, false);
        self.cursor = self.cursor.max(Some(key));
        while self.again.peek().is_some_and(|Reverse((next, _))| *next <= key) {
            self.again.pop();
        }
    }

    /// Another job of a length that is worth a look.
    pub fn come_back(&mut self, key: QueueKey, length: Span) {
        self.again.push(Reverse((key, length)));
    }
}

impl Pass {
    /// Nodes are added to a pool, or taken back into it: what failed without them may not any more, from this job on.
    pub fn grow(&mut self, pool: usize) {
        self.grown[pool] += 1;
        self.has_grown = true;
    }
}
