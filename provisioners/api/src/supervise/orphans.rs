//! Processes that a supervisor started and nobody looks after any more: known by the mark in their environment.

use crate::bridge::MARK;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a killed process may take to disappear.
const GONE_WITHIN: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Kills every process whose mark is `folder` or lies below it, and waits until they are gone. How many there were.
///
/// What a program started itself bears the mark as well, wherever it went, unless it was given another environment.
/// Processes of other users cannot be read, and are none of ours. Blocks.
pub fn end_marked(folder: &Path) -> usize {
    let began = Instant::now();
    let (mut killed, mut left) = (0, kill(folder));
    while left > 0 && began.elapsed() < GONE_WITHIN {
        killed = killed.max(left);
        std::thread::sleep(LOOK_EVERY);
        // Again: what is killed may have started another in its last moment.
        left = kill(folder);
    }
    killed.max(left)
}

/// One round over all processes; how many of them bear the mark.
fn kill(folder: &Path) -> usize {
    let Ok(processes) = std::fs::read_dir("/proc") else { return 0 };
    let own = std::process::id();
    let pids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| *pid != own && kill_if_marked(*pid, folder)).count()
}

fn kill_if_marked(number: u32, folder: &Path) -> bool {
    let Some(pid) = i32::try_from(number).ok().and_then(Pid::from_raw) else { return false };
    // Held before it is looked at, so that the signal goes to whom was looked at.
    let Ok(held) = pidfd_open(pid, PidfdFlags::empty()) else { return false };
    let Ok(environment) = std::fs::read(format!("/proc/{number}/environ")) else { return false };
    is_marked(&environment, folder) && pidfd_send_signal(&held, Signal::KILL).is_ok()
}

fn is_marked(environment: &[u8], folder: &Path) -> bool {
    let mut variables = environment.split(|byte| *byte == 0);
    let value = variables.find_map(|variable| variable.strip_prefix(MARK.as_bytes())?.strip_prefix(b"="));
    value.is_some_and(|value| Path::new(OsStr::from_bytes(value)).starts_with(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_the_folder_or_lies_below_it() {
        let marked = |text: &[u8]| is_marked(text, Path::new("/var/lib/squall/provisioners"));
        assert!(marked(b"A=1\0SQUALL_PROVISIONER=/var/lib/squall/provisioners/gpu\0"));
        assert!(marked(b"SQUALL_PROVISIONER=/var/lib/squall/provisioners"));
        assert!(!marked(b"SQUALL_PROVISIONER=/var/lib/squall/provisioners-of-others/gpu\0"));
        assert!(!marked(b"XSQUALL_PROVISIONER=/var/lib/squall/provisioners/gpu\0"));
        assert!(!marked(b""));
    }
}
