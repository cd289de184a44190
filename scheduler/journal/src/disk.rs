//! What the file system has left, and a file that is given up when it has nothing.

use crate::JournalError;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

const FILE: &str = "journal.ballast";
/// The ballast is laid in again when so many times its size would stay free.
const AMPLE: u64 = 8;

/// What the file system of the journal has left, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskState {
    /// Free for the controller.
    pub available: u64,
    /// What must stay free for the work at hand.
    pub reserve: u64,
}

impl DiskState {
    /// Below it, new submissions are refused and everything else goes on.
    pub fn is_low(&self) -> bool {
        self.available < self.reserve
    }
}

/// Measures the file system that `dir` lies in.
pub(crate) fn measure(dir: &Path, reserve: u64) -> Result<DiskState, JournalError> {
    let stat = nix::sys::statvfs::statvfs(dir)
        .map_err(|errno| JournalError::io("measuring the file system of", dir)(errno.into()))?;
    #[allow(clippy::useless_conversion, reason = "the widths of these fields differ between systems")]
    let available = u64::from(stat.blocks_available()).saturating_mul(u64::from(stat.fragment_size()));
    Ok(DiskState { available, reserve })
}

/// A preallocated file: deleting it frees space on a full disk, so that what runs can end and be recorded.
#[derive(Debug)]
pub(crate) struct Ballast {
    path: PathBuf,
    bytes: u64,
}

impl Ballast {
    pub fn new(dir: &Path, bytes: u64) -> Ballast {
        Ballast { path: dir.join(FILE), bytes }
    }

    /// Before a start: gives the ballast up where less is free than a start needs, lays it in where there is plenty.
    pub fn trim(&self, disk: DiskState) -> Result<(), JournalError> {
        let here = self.path.exists();
        if here && (disk.available < self.bytes || self.bytes == 0) {
            return self.give_up();
        }
        if here || self.bytes == 0 || disk.available / AMPLE < self.bytes {
            return Ok(());
        }
        let open = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&self.path);
        let file = open.map_err(JournalError::io("making the ballast", &self.path))?;
        let length = i64::try_from(self.bytes).unwrap_or(i64::MAX);
        match nix::fcntl::posix_fallocate(&file, 0, length) {
            Ok(()) => Ok(()),
            // Without ballast a full disk is reached earlier, and that is all.
            Err(_) => self.give_up(),
        }
    }

    pub fn give_up(&self) -> Result<(), JournalError> {
        match std::fs::remove_file(&self.path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(JournalError::io("deleting the ballast", &self.path)(error))
            }
            _ => Ok(()),
        }
    }
}
