//! One controller at a time: an exclusive lock on a file of the state directory, which the kernel lets go with its holder.

use crate::JournalError;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

const FILE: &str = "journal.lock";

/// Held while the journal is open for writing.
#[derive(Debug)]
pub(crate) struct StateLock {
    path: PathBuf,
    file: File,
}

impl StateLock {
    /// # Errors
    /// `InUse` with the holder's process id where another process has it.
    pub fn take(dir: &Path) -> Result<StateLock, JournalError> {
        let path = dir.join(FILE);
        let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
        let mut file = open.map_err(JournalError::io("opening the lock", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // What stands there is for people only: a few digits, or nothing if the holder has not written yet.
                let pid = match Read::by_ref(&mut file).take(16).read_to_string(&mut holder) {
                    Ok(_) => holder.trim().parse().ok(),
                    Err(_) => None,
                };
                return Err(JournalError::InUse { dir: dir.to_owned(), pid });
            }
            Err(TryLockError::Error(error)) => return Err(JournalError::io("locking the state", &path)(error)),
        }
        let mut lock = StateLock { path, file };
        lock.name_holder().map_err(JournalError::io("writing the lock", &lock.path))?;
        Ok(lock)
    }

    /// No sync: after a crash of the machine there is no holder.
    fn name_holder(&mut self) -> std::io::Result<()> {
        self.file.set_len(0)?;
        self.file.rewind()?;
        writeln!(self.file, "{}", std::process::id())
    }
}
