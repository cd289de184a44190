//! The simulated cloud as a program that is kept up: the conformance suite across the process boundary, and what becomes
//! of calls when the process is killed or hangs.
#![allow(clippy::unwrap_used)]

mod sky;

use async_trait::async_trait;
use serde_json::{Map, Value, json};
use sky::{fair, h100};
use squall_provisioner::conformance::{self, Outcome, World};
use squall_provisioner::supervise::{Needs, Outage, Pace, Program, Supervised};
use squall_provisioner::{ProvisionError, Provisioner, TimeLimits};
use squall_types::{LaunchFailure, LaunchOrder, OrderId, Span, Timestamp};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

fn settings(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

fn program(folder: &Path, told: Value) -> Program {
    Program {
        command: env!("CARGO_BIN_EXE_squall-provisioner-sim").into(),
        args: Vec::new(),
        environment: Vec::new(),
        folder: folder.join("gpu"),
        cluster: "c1".to_owned(),
        pool: "gpu".into(),
        offers: vec![h100()],
        settings: settings(told),
        limits: TimeLimits::default(),
        needs: Needs { absent_after: fair().capabilities.listing_grace, ..Needs::default() },
    }
}

/// Patient where a slow machine could be taken for a program that hangs.
fn pace() -> Pace {
    Pace { first_pause: Duration::from_millis(20), ..Pace::default() }
}

fn calls(folder: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(folder.join("gpu/calls.jsonl")).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn signal(pid: u32, signal: &str) {
    assert!(Command::new("kill").args([signal, &pid.to_string()]).status().unwrap().success());
}

async fn until<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    for _ in 0..3_000 {
        match found() {
            Some(found) => return found,
            None => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
    panic!("it never came: {what}");
}

fn order(names: &[&str]) -> LaunchOrder {
    LaunchOrder {
        order: OrderId(1),
        pool: "gpu".into(),
        token: "token-1".into(),
        offer: h100(),
        names: names.iter().map(|name| (*name).into()).collect(),
        gang: false,
        die_at: Timestamp::from_secs(4_000_000_000),
        tags: BTreeMap::new(),
        join: None,
    }
}

/// A cloud in another process, which is killed whenever the suite wants a provisioner anew.
struct Abroad {
    folder: tempfile::TempDir,
    supervised: Supervised,
    now: Mutex<Timestamp>,
    room: Mutex<Option<u32>>,
}

impl Abroad {
    fn new() -> Abroad {
        let folder = tempfile::tempdir().unwrap();
        let control = folder.path().join("control.json");
        let supervised = Supervised::begin(program(folder.path(), json!({ "seed": 3, "control": control })), pace());
        let now = Mutex::new(Timestamp(1_700_000_000_000));
        let abroad = Abroad { folder, supervised, now, room: Mutex::default() };
        abroad.say();
        abroad
    }

    fn say(&self) {
        let (now, room) = (self.now.lock().unwrap(), self.room.lock().unwrap());
        let aside = self.folder.path().join("control.new");
        std::fs::write(&aside, json!({ "now": now.0, "room": *room }).to_string()).unwrap();
        std::fs::rename(aside, self.folder.path().join("control.json")).unwrap();
    }
}

#[async_trait]
impl World for Abroad {
    async fn connect(&self) -> Arc<dyn Provisioner> {
        self.supervised.settled().await.unwrap();
        if !calls(self.folder.path()).is_empty() {
            let before = self.supervised.health();
            signal(before.pid.unwrap(), "-9");
            until("a new process", || {
                let health = self.supervised.health();
                (health.up && health.starts > before.starts).then_some(())
            })
            .await;
        }
        Arc::new(self.supervised.clone())
    }
    fn now(&self) -> Timestamp {
        *self.now.lock().unwrap()
    }
    async fn pass(&self, span: Span) {
        {
            let mut now = self.now.lock().unwrap();
            *now += span;
        }
        self.say();
    }
    fn leave_room(&self, nodes: u32) -> bool {
        *self.room.lock().unwrap() = Some(nodes);
        self.say();
        true
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_keeps_every_promise_though_it_is_killed_in_between() {
    let report = conformance::run(Abroad::new).await;
    report.assert_clean();
    assert!(!report.outcomes.iter().any(|(_, outcome)| matches!(outcome, Outcome::Skipped(_))), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_killed_between_effect_and_answer_leaves_an_unknown_outcome_that_the_same_order_resolves() {
    let folder = tempfile::tempdir().unwrap();
    let supervised = Supervised::begin(program(folder.path(), json!({ "answer_ms": 3_000 })), pace());
    supervised.settled().await.unwrap();
    let (caller, wanted) = (supervised.clone(), order(&["gpu-1", "gpu-2"]));
    let call = tokio::spawn(async move { caller.launch(&wanted).await });
    until("the effect", || (!calls(folder.path()).is_empty()).then_some(())).await;
    signal(supervised.health().pid.unwrap(), "-9");
    let error = call.await.unwrap().unwrap_err();
    assert!(matches!(error, ProvisionError::Unknown { .. }), "{error:?}");

    let mut launched = supervised.launch(&order(&["gpu-1", "gpu-2"])).await;
    while let Err(ProvisionError::Unknown { .. }) = launched {
        tokio::time::sleep(Duration::from_millis(20)).await;
        launched = supervised.launch(&order(&["gpu-1", "gpu-2"])).await;
    }
    assert_eq!(launched.unwrap().instances.len(), 2);
    assert_eq!(supervised.list().await.unwrap().instances.len(), 2, "nothing was bought twice");
    let requests: Vec<String> = calls(folder.path()).iter().map(|record| record["call"].to_string()).collect();
    assert!(requests.len() >= 2 && requests.iter().all(|request| *request == requests[0]), "{requests:?}");
    assert_eq!(supervised.health().outages[1], ("ended", 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_hangs_is_killed_and_its_successor_answers() {
    let folder = tempfile::tempdir().unwrap();
    let mut program = program(folder.path(), json!({ "answer_ms": 0 }));
    program.limits.list = Span::from_millis(300);
    let hasty = Pace { probe_within: Duration::from_millis(500), ..pace() };
    let supervised = Supervised::begin(program, hasty);
    supervised.settled().await.unwrap();
    supervised.launch(&order(&["gpu-1"])).await.unwrap();
    let hanging = supervised.health().pid.unwrap();
    signal(hanging, "-STOP");
    let failure = LaunchFailure::from(supervised.list().await.unwrap_err());
    assert!(matches!(&failure, LaunchFailure::Unknown { why } if why.contains("no answer to `list`")), "{failure}");
    until("a successor", || supervised.health().pid.filter(|pid| *pid != hanging)).await;
    assert_eq!(supervised.list().await.unwrap().instances.len(), 1);
    assert_eq!(supervised.health().outages[2], ("hung", 1));
    assert!(!PathBuf::from(format!("/proc/{hanging}")).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_with_settings_that_it_does_not_know_says_which() {
    let folder = tempfile::tempdir().unwrap();
    let supervised = Supervised::begin(program(folder.path(), json!({ "sead": 3 })), pace());
    let Err(Outage::Ended(how)) = supervised.settled().await else { panic!("it came up") };
    assert!(how.contains("exit status: 78") && how.contains("unknown field `sead`"), "{how}");
}

#[test]
fn a_program_that_nobody_started_says_how_it_is_used() {
    let ended = Command::new(env!("CARGO_BIN_EXE_squall-provisioner-sim")).env_remove("SQUALL_PROVISIONER").output();
    let ended = ended.unwrap();
    assert_eq!(ended.status.code(), Some(64));
    assert!(String::from_utf8_lossy(&ended.stderr).contains("provisioner = \"program\""), "{ended:?}");
}
