//! A provisioner in a process of its own under a running controller. The program is this test, started again.

use crate::agent::{Agent, joined};
use crate::stage::{Stage, batch, configuration, eventually, job};
use serde_json::Value;
use squall_proto::ClientError;
use squall_types::agent::AttemptState;
use squall_types::api::JobState;
use squall_types::{NodeCount, Timestamp};
use std::path::Path;

/// The simulated cloud, where a controller started this process; nothing when it runs as a test among others.
#[test]
fn serves_a_simulated_cloud() {
    if std::env::var_os("SQUALL_PROVISIONER").is_some() {
        squall_provisioner_sim::program::main();
    }
}

/// The stage, and a pool of a cloud whose answers take so long.
fn with_a_cloud(dir: &Path, settings: &str) -> String {
    let program = std::env::current_exe().unwrap();
    let program = program.display();
    format!(
        r#"{}
[partitions.sky]
pools = ["sky"]
default_time = "10m"

[pools.sky]
provisioner = "program"
max_nodes = 4

[pools.sky.program]
command = ["{program}", "--exact", "programs::serves_a_simulated_cloud", "--nocapture"]
settings = {settings}

[pools.sky.offers.big]
cpus = 8
memory = "16G"

[timing]
batch_idle = "0s"
batch_max = "0s"
"#,
        configuration(dir)
    )
    .replace("[partitions.rack]", "[partitions.rack]\ndefault = true")
}

impl Stage {
    async fn with_a_cloud(settings: &str) -> Stage {
        let mut stage = Stage::start().await;
        stage.down().await;
        std::fs::write(stage.file(), with_a_cloud(stage.dir.path(), settings)).unwrap();
        stage.up().await.unwrap();
        stage
    }

    /// What the cloud was told to do.
    fn calls(&self) -> Vec<Value> {
        let path = self.dir.path().join("state/provisioners/sky/calls.jsonl");
        let text = std::fs::read_to_string(path).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The process of the cloud, by its mark.
    fn program(&self) -> Option<u32> {
        let mark = format!("SQUALL_PROVISIONER={}", self.dir.path().join("state/provisioners/sky").display());
        let marked = |pid: &u32| {
            let environment = std::fs::read_to_string(format!("/proc/{pid}/environ")).unwrap_or_default();
            environment.split('\0').any(|variable| variable == mark)
        };
        let pids = std::fs::read_dir("/proc").unwrap().filter_map(|one| one.ok()?.file_name().to_str()?.parse().ok());
        pids.collect::<Vec<u32>>().into_iter().find(marked)
    }
}

fn kill(pid: u32) {
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid as i32), nix::sys::signal::Signal::SIGKILL).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provisioner_killed_between_call_and_answer_costs_one_repetition_and_no_job() {
    let stage = Stage::with_a_cloud("{ answer_ms = 1500 }").await;
    let client = stage.local().await;
    let (machine, certificate) = joined(&stage, "n1").await;
    let mut agent = Agent::attach(&stage, &machine, &certificate).await;
    let elsewhere = client.submit(batch("t1")).await.unwrap().job;
    let duty = agent.assignment().await;
    agent.report(duty.run, AttemptState::Prepared).await;
    agent.report(duty.run, AttemptState::Running { since: Timestamp(1) }).await;
    eventually("it runs", async || (job(&client, elsewhere).await.state == JobState::Running).then_some(())).await;

    let mut gang = batch("t2");
    gang.spec.partitions = vec!["sky".into()];
    gang.spec.ask.nodes = Some(NodeCount { min: 2, max: 2 });
    client.submit(gang).await.unwrap();
    eventually("the launch", async || (!stage.calls().is_empty()).then_some(())).await;
    let killed = stage.program().unwrap();
    kill(killed);
    eventually("the same launch again", async || (stage.calls().len() >= 2).then_some(())).await;
    let calls = stage.calls();
    assert_eq!(calls[0]["call"], calls[1]["call"], "to the byte, token included");
    assert_ne!(stage.program(), Some(killed));
    let nodes = eventually("both machines", async || {
        let nodes = client.nodes().await.unwrap().into_iter().filter(|node| !node.instance.is_empty());
        let nodes: Vec<_> = nodes.filter(|node| node.pool.as_str() == "sky").collect();
        (nodes.len() == 2).then_some(nodes)
    })
    .await;
    let mut instances: Vec<&str> = nodes.iter().map(|node| node.instance.as_str()).collect();
    instances.sort();
    assert_eq!(instances, ["sim-000001", "sim-000002"], "no machine was bought twice");
    assert_eq!(job(&client, elsewhere).await.state, JobState::Running);
    agent.report(duty.run, crate::agent::ended(0)).await;
    agent.acknowledged(duty.run).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provisioner_that_refuses_its_new_settings_keeps_the_old_ones() {
    let stage = Stage::with_a_cloud("{ answer_ms = 1 }").await;
    let client = stage.local().await;
    let first = eventually("it is up", async || stage.program()).await;
    std::fs::write(stage.file(), with_a_cloud(stage.dir.path(), "{ answer_ms = 1, sead = 3 }")).unwrap();
    let Err(ClientError::Refused(refusal)) = client.reconfigure().await else { panic!("it is wrong") };
    assert!(refusal.limit.contains("pool sky") && refusal.limit.contains("did not come up"), "{refusal:?}");
    let second = eventually("the old one is up again", async || stage.program()).await;
    assert_ne!(first, second);
    std::fs::write(stage.file(), with_a_cloud(stage.dir.path(), "{ answer_ms = 1, seed = 3 }")).unwrap();
    let changes = client.reconfigure().await.unwrap();
    assert_eq!(changes, ["pools.sky.program.settings.seed: (unset) -> 3"]);
    let third = eventually("the new one is up", async || stage.program()).await;
    assert_ne!(second, third);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_provisioner_keeps_no_controller_from_starting_and_a_stopped_controller_leaves_none() {
    let mut stage = Stage::with_a_cloud("{ sead = 3 }").await;
    stage.local().await.submit(batch("t1")).await.unwrap();
    stage.down().await;
    std::fs::write(stage.file(), with_a_cloud(stage.dir.path(), "{ seed = 3 }")).unwrap();
    stage.up().await.unwrap();
    eventually("it is up", async || stage.program()).await;
    stage.down().await;
    assert_eq!(stage.program(), None);
}
