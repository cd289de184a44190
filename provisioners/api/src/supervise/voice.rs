//! What a program writes: into the log line by line, and the last of it kept for messages about its end.

use squall_types::PoolName;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt};

/// A longer line is cut.
const MAX_LINE: usize = 2_000;
/// Lines in one span of time; what is above is counted and left out.
const MAX_LINES: u32 = 200;
const SPAN: Duration = Duration::from_secs(1);
/// Of the last line, as much stands in messages.
const MAX_LAST: usize = 300;

/// The last line that was written.
#[derive(Clone, Default)]
pub(super) struct LastWords(Arc<Mutex<String>>);

impl LastWords {
    fn set(&self, line: &str) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = line.chars().take(MAX_LAST).collect();
    }

    /// For the end of a sentence.
    pub fn after(&self, sentence: String) -> String {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_empty() { sentence } else { format!("{sentence}; it last said: {last}") }
    }
}

/// Logs what comes until nothing more can come.
pub(super) async fn listen(mut from: impl AsyncRead + Unpin, pool: PoolName, program: String, last: LastWords) {
    let mut log =
        Log { pool, program, last, line: Vec::new(), cut: false, began: Instant::now(), lines: 0, left_out: 0 };
    let mut buffer = vec![0; 8 << 10];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        buffer[..read].iter().for_each(|byte| log.take(*byte));
    }
    log.take(b'\n');
}

struct Log {
    pool: PoolName,
    program: String,
    last: LastWords,
    line: Vec<u8>,
    cut: bool,
    began: Instant,
    lines: u32,
    left_out: u64,
}

impl Log {
    fn take(&mut self, byte: u8) {
        if byte != b'\n' {
            match self.line.len() < MAX_LINE {
                true => self.line.push(byte),
                false => self.cut = true,
            }
            return;
        }
        let mut line = plain(&self.line);
        if self.cut {
            line.push('…');
        }
        (self.line, self.cut) = (Vec::new(), false);
        if line.is_empty() {
            return;
        }
        self.last.set(&line);
        let (pool, program) = (&self.pool, &self.program);
        if self.began.elapsed() >= SPAN {
            if self.left_out > 0 {
                tracing::warn!(%pool, program, left_out = self.left_out, "the provisioner writes too much");
            }
            (self.began, self.lines, self.left_out) = (Instant::now(), 0, 0);
        }
        self.lines += 1;
        match self.lines <= MAX_LINES {
            true => tracing::info!(%pool, program, "{line}"),
            false => self.left_out += 1,
        }
    }
}

/// As text without anything that could act on a terminal or look like another line.
fn plain(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    text.trim_end().chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_last_line_is_kept_short_and_plain() {
        let last = LastWords::default();
        assert_eq!(last.after("it ended".to_owned()), "it ended");
        let said = [b"first\n\x1b[2Jsecond\xff\n\n".to_vec(), vec![b'x'; 1 << 20]].concat();
        listen(&said[..said.len() - (1 << 20)], "gpu".into(), "p".to_owned(), last.clone()).await;
        assert_eq!(last.after("it ended".to_owned()), "it ended; it last said: \u{fffd}[2Jsecond\u{fffd}");
        listen(&said[..], "gpu".into(), "p".to_owned(), last.clone()).await;
        assert_eq!(last.after(String::new()).chars().count(), "; it last said: ".len() + MAX_LAST);
    }
}
