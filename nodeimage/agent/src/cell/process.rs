//! Processes as `/proc` shows them. A pid is believed only together with its start time.

use minicbor::{Decode, Encode};
use squall_types::Span;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

/// The most bytes that are read of one process's environment.
const MAX_ENVIRON: u64 = 4 << 20;

/// One process, told apart from another that later got its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct Process {
    #[n(0)]
    pub pid: u32,
    /// In clock ticks since the machine booted.
    #[n(1)]
    pub started: u64,
}

/// What is known of a process at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    pub process: Process,
    pub parent: u32,
    /// Dead, and only waiting for its parent to notice.
    pub zombie: bool,
    /// By a signal or a debugger.
    pub stopped: bool,
}

impl Process {
    /// This process.
    pub fn myself() -> Process {
        let pid = std::process::id();
        Process::find(pid).unwrap_or(Process { pid, started: 0 })
    }

    /// The process that has this number now.
    pub fn find(pid: u32) -> Option<Process> {
        stat(pid).map(|stat| stat.process)
    }

    /// Whether it still runs; a zombie does not.
    pub fn is_alive(self) -> bool {
        stat(self.pid).is_some_and(|stat| stat.process == self && !stat.zombie)
    }

    /// Stopped by a signal, and no longer going on.
    pub fn is_stopped(self) -> bool {
        stat(self.pid).is_none_or(|stat| stat.process != self || stat.stopped || stat.zombie)
    }

    /// Sends a signal; nothing happens where it is gone.
    pub fn signal(self, signal: i32) {
        if let Ok(fd) = crate::sys::pidfd_open(self.pid)
            // Checked after the descriptor was opened: from then on it cannot be another process.
            && self.is_alive()
        {
            // Gone meanwhile is what was wanted; not permitted cannot be helped, and shows as not ending.
            let _ = crate::sys::pidfd_signal(std::os::fd::AsFd::as_fd(&fd), signal);
        }
    }
}

/// Reads `/proc/PID/stat`.
pub fn stat(pid: u32) -> Option<Stat> {
    let text = crate::sys::read_short(Path::new(&format!("/proc/{pid}/stat"))).ok()?;
    // The name is in parentheses and may hold anything, parentheses and blanks included.
    let after_name = &text[text.rfind(')')? + 1..];
    let mut fields = after_name.split_ascii_whitespace();
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    let started = fields.nth(17)?.parse().ok()?;
    Some(Stat {
        process: Process { pid, started },
        parent,
        zombie: matches!(state, "Z" | "X"),
        stopped: matches!(state, "T" | "t"),
    })
}

/// What a process uses, with those of its children that it has waited for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Used {
    pub user_cpu: Span,
    pub system_cpu: Span,
    pub rss_kib: u64,
    pub peak_rss_kib: u64,
    pub vm_kib: u64,
    pub major_faults: u64,
    /// From and to storage; 0 where the system does not tell.
    pub read_bytes: u64,
    pub written_bytes: u64,
}

/// Reads what a process uses; `None` where it is gone.
pub fn used(pid: u32) -> Option<Used> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = text[text.rfind(')')? + 1..].split_ascii_whitespace().collect();
    // Numbered as in the manual, where the state is the third.
    let number = |field: usize| fields.get(field - 3).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    // Of ticks, user space is always shown a hundred to the second.
    let span = |ticks: u64| Span::from_millis(i64::try_from(ticks.saturating_mul(10)).unwrap_or(i64::MAX));
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let io = fs::read_to_string(format!("/proc/{pid}/io")).unwrap_or_default();
    let named = |text: &str, name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.and_then(|rest| rest.split_ascii_whitespace().next()?.parse().ok()).unwrap_or(0)
    };
    Some(Used {
        user_cpu: span(number(14) + number(16)),
        system_cpu: span(number(15) + number(17)),
        rss_kib: named(&status, "VmRSS"),
        peak_rss_kib: named(&status, "VmHWM"),
        vm_kib: named(&status, "VmSize"),
        major_faults: number(12) + number(13),
        read_bytes: named(&io, "read_bytes"),
        written_bytes: named(&io, "write_bytes"),
    })
}

/// All processes of the machine, by number.
pub fn all() -> BTreeMap<u32, Stat> {
    let Ok(entries) = fs::read_dir("/proc") else { return BTreeMap::new() };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|pid| Some((pid, stat(pid)?)))
        .collect()
}

/// Whether the process was started with this `NAME=value` in its environment.
pub fn bears(pid: u32, marker: &str) -> bool {
    let mut environ = Vec::new();
    let Ok(file) = File::open(format!("/proc/{pid}/environ")) else { return false };
    if file.take(MAX_ENVIRON).read_to_end(&mut environ).is_err() {
        return false;
    }
    environ.split(|byte| *byte == 0).any(|entry| entry == marker.as_bytes())
}

/// Those of `all` that come from `roots` by any chain of parents, the roots left out.
pub fn descendants(all: &BTreeMap<u32, Stat>, roots: &BTreeSet<Process>) -> BTreeSet<Process> {
    let mut children: BTreeMap<u32, Vec<Process>> = BTreeMap::new();
    for stat in all.values() {
        children.entry(stat.parent).or_default().push(stat.process);
    }
    let mut found = BTreeSet::new();
    let mut open: Vec<Process> =
        roots.iter().filter(|root| all.get(&root.pid).is_some_and(|stat| stat.process == **root)).copied().collect();
    while let Some(parent) = open.pop() {
        for child in children.get(&parent.pid).into_iter().flatten() {
            if !roots.contains(child) && found.insert(*child) {
                open.push(*child);
            }
        }
    }
    found.retain(|process| all.get(&process.pid).is_some_and(|stat| !stat.zombie));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_process_uses_grows_as_it_uses_it() {
        let me = std::process::id();
        let before = used(me).unwrap();
        let block = vec![1u8; 32 << 20];
        let mut sum = 0u64;
        while used(me).unwrap().user_cpu <= before.user_cpu {
            sum = block.iter().fold(sum, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(*byte)));
        }
        let after = used(me).unwrap();
        assert!(after.peak_rss_kib >= after.rss_kib && after.vm_kib >= after.rss_kib, "{sum}");
        assert!(after.rss_kib > 32 << 10, "{after:?}");
        assert_eq!(used(u32::MAX), None);
    }

    #[test]
    fn a_process_knows_itself_and_its_children() {
        let me = Process::myself();
        assert!(me.is_alive() && me.started > 0);
        let mut child = std::process::Command::new("sleep").arg("60").env("SQUALL_CELL", "here").spawn().unwrap();
        let found = descendants(&all(), &BTreeSet::from([me]));
        let process = Process::find(child.id()).unwrap();
        assert!(found.contains(&process) && !found.contains(&me));
        // For a moment after it was executed, a process has no environment to be seen.
        while !bears(child.id(), "SQUALL_CELL=here") {
            std::thread::yield_now();
        }
        assert!(!bears(child.id(), "SQUALL_CELL=her"));
        process.signal(libc::SIGKILL);
        child.wait().unwrap();
        assert!(!process.is_alive());
        process.signal(libc::SIGKILL);
    }
}
