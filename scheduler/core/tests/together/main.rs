//! Heterogeneous jobs: components claim, start and come back together, and end with the first of them.

mod desk;

use desk::Desk;
use squall_core::Command;
use squall_core::job::JobPhase;
use squall_core::plan::Step;
use squall_types::agent::EndCause;
use squall_types::api::{JobRef, JobUpdate};
use squall_types::spec::ArraySpec;
use squall_types::*;

fn ask(gpus: u16, nodes: u32) -> JobSpec {
    JobSpec {
        name: "mixed".to_owned(),
        uid: Uid(1000),
        script: Some(BlobDigest([1; 32])),
        time_limit: Some(Span::from_hours(1)),
        ask: Ask {
            gpus: if gpus > 0 { GpuAsk::PerNode(gpus, None) } else { GpuAsk::None },
            nodes: Some(NodeCount { min: nodes, max: nodes }),
            cpus: CpuAsk::PerTask(1),
            ..Ask::default()
        },
        ..JobSpec::default()
    }
}

fn component(job: JobId, offset: u32) -> JobRef {
    JobRef { component: Some(offset), ..JobRef::from(job) }
}

#[test]
fn all_components_start_when_all_of_them_are_prepared() {
    let mut desk = Desk::new(2, 0);
    let job = desk.together(&[ask(1, 1), ask(0, 1)]);
    desk.plan();
    let ids = [job, JobId(job.0 + 1)];
    assert!(ids.iter().all(|id| matches!(desk.phase(*id), JobPhase::Bound(_))), "nothing runs before all is prepared");
    desk.prepared(ids[0]);
    assert!(matches!(desk.phase(ids[0]), JobPhase::Bound(_)));
    desk.prepared(ids[1]);
    assert!(ids.iter().all(|id| matches!(desk.phase(*id), JobPhase::Running { .. })));
    assert_eq!(
        desk.cluster.jobs.get(&ids[1]).map(|job| job.spec.kind),
        Some(JobKind::Interactive),
        "no script of its own"
    );
    desk.ended(ids[0], EndCause::Exited, 3);
    desk.stopped(ids[1]);
    let (one, other) = (desk.end_of(ids[0]), desk.end_of(ids[1]));
    assert_eq!((one.0, one.1.code), (EndState::Failed, 3));
    assert_eq!(other, one, "the others end with the first, as it did");
}

#[test]
fn nodes_are_bought_for_all_components_or_for_none() {
    let mut desk = Desk::new(0, 2);
    let three = desk.refused(Command::SubmitTogether {
        specs: vec![ask(4, 2), ask(4, 1)],
        token: "three".into(),
        test_only: false,
    });
    assert!(three.contains("together they need more"), "{three}");
    let job = desk.together(&[ask(4, 1), ask(4, 1)]);
    let steps = desk.plan();
    let [Step::Together { steps }] = steps.as_slice() else { panic!("one step: {steps:?}") };
    let orders = steps.iter().filter(|step| matches!(step, Step::Order(_))).count();
    let claims = steps.iter().filter(|step| matches!(step, Step::Claim { .. })).count();
    assert_eq!((orders, claims), (2, 2));
    assert!(matches!(desk.phase(JobId(job.0 + 1)), JobPhase::Configuring(_)));
    desk.no_capacity();
    assert!(desk.phase(job) == JobPhase::Pending && desk.phase(JobId(job.0 + 1)) == JobPhase::Pending);
}

#[test]
fn a_component_alone_is_cancelled_only_once_it_runs() {
    let mut desk = Desk::new(2, 0);
    let job = desk.together(&[ask(0, 1), ask(0, 1)]);
    let refusal = desk.refused(Command::Cancel { job: component(job, 1), cron: false });
    assert!(refusal.contains("Operation not permitted on individual component"), "{refusal}");
    assert!(desk.refused(Command::Cancel { job: component(job, 2), cron: false }).contains("Invalid job id"));
    desk.start(job, 2);
    desk.decide(Command::Cancel { job: component(job, 1), cron: false });
    desk.stopped(JobId(job.0 + 1));
    assert_eq!(desk.end_of(JobId(job.0 + 1)).0, EndState::Cancelled);
    assert!(matches!(desk.phase(job), JobPhase::Running { .. }));
    let refusal = desk.refused(Command::Requeue { job: JobRef::from(job), hold: false });
    assert!(refusal.contains("a component of it has ended"), "{refusal}");
}

#[test]
fn what_fails_by_no_fault_of_its_own_brings_all_back() {
    let mut desk = Desk::new(3, 0);
    let job = desk.together(&[ask(0, 1), ask(0, 1)]);
    let other = JobId(job.0 + 1);
    desk.start(job, 2);
    desk.ended(other, EndCause::Lost, 0);
    assert_eq!(desk.phase(other), JobPhase::Pending);
    assert!(matches!(desk.phase(job), JobPhase::Stopping { .. }), "it has yet to be ended");
    desk.now += Span::from_hours(1);
    assert_eq!(desk.plan(), [], "nothing starts before all are back");
    desk.stopped(job);
    desk.now += Span::from_hours(1);
    desk.plan();
    assert!([job, other].iter().all(|id| matches!(desk.phase(*id), JobPhase::Bound(_))));
}

#[test]
fn the_first_id_names_all_and_waits_for_all() {
    let mut desk = Desk::new(2, 0);
    let job = desk.together(&[ask(0, 1), ask(0, 1)]);
    let after = DependencyTerm { kind: DependencyKind::AfterOk, target: Some(TargetJob { job, index: None }) };
    let next = desk.submit(JobSpec { dependency: Dependency { terms: vec![after], any: false }, ..ask(0, 1) });
    let update = JobUpdate { time_limit: Some(Span::from_mins(7)), ..JobUpdate::default() };
    desk.decide(Command::Update { job: JobRef::from(job), update: Box::new(update) });
    desk.decide(Command::Hold { job: JobRef::from(job) });
    let both = [job, JobId(job.0 + 1)].map(|id| desk.cluster.jobs.get(&id).expect("a job").clone());
    assert!(both.iter().all(|job| job.held.is_some() && job.spec.time_limit == Some(Span::from_mins(7))));
    desk.decide(Command::Release { job: component(job, 1) });
    assert_eq!(desk.plan(), [], "a component that is held keeps the others");
    desk.decide(Command::Release { job: JobRef::from(job) });
    desk.start(job, 2);
    desk.decide(Command::Cancel { job: component(job, 1), cron: false });
    desk.ended(job, EndCause::Exited, 0);
    assert_eq!(desk.end_of(job).0, EndState::Completed);
    assert!(!desk.cluster.jobs.get(&next).expect("a job").dependency_never(), "the other is still being ended");
    desk.stopped(JobId(job.0 + 1));
    assert!(desk.cluster.jobs.get(&next).expect("a job").dependency_never(), "not all of it ended well");
}

#[test]
fn what_a_heterogeneous_job_cannot_be_is_refused() {
    let mut desk = Desk::new(2, 0);
    let array = ArraySpec { indices: (0..2).collect(), limit: None, step: 1 };
    let together = |specs| Command::SubmitTogether { specs, token: "t".into(), test_only: false };
    let refusal = desk.refused(together(vec![JobSpec { array: Some(array), ..ask(0, 1) }, ask(0, 1)]));
    assert!(refusal.contains("Invalid job array specification"), "{refusal}");
    assert!(desk.refused(together(vec![ask(0, 1); 129])).contains("between 1 and 128"));
    let sibling = TargetJob { job: JobId(1), index: None };
    let on_sibling = DependencyTerm { kind: DependencyKind::After(Span::ZERO), target: Some(sibling) };
    let waits = JobSpec { dependency: Dependency { terms: vec![on_sibling], any: false }, ..ask(0, 1) };
    let refusal = desk.refused(together(vec![ask(0, 1), waits]));
    assert!(refusal.contains("it would wait for itself"), "{refusal}");
    assert_eq!(desk.cluster.live_job_count(), 0);
    let same_name = JobSpec {
        dependency: Dependency {
            terms: vec![DependencyTerm { kind: DependencyKind::Singleton, target: None }],
            any: false,
        },
        ..ask(0, 1)
    };
    let job = desk.together(&[same_name.clone(), same_name]);
    desk.plan();
    assert!(matches!(desk.phase(job), JobPhase::Bound(_)), "components of one name do not wait for one another");
}
