//! `squall doctor`: what is wrong on this machine, one line for each thing that was looked at.

use super::wrong_call;
use crate::command::Command;
use crate::controller;
use crate::dispatch::VERSION;
use crate::failure::{EXIT_ERROR, Failure};
use crate::invocation::Invocation;
use crate::links;
use crate::terminal::escaped;
use std::fs;
use std::path::Path;
use std::time::Instant;

/// Clocks that differ by more are worth a word, and by more than the second keep nodes out.
const SKEW_WARNED_MS: i64 = 1_000;
const SKEW_REFUSED_MS: i64 = 60_000;

/// What came of looking at one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Good,
    /// It works, with less than it could.
    Worth,
    Bad,
}

struct Finding {
    verdict: Verdict,
    what: &'static str,
    text: String,
    /// What would help; empty where nothing is wrong.
    try_this: &'static str,
}

impl Finding {
    fn good(what: &'static str, text: String) -> Self {
        Finding { verdict: Verdict::Good, what, text, try_this: "" }
    }
    fn worth(what: &'static str, text: String, try_this: &'static str) -> Self {
        Finding { verdict: Verdict::Worth, what, text, try_this }
    }
    fn bad(what: &'static str, text: String, try_this: &'static str) -> Self {
        Finding { verdict: Verdict::Bad, what, text, try_this }
    }
}

pub fn run(invocation: &mut Invocation<'_>, words: &[String]) -> Result<i32, Failure> {
    if !words.is_empty() {
        return Err(wrong_call("doctor"));
    }
    let mut findings = vec![Finding::good("version", VERSION.to_owned())];
    findings.push(whereabouts(invocation));
    findings.extend(answer(invocation));
    findings.push(commands(invocation));
    findings.push(cgroups(Path::new("/sys/fs/cgroup")));
    findings.push(driver(Path::new("/proc/driver/nvidia/version")));
    findings.push(state_folder(invocation));
    let mut code = 0;
    for finding in &findings {
        let mark = match finding.verdict {
            Verdict::Good => "ok  ",
            Verdict::Worth => "note",
            Verdict::Bad => "BAD ",
        };
        writeln!(invocation.out, "{mark} {:<12} {}", finding.what, escaped(&finding.text))?;
        if !finding.try_this.is_empty() {
            writeln!(invocation.out, "     {:<12} try: {}", "", finding.try_this)?;
        }
        if finding.verdict == Verdict::Bad {
            code = EXIT_ERROR;
        }
    }
    Ok(code)
}

fn whereabouts(invocation: &Invocation<'_>) -> Finding {
    let caller = &invocation.caller;
    match controller::find(&invocation.environment, caller.uid.0, &caller.home) {
        Err(why) => Finding::bad("controller", why, "correct it, or remove it"),
        Ok(found) if found.targets.is_empty() => Finding::bad(
            "controller",
            format!("none is named, and there is none at {}", found.missing.join(", ")),
            "squall up for a cluster of your own, or the site's /etc/squall/client.toml",
        ),
        Ok(found) => {
            let targets: Vec<String> = found.targets.iter().map(ToString::to_string).collect();
            Finding::good("controller", targets.join(", "))
        }
    }
}

fn answer(invocation: &Invocation<'_>) -> Vec<Finding> {
    let asked = Instant::now();
    match invocation.controller.ping() {
        Err(error) => vec![Finding::bad("answer", error.to_string(), "look whether the controller runs, and its log")],
        Ok(reply) => {
            let took = asked.elapsed().as_micros();
            let skew = invocation.now() - reply.now;
            let millis = skew.as_millis().abs();
            let text = format!("this machine's clock is {} ms off the controller's", skew.as_millis());
            const SYNC: &str = "chrony or another time service on both";
            let clock = match millis {
                ..=SKEW_WARNED_MS => Finding::good("clock", text),
                _ if millis <= SKEW_REFUSED_MS => Finding::worth("clock", text, SYNC),
                _ => Finding::bad("clock", text, SYNC),
            };
            let (cluster, version) = (&reply.cluster, &reply.version);
            vec![Finding::good("answer", format!("cluster {cluster}, version {version}, in {took} µs")), clock]
        }
    }
}

/// Whether programs that call Slurm's commands find these.
fn commands(invocation: &Invocation<'_>) -> Finding {
    let this = std::env::current_exe().and_then(fs::canonicalize).ok();
    let small = this.as_deref().and_then(links::commands_beside);
    let path = invocation.environment.get("PATH").unwrap_or_default();
    let first = |name: &str| {
        let mut folders = path.split(':').filter(|folder| !folder.is_empty());
        folders.find_map(|folder| Some(Path::new(folder).join(name)).filter(|file| file.exists()))
    };
    let others: Vec<String> = Command::LINKED
        .iter()
        .filter_map(|command| first(command.name()))
        .filter(|file| {
            fs::canonicalize(file).ok().is_none_or(|file| Some(&file) != this.as_ref() && Some(&file) != small.as_ref())
        })
        .map(|file| file.display().to_string())
        .collect();
    let missing: Vec<&str> =
        Command::LINKED.iter().map(|command| command.name()).filter(|name| first(name).is_none()).collect();
    const LINKS: &str = "squall install-links DIR, and DIR at the beginning of PATH";
    match (others.as_slice(), missing.as_slice()) {
        ([], []) => Finding::good("commands", "all on PATH".to_owned()),
        ([], missing) => Finding::worth("commands", format!("not on PATH: {}", missing.join(" ")), LINKS),
        (others, _) => Finding::worth("commands", format!("others come first: {}", others.join(" ")), LINKS),
    }
}

/// Jobs are contained by cgroups where the machine has them.
fn cgroups(mount: &Path) -> Finding {
    if let Ok(text) = fs::read_to_string(mount.join("cgroup.controllers")) {
        let missing: Vec<&str> = ["cpu", "memory", "pids"]
            .into_iter()
            .filter(|wanted| !text.split_whitespace().any(|has| has == *wanted))
            .collect();
        return match missing.is_empty() {
            true => Finding::good("cgroups", "version 2".to_owned()),
            false => Finding::worth(
                "cgroups",
                format!("version 2 without {}", missing.join(", ")),
                "the unit's Delegate=yes, or the parent's cgroup.subtree_control",
            ),
        };
    }
    match mount.join("memory").exists() || mount.join("pids").exists() {
        true => Finding::worth("cgroups", "version 1".to_owned(), "systemd.unified_cgroup_hierarchy=1 for version 2"),
        false => Finding::worth(
            "cgroups",
            "none: jobs are held together by their process groups and sessions".to_owned(),
            "a mounted /sys/fs/cgroup where nodes run here",
        ),
    }
}

fn driver(version: &Path) -> Finding {
    match fs::read_to_string(version) {
        Ok(text) => {
            let line = text.lines().next().unwrap_or_default();
            Finding::good("gpu driver", line.trim_start_matches("NVRM version: ").trim().to_owned())
        }
        Err(_) => {
            Finding::good("gpu driver", "none here: a node on this machine has no GPUs, or declared ones".to_owned())
        }
    }
}

/// Where a cluster of one's own would keep its state.
fn state_folder(invocation: &Invocation<'_>) -> Finding {
    let folder = controller::personal_state(&invocation.environment, &invocation.caller.home);
    let there = folder.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("/"));
    match nix::unistd::access(there, nix::unistd::AccessFlags::W_OK) {
        Ok(()) => Finding::good("state", folder.display().to_string()),
        Err(error) => Finding::worth(
            "state",
            format!("{}: {}", folder.display(), error.desc()),
            "XDG_STATE_HOME on a disk that you may write",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_of_cgroups_and_none_are_told_apart() {
        let mount = tempfile::tempdir().unwrap();
        assert!(cgroups(mount.path()).text.starts_with("none"));
        fs::create_dir(mount.path().join("memory")).unwrap();
        assert_eq!(cgroups(mount.path()).text, "version 1");
        fs::write(mount.path().join("cgroup.controllers"), "cpuset cpu io memory\n").unwrap();
        assert_eq!(cgroups(mount.path()).text, "version 2 without pids");
        fs::write(mount.path().join("cgroup.controllers"), "cpu memory pids\n").unwrap();
        assert_eq!(cgroups(mount.path()).verdict, Verdict::Good);
    }

    #[test]
    fn a_driver_is_told_by_its_version() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "NVRM version: NVIDIA UNIX x86_64 Kernel Module  570.86.15\nGCC version\n").unwrap();
        assert_eq!(driver(file.path()).text, "NVIDIA UNIX x86_64 Kernel Module  570.86.15");
    }
}
