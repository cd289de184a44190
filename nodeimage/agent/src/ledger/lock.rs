//! One agent for one state folder.

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Held as long as the agent lives; the kernel lets go of it however that ends.
#[derive(Debug)]
pub struct StateLock {
    _held: Flock<File>,
}

#[derive(Debug, thiserror::Error)]
pub enum LockError {
    #[error("another agent uses the state folder {0}")]
    Taken(PathBuf),
    #[error("the lock of the state folder {0} cannot be taken")]
    Failed(PathBuf, #[source] io::Error),
}

impl StateLock {
    /// Takes the lock of a folder, which is made where there is none.
    pub fn take(state: &Path) -> Result<StateLock, LockError> {
        let failed = |error| LockError::Failed(state.to_owned(), error);
        super::make_dir(state, 0o711).map_err(failed)?;
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(state.join("agent.lock"))
            .map_err(failed)?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(held) => Ok(StateLock { _held: held }),
            Err((_, Errno::EWOULDBLOCK)) => Err(LockError::Taken(state.to_owned())),
            Err((_, errno)) => Err(failed(errno.into())),
        }
    }
}
