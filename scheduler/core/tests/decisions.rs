//! What follows from single decisions, on machines that are one's own.

use squall_core::command::WantedEntry;
use squall_core::config::{PartitionConfig, PoolConfig};
use squall_core::job::{HeldBy, JobPhase};
use squall_core::plan::plan;
use squall_core::{Caller, Cluster, ClusterConfig, Command, Reply, check, decide, next_wakeup};
use squall_types::agent::EndCause;
use squall_types::api::JobRef;
use squall_types::cron::CronSpec;
use squall_types::*;

struct Desk {
    cluster: Cluster,
    now: Timestamp,
    tokens: u32,
}

fn shape() -> Shape {
    Shape { cpus: 4, cores: 4, memory_mib: 8_000, ..Shape::default() }
}

/// Static nodes of these names, and a pool that can buy two.
fn config(names: &[&str]) -> ClusterConfig {
    let own = PoolConfig {
        static_nodes: names.iter().map(|name| (NodeName::from(*name), shape())).collect(),
        ..PoolConfig::default()
    };
    let partition = PartitionConfig { pools: vec!["own".into()], default: true, ..PartitionConfig::default() };
    ClusterConfig {
        pools: [("own".into(), own)].into(),
        partitions: [("main".into(), partition)].into(),
        ..ClusterConfig::default()
    }
}

impl Desk {
    fn new(names: &[&str]) -> Self {
        let mut desk = Desk { cluster: Cluster::new(), now: Timestamp::from_secs(1_000), tokens: 0 };
        desk.configure(names);
        let nodes: Vec<NodeId> = desk.cluster.live_nodes().map(|node| node.id).collect();
        for node in nodes {
            let measured = Box::new(MeasuredNode { shape: shape(), ..MeasuredNode::default() });
            desk.decide(Command::Register { node, measured });
        }
        desk
    }

    fn configure(&mut self, names: &[&str]) {
        self.decide(Command::Configure { config: Box::new(config(names)) });
    }

    fn decide(&mut self, command: Command) -> Reply {
        let decision = decide(&self.cluster, self.now, &Caller::Admin(Uid(0)), &command);
        let decision = decision.unwrap_or_else(|refusal| panic!("{command:?}: {refusal}"));
        decision.events.iter().for_each(|event| self.cluster.apply(event));
        assert_eq!(check::check(&self.cluster), Vec::<String>::new());
        decision.reply
    }

    fn submit(&mut self, change: impl FnOnce(&mut JobSpec)) -> JobId {
        self.tokens += 1;
        let mut spec = JobSpec {
            script: Some(BlobDigest([0; 32])),
            time_limit: Some(Span::from_hours(1)),
            ask: Ask { cpus: CpuAsk::PerTask(4), ..Ask::default() },
            ..JobSpec::default()
        };
        change(&mut spec);
        let token = SubmitToken::new(format!("token {}", self.tokens));
        match self.decide(Command::Submit { spec: Box::new(spec), token, test_only: false }) {
            Reply::Submitted { job, .. } => job,
            other => panic!("{other:?}"),
        }
    }

    /// Lets time pass, with the ticks and plans that are due.
    fn pass(&mut self, span: Span) {
        self.now += span;
        while next_wakeup(&self.cluster, self.now) <= self.now {
            self.decide(Command::Tick);
        }
        for step in plan(&self.cluster, self.now).steps {
            self.decide(Command::Perform { step });
        }
    }

    /// The present attempt of a job ends well on its first node.
    fn end(&mut self, id: JobId) {
        let job = self.cluster.jobs.get(&id).expect("known");
        let (run, node) = (job.run(), job.placement().expect("it runs").allocations[0].node);
        let end = AttemptEnd {
            cause: EndCause::Exited,
            exit: ExitStatus::default(),
            ended_at: self.now,
            usage: Default::default(),
            detail: String::new(),
        };
        self.decide(Command::Attempt { node, run, state: AttemptState::Ended(end) });
    }

    fn runs(&self, id: JobId) -> bool {
        matches!(self.cluster.jobs.get(&id).expect("known").phase, JobPhase::Running { .. })
    }
}

#[test]
fn after_an_array_counts_from_its_last_start_and_not_from_its_ends() {
    let mut desk = Desk::new(&["a", "b", "c"]);
    let array = desk.submit(|spec| {
        spec.array = Some(squall_types::spec::ArraySpec { indices: (0..2).collect(), limit: None, step: 1 });
    });
    desk.pass(Span::from_secs(1));
    let later = desk.submit(|spec| spec.dependency = format!("after:{array}+10").parse().expect("a dependency"));
    desk.pass(Span::from_mins(9));
    let first = desk.cluster.element(array, 0).expect("it runs").id;
    desk.end(first);
    desk.pass(Span::from_mins(2));
    assert!(desk.runs(later), "ten minutes after the start of the array");
}

#[test]
fn a_machine_that_is_configured_no_longer_goes_when_its_job_has_ended() {
    let mut desk = Desk::new(&["a"]);
    let job = desk.submit(|_| {});
    desk.pass(Span::from_secs(1));
    desk.configure(&[]);
    desk.pass(Span::from_secs(1));
    assert!(desk.runs(job));
    desk.end(job);
    desk.pass(Span::from_secs(1));
    assert_eq!(desk.cluster.live_node_count(), 0);
}

#[test]
fn a_machine_that_is_configured_again_while_its_job_runs_takes_work_again() {
    let mut desk = Desk::new(&["a"]);
    let job = desk.submit(|_| {});
    desk.pass(Span::from_secs(1));
    desk.configure(&[]);
    desk.configure(&["a"]);
    let next = desk.submit(|_| {});
    desk.end(job);
    desk.pass(Span::from_secs(1));
    assert!(desk.runs(next));
}

#[test]
fn an_admins_hold_outlives_a_change_of_the_configuration() {
    let mut desk = Desk::new(&["a"]);
    let job = desk.submit(|_| {});
    desk.pass(Span::from_secs(1));
    let action = squall_types::api::NodeAction::Drain { reason: "a fan rattles".to_owned() };
    desk.decide(Command::Node { node: "a".into(), action });
    desk.configure(&[]);
    desk.configure(&["a"]);
    desk.end(job);
    let node = desk.cluster.node_named(&"a".into()).expect("it is there");
    let reasons: Vec<&str> = node.holds.iter().map(|hold| hold.reason.as_str()).collect();
    assert_eq!(reasons, ["a fan rattles"]);
}

#[test]
fn a_requeued_job_runs_again_and_what_waited_for_its_start_does_not_wait_anew() {
    let mut desk = Desk::new(&["a", "b"]);
    let job = desk.submit(|_| {});
    desk.pass(Span::from_secs(1));
    let later = desk.submit(|spec| {
        spec.dependency = format!("after:{job}").parse().expect("a dependency");
        spec.begin_at = Some(Timestamp::from_secs(2_000));
    });
    desk.decide(Command::Requeue { job: JobRef::from(job), hold: true });
    desk.end(job);
    desk.pass(Span::from_secs(1_100));
    assert_eq!(desk.cluster.jobs.get(&job).expect("known").held, Some(HeldBy::Admin));
    assert!(desk.runs(later));
}

#[test]
fn any_of_several_lets_elements_go_that_correspond_to_nothing() {
    let mut desk = Desk::new(&["a", "b"]);
    let elements = |count: u32| squall_types::spec::ArraySpec { indices: (0..count).collect(), limit: None, step: 1 };
    let small = |spec: &mut JobSpec| spec.ask.cpus = CpuAsk::PerTask(1);
    let before = desk.submit(|spec| {
        small(spec);
        spec.array = Some(elements(1));
    });
    let gate = desk.submit(small);
    let after = desk.submit(|spec| {
        small(spec);
        spec.array = Some(elements(2));
        spec.dependency = format!("aftercorr:{before}?afterok:{gate}").parse().expect("a dependency");
    });
    desk.pass(Span::from_secs(1));
    let first = desk.cluster.element(before, 0).expect("it runs").id;
    desk.end(first);
    desk.pass(Span::from_secs(1));
    assert!(desk.cluster.element(after, 0).is_some(), "its counterpart ended well");
    assert!(desk.cluster.element(after, 1).is_none(), "it has no counterpart, and the other job runs");
    let why = squall_core::explain::explain(&desk.cluster, desk.now, after).blockers;
    assert!(why.iter().any(|blocker| blocker.reason == Reason::Dependency), "{why:?}");
    desk.end(gate);
    desk.pass(Span::from_secs(1));
    assert!(desk.cluster.element(after, 1).is_some(), "the other job ended well");
}

#[test]
fn a_singleton_waits_for_the_elements_of_an_earlier_array() {
    let mut desk = Desk::new(&["a", "b", "c"]);
    let named = |spec: &mut JobSpec| spec.name = "train".to_owned();
    let array = desk.submit(|spec| {
        named(spec);
        spec.array = Some(squall_types::spec::ArraySpec { indices: (0..2).collect(), limit: Some(1), step: 1 });
    });
    let alone = desk.submit(|spec| {
        named(spec);
        spec.dependency = "singleton".parse().expect("a dependency");
    });
    desk.pass(Span::from_secs(1));
    let element = |desk: &Desk, index| desk.cluster.element(array, index).expect("it runs").id;
    let first = element(&desk, 0);
    desk.end(first);
    desk.pass(Span::from_secs(1));
    let second = element(&desk, 1);
    assert!(!desk.runs(alone));
    desk.end(second);
    desk.pass(Span::from_secs(1));
    assert!(desk.runs(alone));
}

#[test]
fn a_limit_that_is_lowered_lets_elements_that_run_go_on() {
    let mut desk = Desk::new(&["a", "b", "c"]);
    let array = desk.submit(|spec| {
        spec.array = Some(squall_types::spec::ArraySpec { indices: (0..3).collect(), limit: Some(2), step: 1 });
    });
    desk.pass(Span::from_secs(1));
    let update = Box::new(squall_types::api::JobUpdate { array_limit: Some(1), ..Default::default() });
    // Every decision is followed by a check of the whole state.
    desk.decide(Command::Update { job: JobRef::from(array), update });
    let first = desk.cluster.element(array, 0).expect("it runs").id;
    desk.end(first);
    desk.pass(Span::from_secs(1));
    assert!(desk.cluster.element(array, 2).is_none(), "one runs still");
}

#[test]
fn a_gang_that_bears_the_loss_of_nodes_begins_with_all_of_them() {
    let mut desk = Desk::new(&["a", "b"]);
    let gang = desk.submit(|spec| {
        spec.ask.nodes = Some(NodeCount { min: 2, max: 2 });
        spec.ask.cpus = CpuAsk::PerTask(1);
        spec.no_kill = true;
    });
    desk.pass(Span::from_secs(1));
    let run = desk.cluster.jobs.get(&gang).expect("known").run();
    let node = desk.cluster.jobs.get(&gang).and_then(|job| job.placement()).expect("bound").allocations[1].node;
    let name = desk.cluster.nodes.get(&node).expect("known").name.clone();
    let action = squall_types::api::NodeAction::Down { reason: "smoke".to_owned() };
    desk.decide(Command::Node { node: name, action });
    let job = desk.cluster.jobs.get(&gang).expect("known");
    assert_eq!((job.run(), matches!(job.phase, JobPhase::Stopping { .. })), (run, true), "{:?}", job.phase);
}

#[test]
fn attempts_that_a_backup_has_forgotten_are_not_repeated() {
    let mut desk = Desk::new(&["a"]);
    let job = desk.submit(|spec| spec.hold = true);
    desk.decide(Command::Restore { gap: 100 });
    desk.decide(Command::Release { job: JobRef::from(job) });
    desk.pass(Span::from_secs(1));
    let attempt = desk.cluster.jobs.get(&job).expect("known").attempt;
    assert!(attempt > Attempt(1), "attempt 1 may have run after the backup was made");
    assert_eq!(attempt.count(), 1, "as far as anybody knows it is the first");
}

impl Desk {
    fn refused(&self, caller: &Caller, command: &Command) -> String {
        match decide(&self.cluster, self.now, caller, command) {
            Ok(decision) => panic!("{command:?}: {:?}", decision.reply),
            Err(refusal) => refusal.0.slurm.clone(),
        }
    }
}

fn all_of(job: JobId) -> JobRef {
    JobRef::from(job)
}

#[test]
fn what_is_suspended_keeps_its_place_and_not_its_time() {
    let mut desk = Desk::new(&["a"]);
    let job = desk.submit(|_| {});
    desk.pass(Span::from_secs(1));
    desk.pass(Span::from_mins(30));
    desk.decide(Command::Suspend { job: all_of(job) });
    let next = desk.submit(|_| {});
    // Far beyond its limit, and beyond what the controller waits for agents after that.
    desk.pass(Span::from_hours(9));
    assert!(desk.runs(job) && !desk.runs(next), "its node is its own");
    desk.decide(Command::Resume { job: all_of(job) });
    desk.pass(Span::from_mins(29));
    let placement = desk.cluster.jobs.get(&job).and_then(|job| job.placement()).expect("it runs").clone();
    assert_eq!(placement.suspended_by(desk.now), Span::from_hours(9));
    desk.end(job);
    desk.pass(Span::from_secs(1));
    assert!(desk.runs(next));
    let ended = &desk.cluster.jobs.get(&job).expect("known").phase;
    assert!(matches!(ended, JobPhase::Ended(end) if end.suspended == Span::from_hours(9)), "{ended:?}");
}

#[test]
fn to_suspend_twice_changes_nothing_and_users_may_not_suspend_at_all() {
    let mut desk = Desk::new(&["a"]);
    let job = desk.submit(|spec| spec.uid = Uid(7));
    let (suspend, resume) = (Command::Suspend { job: all_of(job) }, Command::Resume { job: all_of(job) });
    let admin = Caller::Admin(Uid(0));
    assert_eq!(desk.refused(&admin, &suspend), "Job is pending execution");
    desk.pass(Span::from_secs(1));
    assert_eq!(desk.refused(&Caller::User(Uid(7)), &suspend), "Access/permission denied");
    assert_eq!(desk.refused(&admin, &resume), "Job is not suspended");
    desk.decide(suspend.clone());
    let again = decide(&desk.cluster, desk.now, &admin, &suspend).expect("nothing is wrong with it");
    assert_eq!(again.events, []);
    assert_eq!(desk.refused(&Caller::User(Uid(7)), &resume), "Access/permission denied");
    desk.decide(resume);
    desk.decide(Command::Cancel { job: all_of(job), cron: false });
    assert_eq!(desk.refused(&admin, &suspend), "Job/step already completing or completed");
}

#[test]
fn a_suspended_job_that_is_requeued_is_held_and_one_that_is_cancelled_ends() {
    let mut desk = Desk::new(&["a", "b"]);
    let (again, over) = (desk.submit(|_| {}), desk.submit(|_| {}));
    desk.pass(Span::from_secs(1));
    for job in [again, over] {
        desk.decide(Command::Suspend { job: all_of(job) });
    }
    desk.pass(Span::from_mins(1));
    desk.decide(Command::Requeue { job: all_of(again), hold: false });
    desk.decide(Command::Cancel { job: all_of(over), cron: false });
    desk.pass(Span::from_mins(1));
    desk.end(again);
    desk.end(over);
    let job = desk.cluster.jobs.get(&again).expect("known");
    assert_eq!((job.is_pending(), job.held), (true, Some(HeldBy::Admin)));
    // The kill itself is no part of the suspension.
    let ended = &desk.cluster.jobs.get(&over).expect("known").phase;
    assert!(matches!(ended, JobPhase::Ended(end) if end.suspended == Span::from_mins(1)), "{ended:?}");
}

fn entry(times: &str, name: &str, line: u32) -> WantedEntry {
    let cron = CronSpec { times: times.to_owned(), zone: "UTC0".to_owned() };
    let spec = JobSpec {
        name: name.to_owned(),
        uid: Uid(7),
        script: Some(BlobDigest([0; 32])),
        time_limit: Some(Span::from_hours(1)),
        cron: Some(Box::new(cron)),
        ..JobSpec::default()
    };
    let token = SubmitToken::new(format!("{times} {name} {line}"));
    WantedEntry { spec: Box::new(spec), token, first_line: line, last_line: line }
}

impl Desk {
    fn crontab(&mut self, entries: &[WantedEntry]) -> Vec<JobId> {
        let lines = entries.iter().map(|entry| format!("{}\n", entry.spec.name));
        let (uid, text) = (Uid(7), lines.collect());
        self.decide(Command::SetCrontab { uid, text, entries: entries.to_vec() });
        let crontab = self.cluster.crontabs.get(&uid);
        crontab.map(|crontab| crontab.entries.iter().map(|entry| entry.job).collect()).unwrap_or_default()
    }

    fn job(&self, id: JobId) -> &squall_core::job::Job {
        self.cluster.jobs.get(&id).expect("known")
    }
}

#[test]
fn a_job_of_a_crontab_runs_again_and_again_and_once_after_times_that_were_missed() {
    let mut desk = Desk::new(&["a"]);
    desk.now = Timestamp::from_secs(7_200 - 30);
    let [job] = desk.crontab(&[entry("*/10 * * * *", "x", 1)])[..] else { panic!("one job") };
    desk.pass(Span::from_secs(29));
    assert!(desk.job(job).is_pending());
    desk.pass(Span::from_secs(1));
    assert!(desk.runs(job), "at two o'clock");
    desk.pass(Span::from_mins(25));
    desk.end(job);
    let waits = desk.job(job);
    assert_eq!((waits.is_pending(), waits.not_before), (true, Some(Timestamp::from_secs(7_200 + 30 * 60))));
    // Nobody was there for half a day.
    desk.now += Span::from_hours(12);
    desk.pass(Span::ZERO);
    assert_eq!((desk.runs(job), desk.job(job).attempt.count()), (true, 2));
    desk.end(job);
    desk.pass(Span::from_mins(1));
    assert!(desk.job(job).is_pending(), "what was missed is missed");
}

#[test]
fn entries_that_stay_as_they_are_keep_their_jobs() {
    let mut desk = Desk::new(&["a"]);
    let before = desk.crontab(&[entry("@hourly", "x", 1), entry("@daily", "y", 2), entry("@daily", "y", 3)]);
    let after = desk.crontab(&[entry("@daily", "y", 1), entry("@weekly", "x", 2), entry("@daily", "y", 5)]);
    assert_eq!((after[0], after[2]), (before[1], before[2]));
    assert!(desk.job(before[0]).is_ended() && !before.contains(&after[1]));
    // The first request arrives once more.
    desk.crontab(&[entry("@hourly", "x", 1), entry("@daily", "y", 2), entry("@daily", "y", 3)]);
    assert!(after.iter().all(|job| desk.job(*job).is_pending()));
    assert_eq!(desk.crontab(&[]), []);
    assert!(after.iter().all(|job| desk.job(*job).is_ended()));
    assert!(desk.cluster.crontabs.is_empty());
}

#[test]
fn what_runs_of_a_crontab_that_goes_ends_and_does_not_come_back() {
    let mut desk = Desk::new(&["a"]);
    let job = desk.crontab(&[entry("* * * * *", "x", 1)])[0];
    desk.pass(Span::from_mins(1));
    assert!(desk.runs(job));
    desk.crontab(&[]);
    assert!(desk.runs(job));
    desk.end(job);
    assert!(desk.job(job).is_ended());
}

#[test]
fn a_job_of_a_crontab_is_cancelled_only_with_its_line() {
    let mut desk = Desk::new(&["a"]);
    let jobs = desk.crontab(&[entry("* * * * *", "x", 1), entry("@daily", "y", 2)]);
    let user = Caller::User(Uid(7));
    let cancel = |cron| Command::Cancel { job: all_of(jobs[0]), cron };
    assert_eq!(desk.refused(&user, &cancel(false)), "Cannot cancel scrontab jobs without --cron flag.");
    desk.pass(Span::from_mins(1));
    desk.decide(cancel(true));
    desk.end(jobs[0]);
    assert!(desk.job(jobs[0]).is_ended(), "it does not come back");
    let crontab = &desk.cluster.crontabs[&Uid(7)];
    assert_eq!((crontab.text.as_str(), crontab.entries.len()), ("#DISABLED: x\ny\n", 1));
}

#[test]
fn a_crontab_is_taken_whole_or_not_at_all_and_by_its_user_alone() {
    let mut desk = Desk::new(&["a"]);
    let set =
        |entries: &[WantedEntry]| Command::SetCrontab { uid: Uid(7), text: String::new(), entries: entries.to_vec() };
    let mut much = entry("@daily", "much", 2);
    much.spec.ask.cpus = CpuAsk::PerTask(5);
    let refused = set(&[entry("@daily", "x", 1), much]);
    assert_eq!(desk.refused(&Caller::User(Uid(7)), &refused), "Requested node configuration is not available");
    assert_eq!((desk.cluster.live_job_count(), desk.cluster.crontabs.len()), (0, 0));
    assert_eq!(desk.refused(&Caller::User(Uid(8)), &set(&[])), "Access/permission denied");
    let never = set(&[entry("0 0 30 2 *", "x", 1)]);
    assert_eq!(desk.refused(&Caller::User(Uid(7)), &never), "Invalid job specification");
    let alone = Command::Submit { spec: entry("@daily", "x", 1).spec, token: SubmitToken::new("t"), test_only: false };
    assert_eq!(desk.refused(&Caller::User(Uid(7)), &alone), "Invalid job specification");
    let job = desk.crontab(&[entry("@daily", "x", 1)])[0];
    let update = Box::new(squall_types::api::JobUpdate { nice: Some(5), ..Default::default() });
    let update = Command::Update { job: all_of(job), update };
    assert_eq!(desk.refused(&Caller::User(Uid(7)), &update), "Cannot modify scrontab jobs through scontrol");
}

#[test]
fn an_element_of_an_array_that_is_no_longer_in_memory_is_remembered_as_it_ended() {
    let mut desk = Desk::new(&["a", "b"]);
    let array = desk.submit(|spec| {
        spec.array = Some(squall_types::spec::ArraySpec { indices: (0..2).collect(), limit: None, step: 1 });
    });
    desk.pass(Span::from_secs(1));
    let element = |desk: &Desk, index| desk.cluster.element(array, index).expect("it runs").id;
    let (good, bad) = (element(&desk, 0), element(&desk, 1));
    desk.end(good);
    desk.decide(Command::Cancel {
        job: JobRef { job: array, elements: Some(IndexSet::from_iter([1])), component: None },
        cron: false,
    });
    desk.end(bad);
    desk.pass(Span::from_hours(1));
    assert!(desk.cluster.arrays.get(&array).is_none(), "it is purged");
    let mut after = |text: &str| desk.submit(|spec| spec.dependency = text.parse().expect("a dependency"));
    let may = [after(&format!("afterok:{array}_0")), after(&format!("afternotok:{array}_1"))];
    let never = [after(&format!("afternotok:{array}_0")), after(&format!("afterok:{array}_1"))];
    assert!(never.iter().all(|job| desk.job(*job).dependency_never()));
    desk.pass(Span::from_secs(1));
    assert!(may.iter().all(|job| desk.runs(*job)));
}
