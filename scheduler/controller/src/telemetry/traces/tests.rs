//! Sequences of events as the engine commits them, and the traces that come of them.

use super::*;
use crate::telemetry::TraceParent;
use squall_core::job::{HeldBy, Outcome};
use squall_core::node::GoneWhy;
use squall_core::order::{Order, OrderState};
use squall_core::{Cluster, ClusterConfig};
use squall_types::agent::{EndCause, StepEnd, StopWhy};
use squall_types::ids::Run;
use squall_types::offer::LaunchFailure;
use squall_types::spec::ArraySpec;
use squall_types::*;
use std::collections::BTreeSet;

const GIVEN: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const BEGAN: i64 = 1_795_000_000;

/// Feeds events to the machine, and keeps them so that a state can be folded of them.
struct Tape {
    traces: JobTraces,
    events: Vec<Event>,
    spans: Vec<FinishedSpan>,
    now: i64,
}

impl Tape {
    fn new() -> Tape {
        Tape { traces: JobTraces::new(Sampling::All), events: Vec::new(), spans: Vec::new(), now: BEGAN }
    }

    /// `secs` after the one before.
    fn then(&mut self, secs: i64, what: What) -> &mut Self {
        self.now += secs;
        let event = what.at(Timestamp::from_secs(self.now));
        self.traces.observe(&event, &mut self.spans);
        self.events.push(event);
        self
    }

    fn submit(&mut self, secs: i64, job: u32, change: impl FnOnce(&mut JobSpec)) -> &mut Self {
        let token = SubmitToken::new(format!("token {job}"));
        let mut spec = JobSpec {
            name: "train".to_owned(),
            user: "ada".to_owned(),
            uid: Uid(1000),
            partitions: vec!["gpu".into()],
            trace_parent: Some(TraceParent::of_job(None, "test", &token).to_string()),
            ..JobSpec::default()
        };
        spec.ask.gpus = GpuAsk::PerNode(8, None);
        change(&mut spec);
        let eligible_at = (!spec.hold).then_some(Timestamp::from_secs(self.now + secs));
        self.then(
            secs,
            What::JobSubmitted { job: JobId(job), spec: Box::new(spec), token, terms: vec![], eligible_at, het: None },
        )
    }

    fn order(&mut self, secs: i64, order: u64, nodes: &[u64]) -> &mut Self {
        let offer = Offer {
            name: "p5/us-east-1a/spot".into(),
            instance_type: "p5".to_owned(),
            scope: "us-east-1a".to_owned(),
            kind: CapacityKind::Spot,
            price: HourlyPrice(31_500_000),
            ..Offer::default()
        };
        let request = LaunchOrder {
            order: OrderId(order),
            pool: "cloud".into(),
            token: LaunchToken(format!("order {order}")),
            offer,
            names: nodes.iter().map(|node| NodeName(format!("cloud-{node}"))).collect(),
            gang: nodes.len() > 1,
            die_at: Timestamp::NEVER,
            tags: Default::default(),
            join: None,
        };
        self.then(
            secs,
            What::OrderPlaced {
                request: Box::new(request),
                nodes: nodes.iter().map(|node| NodeId(*node)).collect(),
                for_job: None,
                accept_by: Timestamp::NEVER,
                reserved_each: MicroUsd(0),
                paid_until: Timestamp::NEVER,
                budgets: vec![],
            },
        )
    }

    fn claim(&mut self, secs: i64, job: u32, nodes: &[u64]) -> &mut Self {
        self.then(secs, What::JobClaimed { job: JobId(job), partition: "gpu".into(), allocations: allocations(nodes) })
    }

    fn launched(&mut self, secs: i64, order: u64, nodes: &[u64]) -> &mut Self {
        let instance = |node: &u64| (NodeId(*node), InstanceId(format!("i-{node}")));
        let instances = nodes.iter().map(instance).collect();
        self.then(secs, What::OrderLaunched { order: OrderId(order), instances, ready_by: Timestamp::NEVER })
    }

    fn ready(&mut self, secs: i64, node: u64) -> &mut Self {
        let key = "key".to_owned();
        self.then(secs, What::NodeJoined { node: NodeId(node), instance: None, key });
        let (measured, shape) = (MeasuredNode::default(), Shape::default());
        self.then(2, What::NodeRegistered { node: NodeId(node), measured, shape })
    }

    fn bind(&mut self, secs: i64, job: u32, attempt: u32, nodes: &[u64]) -> &mut Self {
        let (partition, allocations, time_limit) = ("gpu".into(), allocations(nodes), Span::from_hours(1));
        self.then(secs, What::JobBound { run: run(job, attempt), partition, allocations, time_limit })
    }

    fn start(&mut self, secs: i64, job: u32, attempt: u32) -> &mut Self {
        self.then(secs, What::JobStarted { run: run(job, attempt) })
    }

    /// The script's end on the first node, and the job's.
    fn finish(&mut self, secs: i64, job: u32, attempt: u32, node: u64, state: EndState) -> &mut Self {
        self.now += secs;
        let ended = AttemptEnd {
            cause: EndCause::Exited,
            exit: ExitStatus::default(),
            ended_at: Timestamp::from_secs(self.now),
            usage: Default::default(),
            detail: String::new(),
        };
        let outcome = Outcome::End { state, exit: ExitStatus::default(), reason: Reason::None, by: None };
        self.then(0, What::PartEnded { run: run(job, attempt), node: NodeId(node), end: ended });
        self.then(0, What::JobStopping { run: run(job, attempt), why: StopWhy::Ended, outcome });
        self.end(1, job, state)
    }

    fn end(&mut self, secs: i64, job: u32, state: EndState) -> &mut Self {
        let end = JobEnd {
            suspended: Default::default(),
            state,
            exit: ExitStatus::default(),
            reason: Reason::None,
            by: None,
            started_at: None,
            ended_at: Timestamp::from_secs(self.now + secs),
            nodes: vec![],
            cost: MicroUsd(1_250_000),
            partition: None,
        };
        self.then(secs, What::JobEnded { job: JobId(job), end, charges: vec![] })
    }

    fn gone(&mut self, secs: i64, node: u64, why: GoneWhy) -> &mut Self {
        self.then(secs, What::NodeGone { node: NodeId(node), why, cost: MicroUsd(0) })
    }

    /// Every trace as a tree: seconds since the first event, status, and what is worth comparing.
    fn shown(&self) -> String {
        check(&self.spans);
        let traces: BTreeSet<[u8; 16]> = self.spans.iter().map(|span| span.trace.to_bytes()).collect();
        let mut text: Vec<String> = traces.iter().map(|trace| tree(&self.spans, TraceId::from_bytes(*trace))).collect();
        text.sort();
        text.join("\n")
    }
}

fn allocations(nodes: &[u64]) -> Vec<Allocation> {
    let gpus: Vec<u16> = (0..8).collect();
    let on = |node: &u64| Allocation { node: NodeId(*node), cpus: 16, memory_mib: 1000, gpus: gpus.clone(), tasks: 1 };
    nodes.iter().map(on).collect()
}

fn run(job: u32, attempt: u32) -> Run {
    Run { job: JobId(job), attempt: Attempt(attempt) }
}

/// What must hold of every set of spans: no id twice, and no end before its beginning.
fn check(spans: &[FinishedSpan]) {
    let mut seen = BTreeSet::new();
    for span in spans {
        assert!(
            seen.insert((span.trace.to_bytes(), span.span.to_bytes())),
            "{} has an id that was used before",
            span.name
        );
        assert!(span.began_at <= span.ended_at, "{span:?}");
    }
}

fn tree(spans: &[FinishedSpan], trace: TraceId) -> String {
    let here = || spans.iter().filter(|span| span.trace == trace);
    let roots = here().filter(|span| !here().any(|other| Some(other.span) == span.parent));
    let mut text = String::new();
    let mut open: Vec<(usize, &FinishedSpan)> = roots.map(|span| (0, span)).collect();
    open.sort_by_key(|(_, span)| std::cmp::Reverse(span.began_at));
    while let Some((depth, span)) = open.pop() {
        text += &format!("{}{}\n", "  ".repeat(depth), line(span));
        let mut children: Vec<_> =
            here().filter(|child| child.parent == Some(span.span)).map(|child| (depth + 1, child)).collect();
        children.reverse();
        children.sort_by_key(|(_, span)| std::cmp::Reverse(span.began_at));
        open.extend(children);
    }
    text
}

fn line(span: &FinishedSpan) -> String {
    let secs = |at: Timestamp| at.as_secs() - BEGAN;
    let status = match &span.status {
        Status::Unset => String::new(),
        Status::Ok => " ok".to_owned(),
        Status::Error { description } => format!(" error: {description}"),
    };
    let shown = [
        key::JOB,
        key::JOB_INDEX,
        key::JOB_ATTEMPT,
        key::NODE,
        key::NODES,
        key::ORDER,
        key::DELIVERED,
        key::INSTANCE,
        key::JOB_STATE,
        key::REASON,
        key::STEP_NAME,
        key::ARRAY_ELEMENTS,
        key::ARRAY_COMPLETED,
        key::PARTIAL,
    ];
    let attributes: Vec<String> = span
        .attributes
        .iter()
        .filter(|attribute| shown.contains(&attribute.key.as_str()))
        .filter(|attribute| span.name != "run" && span.name != "configure" || attribute.key.as_str() != key::JOB)
        .map(|attribute| format!("{}={}", attribute.key.as_str().trim_start_matches("squall."), attribute.value))
        .collect();
    let notes: Vec<String> = span.notes.iter().map(|note| format!(" !{}@{}", note.name, secs(note.at))).collect();
    let links = if span.links.is_empty() { String::new() } else { format!(" +{} link", span.links.len()) };
    let when = format!("{}..{}", secs(span.began_at), secs(span.ended_at));
    format!("{} {when}{status} {}{}{links}", span.name, attributes.join(" "), notes.concat())
}

#[test]
fn a_gang_that_waits_for_its_machines_has_their_launch_in_its_trace() {
    let mut tape = Tape::new();
    tape.submit(0, 1, |spec| spec.ask.nodes = Some(NodeCount { min: 2, max: 2 }));
    tape.order(3, 1, &[1, 2]).claim(0, 1, &[1, 2]).launched(4, 1, &[1, 2]);
    tape.ready(90, 2).ready(10, 1).bind(0, 1, 1, &[1, 2]).start(1, 1, 1);
    tape.then(
        2,
        What::StepStarted {
            run: run(1, 1),
            step: StepId(0),
            name: "nccl-test".to_owned(),
            nodes: vec![NodeId(1), NodeId(2)],
            tasks: 16,
            cpus: 32,
        },
    );
    for node in [1, 2] {
        let (started_at, ended_at) = (Timestamp::from_secs(tape.now), Timestamp::from_secs(tape.now + 15));
        let (exit, usage) = (ExitStatus { code: node - 1, signal: 0 }, Default::default());
        let end = StepEnd { run: run(1, 1), step: StepId(0), exit, started_at, ended_at, usage };
        tape.then(15, What::StepEnded { node: NodeId(node as u64), end });
    }
    tape.finish(10, 1, 1, 1, EndState::Completed);
    insta::assert_snapshot!(tape.shown());
    assert_eq!((tape.traces.open(), tape.traces.open_orders()), (0, 0));
}

#[test]
fn the_run_in_a_trace_is_the_span_that_the_job_itself_was_told() {
    let mut tape = Tape::new();
    tape.submit(0, 1, |spec| spec.trace_parent = Some(GIVEN.to_owned()));
    tape.then(
        0,
        What::StaticNodeAdded { node: NodeId(7), name: "rack-7".into(), pool: "own".into(), shape: Shape::default() },
    );
    tape.bind(1, 1, 1, &[7]).start(0, 1, 1).finish(60, 1, 1, 7, EndState::Failed);
    let given = TraceParent::parse(GIVEN).expect("valid");
    let told = TraceParent::of_run(given, None, run(1, 1));
    let run = tape.spans.iter().find(|span| span.name == "run").expect("it ran");
    assert_eq!((run.trace, run.span), (told.trace, told.span));
    let job = tape.spans.iter().find(|span| span.name == "job").expect("it ended");
    assert_eq!((job.trace, job.parent, job.parent_is_remote), (given.trace, Some(given.span), true));
    assert_eq!(run.parent, Some(job.span));
    insta::assert_snapshot!(tape.shown());
}

#[test]
fn a_job_that_is_requeued_waits_and_runs_again_in_the_same_trace() {
    let mut tape = Tape::new();
    tape.submit(0, 1, |_| {}).order(1, 1, &[1]).claim(0, 1, &[1]).launched(2, 1, &[1]).ready(60, 1);
    tape.bind(0, 1, 1, &[1]).start(0, 1, 1);
    let requeue = Outcome::Requeue {
        not_before: Timestamp::from_secs(tape.now + 130),
        hold: None,
        reason: Reason::NodeFailure,
        failure: true,
    };
    tape.then(100, What::PartGone { run: run(1, 1), node: NodeId(1) });
    tape.then(0, What::JobStopping { run: run(1, 1), why: StopWhy::NodeFailed, outcome: requeue });
    tape.then(
        0,
        What::JobRequeued {
            job: JobId(1),
            not_before: Timestamp::from_secs(tape.now + 30),
            hold: None,
            reason: Reason::NodeFailure,
            failure: true,
            charges: vec![],
            ended: None,
        },
    );
    tape.gone(0, 1, GoneWhy::Lost);
    tape.then(5, What::JobHeld { job: JobId(1), by: HeldBy::User }).then(5, What::JobReleased { job: JobId(1) });
    tape.order(30, 2, &[2]).claim(0, 1, &[2]).launched(2, 2, &[2]).ready(70, 2);
    tape.bind(0, 1, 2, &[2]).start(0, 1, 2).finish(300, 1, 2, 2, EndState::Completed);
    insta::assert_snapshot!(tape.shown());
    assert_eq!(tape.traces.open_orders(), 0);
}

#[test]
fn a_job_cancelled_while_its_machines_boot_ends_and_their_boot_is_told_when_it_is_over() {
    let mut tape = Tape::new();
    tape.submit(0, 1, |_| {}).order(1, 1, &[1]).claim(0, 1, &[1]).launched(2, 1, &[1]);
    tape.end(20, 1, EndState::Cancelled);
    assert_eq!(tape.traces.open(), 0);
    tape.ready(30, 1);
    insta::assert_snapshot!(tape.shown());
    assert_eq!(tape.traces.open_orders(), 0);
}

#[test]
fn a_launch_that_fails_is_an_error_and_the_next_one_is_in_the_same_trace() {
    let mut tape = Tape::new();
    tape.submit(0, 1, |_| {}).order(1, 1, &[1]).claim(0, 1, &[1]);
    let failure = LaunchFailure::NoCapacity { scope: "us-east-1a".to_owned() };
    tape.then(2, What::OrderFailed { order: OrderId(1), failure, cool_until: None, quota: None, broken: None });
    tape.then(0, What::ClaimDropped { job: JobId(1), reason: Reason::NoCapacity, not_before: None });
    tape.gone(0, 1, GoneWhy::NeverLaunched);
    tape.order(0, 2, &[2]).claim(0, 1, &[2]).launched(2, 2, &[2]);
    tape.then(0, What::NodeJoined { node: NodeId(2), instance: None, key: "key".to_owned() });
    tape.then(600, What::ClaimDropped { job: JobId(1), reason: Reason::NodeFailure, not_before: None });
    tape.then(0, What::NodeRetiring { node: NodeId(2), why: DrainWhy::BootFailed });
    tape.gone(5, 2, GoneWhy::Retired).end(5, 1, EndState::Cancelled);
    insta::assert_snapshot!(tape.shown());
}

#[test]
fn the_elements_of_an_array_have_traces_of_their_own_linked_to_the_submission() {
    let mut tape = Tape::new();
    tape.submit(0, 5, |spec| {
        spec.array = Some(ArraySpec { indices: (0..4).collect(), limit: None, step: 1 });
        spec.trace_parent = Some(GIVEN.to_owned());
    });
    let split = |index, job| What::ElementSplit { array: JobId(5), index, job: JobId(job), group: None };
    tape.order(5, 1, &[1]);
    tape.then(0, split(0, 6)).claim(0, 6, &[1]).then(0, split(1, 7)).claim(0, 7, &[1]);
    tape.launched(2, 1, &[1]).ready(50, 1).bind(0, 6, 1, &[1]).start(0, 6, 1).bind(0, 7, 1, &[1]).start(0, 7, 1);
    tape.finish(10, 6, 1, 1, EndState::Completed).finish(10, 7, 1, 1, EndState::Failed);
    tape.then(1, What::ElementsCancelled { array: JobId(5), indices: (2..3).collect(), by: None, group: None });
    // The last element goes by the id of the array.
    tape.then(0, split(3, 5)).bind(0, 5, 1, &[1]).start(0, 5, 1).finish(10, 5, 1, 1, EndState::Completed);
    insta::assert_snapshot!(tape.shown());
    assert_eq!(tape.traces.open(), 0);
    let array = tape.spans.iter().find(|span| span.name == "array").expect("all elements are over");
    for job in tape.spans.iter().filter(|span| span.name == "job") {
        assert_eq!((job.links[0].trace_id(), job.links[0].span_id()), (array.trace, array.span));
        assert_eq!(job.parent, None);
    }
}

#[test]
fn an_array_is_over_with_its_last_group_and_not_with_its_own_record() {
    let mut tape = Tape::new();
    tape.submit(0, 5, |spec| spec.array = Some(ArraySpec { indices: (0..3).collect(), limit: None, step: 1 }));
    let indices = IndexSet::from_iter([1, 2]);
    tape.then(0, What::GroupSplit { array: JobId(5), indices, job: JobId(6), group: None });
    tape.then(0, What::JobHeld { job: JobId(6), by: HeldBy::User });
    let split = |index, job, group| What::ElementSplit { array: JobId(5), index, job: JobId(job), group };
    tape.then(0, split(0, 5, None)).end(1, 5, EndState::Completed);
    tape.then(900, What::JobsPurged { jobs: vec![JobId(5)] });
    assert!(tape.spans.iter().all(|span| span.name != "array"), "two of its elements wait");
    let group = Some(JobId(6));
    tape.then(0, split(1, 7, group)).end(1, 7, EndState::Completed);
    tape.then(0, What::ElementsCancelled { array: JobId(5), indices: (2..3).collect(), by: None, group });
    assert_eq!(tape.spans.iter().filter(|span| span.name == "array").count(), 1);
    assert_eq!(tape.traces.open(), 0);
}

#[test]
fn a_machine_that_was_ordered_before_the_job_came_is_linked_to() {
    let mut tape = Tape::new();
    tape.submit(0, 1, |_| {}).order(1, 1, &[1]).claim(0, 1, &[1]);
    tape.submit(5, 2, |_| {}).claim(0, 2, &[1]).launched(1, 1, &[1]).ready(50, 1);
    tape.bind(0, 2, 1, &[1]).start(0, 2, 1).finish(5, 2, 1, 1, EndState::Completed);
    insta::assert_snapshot!(tape.shown());
}

#[test]
fn a_trace_goes_on_under_the_next_controller() {
    let mut tape = Tape::new();
    tape.then(0, What::ConfigApplied { config: Box::new(ClusterConfig::default()) });
    tape.submit(0, 1, |_| {}).order(1, 1, &[1]).claim(0, 1, &[1]).launched(2, 1, &[1]);
    tape.submit(0, 2, |_| {}).order(1, 2, &[2]).claim(0, 2, &[2]).launched(2, 2, &[2]).ready(50, 2);
    tape.bind(0, 2, 1, &[2]).start(0, 2, 1);
    tape.submit(0, 3, |spec| {
        spec.array = Some(ArraySpec { indices: (0..2).collect(), limit: None, step: 1 });
    });
    tape.then(0, What::ElementSplit { array: JobId(3), index: 0, job: JobId(4), group: None });
    let mut cluster = Cluster::new();
    tape.events.iter().for_each(|event| cluster.apply(event));
    assert!(matches!(cluster.orders.get(&OrderId(1)), Some(Order { state: OrderState::Launched { .. }, .. })));

    let mut after = Tape::new();
    after.traces = JobTraces::recovered(&cluster, Sampling::All);
    after.now = tape.now;
    after.finish(5, 2, 1, 2, EndState::Completed).ready(100, 1).bind(0, 1, 1, &[1]).start(0, 1, 1);
    after.finish(30, 1, 1, 1, EndState::Timeout).end(1, 4, EndState::Cancelled).end(0, 3, EndState::Cancelled);
    after.spans.splice(0..0, tape.spans);
    insta::assert_snapshot!(after.shown());
    assert_eq!((after.traces.open(), after.traces.open_orders()), (0, 0));
}

#[test]
fn what_nobody_records_has_no_spans() {
    let mut tape = Tape::new();
    tape.submit(0, 1, |spec| spec.trace_parent = Some(GIVEN.replace("-01", "-00"))).end(1, 1, EndState::Cancelled);
    tape.submit(0, 2, |spec| spec.trace_parent = None).end(1, 2, EndState::Cancelled);
    tape.traces.sampling = Sampling::None;
    tape.submit(0, 3, |_| {}).end(1, 3, EndState::Cancelled);
    assert_eq!(tape.spans, []);
    tape.traces.sampling = Sampling::Share(0.25);
    for job in 1000..2000 {
        tape.submit(0, job, |_| {});
    }
    let kept = tape.traces.open();
    assert!((150..350).contains(&kept), "{kept} of 1000 is no quarter");
    tape.submit(0, 9, |spec| spec.trace_parent = Some(GIVEN.to_owned()));
    assert_eq!(tape.traces.open(), kept + 1, "a client's trace is not ours to thin out");
}

#[test]
fn news_of_jobs_that_have_no_trace_changes_nothing() {
    let mut tape = Tape::new();
    tape.claim(0, 9, &[1]).bind(0, 9, 1, &[1]).start(0, 9, 1).ready(1, 1).finish(1, 9, 1, 1, EndState::Completed);
    tape.launched(0, 9, &[1]).gone(1, 1, GoneWhy::Lost);
    assert_eq!((tape.spans.len(), tape.traces.open()), (0, 0));
}
