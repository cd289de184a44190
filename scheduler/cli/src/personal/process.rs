//! Processes by their number and start time, since numbers are given away again.

use std::fs;
use std::io;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Between two looks at whether a process has ended.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// One process, for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    pub pid: u32,
    /// In clock ticks since the boot.
    started: u64,
}

impl Process {
    /// The process that has this number now.
    pub fn of(pid: u32) -> Option<Process> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The command's name stands in parentheses and may contain anything.
        let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
        let state = fields.next()?;
        let started = fields.nth(18)?.parse().ok()?;
        (state != "Z" && state != "X").then_some(Process { pid, started })
    }

    /// Notes who it is, for processes that come later.
    ///
    /// # Errors
    /// As the file system says.
    pub fn record(&self, path: &Path) -> io::Result<()> {
        let aside = path.with_extension("new");
        fs::write(&aside, format!("{} {}\n", self.pid, self.started))?;
        fs::rename(aside, path)
    }

    /// Who was noted, if it still lives.
    pub fn recorded(path: &Path) -> Option<Process> {
        let text = fs::read_to_string(path).ok()?;
        let (pid, started) = text.trim().split_once(' ')?;
        let noted = Process { pid: pid.parse().ok()?, started: started.parse().ok()? };
        noted.lives().then_some(noted)
    }

    /// One that has ended and waits to be reaped does not live.
    pub fn lives(&self) -> bool {
        Process::of(self.pid) == Some(*self)
    }

    pub fn signal(&self, signal: Signal) {
        // What is gone needs no signal.
        if self.lives()
            && let Ok(pid) = i32::try_from(self.pid)
        {
            let _ = kill(Pid::from_raw(pid), signal);
        }
    }

    /// Waits until it has ended; says whether it did within `patience`.
    pub fn wait(&self, patience: Duration) -> bool {
        let until = Instant::now() + patience;
        while self.lives() {
            if Instant::now() >= until {
                return false;
            }
            thread::sleep(LOOK_AGAIN);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_found_again_by_its_record_until_it_ends() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("one.pid");
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let process = Process::of(child.id()).unwrap();
        process.record(&path).unwrap();
        assert_eq!(Process::recorded(&path), Some(process));
        process.signal(Signal::SIGKILL);
        assert!(process.wait(Duration::from_secs(5)), "a zombie does not live");
        assert_eq!(Process::recorded(&path), None);
        child.wait().unwrap();
    }
}
