//! CPUs: hardware threads that this process may use, and the physical cores that they belong to.

use nix::sched::{CpuSet, sched_getaffinity};
use nix::unistd::Pid;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The CPUs that the agent may use, ascending; at least one.
pub fn usable() -> Vec<u32> {
    let found: Vec<u32> = sched_getaffinity(Pid::from_raw(0)).map_or_else(
        |_| Vec::new(),
        |set| (0..CpuSet::count()).filter(|cpu| set.is_set(*cpu).unwrap_or(false)).map(|cpu| cpu as u32).collect(),
    );
    if found.is_empty() { vec![0] } else { found }
}

/// How many physical cores these threads are; 0 where the kernel does not say.
pub fn cores(cpus: &[u32]) -> u32 {
    cores_under(Path::new("/sys/devices/system/cpu"), cpus)
}

fn cores_under(root: &Path, cpus: &[u32]) -> u32 {
    let siblings = |cpu: &u32| {
        let topology = root.join(format!("cpu{cpu}/topology"));
        // The newer name first.
        ["core_cpus_list", "thread_siblings_list"].iter().find_map(|name| fs::read_to_string(topology.join(name)).ok())
    };
    let cores: Option<BTreeSet<String>> =
        cpus.iter().map(|cpu| siblings(cpu).map(|list| list.trim().to_owned())).collect();
    cores.map_or(0, |cores| cores.len() as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_of_one_core_are_counted_once() {
        let dir = tempfile::tempdir().unwrap();
        for (cpu, siblings) in [(0, "0,2\n"), (1, "1,3\n"), (2, "0,2\n"), (3, "1,3\n")] {
            let topology = dir.path().join(format!("cpu{cpu}/topology"));
            fs::create_dir_all(&topology).unwrap();
            fs::write(topology.join("thread_siblings_list"), siblings).unwrap();
        }
        assert_eq!(cores_under(dir.path(), &[0, 1, 2, 3]), 2);
        assert_eq!(cores_under(dir.path(), &[0, 1, 2, 9]), 0, "not known of one, not known of all");
        assert!(!usable().is_empty());
    }
}
