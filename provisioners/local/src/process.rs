//! Processes as `/proc` shows them: who lives, and who belongs to which instance.

use crate::sys;
use nix::sys::signal::Signal;
use squall_types::InstanceId;
use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};
use std::{fs, io};

/// The variable that marks everything that an instance's agent starts.
pub(crate) const MARKER: &str = "SQUALL_INSTANCE";
/// How long killed processes may take to be gone.
const KILL_PATIENCE: Duration = Duration::from_secs(10);
const KILL_PAUSE: Duration = Duration::from_millis(10);

/// One process, for good: a number that is given away again has another start time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Process {
    pub pid: u32,
    /// In clock ticks since the boot.
    pub started: u64,
}

/// What a line of `/proc/PID/stat` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stat {
    pub process: Process,
    pub parent: u32,
    /// It has ended and waits to be reaped.
    pub ended: bool,
}

impl Stat {
    /// `None` for a line that is none. The command's name stands in parentheses and may contain anything.
    pub fn parse(line: &str) -> Option<Self> {
        let (pid, rest) = line.split_once(' ')?;
        let mut fields = rest.get(rest.rfind(')')? + 1..)?.split_ascii_whitespace();
        let state = fields.next()?;
        let parent = fields.next()?.parse().ok()?;
        // State is the third field of the line and the start time the twenty-second.
        let started = fields.nth(17)?.parse().ok()?;
        Some(Self {
            process: Process { pid: pid.parse().ok()?, started },
            parent,
            ended: matches!(state, "Z" | "X" | "x"),
        })
    }

    fn of(pid: u32) -> Option<Self> {
        Self::parse(&String::from_utf8_lossy(&fs::read(format!("/proc/{pid}/stat")).ok()?))
    }
}

impl Process {
    /// The process that has this number now.
    pub fn with_number(pid: u32) -> Option<Self> {
        Stat::of(pid).filter(|stat| !stat.ended).map(|stat| stat.process)
    }

    pub fn lives(self) -> bool {
        Stat::of(self.pid).is_some_and(|stat| stat.process == self && !stat.ended)
    }

    /// Sends a signal to this process and never to a later one with its number; one that is gone is fine.
    pub fn signal(self, signal: Signal) -> io::Result<()> {
        let gone = |error: &io::Error| error.raw_os_error() == Some(libc::ESRCH);
        let pinned = match sys::pidfd_open(self.pid) {
            Ok(pinned) => pinned,
            Err(error) if gone(&error) => return Ok(()),
            Err(error) => return Err(error),
        };
        if !self.lives() {
            return Ok(());
        }
        sys::pidfd_signal(pinned.as_fd(), signal as i32).or_else(|error| if gone(&error) { Ok(()) } else { Err(error) })
    }
}

/// Tells boots apart, after which start times begin anew.
pub(crate) fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|id| id.trim().to_owned()).unwrap_or_default()
}

/// All processes at a moment, and the instance that each is marked with.
pub(crate) struct Census {
    stats: BTreeMap<u32, Stat>,
    marked: BTreeMap<String, Vec<u32>>,
}

impl Census {
    pub fn take() -> io::Result<Self> {
        let mut census = Self { stats: BTreeMap::new(), marked: BTreeMap::new() };
        for entry in fs::read_dir("/proc")? {
            let name = entry?.file_name();
            let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
            let Some(stat) = Stat::of(pid).filter(|stat| !stat.ended) else { continue };
            if let Some(instance) = marker_of(pid) {
                census.marked.entry(instance).or_default().push(pid);
            }
            census.stats.insert(pid, stat);
        }
        Ok(census)
    }

    /// What bears the instance's marker and everything below it, never this process or one that it comes from.
    pub fn of(&self, instance: &InstanceId) -> BTreeSet<Process> {
        let mut found: BTreeSet<u32> = self.marked.get(instance.as_str()).into_iter().flatten().copied().collect();
        loop {
            let below = self.stats.values().filter(|stat| found.contains(&stat.parent)).map(|stat| stat.process.pid);
            let before = found.len();
            found.extend(below.collect::<Vec<_>>());
            if found.len() == before {
                break;
            }
        }
        for spared in self.line_of(std::process::id()) {
            found.remove(&spared);
        }
        found.iter().filter_map(|pid| self.stats.get(pid)).map(|stat| stat.process).collect()
    }

    /// A process, its parent, and so on.
    fn line_of(&self, pid: u32) -> Vec<u32> {
        let mut line = vec![pid];
        while let Some(stat) = line.last().and_then(|pid| self.stats.get(pid))
            && !line.contains(&stat.parent)
        {
            line.push(stat.parent);
        }
        line
    }
}

/// The instance that a process was started for; `None` as well where its environment is not ours to read.
fn marker_of(pid: u32) -> Option<String> {
    let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
    let of_entry = |entry: &[u8]| {
        let value = entry.strip_prefix(MARKER.as_bytes())?.strip_prefix(b"=")?;
        std::str::from_utf8(value).ok().map(str::to_owned)
    };
    environment.split(|byte| *byte == 0).find_map(of_entry)
}

/// Processes that outlived their `SIGKILL`.
#[derive(Debug, thiserror::Error)]
#[error("processes of {instance} cannot be killed: {pids:?}")]
pub(crate) struct Unkillable {
    instance: InstanceId,
    pids: Vec<u32>,
}

/// Kills everything of an instance, again and again until nothing is left: what is killed may have forked meanwhile.
pub(crate) fn kill_all(instance: &InstanceId) -> io::Result<()> {
    let deadline = Instant::now() + KILL_PATIENCE;
    loop {
        let left = Census::take()?.of(instance);
        if left.is_empty() {
            return Ok(());
        }
        if Instant::now() >= deadline {
            let pids = left.iter().map(|process| process.pid).collect();
            return Err(io::Error::other(Unkillable { instance: instance.clone(), pids }));
        }
        for process in left {
            process.signal(Signal::SIGKILL)?;
        }
        std::thread::sleep(KILL_PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stat_line_is_read_whatever_the_command_is_called() {
        let tail = "S 7 42 42 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 987654 0 0";
        for name in ["sh", "a b", "evil) R 1 (x", "((()))"] {
            let stat = Stat::parse(&format!("42 ({name}) {tail}")).expect("a line");
            assert_eq!(stat, Stat { process: Process { pid: 42, started: 987_654 }, parent: 7, ended: false });
        }
        assert!(Stat::parse(&format!("42 (sh) Z{}", &tail[1..])).expect("a line").ended);
    }

    #[test]
    fn nonsense_is_no_stat_line() {
        for line in
            ["", "42", "42 (sh", "42 sh) S 1", "x (sh) S 7 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 5", "42 (sh) S 7"]
        {
            assert_eq!(Stat::parse(line), None, "{line:?}");
        }
    }

    #[test]
    fn a_number_with_another_start_time_is_another_process() {
        let me = Stat::of(std::process::id()).expect("this process lives").process;
        assert!(me.lives());
        let earlier = Process { started: me.started - 1, ..me };
        assert!(!earlier.lives());
        earlier.signal(Signal::SIGKILL).expect("a process that is gone is fine");
    }
}
