//! One agent for one state folder.

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::kill;
use nix::unistd::Pid;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A child of a killed agent has the lock as well until it executes its program, which it is about to do.
const LAST_CHILD: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Held as long as the agent lives; the kernel lets go of it however that ends.
#[derive(Debug)]
pub struct StateLock {
    _held: Flock<File>,
}

#[derive(Debug, thiserror::Error)]
pub enum LockError {
    #[error("another agent{} uses the state folder {path}", .pid.map(|pid| format!(", process {pid},")).unwrap_or_default(), path = .path.display())]
    Taken { path: PathBuf, pid: Option<i32> },
    #[error("the lock of the state folder {0} cannot be taken")]
    Failed(PathBuf, #[source] io::Error),
}

impl StateLock {
    /// Takes the lock of a folder, which is made where there is none.
    ///
    /// # Errors
    /// [`LockError::Taken`] at once where an agent that lives has it, and after a while where nothing says who has it.
    pub fn take(state: &Path) -> Result<StateLock, LockError> {
        let failed = |error| LockError::Failed(state.to_owned(), error);
        super::make_dir(state, 0o711).map_err(failed)?;
        let options = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).clone();
        let mut file = options.open(state.join("agent.lock")).map_err(failed)?;
        let until = Instant::now() + LAST_CHILD;
        loop {
            match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(mut held) => {
                    name_holder(&mut held).map_err(failed)?;
                    return Ok(StateLock { _held: held });
                }
                Err((mut there, Errno::EWOULDBLOCK)) => {
                    let holder = holder(&mut there);
                    if holder.is_none_or(lives) || Instant::now() >= until {
                        return Err(LockError::Taken { path: state.to_owned(), pid: holder });
                    }
                    std::thread::sleep(LOOK_AGAIN);
                    file = there;
                }
                Err((_, errno)) => return Err(failed(errno.into())),
            }
        }
    }
}

/// No sync: after a crash of the machine there is no holder.
fn name_holder(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

/// Nothing where it has not written its number yet.
fn holder(file: &mut File) -> Option<i32> {
    let mut text = String::new();
    file.rewind().ok()?;
    Read::by_ref(file).take(16).read_to_string(&mut text).ok()?;
    text.trim().parse().ok().filter(|pid| *pid > 0)
}

fn lives(pid: i32) -> bool {
    kill(Pid::from_raw(pid), None) != Err(Errno::ESRCH)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn an_agent_that_lives_keeps_the_folder() {
        let state = tempfile::tempdir().unwrap();
        let _held = StateLock::take(state.path()).unwrap();
        let begun = Instant::now();
        let refused = StateLock::take(state.path()).unwrap_err();
        assert!(begun.elapsed() < LAST_CHILD);
        let own = std::process::id();
        let text = format!("another agent, process {own}, uses the state folder {}", state.path().display());
        assert_eq!(refused.to_string(), text);
    }

    /// What a child of an agent that was killed has until it executes: the same open file.
    #[test]
    fn the_last_child_of_a_dead_agent_is_waited_for() {
        let state = tempfile::tempdir().unwrap();
        let mut dead = Command::new("true").spawn().unwrap();
        dead.wait().unwrap();
        let mut file = File::create(state.path().join("agent.lock")).unwrap();
        writeln!(file, "{}", dead.id()).unwrap();
        file.try_lock().unwrap();
        let mut child = Command::new("sleep").arg("0.3").stdin(Stdio::from(file)).spawn().unwrap();
        assert!(StateLock::take(state.path()).is_ok());
        child.wait().unwrap();
    }
}
