//! `squall demo` as people see it first, and `squall replay` on a cluster of its own: both check themselves, and their
//! exit code is the verdict.

use crate::stage::Stage;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::fmt::Write;
use std::process::Command;

/// Of the trace that is replayed here.
const SEED: u64 = 2017;
const JOBS: usize = 40;

/// What it keeps for itself goes into the stage's folder, so that what is left can be seen.
fn squall(stage: &Stage, words: &[&str]) -> Command {
    let mut command = stage.command(stage.path("bin/squall"));
    command.args(words).env("TMPDIR", stage.path("tmp")).env_remove("SQUALL_CONTROLLER");
    command
}

fn set() -> Stage {
    let stage = Stage::set(|_| String::new());
    std::fs::create_dir(stage.path("tmp")).expect("a folder");
    stage
}

#[track_caller]
fn nothing_is_left(stage: &Stage) {
    let left: Vec<_> = std::fs::read_dir(stage.path("tmp")).expect("the folder").flatten().collect();
    assert!(left.is_empty(), "{left:?}");
    assert_eq!(stage.processes(), []);
}

#[test]
fn the_demo_goes_from_nothing_to_nothing_and_all_of_it_holds() {
    let stage = set();
    let output =
        squall(&stage, &["demo", "--plain", "--declared-gpus", "8"]).output().expect("the demo can be executed");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    assert!(out.contains("the ranks of the gang met") && !out.contains("FAILED"), "{out}");
    nothing_is_left(&stage);
}

#[test]
fn a_trace_is_replayed_on_a_cluster_that_starts_and_ends_empty() {
    let stage = set();
    std::fs::write(stage.path("work/trace.csv"), trace()).expect("a trace");
    let words = ["replay", "trace.csv", "--local", "--nodes", "4", "--speed", "400", "--json"];
    let output = squall(&stage, &words).output().expect("the replay can be executed");
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{err}", String::from_utf8_lossy(&output.stdout));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("the report is JSON");
    let number = |key: &str| report[key].as_i64().unwrap_or_else(|| panic!("{key} is no number in {report}"));
    assert_eq!(
        (number("jobs"), number("as_they_should"), number("restarts")),
        (JOBS as i64, JOBS as i64, 0),
        "{report}"
    );
    assert!(number("gangs") >= 4 && number("peak_nodes") >= 3, "{report}");
    // The books are closed: what jobs paid for and what stood idle is what was bought.
    assert_eq!(report["faults"], serde_json::json!([]));
    assert_eq!(number("receipts_micro_usd") + number("idle_micro_usd"), number("ledger_micro_usd"));
    assert!(number("used_node_ms") > 0 && number("used_node_ms") <= number("bought_node_ms"), "{report}");
    nothing_is_left(&stage);
}

/// Jobs as clusters of GPUs have them: most are small and short, some are gangs, and not all end well. From a seed.
fn trace() -> String {
    let mut chance = ChaCha8Rng::seed_from_u64(SEED);
    let mut text =
        "job_id,user,account,submit_s,duration_s,nodes,gpus_per_node,cpus,mem_mib,gpu_type,time_limit_s,state\n"
            .to_owned();
    let mut submit = 0;
    for job in 0..JOBS {
        submit += chance.random_range(0..120);
        let duration = [60, 300, 800, 1_500][chance.random_range(0..4)];
        let gang = job % 9 == 4;
        let (nodes, gpus) =
            if gang { (chance.random_range(2..4), 8) } else { (1, [1, 1, 1, 2, 4, 8][chance.random_range(0..6)]) };
        let (limit, state) = match job % 10 {
            3 => (String::new(), "FAILED"),
            6 => (String::new(), "CANCELLED by 1000"),
            8 => (duration.to_string(), "TIMEOUT"),
            1 => ("7200".to_owned(), ""),
            _ => (String::new(), "COMPLETED"),
        };
        writeln!(text, "t{job},,vc-{},{submit},{duration},{nodes},{gpus},,,,{limit},{state}", job % 3)
            .expect("writing to memory cannot fail");
    }
    text
}
