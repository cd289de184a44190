//! `squeue` against what Slurm 22.05.8 printed for the same jobs.

use crate::canned::{Asked, Canned};
use crate::sample::*;
use crate::transcript::{Desk, NOW};
use squall_proto::ClientError;
use squall_types::api::{JobState, JobView};
use squall_types::*;

fn desk() -> Desk {
    Desk::new(Canned { jobs: queue(), ..Canned::default() })
}

#[test]
fn the_default_tables_are_slurms_to_the_letter() {
    insta::assert_snapshot!(desk().transcripts(&[
        "squeue",
        "squeue -l",
        "squeue -h",
        "squeue -r",
        "squeue --start",
        "squeue -t all",
        "squeue --me -t PD,R",
        "squeue -j 3",
        "squeue -j 99999,1",
        "squeue -j 3_1",
    ]));
}

/// The default table needs few of a job's members, and is answered with no more: that is most of what it costs.
#[test]
fn brief_views_are_asked_for_where_they_show_the_same() {
    let view = JobView {
        qos: "high".to_owned(),
        tres: "cpu=2".to_owned(),
        tres_per_node: "gres/gpu:2".to_owned(),
        comment: "of note".to_owned(),
        dependency: "afterok:1(unfulfilled)".to_owned(),
        constraint: "fast".to_owned(),
        prefer: "faster".to_owned(),
        cost: MicroUsd(5_000_000),
        req_nodes: "n1".to_owned(),
        exc_nodes: "n2".to_owned(),
        wckey: "key".to_owned(),
        licenses: "matlab".to_owned(),
        ..running(7, "a", &["n1"], 5)
    };
    let shown = |line: &str| {
        let desk = Desk::new(Canned { jobs: vec![view.clone()], ..Canned::default() });
        let text = desk.run(line).out;
        let asked = desk.controller.asked.borrow();
        let brief = asked.iter().any(|asked| matches!(asked, Asked::Jobs(filter) if filter.brief));
        (text, brief)
    };
    for letter in ('a'..='z').chain('A'..='Z') {
        // A field that only a whole view has makes the answer a whole one.
        let (whole, brief) = shown(&format!("squeue -h -o '%{letter}|%Z'"));
        assert!(!brief, "{letter}");
        let (alone, _) = shown(&format!("squeue -h -o '%{letter}|'"));
        assert_eq!(alone.trim_end(), whole.replace("/home/ann\n", "").trim_end(), "{letter}");
    }
    assert!(shown("squeue").1 && shown("squeue -l").1 && shown("squeue --start").1);
    assert!(!shown("squeue -o %i -S q").1 && !shown("squeue -O JobID,tres").1 && !shown("squeue --json").1);
}

#[test]
fn the_shapes_of_json_are_listed() {
    for line in ["squeue --json=list", "sacct --yaml=list", "scontrol --json=list show jobs"] {
        let listed = desk().run(line);
        assert_eq!(
            (listed.code, listed.out.as_str()),
            (
                0,
                "Possible data_parser plugins:\ndata_parser/v0.0.39\ndata_parser/v0.0.40\ndata_parser/v0.0.41\n\
                 data_parser/v0.0.42\ndata_parser/v0.0.43\n"
            ),
            "{line}"
        );
    }
    let jobs = |line: &str| serde_json::from_str::<serde_json::Value>(&desk().run(line).out).unwrap()["jobs"].take();
    assert_eq!(jobs("squeue --json=data_parser/v0.0.41"), jobs("squeue --json"));
}

#[test]
fn formats_with_letters_are_read_as_slurm_reads_them() {
    insta::assert_snapshot!(desk().transcripts(&[
        "squeue -j 1 -o '%q%%i|%.5i|%5i|%-7i|%.15j|'",
        "squeue --me -o '\"%i\",\"%j\",\"%t\",\"%M\",\"%L\",\"%D\",\"%C\",\"%m\",\"%b\",\"%R\"'",
        "squeue -h -o '%i %t' -t all",
        "squeue -h -j 3 -o '%i %A %F %K %t'",
        "squeue -h -j 1 -o '%T %B'",
        "squeue -h -j 4 -o '%T %B %E %r'",
        "squeue -j 1 -o %all",
        "squeue -j 1 -o '%.3i|%.30j|%3j|'",
        "squeue -j 1 -o plain",
        "squeue -j 1 -o '%!%i'",
    ]));
}

#[test]
fn formats_with_names_have_columns_of_twenty() {
    insta::assert_snapshot!(desk().transcripts(&[
        "squeue -O JobArrayID,StateCompact,Reason -t all --me",
        "squeue -j 1 -O jobid:5,name:.12,state,tres-alloc:60",
        "squeue -j 1 -O jobid,nosuch,statecompat",
    ]));
}

#[test]
fn names_reach_what_a_submission_asked_for() {
    let mut known = detail(running(1, "train", &["n1"], 60));
    let spec = &mut known.spec;
    (spec.end_by, spec.requeue) = (Some(NOW + Span::from_hours(1)), Some(false));
    (spec.stdout, spec.stdin) = (Some("out-%j.txt".to_owned()), Some("/data/in".to_owned()));
    spec.script = Some(squall_types::BlobDigest([1; 32]));
    spec.ask.tasks_per_node = Some(2);
    spec.ask.gpus = squall_types::GpuAsk::PerTask(2, Some("h100".into()));
    (spec.ask.cpus, spec.ask.memory) = (squall_types::CpuAsk::PerGpu(4), squall_types::MemoryAsk::PerGpu(100));
    spec.wishes = vec!["switches=2@10:00".to_owned(), "network=ib".to_owned(), "mcs-label=x".to_owned()];
    let desk = Desk::new(Canned { jobs: vec![known.view.clone()], details: vec![known], ..Canned::default() });
    insta::assert_snapshot!(desk.transcripts(&[
        "squeue -h -O Cluster:10,AllocNodes:10,Deadline:20,Requeue:3,NTPerNode:3,ReqSwitch:3",
        "squeue -h -O STDIN:20,STDOUT:40,STDERR:40",
        "squeue -h -O cpus-per-tres:20,mem-per-tres:20,tres-per-job:20,tres-per-task:20,Network:5,MCSLabel:5",
        "squeue -O Deadline -j 1",
    ]));
}

#[test]
fn order_and_time_are_chosen_by_the_caller() {
    insta::assert_snapshot!(desk().transcripts(&[
        "squeue -h -S -i -o %i -t all",
        "squeue -h -S t,j -o '%t %j' -t all",
        "squeue -S foo",
    ]));
    let line = "squeue -h -j 1 -o '%S %V %e'";
    insta::assert_snapshot!("relative", desk().set("SLURM_TIME_FORMAT", "relative").transcript(line));
    insta::assert_snapshot!("seconds", desk().set("SLURM_TIME_FORMAT", "%s").transcript(line));
    insta::assert_snapshot!(
        "variables",
        desk().set("SQUEUE_FORMAT", "%i %j").set("SQUEUE_STATES", "R").transcript("squeue")
    );
}

#[test]
fn what_squeue_refuses_is_told_in_slurms_words() {
    insta::assert_snapshot!(desk().transcripts(&[
        "squeue -j 99999",
        "squeue -j abc",
        "squeue -t foo",
        "squeue -u no-such-user",
        "squeue --foo",
        "squeue --ste",
        "squeue --stats",
        "squeue extra",
        "squeue -i abc",
        "squeue --yaml=v9",
        "squeue --json=v9",
        "squeue -w 'n[1-'",
    ]));
}

#[test]
fn silence_of_the_controller_is_told_so_that_programs_know_it() {
    let unreachable =
        ClientError::Unreachable { target: "unix:/run/squall/ctld.sock".into(), cause: "connection refused".into() };
    let desk = |broken| Desk::new(Canned { broken: Some(broken), ..Canned::default() });
    insta::assert_snapshot!("unreachable", desk(unreachable).transcript("squeue -h -j 1 -o '%T %B'"));
    let late = ClientError::TimedOut { after: std::time::Duration::from_secs(30) };
    insta::assert_snapshot!("timed_out", desk(late).transcript("squeue"));
}

#[test]
fn names_from_other_people_cannot_move_the_cursor() {
    let evil = JobView { name: "a\u{1b}[2J\nb\u{202e}".to_owned(), ..running(1, "", &["n1"], 5) };
    let desk = Desk::new(Canned { jobs: vec![evil], ..Canned::default() });
    let shown = desk.run("squeue -h -o '%j|%.40j|%i'").out;
    assert_eq!(shown, "a\\u{1b}[2J\\nb\\u{202e}|                   a\\u{1b}[2J\\nb\\u{202e}|1\n");
}

#[test]
fn separators_of_a_format_come_out_as_they_went_in() {
    let shown = desk().run("squeue -h -j 1 -o \u{1e}%i\u{1f}%j\u{1f}").out;
    assert_eq!(shown, "\u{1e}1\u{1f}sleeper\u{1f}\n");
}

#[test]
fn conditions_reach_the_controller() {
    let desk = desk();
    desk.run("squeue -h -j 3_[1-2],1 -p a,b -A x -q y -n one,two -w n[1-2] -t CD,R -u root");
    let asked = desk.controller.asked.borrow();
    let Asked::Jobs(filter) = &asked[0] else { panic!("a question about jobs") };
    assert_eq!(filter.jobs[0].elements.as_ref().map(ToString::to_string), Some("1-2".to_owned()));
    assert_eq!(filter.partitions, ["a".into(), "b".into()]);
    assert_eq!((filter.accounts.len(), filter.qos.len(), filter.names.len(), filter.nodes.len()), (1, 1, 2, 2));
    assert_eq!(filter.states, [JobState::Ended(EndState::Completed), JobState::Running, JobState::Configuring]);
    assert_eq!(filter.users, [Uid(0)]);
}

#[test]
fn json_has_the_shape_of_slurms_data_parser() {
    let text = desk().run("squeue --json -j 1").out;
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    let job = &value["jobs"][0];
    assert_eq!(job["job_state"], serde_json::json!(["RUNNING"]));
    assert_eq!(job["job_id"], 1);
    assert_eq!(job["time_limit"], serde_json::json!({"set": true, "infinite": false, "number": 1560}));
    let words = ["squeue", "--json", "-j", "1"];
    assert_eq!(value["meta"]["command"], serde_json::json!(words));
    insta::assert_snapshot!(serde_json::to_string_pretty(job).unwrap());
    let yaml = desk().run("squeue --yaml -j 1").out;
    assert!(yaml.starts_with("---\njobs:\n- account: ") && yaml.ends_with("\n...\n"), "{yaml}");
    let read: serde_json::Value = yaml_serde::from_str(&yaml).unwrap();
    assert_eq!(&read["jobs"][0], job);
    // The later of the two counts.
    assert!(desk().run("squeue --yaml --json -j 1").out.starts_with('{'));
}

#[test]
fn numbers_are_sorted_as_numbers_and_text_both_ways() {
    let job = |id, nice, name: &str| JobView { nice, name: name.to_owned(), ..running(id, "", &["n1"], 5) };
    let jobs = vec![job(1, 5, "ab"), job(2, -3, "a"), job(3, 0, "b")];
    let desk = Desk::new(Canned { jobs, ..Canned::default() });
    let ids = |order: &str| desk.run(&format!("squeue -h -o %i -S {order}")).out.replace('\n', "");
    assert_eq!([ids("y"), ids("-y"), ids("j"), ids("-j")], ["231", "132", "213", "312"]);
}
