//! `scancel`: silent where all is well.

use crate::canned::{Asked, Canned, refusal};
use crate::sample;
use crate::transcript::Desk;
use squall_types::agent::SignalTarget;
use squall_types::api::{ActionResult, JobAction, JobFilter, Refusal};
use squall_types::{StepId, Uid};

fn desk() -> Desk {
    Desk::new(Canned { jobs: sample::queue(), ..Canned::default() })
}

fn refused(job: &str, slurm: &str) -> ActionResult {
    let squall_proto::ClientError::Refused(refusal) = refusal("SQ1011", slurm, "", "", "") else { unreachable!() };
    ActionResult { job: job.to_owned(), refusal: Some(refusal) }
}

/// What is asked of the controller.
fn acts(line: &str) -> Vec<(JobFilter, JobAction)> {
    let desk = desk();
    let outcome = desk.run(line);
    assert_eq!((outcome.code, outcome.out.as_str(), outcome.err.as_str()), (0, "", ""), "{line}");
    let asked = desk.controller.asked.borrow();
    asked
        .iter()
        .filter_map(|asked| match asked {
            Asked::Act(filter, action) => Some((filter.clone(), action.clone())),
            _ => None,
        })
        .collect()
}

#[test]
fn jobs_end_and_signals_go_where_slurm_sends_them() {
    let action = |line: &str| acts(line).remove(0).1;
    assert_eq!(action("scancel 1"), JobAction::Cancel);
    assert_eq!(action("scancel --signal=KILL 1"), JobAction::Cancel);
    let signal = |signal, target| JobAction::Signal { signal, target };
    assert_eq!(action("scancel 1 --signal SIGTERM"), signal(15, SignalTarget::Steps));
    assert_eq!(action("scancel -s USR2 1"), signal(12, SignalTarget::Steps));
    assert_eq!(action("scancel --batch -s 10 1"), signal(10, SignalTarget::BatchShell));
    assert_eq!(action("scancel -b 1"), signal(9, SignalTarget::BatchShell));
    assert_eq!(action("scancel --full -s INT 1"), signal(2, SignalTarget::All));
    assert_eq!(action("scancel 1.0"), signal(9, SignalTarget::Step(StepId(0))));
    assert_eq!(action("scancel 1.batch -s CONT"), signal(18, SignalTarget::Step(StepId::BATCH)));
}

#[test]
fn jobs_are_chosen_by_id_and_by_condition() {
    let filter = acts("scancel 1 3_4 3_[6-7] 5,6").remove(0).0;
    assert_eq!(filter.jobs.len(), 5);
    assert_eq!(filter.jobs[2].elements.as_ref().map(ToString::to_string), Some("6-7".to_owned()));
    assert_eq!(acts("scancel --me").remove(0).0.users, [Uid(1000)]);
    assert_eq!(acts("scancel -u root -t PENDING").remove(0).0.states.len(), 1);
    let filter = acts("scancel -n sleeper -p batch -A lab -q high -w n1").remove(0).0;
    let sizes =
        [filter.names.len(), filter.partitions.len(), filter.accounts.len(), filter.qos.len(), filter.nodes.len()];
    assert_eq!(sizes, [1; 5]);
    assert!(acts("scancel -R nosuch").is_empty());
}

#[test]
fn a_job_that_is_over_needs_no_cancelling() {
    let over = || vec![refused("2", "Job/step already completing or completed")];
    let desk = || Desk::new(Canned { results: over(), ..Canned::default() });
    insta::assert_snapshot!(desk().transcripts(&["scancel 2", "scancel -v 2", "scancel -Q 2", "scancel -s USR1 2"]));
    let unknown = refusal("SQ1001", "Invalid job id specified", "", "", "");
    let desk = Desk::new(Canned { broken: Some(unknown), ..Canned::default() });
    insta::assert_snapshot!(
        "unknown",
        desk.transcripts(&["scancel 99999", "scancel -v 99999", "scancel -s USR1 99999"])
    );
}

#[test]
fn what_scancel_refuses_is_told_in_slurms_words() {
    let denied = vec![ActionResult {
        job: "1".to_owned(),
        refusal: Some(Refusal {
            code: "SQ2001".into(),
            slurm: "Access/permission denied".into(),
            asked: "job 1 of bob".into(),
            limit: "only the job's owner or an admin may".into(),
            try_this: "ask its owner or an admin".into(),
        }),
    }];
    let desk = Desk::new(Canned { results: denied, ..Canned::default() });
    insta::assert_snapshot!(desk.transcripts(&[
        "scancel 1",
        "scancel",
        "scancel ''",
        "scancel abc",
        "scancel 3_[0",
        "scancel -s FOO 1",
        "scancel -u no-such-user",
        "scancel -t FOO 1",
        "scancel -t COMPLETED 1",
        "scancel --foo",
        "scancel --wckey=w",
    ]));
}

#[test]
fn verbose_says_what_is_done() {
    insta::assert_snapshot!(desk().transcripts(&[
        "scancel -v 99999",
        "scancel -v 3_0 --signal CONT",
        "scancel -v -n sleeper2",
        "scancel --me -t PD -v",
    ]));
}

#[test]
fn interactive_asks_before_each_job() {
    let desk = desk().typing("n\ny\n");
    insta::assert_snapshot!(desk.transcript("scancel -i 1,5"));
    let asked = desk.controller.asked.borrow();
    let Some(Asked::Act(filter, JobAction::Cancel)) = asked.last() else { panic!("an act") };
    assert_eq!(filter.jobs.iter().map(|job| job.job.0).collect::<Vec<_>>(), [1]);
}
