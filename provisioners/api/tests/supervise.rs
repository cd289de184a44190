//! Programs of all kinds under a supervisor. They are this test itself, started again in a role.
#![cfg(feature = "supervise")]
#![allow(clippy::unwrap_used)]

mod roles;

use squall_provisioner::bridge::MARK;
use squall_provisioner::supervise::{Needs, Outage, Pace, Program, Supervised};
use squall_provisioner::{ProvisionError, Provisioner, TimeLimits};
use squall_types::{LaunchFailure, LaunchOrder, Offer, OrderId, Span, Timestamp};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What a process in a role does; nothing when this runs as a test among others.
#[test]
fn plays_a_role() {
    if let Ok(role) = std::env::var(roles::ROLE) {
        roles::play(&role);
    }
}

fn program(folder: &Path, role: &str) -> Program {
    Program {
        command: std::env::current_exe().unwrap(),
        args: ["--exact", "plays_a_role", "--nocapture"].map(str::to_owned).to_vec(),
        environment: vec![(roles::ROLE.to_owned(), role.to_owned())],
        folder: folder.join("pool"),
        cluster: "c1".to_owned(),
        pool: "gpu".into(),
        offers: vec![Offer { name: "h100".into(), ..Offer::default() }],
        settings: serde_json::Map::new(),
        limits: TimeLimits::default(),
        needs: Needs::default(),
    }
}

fn pace() -> Pace {
    Pace { first_pause: Duration::from_millis(20), ..Pace::default() }
}

fn order() -> LaunchOrder {
    LaunchOrder {
        order: OrderId(1),
        pool: "gpu".into(),
        token: "token-1".into(),
        offer: Offer::default(),
        names: vec!["gpu-1".into()],
        gang: false,
        die_at: Timestamp::ZERO,
        tags: Default::default(),
        join: None,
    }
}

fn is_alive(pid: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // A zombie waits for its parent, which may be another test's.
    status.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.trim_start().starts_with('Z'))
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

#[tokio::test(flavor = "multi_thread")]
async fn a_program_learns_what_it_is_for_and_gets_no_other_environment() {
    let folder = tempfile::tempdir().unwrap();
    let supervised = Supervised::begin(program(folder.path(), "good"), pace());
    supervised.settled().await.unwrap();
    let offers = supervised.offers().await.unwrap();
    assert_eq!(offers[0].name.0, "h100", "what it was told is what it sells");
    let pid = supervised.health().pid.unwrap();
    let environment = std::fs::read_to_string(format!("/proc/{pid}/environ")).unwrap();
    let mut names: Vec<&str> =
        environment.split('\0').filter_map(|variable| Some(variable.split_once('=')?.0)).collect();
    names.sort();
    assert_eq!(names, [roles::ROLE, MARK]);
    let group = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    assert_eq!(group.rsplit(')').next().unwrap().split_whitespace().nth(2), Some(pid.to_string().as_str()));
    supervised.end().await;
    assert!(!is_alive(pid));
    let failure = LaunchFailure::from(supervised.launch(&order()).await.unwrap_err());
    assert!(matches!(failure, LaunchFailure::Unknown { .. }), "{failure}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_of_another_edition_is_refused_with_both_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let supervised = Supervised::begin(program(folder.path(), "old"), pace());
    let Err(Outage::Refused(why)) = supervised.settled().await else { panic!("it came up") };
    assert_eq!(
        why,
        "squall-old 0.0.1 keeps edition 0 of the contract between controllers and provisioners, and this controller needs \
         1 to 1: install versions that belong together"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_promises_less_than_its_pool_relies_on_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let needs = Needs { repeated_for: Span::from_hours(100), ..Needs::default() };
    let supervised = Supervised::begin(Program { needs, ..program(folder.path(), "good") }, pace());
    let Err(Outage::Refused(why)) = supervised.settled().await else { panic!("it came up") };
    assert_eq!(why, "the pool repeats a launch for 360000 s, and the program recognises one for 3600 s only");
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_on_the_socket_is_an_outage_and_an_unknown_outcome() {
    let folder = tempfile::tempdir().unwrap();
    let short = Pace { start_within: Duration::from_millis(500), ..pace() };
    let supervised = Supervised::begin(program(folder.path(), "garbage"), short);
    let Err(Outage::Hung(why)) = supervised.settled().await else { panic!("it came up") };
    assert!(why.starts_with("no answer within 500 ms of its start"), "{why}");
    let error = supervised.launch(&order()).await.unwrap_err();
    assert!(matches!(error, ProvisionError::Unknown { .. }), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_answers_nonsense_again_and_again_is_started_anew() {
    let folder = tempfile::tempdir().unwrap();
    let supervised = Supervised::begin(program(folder.path(), "confused"), pace());
    supervised.settled().await.unwrap();
    for _ in 0..pace().misses {
        let failure = LaunchFailure::from(supervised.launch(&order()).await.unwrap_err());
        assert!(matches!(&failure, LaunchFailure::Unknown { why } if why.contains("not asked for")), "{failure}");
    }
    until("a new start", || (supervised.health().starts > 1).then_some(())).await;
    assert_eq!(supervised.health().outages[2], ("hung", 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_ends_at_once_is_started_again_at_a_pace_that_slows_down() {
    let folder = tempfile::tempdir().unwrap();
    let paced = Pace { first_pause: Duration::from_millis(50), longest_pause: Duration::from_millis(800), ..pace() };
    let supervised = Supervised::begin(program(folder.path(), "broken"), paced);
    let Err(Outage::Ended(how)) = supervised.settled().await else { panic!("it came up") };
    assert!(how.contains("exit status: 3") && how.contains("the region is wrong"), "{how}");
    let began = Instant::now();
    let failure = LaunchFailure::from(supervised.launch(&order()).await.unwrap_err());
    assert!(matches!(&failure, LaunchFailure::Unknown { why } if why.contains("the region is wrong")), "{failure}");
    tokio::time::sleep(Duration::from_secs(3).saturating_sub(began.elapsed())).await;
    let starts = supervised.health().starts;
    // 0, 50, 150, 350, 750, 1550, 2350 ms; fewer on a slow machine.
    assert!((2..=8).contains(&starts), "{starts} starts in 3 s");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_program_is_an_outage_that_ends_when_it_comes() {
    let folder = tempfile::tempdir().unwrap();
    let command = folder.path().join("program");
    let supervised = Supervised::begin(Program { command: command.clone(), ..program(folder.path(), "good") }, pace());
    let Err(Outage::Unstartable(why)) = supervised.settled().await else { panic!("it came up") };
    assert!(why.contains("No such file"), "{why}");
    std::os::unix::fs::symlink(std::env::current_exe().unwrap(), command).unwrap();
    until("it comes up", || supervised.health().up.then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_successor_that_does_not_come_up_gives_its_place_back() {
    let folder = tempfile::tempdir().unwrap();
    let supervised = Supervised::begin(program(folder.path(), "good"), pace());
    supervised.settled().await.unwrap();
    let refused = supervised.replace(program(folder.path(), "broken")).await;
    assert!(matches!(&refused, Err(Outage::Ended(how)) if how.contains("the region is wrong")), "{refused:?}");
    supervised.offers().await.expect("the first is up again");
    supervised.replace(program(folder.path(), "confused")).await.unwrap();
    assert!(supervised.launch(&order()).await.is_err(), "the successor answers");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_controller_left_is_gone_before_another_is_started() {
    let folder = tempfile::tempdir().unwrap();
    let controller = |role: &str| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "plays_a_role", "--nocapture"]).env(roles::ROLE, "controller");
        command.env(roles::KEEPS, role).env(roles::FOLDER, folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap()
    };
    let left = async |role| {
        let _ = std::fs::remove_file(folder.path().join("pool/pid"));
        let mut controller = controller(role);
        let pid = until("the program's number", || {
            std::fs::read_to_string(folder.path().join("pool/pid")).ok()?.parse::<u32>().ok()
        })
        .await;
        controller.kill().unwrap();
        controller.wait().unwrap();
        pid
    };
    // One that keeps the contract ends by itself.
    let polite = left("good").await;
    until("its end", || (!is_alive(polite)).then_some(())).await;
    // One that does not, with a child that went its own way, is found.
    let stubborn = left("stubborn").await;
    let child =
        until("its child", || std::fs::read_to_string(folder.path().join("pool/child")).ok()?.parse().ok()).await;
    until("it is alone", || folder.path().join("pool/alone").exists().then_some(())).await;
    assert!(is_alive(stubborn) && is_alive(child), "nobody ended them yet");
    let supervised = Supervised::begin(program(folder.path(), "good"), pace());
    supervised.settled().await.unwrap();
    assert!(!is_alive(stubborn) && !is_alive(child));
}
