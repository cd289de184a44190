//! From the moment at which a bought node is ready to the first instruction of the job that waited for it.

use crate::stage::{Stage, elastic};
use std::collections::BTreeMap;

/// Says where and when it began, in microseconds, before it calls any program.
const SCRIPT: &str = "\
#!/bin/bash
echo \"$SLURMD_NODENAME ${EPOCHREALTIME/./}\" > \"began-$SLURM_JOB_ID\"
until [ -e seen ]; do sleep 0.1; done
";
const NODES: u32 = 5;
/// Microseconds. Everything else on the machine delays some of the nodes: what is asked is that it can be done.
const BOUND: i64 = 50_000;

#[test]
fn a_job_begins_within_fifty_milliseconds_of_its_nodes_readiness() {
    let stage = Stage::set(|dir| elastic(dir, NODES));
    stage.script("job.sh", SCRIPT);
    stage.up();
    let jobs = || stage.call(&["sbatch", "--parsable", "--gpus-per-node=2", "job.sh"]).good();
    let jobs: Vec<String> = (0..NODES).map(|_| jobs().trim().to_owned()).collect();
    let began: BTreeMap<String, i64> = stage.eventually("every job begins", || {
        let began = jobs.iter().map(|job| {
            let told = stage.read(&format!("began-{job}"));
            let (node, at) = told.trim().split_once(' ')?;
            Some((node.to_owned(), at.parse().ok()?))
        });
        began.collect()
    });
    assert_eq!(began.len(), jobs.len(), "each on a node of its own: {began:?}");

    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let nodes = runtime.block_on(async { stage.client().await.nodes().await }).expect("the nodes");
    let ready: BTreeMap<String, i64> =
        nodes.into_iter().filter_map(|node| Some((node.name.0, node.ready_at?.0 * 1_000))).collect();
    std::fs::write(stage.path("work/seen"), "").expect("a word");
    let mut passed: Vec<i64> = began.iter().map(|(node, at)| at - ready[node]).collect();
    passed.sort_unstable();
    println!("from ready to begun, in microseconds: {passed:?}");
    // The moment of readiness is told in whole milliseconds.
    assert!(passed[0] >= -1_000, "before the node was ready: {passed:?}");
    assert!(passed[0] <= BOUND, "{passed:?}");
    stage.ends_empty();
}
