//! Containment: everything that a run starts is found again, signalled, killed, and known to be gone.
//!
//! With control groups a process cannot leave. Without them (no right to make any) a run's processes are
//! those that descend from its shims, which adopt orphans, and those that bear its mark in their
//! environment: enough against daemons and double forks, not against malice.

mod ground;
pub mod process;

pub use ground::{Containment, Ground};
pub use process::Process;

use crate::shim::records;
use crate::sys::{has_folders, read_short};
use minicbor::{Decode, Encode};
use squall_types::Span;
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// Marks everything of a run.
pub const MARKER: &str = "SQUALL_CELL";
/// Marks everything of one part of a run.
pub const PART_MARKER: &str = "SQUALL_PART";
/// The part of the batch script, which has a mark of its own and no groups: those of the run are its own.
pub const SCRIPT: &str = "batch";
/// Between two looks at whether a cell is empty.
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// Empty at so many looks in a row is empty, where only a scan can tell.
const SCANS: u32 = 2;

/// So many rounds of SIGSTOP, where nothing stops a cell at once.
const STOPS: u32 = 100;

/// What a run may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// 0 is no limit.
    pub memory_mib: u64,
    pub cpus: u32,
}

/// Where the processes of a run, or of one of its parts, are kept. Written down, so that shims and later agents find it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Cell {
    /// `NAME=value` in the environment of everything in it.
    #[n(0)]
    pub marker: String,
    /// The run's private folder, where its shims are recorded.
    #[n(1)]
    pub dir: String,
    #[n(2)]
    pub kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Kind {
    #[n(0)]
    Bare,
    #[n(1)]
    Groups(#[n(0)] Groups),
}

/// Folders of control groups.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Groups {
    #[n(0)]
    pub unified: Option<String>,
    /// Controller and folder.
    #[n(1)]
    pub v1: Vec<(String, String)>,
}

impl Groups {
    /// The folder that is asked who is in the group.
    fn roll(&self) -> Option<&Path> {
        self.unified.as_deref().or_else(|| self.v1.first().map(|(_, path)| path.as_str())).map(Path::new)
    }

    fn all(&self) -> impl Iterator<Item = &Path> {
        self.unified.iter().chain(self.v1.iter().map(|(_, path)| path)).map(Path::new)
    }

    fn controller(&self, name: &str) -> Option<&Path> {
        self.v1.iter().find(|(controller, _)| controller == name).map(|(_, path)| Path::new(path))
    }
}

impl Cell {
    /// A part of the cell with a name of its own, such as one step, whose shim is recorded in the folder of that name.
    /// Ending the cell ends it too.
    pub fn part(&self, name: &str) -> io::Result<Cell> {
        let part = self.part_named(name);
        for folder in part.own() {
            fs::create_dir_all(folder)?;
        }
        Ok(part)
    }

    /// The part as [`Cell::part`] makes it, whether it was made or not.
    pub fn part_named(&self, name: &str) -> Cell {
        let value = self.marker.split_once('=').map_or("", |(_, value)| value);
        let marker = format!("{PART_MARKER}={value}/{name}");
        let dir = format!("{}/{name}", self.dir);
        let kind = match &self.kind {
            Kind::Bare => Kind::Bare,
            Kind::Groups(groups) => {
                let within = |path: &String| format!("{path}/{name}");
                // Limits are those of the run: where the unified hierarchy tells the parts apart, the others need not.
                Kind::Groups(match &groups.unified {
                    Some(path) => Groups { unified: Some(within(path)), v1: groups.v1.clone() },
                    None => Groups {
                        unified: None,
                        v1: groups.v1.iter().map(|(controller, path)| (controller.clone(), within(path))).collect(),
                    },
                })
            }
        };
        Cell { marker, dir, kind }
    }

    /// Its groups, without those that a part shares with its run.
    fn own(&self) -> impl Iterator<Item = &Path> {
        let own = Path::new(&self.dir).file_name();
        let groups = match &self.kind {
            Kind::Groups(groups) => Some(groups),
            Kind::Bare => None,
        };
        groups.into_iter().flat_map(Groups::all).filter(move |folder| folder.file_name() == own)
    }

    /// Puts the calling process, and so all that it will start, into the cell.
    pub fn join(&self) -> io::Result<()> {
        if let Kind::Groups(groups) = &self.kind {
            for folder in groups.all() {
                fs::write(folder.join("cgroup.procs"), "0")?;
            }
        }
        Ok(())
    }

    /// Everything that lives in it; the shims are not in it.
    pub fn members(&self) -> BTreeSet<Process> {
        match &self.kind {
            Kind::Groups(groups) => {
                let mut found = BTreeSet::new();
                if let Some(folder) = groups.roll() {
                    listed(folder, &mut found);
                }
                found
            }
            Kind::Bare => self.scan(records::shims(Path::new(&self.dir))),
        }
    }

    /// The batch script, and what it has started but by steps.
    pub fn of_script(&self) -> BTreeSet<Process> {
        match &self.kind {
            Kind::Groups(groups) => {
                let mut found = BTreeSet::new();
                if let Some(folder) = groups.roll() {
                    listed_there(folder, &mut found);
                    // Where an agent before this one has put it.
                    listed_there(&folder.join(SCRIPT), &mut found);
                }
                found
            }
            Kind::Bare => self.part_named(SCRIPT).members(),
        }
    }

    /// Those that bear the mark, and all that descend from them or from `shims`.
    fn scan(&self, shims: BTreeSet<Process>) -> BTreeSet<Process> {
        let all = process::all();
        let mut roots = shims.clone();
        let mut found = process::descendants(&all, &roots);
        for stat in all.values() {
            let process = stat.process;
            if !stat.zombie
                && !roots.contains(&process)
                && !found.contains(&process)
                && process::bears(process.pid, &self.marker)
            {
                roots.insert(process);
            }
        }
        found.extend(process::descendants(&all, &roots));
        found.extend(roots.difference(&shims));
        found
    }

    /// Whether a process is in it.
    pub fn holds(&self, process: Process) -> bool {
        self.members().contains(&process)
    }

    /// Stops everything in it where it stands; the shims are not in it, and go on.
    ///
    /// By the freezer of control groups, of which processes notice nothing; without one by SIGSTOP, which no process can
    /// refuse, until a look finds none that goes on.
    pub fn freeze(&self) {
        if self.set_freezer("1", "FROZEN") {
            return;
        }
        for _ in 0..STOPS {
            let going: Vec<Process> = self.members().into_iter().filter(|process| !process.is_stopped()).collect();
            if going.is_empty() {
                return;
            }
            going.into_iter().for_each(|process| process.signal(libc::SIGSTOP));
            thread::sleep(LOOK_AGAIN);
        }
        tracing::warn!(cell = %self.dir, "not everything of a suspended job has stopped");
    }

    /// Lets everything in it go on, where it was frozen.
    pub fn thaw(&self) {
        if !self.set_freezer("0", "THAWED") {
            self.signal(libc::SIGCONT);
        }
    }

    /// Whether it, or what it is a part of, is frozen.
    pub fn is_frozen(&self) -> bool {
        match self.freezer() {
            Some((file, true)) => {
                let events = fs::read_to_string(file.with_file_name("cgroup.events")).unwrap_or_default();
                value_of(&events, "frozen") == Some(1)
            }
            Some((file, false)) => fs::read_to_string(file).is_ok_and(|text| text.trim() != "THAWED"),
            None => self.members().iter().any(|process| process.is_stopped()),
        }
    }

    /// The file that freezes its groups, and whether that is of version 2.
    fn freezer(&self) -> Option<(PathBuf, bool)> {
        let Kind::Groups(groups) = &self.kind else { return None };
        let unified = groups.unified.as_deref().map(|path| (Path::new(path).join("cgroup.freeze"), true));
        let v1 = groups.controller("freezer").map(|path| (path.join("freezer.state"), false));
        unified.into_iter().chain(v1).find(|(file, _)| file.exists())
    }

    fn set_freezer(&self, v2: &str, v1: &str) -> bool {
        self.freezer().is_some_and(|(file, unified)| fs::write(file, if unified { v2 } else { v1 }).is_ok())
    }

    /// A signal for everything in it.
    pub fn signal(&self, signal: i32) {
        for process in self.members() {
            process.signal(signal);
        }
    }

    /// One round of SIGKILL. Only version 1 keeps what is frozen from dying of it.
    pub fn kill(&self) {
        if let Kind::Groups(groups) = &self.kind
            && groups.controller("freezer").is_some()
        {
            self.set_freezer("0", "THAWED");
        }
        if let Kind::Groups(Groups { unified: Some(path), .. }) = &self.kind
            && fs::write(Path::new(path).join("cgroup.kill"), "1").is_ok()
        {
            return;
        }
        self.signal(libc::SIGKILL);
    }

    /// Kills until nothing lives in it. `false` where something still does after `patience`.
    pub fn clear(&self, patience: Duration) -> bool {
        let until = Instant::now() + patience;
        let mut empty = 0;
        loop {
            if self.is_empty() {
                empty += 1;
                if empty >= SCANS || matches!(self.kind, Kind::Groups(_)) {
                    return true;
                }
            } else {
                empty = 0;
                self.kill();
            }
            if Instant::now() >= until {
                return false;
            }
            thread::sleep(LOOK_AGAIN);
        }
    }

    /// Nothing lives in it.
    pub fn is_empty(&self) -> bool {
        if let Kind::Groups(Groups { unified: Some(path), .. }) = &self.kind
            && let Ok(events) = read_short(&Path::new(path).join("cgroup.events"))
        {
            return value_of(&events, "populated") == Some(0);
        }
        self.members().is_empty()
    }

    /// How often the kernel killed something in it for want of memory.
    pub fn out_of_memory(&self) -> u64 {
        let Kind::Groups(groups) = &self.kind else { return 0 };
        // Version 2 counts what happened below; version 1 only what happened in the very group.
        let v2 = groups.unified.as_deref().and_then(|path| {
            let events = read_short(&Path::new(path).join("memory.events")).ok()?;
            value_of(&events, "oom_kill")
        });
        v2.or_else(|| groups.controller("memory").map(v1_out_of_memory)).unwrap_or(0)
    }

    /// CPU time that it has used in user space and in the kernel, where the groups count that.
    pub fn cpu_time(&self) -> Option<(Span, Span)> {
        let Kind::Groups(groups) = &self.kind else { return None };
        let read = |path: &Path, file: &str| read_short(&path.join(file)).ok();
        let span = |value: u64| Span::from_millis(i64::try_from(value).unwrap_or(i64::MAX));
        if let Some(text) = groups.unified.as_deref().and_then(|path| read(Path::new(path), "cpu.stat"))
            && let (Some(user), Some(system)) = (value_of(&text, "user_usec"), value_of(&text, "system_usec"))
        {
            return Some((span(user / 1000), span(system / 1000)));
        }
        let text = read(groups.controller("cpuacct")?, "cpuacct.stat")?;
        // In ticks, of which user space is always shown a hundred to the second.
        let millis = |name: &str| value_of(&text, name).map(|ticks| span(ticks.saturating_mul(10)));
        Some((millis("user")?, millis("system")?))
    }

    /// Removes the groups of an empty cell. Those that a part shares with its run stay.
    pub fn remove(&self) {
        self.own().for_each(remove_tree);
    }

    /// Removes its groups if nothing lives in them and there are no parts: a group that has a process or a part cannot be
    /// removed. `false` where something is left, or where only a scan can tell.
    pub fn remove_if_empty(&self) -> bool {
        let gone = |folder: &Path| match fs::remove_dir(folder) {
            Err(error) => error.kind() == io::ErrorKind::NotFound,
            Ok(()) => true,
        };
        matches!(self.kind, Kind::Groups(_)) && self.own().all(gone)
    }
}

/// Control groups are removed from the leaves up; their files go with them.
fn remove_tree(folder: &Path) {
    within(folder).for_each(|below| remove_tree(&below));
    if let Err(error) = fs::remove_dir(folder)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::debug!(folder = %folder.display(), %error, "a control group is left");
    }
}

/// The processes of a group and of the groups within it.
fn listed(folder: &Path, found: &mut BTreeSet<Process>) {
    listed_there(folder, found);
    within(folder).for_each(|below| listed(&below, found));
}

/// The processes of this very group.
fn listed_there(folder: &Path, found: &mut BTreeSet<Process>) {
    let text = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
    found.extend(
        text.lines().filter_map(|line| process::stat(line.parse().ok()?)).filter(|s| !s.zombie).map(|s| s.process),
    );
}

/// The groups within a group. Most have none, and dozens of files.
fn within(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = has_folders(folder).then(|| fs::read_dir(folder).into_iter().flatten().flatten());
    let folders = entries.into_iter().flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    folders.map(|folder| folder.path())
}

fn v1_out_of_memory(folder: &Path) -> u64 {
    let control = read_short(&folder.join("memory.oom_control")).unwrap_or_default();
    value_of(&control, "oom_kill").unwrap_or(0) + within(folder).map(|below| v1_out_of_memory(&below)).sum::<u64>()
}

/// `NAME VALUE` lines.
fn value_of(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}
