//! A process that launches is killed at a random moment, again and again; a repeated launch resolves each.
#![allow(clippy::unwrap_used)]

mod stage;

use squall_provisioner::Provisioner;
use stage::{Stage, await_that, config_in, ids, order};
use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

const FOLDER: &str = "LAUNCH_INTO";
const NUMBER: &str = "LAUNCH_ORDER";
const NODES: u32 = 4;
const ROUNDS: u64 = 40;

/// What the killed process does; nothing when it is run as a test among others.
#[tokio::test]
async fn launches_what_it_is_told_to() {
    let (Some(folder), Ok(number)) = (std::env::var_os(FOLDER), std::env::var(NUMBER)) else { return };
    let config = config_in(&PathBuf::from(folder));
    let provisioner = squall_provisioner_local::LocalProvisioner::open(config).unwrap();
    provisioner.launch(&order(number.parse().unwrap(), NODES)).await.unwrap();
}

fn launch_in_a_process(stage: &Stage, number: u64) -> std::process::Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "launches_what_it_is_told_to"])
        .env(FOLDER, stage.folder.path())
        .env(NUMBER, number.to_string())
        .env("SLURM_JOB_ID", "4711")
        .env("SQUALL_INSTANCE", "local-of-somebody-else")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

#[tokio::test]
async fn a_launch_killed_at_any_moment_resolves_to_one_agent_for_each_node() {
    let stage = Stage::new();
    let provisioner = stage.open();
    let began = Instant::now();
    assert!(launch_in_a_process(&stage, ROUNDS + 1).wait().unwrap().success());
    let whole = began.elapsed();
    let undisturbed: Vec<_> = provisioner.agents().unwrap().into_iter().map(|agent| agent.instance).collect();
    provisioner.retire(&undisturbed).await.unwrap();

    let mut made_before = BTreeMap::<usize, u32>::new();
    for number in 1..=ROUNDS {
        let mut child = launch_in_a_process(&stage, number);
        // From its start to about its end.
        std::thread::sleep(whole.mul_f64(number as f64 / ROUNDS as f64));
        child.kill().unwrap();
        let status = child.wait().unwrap();
        assert!(status.signal() == Some(9) || status.success(), "{status}");

        let listed = provisioner.list().await.unwrap();
        assert!(listed.complete && listed.instances.iter().all(|seen| !seen.ending), "{listed:?}");
        *made_before.entry(listed.instances.len()).or_default() += 1;
        let launched = provisioner.launch(&order(number, NODES)).await.unwrap();
        assert_eq!(launched.instances.len(), NODES as usize);
        stage.await_starts(&launched);
        let agents = provisioner.agents().unwrap();
        assert_eq!(agents.len(), NODES as usize);
        assert!(agents.iter().all(|agent| agent.pid.is_some()), "{agents:?}");
        for instance in ids(&launched) {
            assert_eq!(stage.starts()[instance.as_str()], 1, "of {instance} in round {number}");
        }
        provisioner.retire(&ids(&launched)).await.unwrap();
    }
    assert_eq!(stage.refusals(), 0, "no agent was ever started beside another");
    assert!(made_before.len() > 1, "the kills all came at one point: {made_before:?}");
}

#[tokio::test]
async fn agents_outlive_the_process_that_started_them_and_inherit_nothing_of_its_job() {
    let stage = Stage::new();
    assert!(launch_in_a_process(&stage, 1).wait().unwrap().success());
    let provisioner = stage.open();
    let agents = provisioner.agents().unwrap();
    assert_eq!(agents.len(), NODES as usize);
    let mut environment = String::new();
    for agent in &agents {
        let pid = agent.pid.expect("it runs on");
        await_that("the agent has begun", || stage.starts().contains_key(agent.instance.as_str()));
        environment =
            String::from_utf8_lossy(&std::fs::read(format!("/proc/{pid}/environ")).unwrap()).replace('\0', "\n");
        assert!(environment.contains(&format!("SQUALL_INSTANCE={}\n", agent.instance)), "{environment}");
    }
    assert!(!environment.contains("SLURM_JOB_ID") && !environment.contains("somebody-else"), "{environment}");
}
