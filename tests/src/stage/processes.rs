//! Processes as `/proc` shows them: which of them belong to a stage, whoever started them.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;

/// The variable that everything on a stage inherits: daemons from the stage, jobs from the commands that submit them.
pub const MARK: &str = "STAGE";

/// A process of a stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    pub pid: i32,
    pub words: Vec<String>,
}

impl Process {
    /// An agent, and none of the processes that it makes of itself.
    pub fn is_agent(&self) -> bool {
        let is_run = |word: Option<&String>| word.is_some_and(|word| word == "run");
        let named = |name: &str| self.words.first().is_some_and(|word| word.ends_with(name));
        let second = self.words.get(1);
        (named("/squalld") && is_run(second))
            || (named("/squall") && second.is_some_and(|word| word == "agent") && is_run(self.words.get(2)))
    }

    pub fn is_controller(&self) -> bool {
        self.words.first().is_some_and(|word| word.ends_with("/squallctld"))
    }

    /// The value behind an option.
    pub fn option(&self, name: &str) -> Option<&str> {
        let at = self.words.iter().position(|word| word == name)?;
        self.words.get(at + 1).map(String::as_str)
    }

    /// Ends it without a chance to do anything; says whether it was there to be ended.
    pub fn kill(&self) -> bool {
        kill(Pid::from_raw(self.pid), Signal::SIGKILL).is_ok()
    }
}

/// Every live process that bears the mark, or was told a path in the folder.
pub fn of(folder: &str) -> Vec<Process> {
    let entries = fs::read_dir("/proc").expect("/proc is there").flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let own = std::process::id() as i32;
    pids.filter(|pid| *pid != own).filter_map(|pid| look(pid, folder)).collect()
}

fn look(pid: i32, folder: &str) -> Option<Process> {
    let words = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let mark = format!("{MARK}={folder}");
    let marked = fs::read(format!("/proc/{pid}/environ"))
        .is_ok_and(|environment| environment.split(|byte| *byte == 0).any(|entry| entry == mark.as_bytes()));
    // One that has ended and waits to be reaped has no words.
    let words: Vec<String> = String::from_utf8_lossy(&words).split_terminator('\0').map(str::to_owned).collect();
    let told = words.iter().any(|word| word.contains(folder));
    ((marked || told) && !words.is_empty()).then_some(Process { pid, words })
}
