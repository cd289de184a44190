//! `scontrol`: records as Slurm writes them, and changes with Slurm's words for what went wrong.

use crate::canned::{Asked, Canned, refusal};
use crate::sample;
use crate::transcript::{Desk, NOW};
use squall_proto::ClientError;
use squall_types::api::*;
use squall_types::*;

fn desk() -> Desk {
    let (partitions, nodes) = sample::machines();
    let details = sample::queue().into_iter().map(sample::detail).collect();
    let entry = |key: &str, value: &str| ConfigEntry { key: key.into(), value: value.into(), source: "default".into() };
    let configuration = vec![
        entry("cluster", "storm"),
        entry("limits.max_array_size", "1000001"),
        entry("timing.kill_wait", "30s"),
        entry("timing.min_job_age", "5m"),
    ];
    let results = vec![ActionResult { job: "1".into(), refusal: None }];
    Desk::new(Canned {
        jobs: sample::queue(),
        accounting: sample::accounts(),
        script: b"#!/bin/sh\nhostname\n".to_vec(),
        partitions,
        nodes,
        details,
        configuration,
        results,
        ..Canned::default()
    })
}

#[test]
fn records_of_jobs_are_slurms() {
    insta::assert_snapshot!(desk().transcripts(&[
        "scontrol show job 1",
        "scontrol -o show job 4",
        "scontrol show job 3",
        "scontrol show job 3_1",
        "scontrol -d show job 1",
    ]));
    let all = desk().run("scontrol show jobs").out;
    assert_eq!(all.lines().filter(|line| line.starts_with("JobId=")).count(), sample::queue().len());
}

#[test]
fn every_word_of_a_line_record_has_an_equals_sign() {
    let line = desk().run("scontrol -o show job 7").out;
    assert!(line.split_whitespace().all(|word| word.contains('=') || word == "--epochs" || word == "3"), "{line}");
}

#[test]
fn records_of_nodes_and_partitions_are_slurms() {
    insta::assert_snapshot!(desk().transcripts(&[
        "scontrol show node n1",
        "scontrol -o show nodes",
        "scontrol show partition batch",
        "scontrol -o show partition",
        "scontrol show steps",
    ]));
}

#[test]
fn configuration_has_slurms_names_first() {
    insta::assert_snapshot!(desk().transcripts(&[
        "scontrol show config",
        "scontrol show config MaxArraySize",
        "scontrol ping"
    ]));
}

#[test]
fn lists_of_hosts_are_written_out_and_put_together() {
    let desk = || desk().set("SLURM_JOB_NODELIST", "n[1-2]");
    insta::assert_snapshot!(desk().transcripts(&[
        "scontrol show hostnames 'n[1-3],x[08-10]'",
        "scontrol show hostname n[1-2]",
        "scontrol show hostnames",
        "scontrol show hostlist n1,n2,n3,n5-n7",
        "scontrol show hostlistsorted n3,n1,n1",
        "scontrol show hostnames 'n[1-'",
        "scontrol show hostlist",
    ]));
    let bare = Desk::new(Canned::default());
    insta::assert_snapshot!("no_list", bare.transcript("scontrol show hostnames"));
    assert!(bare.controller.asked.borrow().is_empty());
}

fn acts(line: &str) -> Vec<JobAction> {
    let desk = desk();
    let outcome = desk.run(line);
    assert_eq!((outcome.code, outcome.err.as_str()), (0, ""), "{line}");
    let asked = desk.controller.asked.borrow();
    asked
        .iter()
        .filter_map(|asked| match asked {
            Asked::Act(_, action) => Some(action.clone()),
            _ => None,
        })
        .collect()
}

#[test]
fn jobs_are_held_released_requeued_and_changed() {
    assert_eq!(acts("scontrol hold 1"), [JobAction::Hold]);
    assert_eq!(acts("scontrol uhold 1,2"), [JobAction::Hold, JobAction::Hold]);
    assert_eq!(acts("scontrol release jobname=x"), [JobAction::Release]);
    assert_eq!(acts("scontrol requeue 3_4"), [JobAction::Requeue { hold: false }]);
    assert_eq!(acts("scontrol requeuehold 1"), [JobAction::Requeue { hold: true }]);
    let update = |line: &str| match acts(&format!("scontrol update {line}")).remove(0) {
        JobAction::Update(update) => *update,
        other => panic!("{other:?}"),
    };
    assert_eq!(update("jobid=1 timelimit=10").time_limit, Some(Span::from_mins(10)));
    assert_eq!(update("job 1 TimeLimit=1-0").time_limit, Some(Span::from_hours(24)));
    assert_eq!(update("JobId=1 TimeLimit=+60").time_limit, Some(Span::from_hours(27)));
    assert_eq!(update("JobId=1 TimeLimit-=60").time_limit, Some(Span::from_hours(25)));
    let many = update(
        "JobId=1 JobName=x Partition=a,b Account=lab Priority=5 Nice=-2 Comment=c StartTime=now+60 Requeue=0 \
         ArrayTaskThrottle=3 NumNodes=2-4 ExcNodeList=n[1-2] ReqNodeList=n3 Features=a&b Prefer=c Dependency=afterok:7 Deadline=now+1hour",
    );
    assert_eq!(
        (many.name.as_deref(), many.priority, many.nice, many.array_limit),
        (Some("x"), Some(5), Some(-2), Some(3))
    );
    assert_eq!(many.partition, Some(vec!["a".into(), "b".into()]));
    assert_eq!((many.begin_at, many.end_by), (Some(NOW + Span::from_secs(60)), Some(NOW + Span::from_hours(1))));
    assert_eq!((many.requeue, many.nodes), (Some(false), Some(NodeCount { min: 2, max: 4 })));
    assert_eq!(many.exclude.map(|names| names.len()), Some(2));
    assert!(many.constraint.flatten().is_some() && many.prefer.flatten().is_some() && many.dependency.is_some());
    assert_eq!(update("JobId=1 Prefer=").prefer, Some(None));
}

#[test]
fn nodes_are_closed_and_opened() {
    let action = |line: &str| {
        let desk = desk();
        assert_eq!(desk.run(line).code, 0, "{line}");
        let asked = desk.controller.asked.borrow();
        match asked.last() {
            Some(Asked::Nodes(nodes, action)) => (nodes.clone(), action.clone()),
            other => panic!("{other:?}"),
        }
    };
    let drain = NodeAction::Drain { reason: "bad fan".into() };
    assert_eq!(action("scontrol update NodeName=n[1-2] State=DRAIN 'Reason=bad fan'"), ("n[1-2]".to_owned(), drain));
    assert_eq!(action("scontrol update node=n1 state=resume").1, NodeAction::Resume);
    assert_eq!(action("scontrol update node=n1 state=power_down").1, NodeAction::PowerDown);
}

#[test]
fn a_script_is_given_back() {
    let desk = desk();
    insta::assert_snapshot!(desk.transcripts(&["scontrol write batch_script 1 -", "scontrol write batch_script 1"]));
    assert_eq!(std::fs::read(desk.directory.path().join("slurm-1.sh")).unwrap(), b"#!/bin/sh\nhostname\n");
}

#[test]
fn what_scontrol_refuses_is_told_in_slurms_words() {
    insta::assert_snapshot!(desk().transcripts(&[
        "scontrol foo",
        "scontrol relase 1",
        "scontrol show",
        "scontrol show foo",
        "scontrol show job 99999",
        "scontrol show job abc",
        "scontrol show job 3_77",
        "scontrol show node nosuch",
        "scontrol show partition nosuch",
        "scontrol hold",
        "scontrol requeue abc",
        "scontrol update",
        "scontrol update timelimit=1",
        "scontrol update jobid=1 foo=bar",
        "scontrol update jobid=1 timelimt=5",
        "scontrol update jobid=1 timelimit=abc",
        "scontrol update node=n1 state=drain",
        "scontrol update node=n1 state=foo",
        "scontrol update partitionname=batch state=down",
        "scontrol shutdown",
        "scontrol --foo",
        "scontrol write batch_script",
    ]));
    let unknown = refusal("SQ1001", "Invalid job id specified", "job 99999", "the cluster does not know it", "");
    let desk = Desk::new(Canned { broken: Some(unknown), ..Canned::default() });
    insta::assert_snapshot!("unknown_job", desk.transcripts(&["scontrol hold 99999", "scontrol requeue 99999"]));
    let unreachable = ClientError::Unreachable { target: "unix:/x".into(), cause: "no such file".into() };
    let desk = Desk::new(Canned { broken: Some(unreachable), ..Canned::default() });
    insta::assert_snapshot!("down", desk.transcript("scontrol ping"));
}

#[test]
fn commands_are_read_from_standard_input() {
    let desk = desk().typing("show hostnames n[1-2]\nversion\nfoo\n\nquit\nversion\n");
    insta::assert_snapshot!(desk.transcript("scontrol"));
}

#[test]
fn jobs_nodes_and_partitions_are_written_as_json_and_yaml() {
    let json = |line: &str| -> serde_json::Value { serde_json::from_str(&desk().run(line).out).unwrap() };
    let jobs = json("scontrol show job 1 --json");
    assert_eq!(jobs["jobs"][0]["job_id"], 1);
    assert_eq!(
        jobs["jobs"][0],
        serde_json::from_str::<serde_json::Value>(&desk().run("squeue --json -j 1").out).unwrap()["jobs"][0]
    );
    let nodes = json("scontrol --json show node n1");
    assert_eq!((&nodes["nodes"][0]["name"], &nodes["nodes"][0]["boards"]), (&"n1".into(), &1.into()));
    let partitions = json("scontrol show partitions --json=v0.0.41");
    assert_eq!(partitions["partitions"].as_array().map(Vec::len), Some(sample::machines().0.len()));
    let yaml = desk().run("scontrol show partitions --yaml").out;
    let read = yaml_serde::from_str::<serde_json::Value>(&yaml).unwrap();
    assert_eq!(read["partitions"], partitions["partitions"]);
    insta::assert_snapshot!(desk().transcripts(&["scontrol show config --json", "scontrol show job 1 --yaml=v9"]));
}

#[test]
fn the_cluster_is_described_for_tools_that_read_slurms_configuration() {
    insta::assert_snapshot!(desk().transcripts(&["squall export slurm.conf", "squall export", "squall export toml"]));
}

#[test]
fn a_topology_is_shown_from_the_leaves_upwards() {
    let hung = |name: &str, leaf: &str| NodeView {
        switches: vec![leaf.into(), "top".into()],
        ..sample::node(name, &["batch"], NodeCondition::Idle)
    };
    let nodes = vec![
        hung("n1", "rack1"),
        hung("n2", "rack1"),
        hung("n3", "rack2"),
        sample::node("n4", &[], NodeCondition::Idle),
    ];
    let desk = Desk::new(Canned { nodes, ..Canned::default() });
    let all = "SwitchName=rack1 Level=0 LinkSpeed=1 Nodes=n[1-2]\n\
               SwitchName=rack2 Level=0 LinkSpeed=1 Nodes=n3\n\
               SwitchName=top Level=1 LinkSpeed=1 Nodes=n[1-3] Switches=rack[1-2]\n";
    assert_eq!(desk.run("scontrol show topology").out, all);
    let of_node: Vec<&str> = all.lines().skip(1).collect();
    assert_eq!(desk.run("scontrol show topology n3").out.lines().collect::<Vec<_>>(), of_node);
    assert_eq!(
        desk.run("scontrol show topology rack1").out.lines().collect::<Vec<_>>(),
        all.lines().take(1).collect::<Vec<_>>()
    );
    assert_eq!(desk.run("scontrol show topology nowhere").code, 1);
}
