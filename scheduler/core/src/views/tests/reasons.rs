use super::*;
use crate::job::HeldBy;
use crate::views::waiting_reason;

/// The reason of job `job` once `more` has happened to `stage`.
fn reason(stage: &Stage, job: u32, secs: i64) -> Reason {
    waiting_reason(&stage.0, stage.0.jobs.get(&JobId(job)).expect("it is in memory"), at(secs))
}

#[test]
fn the_first_of_its_partition_waits_for_resources_and_the_next_for_it() {
    let mut stage = Stage::new();
    stage.submit(0, 1, spec("gpu"));
    stage.submit(1, 2, spec("gpu"));
    stage.submit(2, 3, spec("own"));
    assert_eq!(reason(&stage, 1, 5), Reason::Resources);
    assert_eq!(reason(&stage, 2, 5), Reason::Priority);
    assert_eq!(reason(&stage, 3, 5), Reason::Resources, "the jobs before it are elsewhere");
}

#[test]
fn a_job_that_cannot_start_yet_is_nobodys_head() {
    let mut stage = Stage::new();
    stage.submit(0, 1, JobSpec { begin_at: Some(at(100)), ..spec("gpu") });
    stage.submit(1, 2, spec("gpu"));
    assert_eq!((reason(&stage, 1, 5), reason(&stage, 2, 5)), (Reason::BeginTime, Reason::Resources));
    assert_eq!((reason(&stage, 1, 100), reason(&stage, 2, 100)), (Reason::Resources, Reason::Priority));
}

#[test]
fn a_hold_says_whose_it_is() {
    let mut stage = Stage::new();
    stage.submit(0, 1, JobSpec { hold: true, ..spec("gpu") });
    assert_eq!(reason(&stage, 1, 5), Reason::JobHeldUser);
    stage.happens(6, What::JobHeld { job: JobId(1), by: HeldBy::System });
    assert_eq!(reason(&stage, 1, 7), Reason::JobHoldMaxRequeue);
}

#[test]
fn an_array_at_its_limit_waits_for_itself() {
    let mut stage = Stage::new();
    stage.submit(0, 1, array("own", 9, Some(1)));
    assert_eq!(reason(&stage, 1, 1), Reason::Resources);
    stage.happens(1, What::ElementSplit { array: JobId(1), index: 0, job: JobId(2), group: None });
    stage.bind(1, 2, part(1, 1, &[]));
    assert_eq!(reason(&stage, 1, 2), Reason::JobArrayTaskLimit);
}

#[test]
fn a_partition_that_is_down_or_removed_starts_nothing() {
    let mut stage = Stage::new();
    stage.submit(0, 1, spec("down"));
    stage.submit(0, 2, spec("removed"));
    stage.submit(0, 3, JobSpec { partitions: vec!["down".into(), "gpu".into()], ..spec("gpu") });
    assert_eq!((reason(&stage, 1, 1), reason(&stage, 2, 1)), (Reason::PartitionDown, Reason::PartitionDown));
    assert_eq!(reason(&stage, 3, 1), Reason::Resources, "one that is up is enough");
}

#[test]
fn what_stopped_the_last_attempt_to_buy_is_the_reason_until_the_next() {
    let mut stage = Stage::new();
    stage.submit(0, 1, spec("gpu"));
    stage.buy(1);
    let allocations = vec![part(2, 8, &[0])];
    stage.happens(1, What::JobClaimed { job: JobId(1), partition: "gpu".into(), allocations });
    let dropped = What::ClaimDropped { job: JobId(1), reason: Reason::NoCapacity, not_before: Some(at(30)) };
    stage.happens(2, dropped);
    assert_eq!(reason(&stage, 1, 3), Reason::BeginTime);
    assert_eq!(reason(&stage, 1, 30), Reason::NoCapacity);
}

#[test]
fn a_dependency_comes_before_a_begin_time() {
    let mut stage = Stage::new();
    let terms = vec![DependencyTerm { kind: DependencyKind::Singleton, target: None }];
    let dependency = Dependency { terms, any: false };
    stage.submit(0, 1, JobSpec { dependency, begin_at: Some(at(100)), ..spec("gpu") });
    assert_eq!(reason(&stage, 1, 5), Reason::Dependency);
    let delayed = crate::job::TermState::MetFrom(at(50));
    stage.happens(6, What::DependencyChanged { job: JobId(1), terms: vec![delayed], eligible_at: None });
    assert_eq!((reason(&stage, 1, 49), reason(&stage, 1, 50)), (Reason::Dependency, Reason::BeginTime));
}
