//! `sattach`, `sbcast` and `sstat`: over real connections to the nodes of a job that runs.

use crate::agent::Agents;
use crate::canned::Canned;
use crate::sample;
use crate::transcript::Desk;
use squall_types::StepId;
use squall_types::api::AccountedJob;

/// Job 1 runs on two nodes: its script, and a step with these tasks.
fn desk(agents: &Agents) -> Desk {
    let mut accounting = sample::accounts();
    for step in accounting.iter_mut().flat_map(|job: &mut AccountedJob| &mut job.steps) {
        if step.step == StepId(0) {
            step.nodes = vec!["n1".into(), "n2".into()];
        }
    }
    let details = sample::queue().into_iter().map(sample::detail).collect();
    let canned = Canned { visit: agents.visit(), jobs: sample::queue(), details, accounting, ..Canned::default() };
    Desk::new(canned).set("SLURM_JOB_ID", "1").file("tool", "the tool\n")
}

fn sorted(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines
}

#[test]
fn a_step_is_heard_on_all_of_its_nodes() {
    let agents = Agents::with(&[&[0, 1], &[2]]);
    let desk = desk(&agents);
    let outcome = desk.run("sattach -l 1.0");
    assert_eq!(outcome.code, 2, "{outcome:?}");
    assert_eq!(sorted(&outcome.out), ["0: out 0", "1: out 1", "2: out 2"]);
    let exits = ["sattach: error: task 1 exited with exit code 1", "sattach: error: task 2 exited with exit code 2"];
    assert_eq!(sorted(&outcome.err), [["0: err 0", "1: err 1", "2: err 2"].as_slice(), &exits].concat());
    let outcome = desk.run("sattach --output-filter=1 --error-filter 2 1.0");
    assert_eq!((outcome.out.as_str(), sorted(&outcome.err)[0]), ("out 1\n", "err 2"));
    assert_eq!(
        desk.transcript("sattach --layout 1.0"),
        "$ sattach --layout 1.0\nJob step layout:\n\t3 tasks, 2 nodes (n[1-2])\n\n\tNode 0 (n1), 2 task(s): 0 1 \n\
         \tNode 1 (n2), 1 task(s): 2 \n"
    );
}

#[test]
fn what_cannot_be_attached_to_is_told_in_slurms_words() {
    let agents = Agents::with(&[&[0]]);
    insta::assert_snapshot!(desk(&agents).transcripts(&[
        "sattach",
        "sattach 1",
        "sattach abc",
        "sattach 1.0 2.0",
        "sattach 9999.0",
        "sattach 1.7",
        "sattach 2.0",
        "sattach 1.batch",
        "sattach --output-filter=x 1.0",
        "sattach --pty 1.0",
        "sattach --nonsense 1.0",
    ]));
}

#[test]
fn what_steps_use_is_a_table_with_slurms_columns() {
    let agents = Agents::with(&[&[0, 1], &[2]]);
    insta::assert_snapshot!(desk(&agents).transcripts(&[
        "sstat -j 1 -o JobID,NTasks,AveCPU,MinCPU,MinCPUNode,MinCPUTask,MaxRSS,MaxRSSNode,MaxRSSTask,AveRSS",
        "sstat -a -n -P -o jobid,maxvmsize,maxdiskread,avepages,nodelist,pids 1",
        "sstat -P -o TRESUsageInMax,TRESUsageInMaxNode,TRESUsageOutTot,AveCPUFreq,ReqCPUFreqGov 1.0",
        "sstat -i 1.0",
        "sstat -P 1.0",
        "sstat -n 1.7",
        "sstat -n 9999",
        "sstat",
        "sstat abc",
        "sstat -o foo 1",
        "sstat --helpformat",
    ]));
}

#[test]
fn a_file_goes_to_every_node_and_each_that_did_not_take_it_is_named() {
    let agents = Agents::with(&[&[0], &[1]]);
    let desk = desk(&agents);
    assert_eq!(desk.transcript("sbcast tool copy"), "$ sbcast tool copy\n");
    for node in ["copy.0", "copy.1"] {
        assert_eq!(std::fs::read(desk.directory.path().join(node)).unwrap(), b"the tool\n");
    }
    insta::assert_snapshot!(desk.transcripts(&[
        "sbcast tool copy",
        "sbcast -f tool copy",
        "sbcast -fpC -F 1 -s 1k -t 5 tool copy",
        "sbcast -v -j 1.0 --force tool copy",
        "sbcast -j 1.7 tool copy",
        "sbcast -j abc tool copy",
        "sbcast no-such-file copy",
        "sbcast . copy",
        "sbcast tool copies/",
        "sbcast tool",
        "sbcast -F x tool copy",
        "sbcast --send-libs tool copy",
        "sbcast --frce tool copy",
    ]));
}

#[test]
fn without_a_job_nothing_is_sent() {
    let desk = Desk::new(Canned::default()).file("tool", "the tool\n");
    insta::assert_snapshot!(desk.transcripts(&["sbcast tool copy", "sbcast -j 3 tool copy"]));
}
