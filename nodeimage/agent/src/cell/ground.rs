//! What the machine offers to keep jobs apart: found out once, when the agent starts.

use super::{Cell, Groups, Kind, Limits};
use crate::ledger::parse_run;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Which means of containment to use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Containment {
    /// The best that works here.
    #[default]
    Auto,
    /// Control groups of version 2, and limits through those of version 1 where it has none.
    Groups,
    /// None but sessions, descent, and a mark in the environment.
    Bare,
}

impl std::str::FromStr for Containment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Containment::Auto),
            "cgroup" => Ok(Containment::Groups),
            "none" => Ok(Containment::Bare),
            other => Err(format!("`{other}` is no containment: auto, cgroup or none")),
        }
    }
}

/// Controllers of version 1 that are used where they are mounted and writable.
const V1_CONTROLLERS: [&str; 4] = ["memory", "cpu", "cpuacct", "freezer"];
/// Those whose work the unified hierarchy does by itself, where it has the file.
const BY_ITSELF: [(&str, &str); 2] = [("cpuacct", "cpu.stat"), ("freezer", "cgroup.freeze")];
/// Controllers of version 2 that are switched on where that is allowed.
const V2_CONTROLLERS: [&str; 3] = ["memory", "cpu", "pids"];

/// The place in which cells are made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ground {
    /// Folder of ours in the unified hierarchy: there processes can be killed at once, and an empty group is known to be.
    pub unified: Option<PathBuf>,
    /// The unified hierarchy limits memory too.
    pub unified_limits: bool,
    /// Controller and folder of ours in the hierarchies of version 1.
    pub v1: Vec<(String, PathBuf)>,
}

impl Ground {
    /// Finds out, by trying, what can be used. `name` tells this agent's groups from those of other agents.
    pub fn detect(choice: Containment, name: &str) -> Ground {
        if choice == Containment::Bare {
            return Ground::default();
        }
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let mut ground = Ground::default();
        if let Some(parent) = unified_parent(&mounts, &own) {
            ground.unified_limits = switch_on(&parent);
            let folder = parent.join(name);
            if make(&folder) {
                ground.unified_limits &= switch_on(&folder) && folder.join("memory.max").exists();
                ground.unified = Some(folder);
            }
        }
        if !ground.unified_limits {
            let unified = ground.unified.clone();
            let does = |file: &str| unified.as_ref().is_some_and(|folder| folder.join(file).exists());
            let done = |controller: &str| BY_ITSELF.iter().any(|(by, file)| *by == controller && does(file));
            for controller in V1_CONTROLLERS.into_iter().filter(|controller| !done(controller)) {
                if let Some(parent) = v1_parent(&mounts, &own, controller) {
                    let folder = parent.join(name);
                    if make(&folder) {
                        ground.v1.push((controller.to_owned(), folder));
                    }
                }
            }
        }
        ground
    }

    /// For the log: what is used.
    pub fn describe(&self) -> &'static str {
        match (&self.unified, self.unified_limits, self.v1.is_empty()) {
            (Some(_), true, _) => "cgroup v2",
            (Some(_), false, false) => "cgroup v2, limits through v1",
            (Some(_), false, true) => "cgroup v2 without limits",
            (None, _, false) => "cgroup v1",
            (None, _, true) => "none: sessions, descent and a mark in the environment",
        }
    }

    /// Whether control groups tell what belongs to a run; else it is marks and descent.
    pub fn has_groups(&self) -> bool {
        self.unified.is_some() || !self.v1.is_empty()
    }

    /// Makes the cell of a run. `dir` is the run's private folder, where its shims are recorded.
    ///
    /// # Errors
    /// Where a group cannot be made, or a limit not be set.
    pub fn cell(&self, name: &str, marker: &str, dir: &Path, limits: Limits) -> io::Result<Cell> {
        let cell = self.named(name, marker, dir);
        if let Kind::Groups(groups) = &cell.kind {
            self.make_groups(groups, limits)?;
        }
        Ok(cell)
    }

    /// The cell as [`Ground::cell`] makes it, whether it was made or not.
    pub fn named(&self, name: &str, marker: &str, dir: &Path) -> Cell {
        let path = |folder: &Path| folder.join(name).to_string_lossy().into_owned();
        let kind = match self.has_groups() {
            false => Kind::Bare,
            true => Kind::Groups(Groups {
                unified: self.unified.as_deref().map(path),
                v1: self.v1.iter().map(|(controller, folder)| (controller.clone(), path(folder))).collect(),
            }),
        };
        Cell { marker: marker.to_owned(), dir: dir.to_string_lossy().into_owned(), kind }
    }

    fn make_groups(&self, groups: &Groups, limits: Limits) -> io::Result<()> {
        if let Some(path) = &groups.unified {
            let folder = Path::new(path);
            let new = make_group(folder)?;
            if self.unified_limits {
                if !new {
                    switch_off(folder);
                }
                if limits.memory_mib > 0 {
                    fs::write(folder.join("memory.max"), (limits.memory_mib << 20).to_string())?;
                }
                // A share, not a ceiling: what nobody else uses is not wasted. 100 is one CPU's worth.
                let weight = u64::from(limits.cpus.max(1)).saturating_mul(100).min(10_000);
                optional(fs::write(folder.join("cpu.weight"), weight.to_string()));
            }
        }
        for (controller, path) in &groups.v1 {
            let folder = Path::new(path);
            let new = make_group(folder)?;
            match controller.as_str() {
                "memory" if limits.memory_mib > 0 => {
                    fs::write(folder.join("memory.limit_in_bytes"), (limits.memory_mib << 20).to_string())?;
                }
                // A new group has one CPU's share.
                "cpu" if limits.cpus > 1 || !new => {
                    let shares = u64::from(limits.cpus.max(1)).saturating_mul(1024).min(262_144);
                    optional(fs::write(folder.join("cpu.shares"), shares.to_string()));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Removes the groups of runs that are not known: an agent that was killed while it prepared one may have made them
    /// and written down nothing. What holds a process stays.
    pub fn sweep(&self, is_known: impl Fn(&str) -> bool) {
        for folder in self.unified.iter().chain(self.v1.iter().map(|(_, folder)| folder)) {
            let groups = fs::read_dir(folder).into_iter().flatten().flatten();
            for group in groups.filter(|group| group.file_type().is_ok_and(|kind| kind.is_dir())) {
                if group.file_name().to_str().is_some_and(|name| parse_run(name).is_some() && !is_known(name)) {
                    optional(fs::remove_dir(group.path()));
                }
            }
        }
    }

    /// Removes our empty folders; what still holds something stays.
    pub fn remove(&self) {
        for folder in self.unified.iter().chain(self.v1.iter().map(|(_, folder)| folder)) {
            optional(fs::remove_dir(folder));
        }
    }
}

/// A wish whose failure changes nothing that was promised.
fn optional(result: io::Result<()>) {
    if let Err(error) = result {
        tracing::debug!(%error, "a control group did not take a setting");
    }
}

fn make(folder: &Path) -> bool {
    fs::create_dir_all(folder).is_ok() && fs::OpenOptions::new().write(true).open(folder.join("cgroup.procs")).is_ok()
}

/// Makes a group; `false` where it was there.
fn make_group(folder: &Path) -> io::Result<bool> {
    match fs::create_dir(folder) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        // Somebody has removed what it stands in.
        Err(_) => fs::create_dir_all(folder).map(|()| true),
    }
}

/// Takes the controllers from the children of a run's group, to which an agent before this one may have given them: a group
/// that gives them away can have no processes, and the script is one. Its steps need none, since the limits are the run's.
fn switch_off(folder: &Path) {
    let path = folder.join("cgroup.subtree_control");
    let given = fs::read_to_string(&path).unwrap_or_default();
    for controller in given.split_whitespace() {
        optional(fs::write(&path, format!("-{controller}")));
    }
}

/// Lets children of this group use the controllers. True where memory can be limited in them.
fn switch_on(folder: &Path) -> bool {
    let available = fs::read_to_string(folder.join("cgroup.controllers")).unwrap_or_default();
    let mut memory = false;
    for controller in V2_CONTROLLERS {
        if available.split_whitespace().any(|one| one == controller) {
            let written = fs::write(folder.join("cgroup.subtree_control"), format!("+{controller}"));
            memory |= controller == "memory" && written.is_ok();
            if let Err(error) = written {
                tracing::debug!(folder = %folder.display(), controller, %error, "controller not switched on");
            }
        }
    }
    memory
}

/// Where our groups go in the unified hierarchy. A group that has processes can have no children with
/// controllers, so the agent first steps aside into a child of its own.
fn unified_parent(mounts: &str, own: &str) -> Option<PathBuf> {
    let mount = mounts.lines().find_map(|line| mount_point(line, |kind, _| kind == "cgroup2"))?;
    let inside = own.lines().find_map(|line| line.strip_prefix("0::"))?;
    let group = mount.join(inside.trim_start_matches('/'));
    let has_controllers =
        fs::read_to_string(group.join("cgroup.controllers")).is_ok_and(|text| !text.trim().is_empty());
    if has_controllers && group != mount {
        let aside = group.join("squalld");
        if fs::create_dir_all(&aside).is_ok() {
            optional(fs::write(aside.join("cgroup.procs"), "0"));
        }
    }
    // After an upgrade the agent may already stand in that child: siblings of it are what is wanted.
    Some(if group.ends_with("squalld") { group.parent()?.to_owned() } else { group })
}

fn v1_parent(mounts: &str, own: &str, controller: &str) -> Option<PathBuf> {
    let named = |list: &str| list.split(',').any(|one| one == controller);
    let mount =
        mounts.lines().find_map(|line| mount_point(line, |kind, options| kind == "cgroup" && named(options)))?;
    let inside = own.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        fields.next().filter(|controllers| named(controllers)).and(fields.next())
    })?;
    Some(mount.join(inside.trim_start_matches('/')))
}

/// The mount point of a line of `mountinfo` whose file system type and super options please.
fn mount_point(line: &str, pleases: impl Fn(&str, &str) -> bool) -> Option<PathBuf> {
    let (before, after) = line.split_once(" - ")?;
    let mut after = after.split(' ');
    let kind = after.next()?;
    let options = after.nth(1)?;
    let point = before.split(' ').nth(4)?;
    pleases(kind, options).then(|| PathBuf::from(point))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
30 24 0:26 / /sys/fs/cgroup ro - tmpfs tmpfs ro,mode=755
31 30 0:27 / /sys/fs/cgroup/unified rw shared:5 - cgroup2 cgroup2 rw
32 30 0:28 / /sys/fs/cgroup/memory rw shared:6 - cgroup cgroup rw,memory
33 30 0:29 / /sys/fs/cgroup/cpu,cpuacct rw shared:7 - cgroup cgroup rw,cpu,cpuacct";
    const OWN: &str = "4:memory:/box/7\n2:cpu,cpuacct:/\n0::/\n";

    #[test]
    fn hierarchies_are_found_in_a_hybrid_machine() {
        assert_eq!(unified_parent(HYBRID, OWN), Some("/sys/fs/cgroup/unified".into()));
        assert_eq!(v1_parent(HYBRID, OWN, "memory"), Some("/sys/fs/cgroup/memory/box/7".into()));
        assert_eq!(v1_parent(HYBRID, OWN, "cpuacct"), Some("/sys/fs/cgroup/cpu,cpuacct".into()));
        assert_eq!(v1_parent(HYBRID, OWN, "devices"), None);
    }

    #[test]
    fn limits_are_written_in_the_words_of_each_version() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let limits = Limits { memory_mib: 512, cpus: 4 };
        let v2 = Ground { unified: Some(at("v2")), unified_limits: true, v1: vec![] };
        v2.cell("7.1", "m", dir.path(), limits).unwrap();
        assert_eq!(fs::read_to_string(at("v2/7.1/memory.max")).unwrap(), "536870912");
        assert_eq!(fs::read_to_string(at("v2/7.1/cpu.weight")).unwrap(), "400");
        let v1 = vec![("memory".to_owned(), at("memory")), ("cpu".to_owned(), at("cpu"))];
        let hybrid = Ground { unified: Some(at("unified")), unified_limits: false, v1 };
        hybrid.cell("7.1", "m", dir.path(), limits).unwrap();
        assert_eq!(fs::read_to_string(at("memory/7.1/memory.limit_in_bytes")).unwrap(), "536870912");
        assert_eq!(fs::read_to_string(at("cpu/7.1/cpu.shares")).unwrap(), "4096");
        assert!(at("unified/7.1").is_dir() && !at("unified/7.1/memory.max").exists());
    }

    #[test]
    fn the_group_of_a_run_gives_no_controllers_away_and_loses_those_that_an_agent_before_gave() {
        let dir = tempfile::tempdir().unwrap();
        let given = dir.path().join("v2/7.1/cgroup.subtree_control");
        let v2 = Ground { unified: Some(dir.path().join("v2")), unified_limits: true, v1: vec![] };
        let make = || v2.cell("7.1", "m", dir.path(), Limits::default()).unwrap();
        make();
        assert!(!given.exists());
        fs::write(&given, "memory").unwrap();
        make();
        assert_eq!(fs::read_to_string(&given).unwrap(), "-memory");
    }

    #[test]
    fn a_part_of_a_run_shares_the_limits_of_the_run_and_leaves_them_when_it_goes() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let v1 = vec![("memory".to_owned(), at("memory"))];
        let hybrid = Ground { unified: Some(at("unified")), unified_limits: false, v1: v1.clone() };
        let run = hybrid.cell("7.1", "m=7.1", &at("runs/7.1"), Limits::default()).unwrap();
        let part = run.part("step-0").unwrap();
        assert!(at("unified/7.1/step-0").is_dir() && !at("memory/7.1/step-0").exists());
        part.remove();
        assert!(!at("unified/7.1/step-0").exists() && at("unified/7.1").is_dir() && at("memory/7.1").is_dir());
        run.remove();
        assert!(!at("unified/7.1").exists() && !at("memory/7.1").exists());
        // Where nothing else tells the parts apart, those of version 1 do.
        let v1_only = Ground { unified: None, unified_limits: false, v1 };
        let run = v1_only.cell("8.1", "m=8.1", &at("runs/8.1"), Limits::default()).unwrap();
        run.part("step-0").unwrap();
        assert!(at("memory/8.1/step-0").is_dir());
        // Of what is not known only what is empty goes, and nothing that is no run's.
        v1_only.cell("9.1", "m=9.1", &at("runs/9.1"), Limits::default()).unwrap();
        v1_only.cell("squalld", "m=", &at("runs/x"), Limits::default()).unwrap();
        v1_only.sweep(|name| name == "7.1");
        assert!(!at("memory/9.1").exists() && at("memory/8.1").is_dir() && at("memory/squalld").is_dir());
    }
}
