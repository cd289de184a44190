//! What waits for the engine. Commits and news of agents and providers have a lane of their own, as have cancels, so
//! that a flood of submissions starves nothing.

use crate::limits::{LANE_ROOM, TAKEN_AT_ONCE};
use squall_engine::{Answer, Input};
use squall_journal::PreparedBlob;
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex};
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc, oneshot};

use super::handle::LinkEvent;

pub(super) enum Message {
    Input(Input),
    Request {
        input: Input,
        answer: oneshot::Sender<Answer>,
        blobs: Vec<PreparedBlob>,
    },
    AgentOpened {
        input: Input,
        orders: mpsc::Sender<LinkEvent>,
    },
    /// The writer: a batch is on disk, up to this record.
    Committed {
        input: Input,
        seq: u64,
    },
    WriterFailed(String),
    Stop,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    Urgent,
    Normal,
    /// What the controller itself is owed: bounded by what it has asked for.
    Own,
}

pub(super) struct Mailbox {
    lanes: Mutex<Lanes>,
    bell: Condvar,
    /// Of the urgent and the normal lane.
    room: [Semaphore; 2],
}

#[derive(Default)]
struct Lanes {
    own: VecDeque<Message>,
    urgent: VecDeque<Message>,
    normal: VecDeque<Message>,
    closed: bool,
}

impl Lanes {
    fn is_empty(&self) -> bool {
        self.own.is_empty() && self.urgent.is_empty() && self.normal.is_empty()
    }
}

impl Default for Mailbox {
    fn default() -> Self {
        Mailbox {
            lanes: Mutex::default(),
            bell: Condvar::new(),
            room: [Semaphore::new(LANE_ROOM), Semaphore::new(LANE_ROOM)],
        }
    }
}

impl Mailbox {
    /// Waits for room, then leaves the message. `false` where nobody reads any more.
    pub async fn put(&self, lane: Lane, message: Message) -> bool {
        let room = if lane == Lane::Normal { &self.room[1] } else { &self.room[0] };
        match room.acquire().await {
            Ok(permit) => permit.forget(),
            Err(_) => return false,
        }
        self.push(lane, message)
    }

    /// For those who must not wait: the writer, provider calls that were asked for, connections that closed.
    pub fn put_now(&self, message: Message) -> bool {
        self.push(Lane::Own, message)
    }

    fn push(&self, lane: Lane, message: Message) -> bool {
        let mut lanes = self.lanes.lock().expect("no code panics while it holds the mailbox");
        if lanes.closed {
            return false;
        }
        // The one reader waits only while there is nothing, and is not woken into a lock that is still held.
        let waits = lanes.is_empty();
        match lane {
            Lane::Own => lanes.own.push_back(message),
            Lane::Urgent => lanes.urgent.push_back(message),
            Lane::Normal => lanes.normal.push_back(message),
        }
        drop(lanes);
        if waits {
            self.bell.notify_one();
        }
        true
    }

    /// What waits, urgent first; empty when `timeout` passes before anything comes.
    pub fn take(&self, timeout: Option<Duration>) -> Vec<Message> {
        let mut lanes = self.lanes.lock().expect("no code panics while it holds the mailbox");
        if lanes.is_empty() {
            let empty = |lanes: &mut Lanes| lanes.is_empty();
            lanes = match timeout {
                Some(timeout) => {
                    let waited = self.bell.wait_timeout_while(lanes, timeout, empty);
                    waited.expect("no code panics while it holds the mailbox").0
                }
                None => self.bell.wait_while(lanes, empty).expect("no code panics while it holds the mailbox"),
            };
        }
        let urgent = lanes.urgent.len().min(TAKEN_AT_ONCE);
        let mut taken: Vec<Message> = lanes.own.drain(..).collect();
        taken.extend(lanes.urgent.drain(..urgent));
        // A flood of news leaves others a turn too.
        let normal = lanes.normal.len().min((TAKEN_AT_ONCE - urgent).max(TAKEN_AT_ONCE / 8));
        taken.extend(lanes.normal.drain(..normal));
        drop(lanes);
        self.room[0].add_permits(urgent);
        self.room[1].add_permits(normal);
        taken
    }

    /// Nobody reads any more: what waits is dropped, and with it the promise of an answer.
    pub fn close(&self) {
        let mut lanes = self.lanes.lock().expect("no code panics while it holds the mailbox");
        lanes.closed = true;
        lanes.own.clear();
        lanes.urgent.clear();
        lanes.normal.clear();
        self.room.iter().for_each(Semaphore::close);
    }
}
