//! `sacct`: Slurm's columns, widths and words.

use crate::canned::{Asked, Canned};
use crate::sample;
use crate::transcript::Desk;
use squall_types::Uid;
use squall_types::api::AccountingQuery;

fn desk() -> Desk {
    Desk::new(Canned { accounting: sample::accounts(), ..Canned::default() })
}

fn query(line: &str) -> AccountingQuery {
    let desk = desk();
    assert_eq!(desk.run(line).err, "", "{line}");
    let asked = desk.controller.asked.borrow();
    let Some(Asked::Accounting(query)) = asked.first() else { panic!("a question") };
    query.clone()
}

#[test]
fn the_default_table_is_slurms_to_the_letter() {
    insta::assert_snapshot!(desk().transcripts(&["sacct", "sacct -X", "sacct -b -n", "sacct -X -P", "sacct -X -p"]));
}

#[test]
fn fields_have_widths_of_their_own_and_of_the_callers() {
    insta::assert_snapshot!(desk().transcripts(&[
        "sacct -X -j 1,2 --format=jobid%20,state%-12,JobName%5",
        "sacct -j 6 -o JobID,State,ExitCode,Elapsed,Start,End,Submit,ReqMem,NodeList",
        "sacct -j 6 -P -o jobid,jobidraw,jobname,ntasks,alloccpus,nnodes,maxrss,averss,totalcpu,usercpu,systemcpu,derivedexitcode",
        "sacct -X -j 1 -P -o alloctres,reqtres,timelimit,timelimitraw,cputime,cputimeraw,elapsedraw,cluster,cost,submitline",
        "sacct -X -j 1 --units=K -P -o reqmem,reqtres",
        "sacct -X -j 1 --noconvert -P -o reqmem",
        "sacct -P --delimiter=, -j 2",
        "sacct -j 2.batch",
        "sacct -X -n -P -o jobid,state",
        "sacct -o JobID,State,NodeList --parsable2 -j 1 -j 2",
        "sacct -X -n -P -j 1 -o StdIn,StdOut,StdErr",
        "sacct -X -n -P -j 1 -o StdIn,StdOut,StdErr --expand-patterns",
        "sacct -X --noheader --format=jobid,state%20 --job '1,2,3'",
    ]));
}

#[test]
fn all_fields_of_slurm_are_known() {
    let desk = desk();
    let help = desk.run("sacct --helpformat").out;
    insta::assert_snapshot!(help);
    let names: Vec<&str> = help.split_whitespace().collect();
    for name in &names {
        assert_eq!(desk.run(&format!("sacct -X -P -o {name}")).code, 0, "{name}");
    }
    assert_eq!(
        desk.run("sacct -o ALL%5").out.lines().next().map(|line| line.split_whitespace().count()),
        Some(names.len())
    );
    assert_eq!(desk.run("sacct -l").code, 0);
}

#[test]
fn conditions_reach_the_controller_or_are_met_here() {
    assert_eq!(query("sacct").users, [Uid(1000)]);
    assert!(query("sacct -a").users.is_empty());
    assert!(query("sacct -j 5").users.is_empty());
    assert_eq!(query("sacct -u root").users, [Uid(0)]);
    let asked = query("sacct -S now-2days -E now -A lab -r batch --name=a,b -s CD,F");
    assert_eq!((asked.accounts.len(), asked.partitions.len(), asked.names.len(), asked.states.len()), (1, 1, 2, 2));
    assert_eq!(asked.to.unwrap() - asked.from.unwrap(), squall_types::Span::from_hours(48));
    // Without -S it is today; a job by its number is looked for at any time.
    assert_eq!(query("sacct").from.map(|at| at.as_secs() % 86_400), Some(0));
    assert_eq!(query("sacct -j 1").from, None);
    assert!(query("sacct").with_steps && !query("sacct -X").with_steps);
    let names = |line: &str| desk().run(&format!("{line} -X -n -P -o jobid")).out;
    assert_eq!(names("sacct -N n2"), "6\n");
    assert_eq!(names("sacct -i 2"), "6\n");
    assert_eq!(names("sacct -I 4-8"), "1\n");
    assert_eq!(names("sacct -k 20:00:00 -K 30:00:00"), "1\n");
    assert_eq!(names("sacct -q nosuch"), "");
    assert_eq!(names("sacct -g root").lines().count(), sample::accounts().len());
}

#[test]
fn what_sacct_refuses_is_told_in_slurms_words() {
    insta::assert_snapshot!(desk().transcripts(&[
        "sacct -j abc",
        "sacct --format=jobid,nosuch",
        "sacct --format=jobname,stat",
        "sacct -S garbage",
        "sacct -E 2020-01-01",
        "sacct -S 2026-02-01 -E 2026-01-01",
        "sacct -s foo",
        "sacct -u no-such-user",
        "sacct -g no-such-group",
        "sacct --foo",
        "sacct extra",
        "sacct -nu ann '|' tail -1",
        "sacct -i x",
        "sacct --env-vars -j 1",
        "sacct --json=v0.0.1",
    ]));
}

#[test]
fn a_start_that_never_was_is_none_and_one_to_come_unknown() {
    let shown = desk().run("sacct -X -n -P -j 5 -o state,start").out;
    assert_eq!(shown, "PENDING|Unknown\nCANCELLED by 1000|None\n");
}

#[test]
fn the_batch_script_has_its_jobs_memory_on_one_node() {
    let tres = |step: &str| desk().run(&format!("sacct -n -P -j {step} -o alloctres")).out;
    assert_eq!(tres("1.batch"), "cpu=1,mem=2G,node=1\n");
    assert_eq!(tres("1.0"), "cpu=1,node=1\n", "memory is given to jobs, not to what srun starts in them");
    // Of a job that was given none, nothing is said.
    assert_eq!(tres("6.batch"), "cpu=1,node=1\n");
}

#[test]
fn a_state_is_asked_of_one_moment_unless_there_is_an_end() {
    let now = query("sacct -s PD");
    assert_eq!((now.from, now.to), (Some(crate::transcript::NOW), None));
    let then = query("sacct -s PD -S 2026-11-20T12:00");
    assert!(then.from.is_some() && then.from == then.to, "{then:?}");
    let between = query("sacct -s PD -S 2026-11-20T12:00 -E 2026-11-21T12:00");
    assert_eq!(between.to.unwrap() - between.from.unwrap(), squall_types::Span::from_hours(24));
    // A start without a state begins a time that has not ended.
    assert_eq!(query("sacct -S 2026-11-20T12:00").to, None);
}

#[test]
fn json_has_jobs_with_their_steps() {
    let text = desk().run("sacct --json -j 6").out;
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    let job = value["jobs"].as_array().unwrap().iter().find(|job| job["job_id"] == 6).unwrap();
    assert_eq!(job["state"]["current"], serde_json::json!(["COMPLETED"]));
    assert_eq!(job["steps"][0]["step"]["id"], "6.batch");
    // The same in YAML, with the steps even where the table would leave them out.
    let yaml = desk().run("sacct --yaml=v0.0.41 -X -j 6").out;
    let read: serde_json::Value = yaml_serde::from_str(&yaml).unwrap();
    assert_eq!(read["jobs"], value["jobs"], "{yaml}");
}
