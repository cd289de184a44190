//! Batches: events that are written together, and the outputs that wait for them.

use crate::io::{BatchId, Output};
use squall_core::{Cluster, Event};

/// Events of one batch at most: a longer one is cut, so that no commit takes long.
const MAX_EVENTS: usize = 20_000;

#[derive(Default)]
pub(crate) struct Batches {
    last: u64,
    /// Collected since the last write.
    events: Vec<Event>,
    held: Vec<Output>,
    writing: Option<Writing>,
    ready: Vec<Output>,
}

struct Writing {
    batch: BatchId,
    held: Vec<Output>,
    /// What readers may see when it is on disk.
    state: Cluster,
}

impl Batches {
    pub fn push(&mut self, event: Event) {
        self.events.push(event);
    }

    /// Leaves when everything that was decided so far is on disk.
    pub fn hold(&mut self, output: Output) {
        self.held.push(output);
    }

    /// Leaves at once: says nothing about the state.
    pub fn send(&mut self, output: Output) {
        self.ready.push(output);
    }

    pub fn is_writing(&self) -> bool {
        self.writing.is_some()
    }

    pub fn is_empty(&self) -> bool {
        self.writing.is_none() && self.events.is_empty() && self.held.is_empty()
    }

    /// Room for more before the batch should be written.
    pub fn has_room(&self) -> bool {
        self.events.len() < MAX_EVENTS
    }

    /// Starts to write what was collected, which led to `state`; outputs that wait for nothing leave.
    pub fn write(&mut self, state: &Cluster) {
        if self.events.is_empty() {
            self.ready.append(&mut self.held);
            return;
        }
        self.last += 1;
        let batch = BatchId(self.last);
        let events = std::mem::take(&mut self.events);
        let mut held = std::mem::take(&mut self.held);
        if squall_core::canary::active("reply_before_commit") {
            self.ready.append(&mut held);
        }
        self.writing = Some(Writing { batch, held, state: state.clone() });
        self.ready.push(Output::Append { batch, events });
    }

    /// The state to publish, if `batch` is the one being written.
    pub fn committed(&mut self, batch: BatchId) -> Option<Cluster> {
        let writing = self.writing.take_if(|writing| writing.batch == batch)?;
        self.ready.push(Output::Published);
        self.ready.extend(writing.held);
        Some(writing.state)
    }

    pub fn released(&mut self) -> Vec<Output> {
        std::mem::take(&mut self.ready)
    }
}
