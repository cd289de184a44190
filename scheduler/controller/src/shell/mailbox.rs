//! What waits for the engine. Commits and news of agents and providers have a lane of their own, as have cancels, so
//! that a flood of submissions starves nothing.

use super::answers::Asker;
use super::handle::LinkEvent;
use crate::limits::{LANE_ROOM, TAKEN_AT_ONCE};
use squall_engine::Input;
use squall_journal::PreparedBlob;
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, mpsc};

pub(super) enum Message {
    Input(Input),
    Request {
        input: Input,
        asker: Asker,
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

/// Rings when it is dropped, where the reader sleeps and nobody else did.
pub(super) struct Bell<'a>(&'a Mailbox);

impl Drop for Bell<'_> {
    fn drop(&mut self) {
        self.0.ring();
    }
}

/// What was taken at once.
pub(super) struct Taken {
    pub messages: Vec<Message>,
    /// More than the controller's own is among it.
    pub gathered: bool,
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
    reader: Reader,
    /// Somebody has left what the reader waits for, and will ring.
    rings: bool,
}

/// What the one reader does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Reader {
    #[default]
    Works,
    /// Sleeps until anything comes.
    Waits,
    /// Sleeps for a time, and until something of the controller's own comes.
    Gathers,
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
        self.leave(lane, message).await.is_some()
    }

    /// The same; the reader is told when what this returns is dropped, so that it may take more at once.
    pub async fn leave(&self, lane: Lane, message: Message) -> Option<Bell<'_>> {
        let room = if lane == Lane::Normal { &self.room[1] } else { &self.room[0] };
        room.acquire().await.ok()?.forget();
        self.push(lane, message)
    }

    /// For those who must not wait: the writer, provider calls that were asked for, connections that closed.
    pub fn put_now(&self, message: Message) -> bool {
        self.push(Lane::Own, message).is_some()
    }

    fn push(&self, lane: Lane, message: Message) -> Option<Bell<'_>> {
        let mut lanes = self.lanes.lock().expect("no code panics while it holds the mailbox");
        if lanes.closed {
            return None;
        }
        match lane {
            Lane::Own => lanes.own.push_back(message),
            Lane::Urgent => lanes.urgent.push_back(message),
            Lane::Normal => lanes.normal.push_back(message),
        }
        lanes.rings |= match lanes.reader {
            Reader::Works => false,
            Reader::Waits => true,
            Reader::Gathers => lane == Lane::Own,
        };
        Some(Bell(self))
    }

    fn ring(&self) {
        let mut lanes = self.lanes.lock().expect("no code panics while it holds the mailbox");
        if std::mem::take(&mut lanes.rings) {
            lanes.reader = Reader::Works;
            // Not into a lock that is still held.
            drop(lanes);
            self.bell.notify_one();
        }
    }

    /// What waits, urgent first; nothing when `timeout` passes before anything comes. Until `opens` only the controller's
    /// own is taken.
    pub fn take(&self, timeout: Duration, opens: Instant) -> Taken {
        let mut lanes = self.lanes.lock().expect("no code panics while it holds the mailbox");
        let mut now = Instant::now();
        let end = now + timeout;
        while lanes.own.is_empty() && (now < opens || lanes.is_empty()) && now < end {
            let until = if now < opens { opens.min(end) } else { end };
            lanes.reader = if now < opens { Reader::Gathers } else { Reader::Waits };
            let waited = self.bell.wait_timeout(lanes, until - now);
            lanes = waited.expect("no code panics while it holds the mailbox").0;
            now = Instant::now();
        }
        (lanes.reader, lanes.rings) = (Reader::Works, false);
        let mut messages: Vec<Message> = lanes.own.drain(..).collect();
        if now < opens {
            return Taken { messages, gathered: false };
        }
        let urgent = lanes.urgent.len().min(TAKEN_AT_ONCE);
        messages.extend(lanes.urgent.drain(..urgent));
        // A flood of news leaves others a turn too.
        let normal = lanes.normal.len().min((TAKEN_AT_ONCE - urgent).max(TAKEN_AT_ONCE / 8));
        messages.extend(lanes.normal.drain(..normal));
        drop(lanes);
        self.room[0].add_permits(urgent);
        self.room[1].add_permits(normal);
        Taken { messages, gathered: urgent + normal > 0 }
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::thread::{sleep, spawn};

    const LONG: Duration = Duration::from_secs(30);
    const SHORT: Duration = Duration::from_millis(20);

    fn wake() -> Message {
        Message::Input(Input::Wake)
    }

    /// How many are taken, and after how long.
    fn taken(mailbox: &Mailbox, timeout: Duration, after: Duration) -> (usize, Duration) {
        let begun = Instant::now();
        (mailbox.take(timeout, begun + after).messages.len(), begun.elapsed())
    }

    #[tokio::test]
    async fn what_comes_wakes_the_reader_once_it_is_told() {
        let mailbox = Arc::new(Mailbox::default());
        let reader = mailbox.clone();
        let reading = spawn(move || taken(&reader, LONG, Duration::ZERO));
        sleep(SHORT);
        let first = mailbox.leave(Lane::Normal, wake()).await.unwrap();
        let second = mailbox.leave(Lane::Urgent, wake()).await.unwrap();
        sleep(SHORT);
        assert!(!reading.is_finished());
        drop(first);
        assert_eq!(reading.join().unwrap().0, 2);
        drop(second);
        // Where the reader does not sleep, nobody has to ring.
        assert!(mailbox.put(Lane::Normal, wake()).await);
        assert_eq!(taken(&mailbox, LONG, Duration::ZERO).0, 1);
    }

    #[tokio::test]
    async fn others_wait_until_it_opens_and_the_controllers_own_does_not() {
        let mailbox = Arc::new(Mailbox::default());
        let reader = mailbox.clone();
        let reading = spawn(move || [taken(&reader, LONG, LONG), taken(&reader, LONG, 3 * SHORT)]);
        sleep(SHORT);
        assert!(mailbox.put(Lane::Normal, wake()).await);
        assert!(mailbox.put(Lane::Urgent, wake()).await);
        sleep(SHORT);
        assert!(!reading.is_finished());
        assert!(mailbox.put_now(wake()));
        let [own, others] = reading.join().unwrap();
        assert_eq!((own.0, others.0), (1, 2));
        assert!(own.1 < LONG && others.1 >= 3 * SHORT, "{own:?} {others:?}");
    }

    #[test]
    fn nothing_is_taken_after_a_time_in_which_nothing_came() {
        let mailbox = Mailbox::default();
        for opens in [Duration::ZERO, SHORT / 2, LONG] {
            let (taken, after) = taken(&mailbox, SHORT, opens);
            assert_eq!(taken, 0);
            assert!(after >= SHORT);
        }
        mailbox.close();
        assert!(!mailbox.put_now(wake()));
    }
}
