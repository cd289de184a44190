//! News on its way to a client that may be slow, or away for a while.

use std::collections::VecDeque;

/// Bytes that wait to be sent before the tasks have to wait.
const MAX_UNSENT: usize = 1 << 20;
/// Bytes that were sent and are kept for a client that comes back.
const MAX_SENT: usize = 4 << 20;

/// Framed news in order, each with its number.
#[derive(Debug, Default)]
pub struct Backlog {
    frames: VecDeque<Vec<u8>>,
    /// The number of the first frame that is kept.
    first: u64,
    /// How many of the kept ones were sent.
    sent: usize,
    /// How much of the next one was.
    offset: usize,
    unsent_bytes: usize,
    sent_bytes: usize,
}

impl Backlog {
    pub fn push(&mut self, frame: Vec<u8>) {
        self.unsent_bytes += frame.len();
        self.frames.push_back(frame);
    }

    /// All that is kept, sent or not.
    pub fn kept(&self) -> impl Iterator<Item = &[u8]> {
        self.frames.iter().map(Vec::as_slice)
    }

    /// The number of the first of what is kept.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// The tasks have to wait.
    pub fn is_full(&self) -> bool {
        self.unsent_bytes >= MAX_UNSENT
    }

    /// What is to be sent next.
    pub fn unsent(&self) -> Option<&[u8]> {
        self.frames.get(self.sent).map(|frame| &frame[self.offset..])
    }

    /// So many bytes of [`Backlog::unsent`] were sent.
    pub fn advance(&mut self, bytes: usize) {
        self.offset += bytes;
        let Some(frame) = self.frames.get(self.sent) else { return };
        if self.offset < frame.len() {
            return;
        }
        let length = frame.len();
        self.offset = 0;
        self.sent += 1;
        self.unsent_bytes -= length;
        self.sent_bytes += length;
        while self.sent_bytes > MAX_SENT
            && self.sent > 0
            && let Some(oldest) = self.frames.pop_front()
        {
            self.first += 1;
            self.sent -= 1;
            self.sent_bytes -= oldest.len();
        }
    }

    /// A client that has had `had` news goes on from there; what it missed and is not kept any more is lost.
    pub fn resume(&mut self, had: u64) {
        let sent = had.saturating_sub(self.first).min(self.frames.len() as u64) as usize;
        self.sent = sent;
        self.offset = 0;
        self.sent_bytes = self.frames.iter().take(sent).map(Vec::len).sum();
        self.unsent_bytes = self.frames.iter().skip(sent).map(Vec::len).sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn news_is_sent_in_pieces_and_again_to_who_comes_back() {
        let mut backlog = Backlog::default();
        for frame in [b"one".to_vec(), b"two".to_vec(), b"three".to_vec()] {
            backlog.push(frame);
        }
        assert_eq!(backlog.unsent(), Some(b"one".as_slice()));
        backlog.advance(2);
        assert_eq!(backlog.unsent(), Some(b"e".as_slice()));
        backlog.advance(1);
        backlog.advance(3);
        assert_eq!(backlog.unsent(), Some(b"three".as_slice()));
        backlog.resume(1);
        assert_eq!(backlog.unsent(), Some(b"two".as_slice()));
        backlog.resume(99);
        assert_eq!(backlog.unsent(), None);
    }

    #[test]
    fn a_slow_client_makes_the_tasks_wait_and_old_news_goes() {
        let mut backlog = Backlog::default();
        let mut pushed = 0u64;
        while !backlog.is_full() {
            backlog.push(vec![0; 1 << 16]);
            pushed += 1;
        }
        for _ in 0..100 {
            let length = backlog.unsent().unwrap().len();
            backlog.advance(length);
            backlog.push(vec![0; 1 << 16]);
            pushed += 1;
        }
        assert!(backlog.frames.len() * (1 << 16) <= MAX_SENT + MAX_UNSENT + (1 << 16));
        backlog.resume(0);
        assert!(backlog.first > 0 && backlog.first < pushed, "what is not kept is skipped");
    }
}
