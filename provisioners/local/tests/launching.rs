//! What a launch leaves on this machine, and in what state it may be interrupted.
#![allow(clippy::unwrap_used)]

mod stage;

use nix::sys::signal::Signal;
use squall_provisioner::{ProvisionError, Provisioner};
use squall_types::{LaunchOrder, NodeName, Shape};
use stage::{Stage, await_that, ids, lives, order, signal, ticket};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

#[tokio::test]
async fn an_agent_is_told_what_it_is() {
    let stage = Stage::new();
    let provisioner = stage.open();
    let launched = provisioner.launch(&order(7, 1)).await.unwrap();
    stage.await_starts(&launched);
    let instance = &launched.instances[0].instance;
    let pid = provisioner.agents().unwrap()[0].pid.expect("it was just started");
    let node = stage.node(instance);
    let expected = format!(
        "run --node h100-7-0 --state-dir {0}/state --controller unix:/run/squall/controller.sock --ca-pin {1} --order 7 \
         --instance {instance} --join-secret-file {0}/join-secret --shape-file {0}/shape.json",
        node.display(),
        "a".repeat(64),
    );
    // The stand-in has become a `sleep` by now, so its arguments are read from where the agent's would be.
    let script = fs::read_to_string(stage.folder.path().join("agent")).unwrap();
    fs::write(stage.folder.path().join("agent"), script.replace("verb=$2", "echo \"$@\"\nverb=$2")).unwrap();
    signal(pid, Signal::SIGKILL);
    await_that("the agent is dead", || !lives(pid));
    provisioner.revive(instance).unwrap();
    await_that("its arguments are in its log", || {
        fs::read_to_string(node.join("agent.log")).unwrap().contains(&format!("agent {expected}\n"))
    });
    let shape: Shape = serde_json::from_slice(&fs::read(node.join("shape.json")).unwrap()).unwrap();
    assert_eq!(shape, stage::offer().shape);
}

#[tokio::test]
async fn the_join_secret_is_in_one_private_file_only() {
    let stage = Stage::new();
    let provisioner = stage.open();
    let launched = provisioner.launch(&order(1, 1)).await.unwrap();
    stage.await_starts(&launched);
    let node = stage.node(&launched.instances[0].instance);
    let secret_file = node.join("join-secret");
    assert_eq!(fs::read_to_string(&secret_file).unwrap(), ticket().secret);
    assert_eq!(fs::metadata(&secret_file).unwrap().permissions().mode() & 0o777, 0o600);

    let pid = provisioner.agents().unwrap()[0].pid.unwrap();
    for shown in ["cmdline", "environ"] {
        let text = String::from_utf8_lossy(&fs::read(format!("/proc/{pid}/{shown}")).unwrap()).into_owned();
        assert!(!text.contains(&ticket().secret), "{shown}: {text}");
    }
    let grep = Command::new("grep").args(["-rl", &ticket().secret]).arg(stage.folder.path()).output().unwrap();
    assert_eq!(String::from_utf8(grep.stdout).unwrap().trim(), secret_file.display().to_string());
}

#[tokio::test]
async fn an_agent_has_a_session_of_its_own_and_its_marker() {
    let stage = Stage::new();
    let provisioner = stage.open();
    let launched = provisioner.launch(&order(1, 1)).await.unwrap();
    stage.await_starts(&launched);
    let pid = provisioner.agents().unwrap()[0].pid.unwrap();
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let session = stat.rsplit(')').next().unwrap().split_ascii_whitespace().nth(3).unwrap();
    assert_eq!(session, pid.to_string());
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap();
    let marker = format!("SQUALL_INSTANCE={}", launched.instances[0].instance);
    assert!(environment.split(|byte| *byte == 0).any(|entry| entry == marker.as_bytes()));
}

#[tokio::test]
async fn an_agent_that_cannot_be_executed_leaves_nothing() {
    let stage = Stage::new();
    let provisioner = stage.open();
    let script = stage.folder.path().join("agent");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o644)).unwrap();
    let error = provisioner.launch(&order(1, 3)).await.unwrap_err();
    assert!(matches!(&error, ProvisionError::Rejected { why } if why.contains("agent")), "{error:?}");
    assert_eq!(provisioner.list().await.unwrap().instances, []);
    assert_eq!(fs::read_dir(stage.config.root.join("nodes")).unwrap().count(), 0);

    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(
        provisioner.launch(&order(1, 3)).await.unwrap().instances.len(),
        3,
        "nothing of the failure is remembered"
    );
}

#[tokio::test]
async fn the_quota_counts_what_exists() {
    let mut stage = Stage::new();
    stage.config.max_instances = 3;
    let provisioner = stage.open();
    let first = provisioner.launch(&order(1, 2)).await.unwrap();
    let gang = LaunchOrder { gang: true, ..order(2, 2) };
    let error = provisioner.launch(&gang).await.unwrap_err();
    assert!(matches!(error, ProvisionError::Quota { limit: 3, used: 2, .. }), "{error:?}");
    assert_eq!(provisioner.launch(&order(3, 2)).await.unwrap().instances.len(), 1, "what is no gang gets what is left");
    provisioner.retire(&ids(&first)).await.unwrap();
    assert_eq!(provisioner.launch(&gang).await.unwrap().instances.len(), 2);
}

#[tokio::test]
async fn a_name_that_could_be_mistaken_for_something_else_is_rejected() {
    let stage = Stage::new();
    let provisioner = stage.open();
    for name in ["", "-x", "../up", "a b", "a\0b", "a/b", "ä", &"n".repeat(64)] {
        let named = LaunchOrder { names: vec![NodeName::new(name)], ..order(1, 1) };
        let error = provisioner.launch(&named).await.unwrap_err();
        assert!(matches!(error, ProvisionError::Rejected { .. }), "{name:?}: {error:?}");
    }
    let without_ticket = LaunchOrder { join: None, ..order(1, 1) };
    assert!(matches!(provisioner.launch(&without_ticket).await, Err(ProvisionError::Rejected { .. })));
}

/// Brings a launched order back to a state in which a crash can have left it, and launches it again.
async fn resolves_to_one_agent_each(crash: impl Fn(&Stage, &squall_types::InstanceId)) {
    let stage = Stage::new();
    let launched = {
        let provisioner = stage.open();
        let launched = provisioner.launch(&order(1, 2)).await.unwrap();
        stage.await_starts(&launched);
        launched
    };
    let provisioner = stage.open();
    let victim = &launched.instances[0].instance;
    let agent = provisioner.agents().unwrap().into_iter().find(|agent| agent.instance == *victim).unwrap();
    let pid = agent.pid.unwrap();
    signal(pid, Signal::SIGKILL);
    await_that("the agent is dead", || !lives(pid));
    crash(&stage, victim);

    assert_eq!(provisioner.launch(&order(1, 2)).await.unwrap(), launched);
    await_that("both agents live", || {
        provisioner.agents().unwrap().iter().filter(|agent| agent.pid.is_some()).count() == 2
    });
    await_that("the victim was started again", || stage.starts()[victim.as_str()] == 2);
    assert_eq!(stage.starts()[launched.instances[1].instance.as_str()], 1, "the other was left alone");
}

#[tokio::test]
async fn a_crash_after_the_grant_and_before_the_folder_is_resolved() {
    resolves_to_one_agent_each(|stage, instance| fs::remove_dir_all(stage.node(instance)).unwrap()).await;
}

#[tokio::test]
async fn a_crash_within_the_making_of_the_folder_is_resolved() {
    resolves_to_one_agent_each(|stage, instance| {
        let node = stage.node(instance);
        fs::remove_file(node.join("shape.json")).unwrap();
        fs::rename(&node, node.with_file_name(format!(".new-{instance}"))).unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_crash_after_the_folder_and_before_the_agent_is_resolved() {
    resolves_to_one_agent_each(|stage, instance| fs::remove_file(stage.node(instance).join("agent.pid")).unwrap())
        .await;
}

#[tokio::test]
async fn a_crash_before_the_child_wrote_who_it_is_is_resolved() {
    resolves_to_one_agent_each(|stage, instance| {
        let file = stage.node(instance).join("agent.pid");
        let boot = fs::read_to_string(&file).unwrap().lines().next().unwrap().to_owned();
        fs::write(file, format!("{boot}\n")).unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_launch_does_not_start_an_agent_that_died() {
    let stage = Stage::new();
    let provisioner = stage.open();
    let launched = provisioner.launch(&order(1, 1)).await.unwrap();
    stage.await_starts(&launched);
    let pid = provisioner.agents().unwrap()[0].pid.unwrap();
    signal(pid, Signal::SIGKILL);
    await_that("the agent is dead", || !lives(pid));
    assert_eq!(provisioner.launch(&order(1, 1)).await.unwrap(), launched);
    assert_eq!(provisioner.agents().unwrap()[0].pid, None);
}

#[tokio::test]
async fn a_damaged_record_stops_its_own_order_only() {
    let stage = Stage::new();
    let provisioner = stage.open();
    let launched = provisioner.launch(&order(1, 1)).await.unwrap();
    let key = launched.instances[0].instance.as_str()["local-".len()..].split('-').next().unwrap().to_owned();
    fs::write(stage.config.root.join(format!("orders/{key}.json")), "{ torn").unwrap();
    assert!(matches!(provisioner.launch(&order(1, 1)).await, Err(ProvisionError::Unknown { .. })));
    provisioner.launch(&order(2, 1)).await.expect("another order is not concerned");
    assert_eq!(provisioner.list().await.unwrap().instances.len(), 2);
    provisioner.retire(&ids(&launched)).await.expect("its instance can be retired");
    assert_eq!(provisioner.list().await.unwrap().instances.len(), 1);
}
