//! One controller at a time: an exclusive lock on a file of the state directory, which the kernel lets go with its holder.

use crate::JournalError;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const FILE: &str = "journal.lock";
/// A child of a controller that was killed has the lock as well until it executes its program, which it is about to do.
const LAST_CHILD: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Held while the journal is open for writing.
#[derive(Debug)]
pub(crate) struct StateLock {
    path: PathBuf,
    file: File,
}

impl StateLock {
    /// # Errors
    /// `InUse` where another process that lives has it.
    pub fn take(dir: &Path) -> Result<StateLock, JournalError> {
        let path = dir.join(FILE);
        let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
        let mut file = open.map_err(JournalError::io("opening the lock", &path))?;
        let until = Instant::now() + LAST_CHILD;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) => {
                    let pid = holder(&mut file);
                    if pid.is_none_or(lives) || Instant::now() >= until {
                        return Err(JournalError::InUse { dir: dir.to_owned(), pid });
                    }
                    std::thread::sleep(LOOK_AGAIN);
                }
                Err(TryLockError::Error(error)) => return Err(JournalError::io("locking the state", &path)(error)),
            }
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

/// The holder's process id; nothing where it has not written it yet.
fn holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.rewind().ok()?;
    Read::by_ref(file).take(16).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

fn lives(pid: u32) -> bool {
    Path::new("/proc").join(pid.to_string()).exists()
}
