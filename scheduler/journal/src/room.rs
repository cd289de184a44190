//! Room at the end of the write-ahead log.
//!
//! To sync a file that has grown is to write its inode too, and on a file system with a journal to wait for that. So the log
//! grows by steps of zeros, which nobody takes for frames: they lack its salts. Once SQLite begins it anew it overwrites
//! what is there, and nothing more is to be done.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

const STEP: u64 = 512 << 10;
/// With less room than this there will be more.
const LITTLE: u64 = STEP / 4;
/// Frames of one write for which an inode is a small part of what is written: they need no room.
const MANY: u32 = 16;
/// Of the log's header, and of a frame with its page.
const HEADER: u64 = 32;
const FRAME: u64 = 24 + 4096;

/// The room, as far as it is known.
#[derive(Debug)]
pub(crate) struct Room {
    path: PathBuf,
    /// In the log when it was looked at last.
    frames: u32,
    /// Where the room ends.
    end: u64,
}

impl Room {
    pub fn of(path: PathBuf) -> Room {
        Room { path, frames: 0, end: 0 }
    }

    /// To be called by whoever writes the log, between two writes, with the frames that are in it.
    pub fn keep(&mut self, frames: u32) {
        let used = HEADER + u64::from(frames) * FRAME;
        let written = frames.saturating_sub(std::mem::replace(&mut self.frames, frames));
        if written > MANY || used + LITTLE <= self.end {
            return;
        }
        // Where there can be none, commits make what they need, as they would without this.
        self.end = self.make(used).unwrap_or(used + STEP);
    }

    fn make(&self, used: u64) -> io::Result<u64> {
        let log: File = OpenOptions::new().write(true).open(&self.path)?;
        let is = log.metadata()?.len();
        // It may have been cut off meanwhile.
        let begin = is.max(used);
        let end = begin.max((used + STEP).next_multiple_of(LITTLE));
        log.write_all_at(&vec![0; (end - begin) as usize], begin)?;
        Ok(end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn the_log_grows_ahead_by_steps_and_keeps_what_is_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let length = || fs::metadata(&path).unwrap().len();
        let written = vec![7; (HEADER + 3 * FRAME) as usize];
        fs::write(&path, &written).unwrap();
        let mut room = Room::of(path.clone());
        room.keep(3);
        assert_eq!(length(), STEP + LITTLE);
        let is = fs::read(&path).unwrap();
        assert!(is.starts_with(&written) && is[written.len()..].iter().all(|byte| *byte == 0));
        // Begun anew, with room enough, or after much was written at once.
        for frames in [1, 4, 127, 128 + MANY] {
            room.keep(frames);
            assert_eq!(length(), STEP + LITTLE, "{frames}");
        }
        [128, 129].into_iter().for_each(|frames| room.keep(frames));
        assert_eq!(length(), 2 * STEP + LITTLE);
        // A log that is not there is nobody's fault.
        fs::remove_file(&path).unwrap();
        [1000, 1001].into_iter().for_each(|frames| room.keep(frames));
        assert!(!path.exists());
    }
}
