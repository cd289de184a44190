//! An array as a whole: one span in the submission's trace, to which the traces of its elements link.

use super::Place;
use super::span::{FinishedSpan, key};
use super::subject::Subject;
use opentelemetry::trace::Status;
use squall_types::{EndState, Timestamp};
use std::sync::Arc;

pub(super) struct ArrayTrace {
    pub place: Place,
    pub subject: Arc<Subject>,
    pub is_partial: bool,
    /// Elements that have no record of their own yet.
    pub waiting: u64,
    /// Elements that have one and have not ended.
    pub live: u64,
    pub completed: u64,
    pub failed: u64,
    pub cancelled: u64,
}

impl ArrayTrace {
    pub fn new(place: Place, subject: Arc<Subject>, elements: u64) -> ArrayTrace {
        let (live, completed, failed, cancelled) = (0, 0, 0, 0);
        ArrayTrace { place, subject, is_partial: false, waiting: elements, live, completed, failed, cancelled }
    }

    pub fn element_split(&mut self) {
        self.waiting = self.waiting.saturating_sub(1);
        self.live += 1;
    }

    pub fn element_ended(&mut self, state: EndState) {
        self.live = self.live.saturating_sub(1);
        self.count(state, 1);
    }

    /// Elements that never started are over.
    pub fn waiting_ended(&mut self, elements: u64, state: EndState) {
        let elements = elements.min(self.waiting);
        self.waiting -= elements;
        self.count(state, elements);
    }

    fn count(&mut self, state: EndState, elements: u64) {
        match state {
            EndState::Completed => self.completed += elements,
            EndState::Cancelled => self.cancelled += elements,
            _ => self.failed += elements,
        }
    }

    pub fn is_over(&self) -> bool {
        self.waiting == 0 && self.live == 0
    }

    pub fn span(&self, at: Timestamp) -> FinishedSpan {
        let place = &self.place;
        let elements = self.completed + self.failed + self.cancelled;
        let mut span = FinishedSpan {
            parent: self.subject.parent,
            parent_is_remote: true,
            ..place.child(None, place.root, "array", place.submitted_at, at)
        };
        span = self
            .subject
            .describe(span)
            .with(key::ARRAY_ELEMENTS, elements as i64)
            .with(key::ARRAY_COMPLETED, self.completed as i64);
        if self.is_partial {
            span = span.with(key::PARTIAL, true);
        }
        match (self.failed, self.cancelled) {
            (0, 0) => span.with_status(Status::Ok),
            (0, _) => span,
            (failed, _) => span.failed(format!("{failed} of {elements} elements failed")),
        }
    }
}
