//! Which processes still belong to a personal cluster, found without asking the cluster.

use super::Place;
use super::process::Process;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The mark that a node's agent puts on everything that it starts.
const MARKER: &[u8] = b"SQUALL_INSTANCE=";
/// Between two looks while processes are on their way out.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// Of a command line that is shown.
const MAX_SHOWN: usize = 100;

/// A process that is left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    pub process: Process,
    pub command: String,
}

/// How far the search goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Search {
    /// Controller, agents, and what agents have marked.
    Marked,
    /// Also whoever works in the folder or was told of it: for a folder that nobody else can know.
    AnyTrace,
}

/// Everything that belongs to the cluster, this process not counted.
pub fn find(place: &Place, search: Search) -> Vec<Left> {
    let own = std::process::id();
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| *pid != own).filter_map(|pid| look(place, search, pid)).collect()
}

/// Looks until nothing is left or `patience` is over; what is left then.
pub fn wait_for_none(place: &Place, search: Search, patience: Duration) -> Vec<Left> {
    let until = Instant::now() + patience;
    loop {
        let left = find(place, search);
        if left.is_empty() || Instant::now() >= until {
            return left;
        }
        std::thread::sleep(LOOK_AGAIN);
    }
}

fn look(place: &Place, search: Search, pid: u32) -> Option<Left> {
    // It may end while it is looked at, and others' processes do not show everything.
    let process = Process::of(pid)?;
    let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    let belongs = serves(place, &words)
        || is_marked(place, &environment)
        || (search == Search::AnyTrace && (contains(&environment, place.dir()) || works_in(place, pid)));
    let shown = String::from_utf8_lossy(&words).replace('\0', " ");
    let command = shown.trim_end().chars().take(MAX_SHOWN).collect();
    (belongs && process.lives()).then_some(Left { process, command })
}

/// A controller or agent of this binary that was started with a path in the folder.
fn serves(place: &Place, words: &[u8]) -> bool {
    let mut words = words.split(|byte| *byte == 0);
    let role = words.nth(1);
    let inside = |word: &[u8]| Path::new(OsStr::from_bytes(word)).starts_with(place.dir());
    matches!(role, Some(b"ctld" | b"agent")) && words.any(inside)
}

/// It bears the mark of an instance that this cluster's orders know.
fn is_marked(place: &Place, environment: &[u8]) -> bool {
    let mut marks = environment.split(|byte| *byte == 0).filter_map(|entry| entry.strip_prefix(MARKER));
    marks.any(|instance| {
        let Some(key) = std::str::from_utf8(instance).ok().and_then(key_of) else { return false };
        pools(place).any(|pool| {
            let orders = pool.join("orders");
            [orders.clone(), orders.join("closed")].iter().any(|folder| folder.join(format!("{key}.json")).exists())
        })
    })
}

/// Each pool has a folder for its nodes.
fn pools(place: &Place) -> impl Iterator<Item = PathBuf> {
    fs::read_dir(place.nodes()).into_iter().flatten().flatten().map(|entry| entry.path())
}

/// `local-KEY-INDEX`.
fn key_of(instance: &str) -> Option<&str> {
    let (key, _) = instance.strip_prefix("local-")?.split_once('-')?;
    key.bytes().all(|byte| byte.is_ascii_hexdigit()).then_some(key)
}

fn contains(bytes: &[u8], path: &Path) -> bool {
    let wanted = path.as_os_str().as_bytes();
    bytes.windows(wanted.len()).any(|part| part == wanted)
}

fn works_in(place: &Place, pid: u32) -> bool {
    fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|folder| folder.starts_with(place.dir()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Child, Command};

    fn sleeper(set: impl FnOnce(&mut Command) -> &mut Command) -> Child {
        set(Command::new("sleep").arg("60")).spawn().unwrap()
    }

    #[test]
    fn a_process_is_found_by_its_mark_or_by_any_trace_of_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::make(folder.path()).unwrap();
        fs::create_dir_all(place.nodes().join("gpu/orders/closed")).unwrap();
        fs::write(place.nodes().join("gpu/orders/closed/00ff00ff00ff.json"), "{}").unwrap();
        let mut marked = sleeper(|sleep| sleep.env("SQUALL_INSTANCE", "local-00ff00ff00ff-0"));
        let mut foreign = sleeper(|sleep| sleep.env("SQUALL_INSTANCE", "local-00ff00ff00ee-0"));
        let mut inside = sleeper(|sleep| sleep.current_dir(place.bin()));
        let mut told = sleeper(|sleep| sleep.env("SQUALL_CONTROLLER", place.socket()));
        let pids = |search| {
            let mut pids: Vec<u32> = find(&place, search).iter().map(|left| left.process.pid).collect();
            pids.sort_unstable();
            pids
        };
        assert_eq!(pids(Search::Marked), [marked.id()]);
        let mut all = [marked.id(), inside.id(), told.id()];
        all.sort_unstable();
        // What a process was told shows a moment after it was made.
        let until = Instant::now() + Duration::from_secs(5);
        while pids(Search::AnyTrace) != all && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(pids(Search::AnyTrace), all);
        for child in [&mut marked, &mut foreign, &mut inside, &mut told] {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        assert_eq!(wait_for_none(&place, Search::AnyTrace, Duration::from_secs(5)), []);
    }
}
