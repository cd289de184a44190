//! How instances end: retired, killed, powered off, and what may have been left running.
#![allow(clippy::unwrap_used)]

mod stage;

use nix::sys::signal::Signal;
use squall_provisioner::Provisioner;
use squall_provisioner_local::{ReviveError, Revived};
use squall_types::{InstanceId, Span};
use stage::{Stage, await_that, ids, lives, order, signal};
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

#[tokio::test]
async fn retiring_kills_a_job_that_forked_twice_into_a_session_of_its_own() {
    let stage = Stage::with_jobs();
    let provisioner = stage.open();
    let launched = provisioner.launch(&order(1, 2)).await.unwrap();
    let jobs: Vec<_> = ids(&launched).iter().map(|instance| stage.job_of(instance)).collect();
    let agents: Vec<_> = provisioner.agents().unwrap().into_iter().filter_map(|agent| agent.pid).collect();
    assert_eq!(agents.len(), 2);
    provisioner.retire(&ids(&launched)[..1]).await.unwrap();
    assert!(!lives(jobs[0]) && !lives(agents[0]));
    assert!(lives(jobs[1]) && lives(agents[1]), "the other instance is left alone");
    assert!(!stage.node(&ids(&launched)[0]).exists());
    provisioner.retire(&ids(&launched)).await.unwrap();
    assert!(!lives(jobs[1]) && !lives(agents[1]));
}

#[tokio::test]
async fn an_agent_that_ignores_its_end_is_killed_after_the_grace() {
    let stage = Stage::new();
    let script = stage.folder.path().join("agent");
    let stubborn = fs::read_to_string(&script).unwrap().replace("exec sleep 1000", "trap '' TERM; exec sleep 1000");
    fs::write(&script, stubborn).unwrap();
    let provisioner = stage.open();
    let launched = provisioner.launch(&order(1, 1)).await.unwrap();
    stage.await_starts(&launched);
    let pid = provisioner.agents().unwrap()[0].pid.unwrap();
    let log = stage.node(&launched.instances[0].instance).join("agent.log");
    await_that("the trap is set", || fs::read_to_string(&log).unwrap().contains("stand-in"));
    provisioner.retire(&ids(&launched)).await.unwrap();
    assert!(!lives(pid));
    let kept = fs::read_to_string(stage.config.root.join("logs/h100-1-0.log")).unwrap();
    assert!(kept.contains("stand-in of local-"), "the log of a node that is gone is kept: {kept}");
}

#[tokio::test]
async fn a_killed_agent_comes_back_on_its_folder_while_its_job_runs_on() {
    let stage = Stage::with_jobs();
    let provisioner = stage.open();
    let launched = provisioner.launch(&order(1, 1)).await.unwrap();
    let instance = &launched.instances[0].instance;
    let job = stage.job_of(instance);
    let first = provisioner.agents().unwrap()[0].pid.unwrap();
    assert_eq!(provisioner.revive(instance).unwrap(), Revived::Alive);

    signal(first, Signal::SIGKILL);
    await_that("the agent is dead", || !lives(first));
    assert!(lives(job), "a job outlives its agent");
    let listing = provisioner.list().await.unwrap();
    assert_eq!(listing.instances.iter().map(|seen| seen.ending).collect::<Vec<_>>(), [false]);
    let Revived::Started { pid } = provisioner.revive(instance).unwrap() else { panic!("it was dead") };
    assert_eq!(provisioner.agents().unwrap()[0].pid, Some(pid));
    await_that("it has its lock again", || stage.starts()[instance.as_str()] == 2);
    assert!(lives(job));
}

#[tokio::test]
async fn an_instance_ends_when_its_agent_stays_dead_and_nothing_else_of_it_runs() {
    let mut stage = Stage::with_jobs();
    stage.config.revive_within = Span::ZERO;
    let provisioner = stage.open();
    let launched = provisioner.launch(&order(1, 1)).await.unwrap();
    let instance = &launched.instances[0].instance;
    let job = stage.job_of(instance);
    let agent = provisioner.agents().unwrap()[0].pid.unwrap();
    signal(agent, Signal::SIGKILL);
    await_that("the agent is dead", || !lives(agent));
    let listing = provisioner.list().await.unwrap();
    assert!(!listing.instances[0].ending, "a job still runs on it");

    signal(job, Signal::SIGKILL);
    await_that("the job is dead", || !lives(job));
    let listing = provisioner.list().await.unwrap();
    assert!(listing.complete && listing.instances[0].ending);
    assert!(matches!(provisioner.revive(instance), Err(ReviveError::Ended(_))));
    await_that("the folder is gone", || !stage.node(instance).exists());
    assert_eq!(provisioner.list().await.unwrap().instances, []);
    assert_eq!(provisioner.launch(&order(1, 1)).await.unwrap(), launched, "the token is still known");
    assert_eq!(provisioner.list().await.unwrap().instances, [], "and buys nothing");
}

#[tokio::test]
async fn a_node_that_powers_itself_off_takes_everything_with_it() {
    let stage = Stage::with_jobs();
    let provisioner = stage.open();
    let launched = provisioner.launch(&order(1, 1)).await.unwrap();
    let instance = &launched.instances[0].instance;
    let job = stage.job_of(instance);
    let agent = provisioner.agents().unwrap()[0].pid.unwrap();
    fs::write(stage.node(instance).join("state/powered-off"), "").unwrap();
    signal(agent, Signal::SIGTERM);
    await_that("the agent is gone", || !lives(agent));
    assert!(matches!(provisioner.revive(instance), Err(ReviveError::Ended(_))));
    assert!(provisioner.list().await.unwrap().instances[0].ending);
    await_that("the folder is gone", || !stage.node(instance).exists());
    assert!(!lives(job));
    assert_eq!(provisioner.list().await.unwrap().instances, []);
}

#[tokio::test]
async fn a_retirement_that_was_interrupted_is_finished_by_the_next_listing() {
    let stage = Stage::with_jobs();
    let launched = stage.open().launch(&order(1, 1)).await.unwrap();
    let instance = &launched.instances[0].instance;
    let job = stage.job_of(instance);
    // A crash after the order was marked, before anything was signalled.
    let key = instance.as_str()["local-".len()..].split('-').next().unwrap();
    let (open, closed) = (format!("orders/{key}.json"), format!("orders/closed/{key}.json"));
    let (open, closed) = (stage.config.root.join(open), stage.config.root.join(closed));
    let text = fs::read_to_string(&open).unwrap();
    let mut record: serde_json::Value = serde_json::from_str(&text).unwrap();
    record["ended"] = serde_json::json!([instance]);
    fs::write(&closed, record.to_string()).unwrap();
    fs::remove_file(&open).unwrap();

    let provisioner = stage.open();
    assert!(provisioner.list().await.unwrap().instances[0].ending);
    await_that("the folder is gone", || !stage.node(instance).exists());
    assert!(!lives(job));
}

#[tokio::test]
async fn a_number_that_was_given_to_another_process_is_not_the_agent() {
    let stage = Stage::new();
    let provisioner = stage.open();
    let launched = provisioner.launch(&order(1, 1)).await.unwrap();
    stage.await_starts(&launched);
    let instance = &launched.instances[0].instance;
    let agent = provisioner.agents().unwrap()[0].pid.unwrap();
    signal(agent, Signal::SIGKILL);
    await_that("the agent is dead", || !lives(agent));

    let mut bystander = Command::new("sleep").arg("1000").stdin(Stdio::null()).spawn().unwrap();
    let file = stage.node(instance).join("agent.pid");
    let text = fs::read_to_string(&file).unwrap();
    let (boot, line) = text.split_once('\n').unwrap();
    let rest = line.split_once(' ').unwrap().1;
    fs::write(&file, format!("{boot}\n{} {rest}", bystander.id())).unwrap();

    assert_eq!(provisioner.agents().unwrap()[0].pid, None, "the start time is another");
    provisioner.retire(&ids(&launched)).await.unwrap();
    assert!(lives(bystander.id()));
    bystander.kill().unwrap();
    bystander.wait().unwrap();
}

#[tokio::test]
async fn after_a_reboot_no_agent_lives_whatever_the_numbers_say() {
    let stage = Stage::new();
    let provisioner = stage.open();
    let launched = provisioner.launch(&order(1, 1)).await.unwrap();
    stage.await_starts(&launched);
    let instance = &launched.instances[0].instance;
    let agent = provisioner.agents().unwrap()[0].pid.unwrap();
    let file = stage.node(instance).join("agent.pid");
    let line = fs::read_to_string(&file).unwrap().split_once('\n').unwrap().1.to_owned();
    fs::write(&file, format!("00000000-0000-0000-0000-000000000000\n{line}")).unwrap();
    assert_eq!(provisioner.agents().unwrap()[0].pid, None);
    // The old one does live here, so the one that is started in its place finds the lock taken and leaves.
    let Revived::Started { pid } = provisioner.revive(instance).unwrap() else { panic!("it counts as dead") };
    await_that("the second has left", || !lives(pid));
    assert!(lives(agent));
    assert_eq!((stage.starts()[instance.as_str()], stage.refusals()), (1, 1));
    provisioner.retire(&ids(&launched)).await.unwrap();
    assert!(!lives(agent), "its marker gives it away");
}

#[tokio::test]
async fn what_is_not_ours_stays_in_the_folder_and_off_the_list() {
    let stage = Stage::new();
    let provisioner = stage.open();
    let foreign = stage.config.root.join("nodes/notes-of-mine");
    fs::create_dir(&foreign).unwrap();
    assert_eq!(provisioner.list().await.unwrap().instances, []);
    provisioner.retire(&[InstanceId::new("notes-of-mine"), InstanceId::new("../nodes/notes-of-mine")]).await.unwrap();
    assert!(foreign.is_dir());
}

/// A hierarchy of cgroups where this test may make one; `None` where it may not.
fn writable_cgroups() -> Option<PathBuf> {
    let trials = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/pids"].map(PathBuf::from);
    trials.into_iter().find(|hierarchy| {
        let trial = hierarchy.join(format!("squall-trial-{}", std::process::id()));
        hierarchy.join("cgroup.procs").exists() && fs::create_dir(&trial).is_ok() && fs::remove_dir(&trial).is_ok()
    })
}

#[tokio::test]
async fn a_job_that_hides_from_its_marker_is_killed_by_its_cgroup() {
    let Some(hierarchy) = writable_cgroups() else {
        eprintln!("no cgroups can be made here, so nothing is shown about them");
        return;
    };
    let stage = Stage::new();
    let provisioner = stage.open();
    let launched = provisioner.launch(&order(1, 1)).await.unwrap();
    stage.await_starts(&launched);
    let instance = &launched.instances[0].instance;
    let (own, jobs) = (hierarchy.join(instance.as_str()), hierarchy.join(instance.as_str()).join("jobs"));
    fs::create_dir_all(&jobs).unwrap();
    fs::write(stage.node(instance).join("state/cgroup"), format!("{}\n", own.display())).unwrap();
    let mut hidden = Command::new("sleep").arg("1000").env_clear().env("PATH", "/usr/bin:/bin").spawn().unwrap();
    fs::write(jobs.join("cgroup.procs"), hidden.id().to_string()).unwrap();

    provisioner.retire(&ids(&launched)).await.unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&hidden.wait().unwrap()), Some(9));
    assert!(!own.exists());
}
