//! The agent's real binary on machines with GPUs that a scenario describes: it loads the stand-in for the driver's library.
#![allow(clippy::unwrap_used)]

mod bench;
mod controller;

use controller::{Agent, Controller};
use squall_types::agent::{AgentReport, MeasuredNode};
use std::path::PathBuf;

/// An H100 as its driver tells of it.
const H100: &str = r#"{ "name": "NVIDIA H100 80GB HBM3", "memory_bytes": 85520809984 }"#;
const LOST: &str = r#"{ "name": "NVIDIA H100 80GB HBM3", "memory_bytes": 85520809984, "lost": true }"#;

/// What cargo built beside this test.
fn library() -> PathBuf {
    // The crate itself is needed for nothing else.
    use squall_test_nvml as _;
    std::env::current_exe().unwrap().with_file_name("libsquall_test_nvml.so")
}

/// What an agent says of a machine with these GPUs, and of its health.
async fn told_of(gpus: &[&str], more: &str) -> (MeasuredNode, String) {
    let mut controller = Controller::start().await;
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(library(), folder.path().join("libnvidia-ml.so.1")).unwrap();
    let scenario = folder.path().join("scenario.json");
    std::fs::write(&scenario, format!(r#"{{ "gpus": [{}]{more} }}"#, gpus.join(","))).unwrap();
    let environment =
        [("LD_LIBRARY_PATH", folder.path().to_str().unwrap()), ("SQUALL_TEST_NVML", scenario.to_str().unwrap())];
    let _agent = Agent::with_environment(&controller, &[], &environment);
    let (measured, _) = controller.hello().await;
    loop {
        if let AgentReport::Health { fault } = controller.report().await {
            return (measured, fault);
        }
    }
}

fn counted(measured: &MeasuredNode) -> Vec<(String, u16, u64, bool)> {
    let groups = measured.shape.gpus.0.iter();
    groups.map(|group| (group.model.as_str().to_owned(), group.count, group.memory_mib, group.declared)).collect()
}

#[tokio::test]
async fn gpus_are_counted_as_the_driver_tells_of_them() {
    let (measured, fault) = told_of(&[H100; 8], "").await;
    assert_eq!(counted(&measured), [("h100".to_owned(), 8, 81_559, false)]);
    assert_eq!(fault, "");
}

#[tokio::test]
async fn models_are_told_apart() {
    let t4 = r#"{ "name": "Tesla T4", "memory_bytes": 16106127360 }"#;
    let (measured, fault) = told_of(&[H100, t4, H100], "").await;
    let expected = [("h100".to_owned(), 2, 81_559, false), ("t4".to_owned(), 1, 15_360, false)];
    assert_eq!(counted(&measured), expected);
    assert_eq!(fault, "");
}

#[tokio::test]
async fn a_gpu_that_fell_off_the_bus_is_not_counted_and_told_by_its_number() {
    let gpus: Vec<&str> = (0..8).map(|number| if number == 5 { LOST } else { H100 }).collect();
    let (measured, fault) = told_of(&gpus, "").await;
    assert_eq!(counted(&measured), [("h100".to_owned(), 7, 81_559, false)]);
    assert!(fault.starts_with("GPU 5: ") && !fault.contains("GPU 4"), "{fault}");
}

#[tokio::test]
async fn a_library_without_its_driver_is_a_machine_without_gpus() {
    let (measured, fault) = told_of(&[H100], r#", "driver_not_loaded": true"#).await;
    assert_eq!((counted(&measured), fault.as_str()), (vec![], ""));
}

#[tokio::test]
async fn a_driver_that_is_slow_is_waited_for() {
    let (measured, fault) = told_of(&[H100; 2], r#", "delay_ms": 100"#).await;
    assert_eq!(counted(&measured), [("h100".to_owned(), 2, 81_559, false)]);
    assert_eq!(fault, "");
}

#[tokio::test]
async fn a_driver_that_answers_nonsense_is_a_fault() {
    let (measured, fault) = told_of(&["nonsense"], "").await;
    assert_eq!(counted(&measured), []);
    assert!(fault.starts_with("the NVIDIA driver does not answer"), "{fault}");
}

#[tokio::test]
async fn a_machine_without_the_library_has_no_gpus_and_no_fault() {
    if std::path::Path::new("/dev/nvidiactl").exists() {
        return;
    }
    let mut controller = Controller::start().await;
    let _agent = Agent::new(&controller, &[]);
    let (measured, _) = controller.hello().await;
    assert_eq!(counted(&measured), []);
    assert_eq!(controller.report().await, AgentReport::Health { fault: String::new() });
}
