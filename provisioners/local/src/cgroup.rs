//! An instance's cgroups, if its agent made any: one, or one for each controller under version 1.

use crate::disk::{self, DiskError};
use crate::process::Process;
use nix::sys::signal::Signal;
use squall_types::InstanceId;
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, Instant};
use std::{fs, io};

const ROOT: &str = "/sys/fs/cgroup";
/// How long a killed cgroup may take to empty.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(10);
/// Cgroups of one instance; the file names no more.
const MAX_NAMED: usize = 16;
/// Cgroups below each other; deeper ones are left.
const MAX_DEPTH: usize = 16;

/// The cgroups that the file names, one a line, if they can only be this instance's: below the root of all cgroups,
/// without `..`, and with the instance's id as one of their components.
pub(crate) fn named_in(file: &Path, instance: &InstanceId) -> Result<Vec<PathBuf>, DiskError> {
    let Some(content) = disk::read(file)? else { return Ok(Vec::new()) };
    let content = String::from_utf8_lossy(&content).into_owned();
    let ours = |path: &PathBuf| {
        let plain = path.components().all(|component| matches!(component, Component::RootDir | Component::Normal(_)));
        plain && path.starts_with(ROOT) && path.components().any(|part| part.as_os_str() == instance.as_str())
    };
    Ok(content.lines().take(MAX_NAMED).map(|line| PathBuf::from(line.trim())).filter(ours).collect())
}

/// Kills what is in a cgroup and below, and removes it. One that is gone is fine.
pub(crate) fn kill(path: &Path) -> io::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while path.exists() {
        kill_tree(path, 0)?;
        match remove_tree(path, 0) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy && Instant::now() < deadline => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        std::thread::sleep(PAUSE);
    }
    Ok(())
}

/// All at once where the kernel can, which leaves no time to fork; else one by one.
fn kill_tree(path: &Path, depth: usize) -> io::Result<()> {
    if fs::write(path.join("cgroup.kill"), "1").is_ok() {
        return Ok(());
    }
    let members = fs::read_to_string(path.join("cgroup.procs"))?;
    for process in members.lines().filter_map(|pid| Process::with_number(pid.parse().ok()?)) {
        process.signal(Signal::SIGKILL)?;
    }
    for_each_below(path, depth, kill_tree)
}

/// Removes the innermost first; files in a cgroup are no files and go with it.
fn remove_tree(path: &Path, depth: usize) -> io::Result<()> {
    for_each_below(path, depth, remove_tree)?;
    fs::remove_dir(path)
}

fn for_each_below(path: &Path, depth: usize, act: impl Fn(&Path, usize) -> io::Result<()>) -> io::Result<()> {
    if depth == MAX_DEPTH {
        return Ok(());
    }
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            act(&entry.path(), depth + 1)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_cgroup_that_bears_the_instance_is_taken_for_its_own() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let file = folder.path().join("cgroup");
        let instance = InstanceId::new("local-00112233aabb-0");
        let named = |text: &str| {
            fs::write(&file, text).expect("a file for the test");
            named_in(&file, &instance).expect("a readable file")
        };
        let own = "/sys/fs/cgroup/squall/local-00112233aabb-0";
        assert_eq!(named(&format!("{own}\n")), [PathBuf::from(own)]);
        assert_eq!(named(&format!("{own}/jobs")), [PathBuf::from(format!("{own}/jobs"))]);
        assert_eq!(named(&format!("{own}\n/sys/fs/cgroup/other\n{own}/jobs\n")).len(), 2);
        for foreign in [
            "",
            "/sys/fs/cgroup",
            "/sys/fs/cgroup/system.slice",
            "/sys/fs/cgroup/local-00112233aabb-0/../system.slice",
            "/sys/fs/cgroup/local-00112233aabb-01",
            "/home/local-00112233aabb-0",
            "sys/fs/cgroup/local-00112233aabb-0",
        ] {
            assert_eq!(named(foreign), Vec::<PathBuf>::new(), "{foreign:?}");
        }
        assert_eq!(named_in(&folder.path().join("none"), &instance).expect("no file is fine"), Vec::<PathBuf>::new());
    }
}
