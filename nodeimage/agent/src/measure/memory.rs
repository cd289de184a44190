//! Memory: what the machine has, or less where the agent itself lives under a limit.

use std::fs;
use std::path::Path;

/// MiB that jobs can use together.
pub fn usable_mib() -> u64 {
    let total = fs::read_to_string("/proc/meminfo").ok().and_then(|text| total_kib(&text)).unwrap_or(0) >> 10;
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    limit_mib(Path::new("/sys/fs/cgroup"), &own).map_or(total, |limit| limit.min(total))
}

fn total_kib(meminfo: &str) -> Option<u64> {
    meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix("kB")?.trim().parse().ok())
}

/// The lowest limit of the agent's own control group and of those above it.
fn limit_mib(root: &Path, own: &str) -> Option<u64> {
    let mut lowest: Option<u64> = None;
    for line in own.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(inside)) = (fields.next(), fields.next()) else { continue };
        let (top, file) = match controllers {
            "" => (root.to_owned(), "memory.max"),
            list if list.split(',').any(|one| one == "memory") => (root.join("memory"), "memory.limit_in_bytes"),
            _ => continue,
        };
        let group = top.join(inside.trim_start_matches('/'));
        for folder in group.ancestors().take_while(|folder| folder.starts_with(&top)) {
            // `max` is no number, and no limit.
            let limit = fs::read_to_string(folder.join(file)).ok().and_then(|text| text.trim().parse::<u64>().ok());
            if let Some(limit) = limit {
                lowest = Some(lowest.map_or(limit >> 20, |lowest| lowest.min(limit >> 20)));
            }
        }
    }
    lowest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_limit_above_counts() {
        let dir = tempfile::tempdir().unwrap();
        let inner = dir.path().join("system.slice/squalld.service");
        fs::create_dir_all(&inner).unwrap();
        fs::write(inner.join("memory.max"), "max\n").unwrap();
        fs::write(dir.path().join("system.slice/memory.max"), "1073741824\n").unwrap();
        assert_eq!(limit_mib(dir.path(), "0::/system.slice/squalld.service\n"), Some(1024));
        assert_eq!(limit_mib(dir.path(), "0::/elsewhere\n"), None);
        let v1 = dir.path().join("memory/box");
        fs::create_dir_all(&v1).unwrap();
        fs::write(v1.join("memory.limit_in_bytes"), "536870912").unwrap();
        assert_eq!(limit_mib(dir.path(), "4:memory:/box\n0::/\n"), Some(512));
        assert!(usable_mib() > 0);
    }
}
