//! How far the log was acknowledged, beside the log: shows that its end is missing.
//!
//! The mark is written after each commit and not synced. After a crash of the process it is exact; after a loss of
//! power it may be old, but it is never ahead of what was on disk. So a log that ends before its mark has lost
//! records: its write-ahead log was deleted, cut or damaged, or an older copy was put in its place.

use crate::JournalError;
use crate::seal::Seal;
use squall_types::{Epoch, Seq};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

const FILE: &str = "journal.mark";
const MAGIC: [u8; 8] = *b"SQUMARK1";
const BYTES: usize = 8 + 8 + 8 + 4 + 36 + 4;

/// What the mark says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MarkState {
    pub seq: Seq,
    pub epoch: Epoch,
    pub run: RunState,
    /// Of the machine's present start: tells a crash of the process from one of the machine.
    pub boot: [u8; 36],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RunState {
    Open,
    Closed,
}

/// What was found at opening.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Absent,
    Damaged,
    Mark(MarkState),
}

#[derive(Debug)]
pub(crate) struct Mark {
    path: PathBuf,
    file: File,
}

impl Mark {
    /// # Errors
    /// `Io` where the file cannot be read.
    pub fn read(dir: &Path) -> Result<Found, JournalError> {
        let path = dir.join(FILE);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Found::Absent),
            Err(error) => return Err(JournalError::io("opening the mark", &path)(error)),
        };
        let mut bytes = [0; BYTES];
        match file.read_exact_at(&mut bytes, 0) {
            Ok(()) => Ok(decode(&bytes).map_or(Found::Damaged, Found::Mark)),
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(Found::Damaged),
            Err(error) => Err(JournalError::io("reading the mark", &path)(error)),
        }
    }

    /// # Errors
    /// `Io` where the file cannot be opened for writing.
    pub fn open(dir: &Path) -> Result<Mark, JournalError> {
        let path = dir.join(FILE);
        let open = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
        let file = open.map_err(JournalError::io("opening the mark", &path))?;
        Ok(Mark { path, file })
    }

    /// # Errors
    /// `Io` or `DiskFull`.
    pub fn set(&self, state: &MarkState) -> Result<(), JournalError> {
        self.file.write_all_at(&encode(state), 0).map_err(JournalError::io("writing the mark", &self.path))
    }

    /// # Errors
    /// `Io` or `DiskFull`.
    pub fn set_durably(&self, state: &MarkState) -> Result<(), JournalError> {
        self.set(state)?;
        self.file.sync_all().map_err(JournalError::io("syncing the mark", &self.path))
    }

    /// # Errors
    /// `Io` where it is there and cannot be deleted.
    pub fn delete(dir: &Path) -> Result<(), JournalError> {
        let path = dir.join(FILE);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(JournalError::io("deleting the mark", &path)(error))
            }
            _ => Ok(()),
        }
    }
}

/// The machine's present start as the kernel names it; zeros where it does not.
pub(crate) fn boot() -> [u8; 36] {
    let text = std::fs::read("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    text.get(..36).and_then(|bytes| bytes.try_into().ok()).unwrap_or([0; 36])
}

fn seal(bytes: &[u8]) -> u32 {
    Seal::of("mark").bytes(bytes).end()
}

fn encode(state: &MarkState) -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    bytes[..8].copy_from_slice(&MAGIC);
    bytes[8..16].copy_from_slice(&state.seq.0.to_le_bytes());
    bytes[16..24].copy_from_slice(&state.epoch.0.to_le_bytes());
    bytes[24] = u8::from(state.run == RunState::Open);
    bytes[28..64].copy_from_slice(&state.boot);
    let sum = seal(&bytes[..64]);
    bytes[64..].copy_from_slice(&sum.to_le_bytes());
    bytes
}

fn decode(bytes: &[u8; BYTES]) -> Option<MarkState> {
    let number = |from: usize| bytes[from..from + 8].try_into().map(u64::from_le_bytes).ok();
    let sum = bytes[64..].try_into().map(u32::from_le_bytes).ok()?;
    if bytes[..8] != MAGIC || sum != seal(&bytes[..64]) {
        return None;
    }
    Some(MarkState {
        seq: Seq(number(8)?),
        epoch: Epoch(number(16)?),
        run: if bytes[24] == 0 { RunState::Closed } else { RunState::Open },
        boot: bytes[28..64].try_into().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_as_it_was_written_and_a_flipped_bit_shows() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Mark::read(dir.path()).unwrap(), Found::Absent);
        let state = MarkState { seq: Seq(77), epoch: Epoch(3), run: RunState::Open, boot: boot() };
        Mark::open(dir.path()).unwrap().set(&state).unwrap();
        assert_eq!(Mark::read(dir.path()).unwrap(), Found::Mark(state));
        let path = dir.path().join(FILE);
        let honest = std::fs::read(&path).unwrap();
        for bit in 0..honest.len() * 8 {
            let mut bytes = honest.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&path, &bytes).unwrap();
            assert_eq!(Mark::read(dir.path()).unwrap(), Found::Damaged, "bit {bit}");
        }
    }
}
