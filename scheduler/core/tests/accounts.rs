//! Accounts: who may change them, what they refuse at submission, and what they hold back from starting.

use squall_core::accounts::{Holder, Tally};
use squall_core::config::{Enforce, PartitionConfig, PoolConfig};
use squall_core::plan::{Step, plan};
use squall_core::{Caller, Cluster, ClusterConfig, Command, Rejection, Reply, check, decide};
use squall_types::accounts::{AccountsEdit, EditKind, Entity, Setting};
use squall_types::agent::EndCause;
use squall_types::api::{JobRef, JobUpdate};
use squall_types::spec::ArraySpec;
use squall_types::*;
use std::collections::BTreeMap;

const ANN: Uid = Uid(1001);
const BOB: Uid = Uid(1002);

struct Desk {
    cluster: Cluster,
    now: Timestamp,
    tokens: u32,
}

fn shape() -> Shape {
    let gpus = Gpus(vec![GpuGroup { model: "t4".into(), count: 4, memory_mib: 16_000, declared: true }]);
    Shape { cpus: 8, cores: 8, memory_mib: 32_000, gpus, features: Default::default() }
}

/// One machine of our own, and a pool that can buy.
fn config() -> ClusterConfig {
    let own = PoolConfig { static_nodes: [("n1".into(), shape())].into(), ..PoolConfig::default() };
    let offer = Offer {
        name: "small".into(),
        price: HourlyPrice(1_000),
        shape: shape(),
        typical_boot: Span::from_secs(60),
        max_per_order: 8,
        ..Offer::default()
    };
    let cloud = PoolConfig { provisioner: "sim".into(), offers: vec![offer], max_nodes: 8, ..PoolConfig::default() };
    let partition = |pools: &[&str], default| PartitionConfig {
        pools: pools.iter().map(|pool| (*pool).into()).collect(),
        default,
        ..PartitionConfig::default()
    };
    let mut config = ClusterConfig {
        pools: [("own".into(), own), ("cloud".into(), cloud)].into(),
        partitions: [("main".into(), partition(&["own"], true)), ("cloud".into(), partition(&["cloud"], false))].into(),
        ..ClusterConfig::default()
    };
    config.timing.batch_idle = Span::ZERO;
    config
}

impl Desk {
    fn new(config: ClusterConfig) -> Desk {
        let mut desk = Desk { cluster: Cluster::new(), now: Timestamp::from_secs(1_000), tokens: 0 };
        desk.decide(Command::Configure { config: Box::new(config) });
        let nodes: Vec<NodeId> = desk.cluster.live_nodes().map(|node| node.id).collect();
        for node in nodes {
            let measured = Box::new(MeasuredNode { shape: shape(), ..MeasuredNode::default() });
            desk.decide(Command::Register { node, measured });
        }
        desk
    }

    fn try_as(&mut self, caller: &Caller, command: Command) -> Result<Reply, Rejection> {
        let decision = decide(&self.cluster, self.now, caller, &command)?;
        decision.events.iter().for_each(|event| self.cluster.apply(event));
        assert_eq!(check::check(&self.cluster), Vec::<String>::new(), "{command:?}");
        Ok(decision.reply)
    }

    fn decide(&mut self, command: Command) -> Reply {
        self.try_as(&Caller::Admin(Uid(0)), command).expect("a command that is allowed")
    }

    /// `add account=lab grpjobs=2`, `modify account=lab …`, `add user=ann in=lab …`, `remove qos=high`.
    fn edit_as(&mut self, caller: &Caller, lines: &[&str]) -> Result<Reply, Rejection> {
        let edits = lines.iter().map(|line| edit(line)).collect();
        let uids = BTreeMap::from([("ann".to_owned(), ANN), ("bob".to_owned(), BOB)]);
        self.try_as(caller, Command::EditAccounts { edits, uids })
    }

    fn edit(&mut self, lines: &[&str]) {
        self.edit_as(&Caller::Admin(Uid(0)), lines).unwrap_or_else(|refusal| panic!("{lines:?}: {refusal}"));
    }

    fn submit(&mut self, uid: Uid, change: impl FnOnce(&mut JobSpec)) -> Result<JobId, Rejection> {
        self.tokens += 1;
        let mut spec = JobSpec {
            uid,
            user: if uid == ANN { "ann".into() } else { "bob".into() },
            script: Some(BlobDigest([0; 32])),
            time_limit: Some(Span::from_hours(1)),
            ask: Ask { cpus: CpuAsk::PerTask(1), ..Ask::default() },
            ..JobSpec::default()
        };
        change(&mut spec);
        let token = SubmitToken::new(format!("token {}", self.tokens));
        let command = Command::Submit { spec: Box::new(spec), token, test_only: false };
        match self.try_as(&Caller::User(uid), command)? {
            Reply::Submitted { job, .. } => Ok(job),
            other => panic!("{other:?}"),
        }
    }

    /// Makes plans until one changes nothing; how many jobs hold or claim nodes then.
    fn plan(&mut self) -> usize {
        loop {
            let steps = plan(&self.cluster, self.now).steps;
            if steps.is_empty() {
                return self.cluster.active_jobs().count();
            }
            steps.into_iter().for_each(|step| {
                self.decide(Command::Perform { step });
            });
        }
    }

    fn why(&self, job: JobId) -> (Reason, String) {
        let told = squall_core::explain::explain(&self.cluster, self.now, job);
        let first = told.blockers.first().expect("a reason");
        let record = self.cluster.jobs.get(&job).expect("a job");
        let shown = squall_core::views::waiting_reason(&self.cluster, record, self.now);
        let noted = plan(&self.cluster, self.now).notes.get(&job).map(|note| note.reason);
        assert_eq!(noted, Some(first.reason), "the plan and the explanation of job {job}");
        assert!(shown == first.reason || shown == Reason::Resources, "{shown:?} is shown");
        (first.reason, first.text.clone())
    }
}

fn edit(line: &str) -> AccountsEdit {
    let mut words = line.split(' ');
    let kind = match words.next() {
        Some("add") => EditKind::Add,
        Some("modify") => EditKind::Modify,
        Some("remove") => EditKind::Remove,
        other => panic!("{other:?}"),
    };
    let (what, name) = words.next().and_then(|word| word.split_once('=')).expect("a name");
    let mut words = words.peekable();
    let account = words.next_if(|word| word.starts_with("in=")).map(|word| word[3..].into());
    let partition = words.next_if(|word| word.starts_with("partition=")).map(|word| word[10..].into());
    let entity = match (what, account) {
        ("account", _) => Entity::Account(name.into()),
        ("qos", _) => Entity::Qos(name.into()),
        ("user", None) => Entity::User(name.into()),
        ("user", Some(account)) => Entity::Association { account, user: name.into(), partition },
        other => panic!("{other:?}"),
    };
    let settings = words.map(|word| Setting::parse(word).expect("a setting")).collect();
    AccountsEdit { kind, entity, settings }
}

fn refused(result: Result<impl std::fmt::Debug, Rejection>) -> (String, String) {
    let refusal = result.expect_err("a refusal").0;
    (refusal.slurm, format!("{}; {}; {}", refusal.asked, refusal.limit, refusal.try_this))
}

#[test]
fn anybody_may_submit_until_accounts_are_made_and_then_by_the_default_account_or_her_own() {
    let mut desk = Desk::new(config());
    let job = desk.submit(ANN, |spec| spec.account = "whatever".into()).expect("names are free");
    desk.decide(Command::Cancel { job: JobRef::from(job), cron: false });
    desk.edit(&["add account=lab", "add account=vision parent=lab", "add user=ann in=vision"]);
    assert_eq!(desk.submit(BOB, |_| {}).map(|_| ()), Ok(()), "the default account");
    let (slurm, text) = refused(desk.submit(BOB, |spec| spec.account = "lab".into()));
    assert_eq!(slurm, "Invalid account or account/partition combination specified");
    assert!(text.contains("--account=default") && text.contains("coordinator"), "{text}");
    let job = desk.submit(ANN, |_| {}).expect("her own");
    assert_eq!(desk.cluster.jobs.get(&job).unwrap().spec.account, "vision".into());
    let (_, text) = refused(desk.submit(ANN, |spec| spec.account = "visoin".into()));
    assert!(text.contains("ann is in: vision") && text.contains("--account=vision"), "{text}");
    let strict = Enforce { associations: true, ..Enforce::default() };
    desk.decide(Command::Configure { config: Box::new(ClusterConfig { enforce: strict, ..config() }) });
    assert!(refused(desk.submit(BOB, |_| {})).1.contains("only users in one may submit"));
}

#[test]
fn jobs_beyond_a_limit_wait_and_those_of_others_go_on() {
    let mut desk = Desk::new(config());
    desk.edit(&[
        "add account=lab",
        "add user=ann in=lab maxjobs=1",
        "add user=bob in=lab",
        "modify account=lab grptres=cpu=4",
    ]);
    let first = desk.submit(ANN, |_| {}).unwrap();
    let second = desk.submit(ANN, |_| {}).unwrap();
    let others: Vec<JobId> = (0..2).map(|_| desk.submit(BOB, |_| {}).unwrap()).collect();
    assert_eq!(desk.plan(), 3);
    let (reason, text) = desk.why(second);
    assert_eq!(reason, Reason::AssocMaxJobsLimit);
    assert_eq!(text, "uid 1001 in account \"lab\" allows 1 (MaxJobs), 1 are in use, this job needs 1");
    let large = desk.submit(BOB, |spec| spec.ask.cpus = CpuAsk::PerTask(2)).unwrap();
    assert_eq!(desk.plan(), 3);
    let (reason, text) = desk.why(large);
    assert_eq!(reason, Reason::AssocGrpCpuLimit);
    assert_eq!(text, "account \"lab\" allows 4 (GrpTRES=cpu), 3 are in use, this job needs 2");
    // An end makes room.
    desk.decide(Command::Cancel { job: JobRef::from(others[0]), cron: false });
    for job in [first, others[0]] {
        let run = desk.cluster.jobs.get(&job).unwrap().run();
        let node = desk.cluster.jobs.get(&job).unwrap().allocations()[0].node;
        let end = AttemptEnd {
            cause: EndCause::Exited,
            exit: ExitStatus::default(),
            ended_at: desk.now,
            usage: Default::default(),
            detail: String::new(),
        };
        desk.decide(Command::Attempt { node, run, state: AttemptState::Ended(end) });
    }
    assert_eq!(desk.plan(), 3);
    assert!(desk.cluster.jobs.get(&second).unwrap().placement().is_some());
    assert!(desk.cluster.jobs.get(&large).unwrap().placement().is_some());
}

#[test]
fn no_machine_is_bought_for_what_a_limit_holds_back() {
    let mut desk = Desk::new(config());
    desk.edit(&["add qos=small maxtresperuser=gres/gpu=4", "modify account=root qos+=small"]);
    let job = |spec: &mut JobSpec| {
        spec.partitions = vec!["cloud".into()];
        spec.qos = Some("small".into());
        spec.ask.gpus = GpuAsk::PerNode(3, None);
    };
    let jobs: Vec<JobId> = (0..3).map(|_| desk.submit(ANN, job).unwrap()).collect();
    assert_eq!(desk.plan(), 1);
    assert_eq!(desk.cluster.live_node_count_of(&"cloud".into()), 1);
    let (reason, text) = desk.why(jobs[1]);
    assert_eq!(reason, Reason::QosMaxGresPerUser);
    assert!(
        text.contains("QOS \"small\" allows 4 (MaxTRESPerUser=gres/gpu), 3 are in use, this job needs 3"),
        "{text}"
    );
    let tally = desk.cluster.tallies().of(&Holder::QosUser("small".into(), ANN));
    assert_eq!((tally.jobs, tally.submits, tally.held.gpus), (1, 3, 3), "what is claimed counts");
    desk.edit(&["modify qos=small maxtresperuser=gres/gpu=6"]);
    assert_eq!(desk.plan(), 2);
    desk.edit(&["modify qos=small maxtresperuser=-1"]);
    assert_eq!(desk.plan(), 3);
    assert_eq!(
        desk.cluster.tallies().of(&Holder::Qos("small".into())),
        Tally::default(),
        "nothing is limited any more"
    );
}

#[test]
fn a_share_of_a_node_counts_as_what_it_is() {
    // One GPU brings a quarter of the node: two CPUs, although none were asked for.
    let mut desk = Desk::new(config());
    desk.edit(&["add account=lab grptres=cpu=3", "add user=ann in=lab"]);
    let ask = |spec: &mut JobSpec| spec.ask = Ask { gpus: GpuAsk::PerNode(1, None), ..Ask::default() };
    let jobs: Vec<JobId> = (0..2).map(|_| desk.submit(ANN, ask).unwrap()).collect();
    assert_eq!(desk.plan(), 1);
    let (reason, text) = desk.why(jobs[1]);
    assert_eq!(reason, Reason::AssocGrpCpuLimit);
    assert!(text.contains("with what it would hold") && text.contains("2 of 3 are in use"), "{text}");
}

#[test]
fn what_breaks_a_limit_by_itself_is_refused_in_slurms_words() {
    let mut desk = Desk::new(config());
    desk.edit(&[
        "add account=lab maxwall=30 maxtresperjob=cpu=4",
        "add user=ann in=lab maxsubmit=3",
        "add qos=wide maxwall=2:00:00",
        "modify account=lab qos=normal,wide",
    ]);
    let policy = "Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)";
    let (slurm, text) = refused(desk.submit(ANN, |_| {}));
    assert_eq!(slurm, policy);
    assert_eq!(
        text,
        "--time=01:00:00; account \"lab\" allows 00:30:00 (MaxWall), this job asks for 01:00:00; --time=00:30:00"
    );
    let short = |spec: &mut JobSpec| spec.time_limit = Some(Span::from_mins(10));
    let (_, text) = refused(desk.submit(ANN, |spec| {
        short(spec);
        spec.ask.tasks = Some(5);
    }));
    assert!(text.starts_with("a job of cpu=5; account \"lab\" allows 4 (MaxTRESPerJob=cpu)"), "{text}");
    // A quality of service goes before the account, and what nobody asked for takes what is allowed.
    let job = desk.submit(ANN, |spec| spec.qos = Some("wide".into())).expect("two hours are allowed");
    desk.decide(Command::Cancel { job: JobRef::from(job), cron: false });
    let job = desk.submit(ANN, |spec| spec.time_limit = None).expect("no time was asked for");
    assert_eq!(desk.cluster.jobs.get(&job).unwrap().spec.time_limit, Some(Span::from_mins(30)));
    let array = |spec: &mut JobSpec, count: u32| {
        short(spec);
        spec.array = Some(ArraySpec { indices: IndexSet::from_ranges(vec![(0, count - 1)]), limit: None, step: 1 });
    };
    let (slurm, text) = refused(desk.submit(ANN, |spec| array(spec, 3)));
    assert_eq!(slurm, policy);
    assert!(text.contains("3 jobs more; uid 1001 in account \"lab\" allows 3 (MaxSubmitJobs), 1 are in use"), "{text}");
    desk.submit(ANN, |spec| array(spec, 2)).expect("two more");
    assert!(refused(desk.submit(ANN, short)).1.contains("when some of the jobs have ended"));
}

#[test]
fn partitions_are_open_to_some_accounts_groups_and_qualities_of_service() {
    let mut config = config();
    let main = config.partitions.get_mut(&PartitionName::from("main")).unwrap();
    main.allow_groups = ["gpu-users".to_owned()].into();
    main.deny_qos = ["slow".into()].into();
    let cloud = config.partitions.get_mut(&PartitionName::from("cloud")).unwrap();
    cloud.deny_accounts = ["default".into()].into();
    let mut desk = Desk::new(config);
    let (slurm, text) = refused(desk.submit(ANN, |_| {}));
    assert_eq!(slurm, "User's group not permitted to use this partition");
    assert!(text.contains("gpu-users"), "{text}");
    let member = |spec: &mut JobSpec| spec.groups = vec!["gpu-users".to_owned()];
    let job = desk.submit(ANN, member).expect("a member");
    desk.edit(&["add qos=slow", "modify account=root qos=normal,slow"]);
    let update = JobUpdate { qos: Some("slow".into()), ..JobUpdate::default() };
    let command = Command::Update { job: JobRef::from(job), update: Box::new(update) };
    let (slurm, text) = refused(desk.try_as(&Caller::User(ANN), command));
    assert_eq!(slurm, "Invalid qos specification");
    assert!(text.contains("closed to: slow"), "{text}");
    let update = JobUpdate { partition: Some(vec!["cloud".into()]), ..JobUpdate::default() };
    let command = Command::Update { job: JobRef::from(job), update: Box::new(update) };
    assert!(refused(desk.try_as(&Caller::User(ANN), command)).1.contains("closed to: default"));
}

#[test]
fn qualities_of_service_are_used_by_those_to_whom_they_were_given_and_raise_their_jobs() {
    let mut desk = Desk::new(config());
    desk.edit(&["add qos=high priority=1000", "add account=lab", "add user=ann in=lab", "add user=bob in=lab"]);
    let (slurm, text) = refused(desk.submit(ANN, |spec| spec.qos = Some("high".into())));
    assert_eq!(slurm, "Invalid qos specification");
    assert!(text.contains("ann in account \"lab\" may use: normal"), "{text}");
    assert!(refused(desk.submit(ANN, |spec| spec.qos = Some("hihg".into()))).1.contains("there are: high, normal"));
    desk.edit(&["modify user=ann in=lab qos+=high defaultqos=high"]);
    let before = desk.submit(BOB, |_| {}).unwrap();
    desk.now += Span::from_mins(1);
    let raised = desk.submit(ANN, |_| {}).unwrap();
    let order: Vec<JobId> = desk.cluster.queue().map(|job| job.id).collect();
    assert_eq!(order, [raised, before]);
    desk.edit(&["modify qos=high priority=0"]);
    let order: Vec<JobId> = desk.cluster.queue().map(|job| job.id).collect();
    assert_eq!(order, [before, raised]);
    assert!(refused(desk.edit_as(&Caller::Admin(Uid(0)), &["remove qos=high"])).0.starts_with("Job(s) active"));
}

#[test]
fn coordinators_look_after_what_is_below_their_account_and_nothing_else() {
    let mut desk = Desk::new(config());
    desk.edit(&["add account=lab", "add account=other", "add qos=high", "add user=ann in=lab"]);
    desk.edit(&["modify account=lab coordinators+=ann"]);
    let ann = Caller::User(ANN);
    desk.edit_as(&ann, &["add account=vision parent=lab grpjobs=3", "add user=bob in=vision maxjobs=2"]).expect("hers");
    desk.edit_as(&ann, &["modify user=bob in=vision maxjobs=1"]).expect("hers");
    for line in [
        "modify account=lab grpjobs=9",
        "add user=bob in=other",
        "modify account=vision parent=other",
        "modify user=bob in=vision qos+=high",
        "modify user=ann adminlevel=operator",
        "add qos=mine",
        "remove account=other",
    ] {
        assert!(desk.edit_as(&ann, &[line]).is_err(), "{line}");
    }
    assert!(desk.edit_as(&Caller::User(BOB), &["modify account=vision grpjobs=9"]).is_err());
    let job = Caller::Job { uid: ANN, run: Run { job: JobId(1), attempt: Attempt(1) } };
    assert!(desk.edit_as(&job, &["modify account=vision grpjobs=9"]).is_err(), "a job edits nothing");
    desk.edit(&["modify user=bob adminlevel=operator"]);
    desk.edit_as(&Caller::User(BOB), &["modify account=lab grpjobs=9"]).expect("an operator");
    assert!(desk.edit_as(&Caller::User(BOB), &["modify user=ann adminlevel=operator"]).is_err());
}

#[test]
fn a_change_is_made_whole_or_not_at_all_and_leaves_no_loose_ends() {
    let mut desk = Desk::new(config());
    let admin = Caller::Admin(Uid(0));
    assert!(desk.edit_as(&admin, &["add account=lab", "add account=lab"]).is_err());
    assert!(!desk.cluster.accounts.has_accounts(), "nothing of it was made");
    desk.edit(&["add account=lab", "add account=vision parent=lab", "add user=ann in=vision", "add user=ann in=lab"]);
    assert!(desk.edit_as(&admin, &["modify account=lab parent=vision"]).is_err(), "a circle");
    assert!(desk.edit_as(&admin, &["remove account=lab"]).is_err(), "vision stands below it");
    assert!(desk.edit_as(&admin, &["modify user=ann defaultaccount=nowhere"]).is_err());
    assert!(desk.edit_as(&admin, &["add user=nobody in=lab"]).is_err());
    assert!(desk.edit_as(&admin, &["modify account=root parent=lab"]).is_err());
    let job = desk.submit(ANN, |_| {}).unwrap();
    assert_eq!(desk.cluster.jobs.get(&job).unwrap().spec.account, "vision".into(), "her first is her default");
    assert!(desk.edit_as(&admin, &["remove account=vision"]).is_err(), "a job stands on it");
    desk.decide(Command::Cancel { job: JobRef::from(job), cron: false });
    desk.edit(&["remove account=vision"]);
    assert_eq!(desk.cluster.accounts.users.get(&ANN).unwrap().default_account, Some("lab".into()));
    desk.edit(&["remove user=ann in=lab"]);
    assert!(desk.cluster.accounts.users.get(&ANN).is_none(), "nothing is left of her");
    let deep: Vec<String> = (0..40).map(|at| format!("add account=a{at} parent=a{}", at - 1)).collect();
    let mut lines = vec!["add account=a-1"];
    lines.extend(deep.iter().map(String::as_str));
    assert!(refused(desk.edit_as(&admin, &lines)).1.contains("below root"));
}

#[test]
fn a_snapshot_keeps_accounts_and_counts_and_old_ones_have_none() {
    let mut desk = Desk::new(config());
    desk.edit(&["add account=lab grpjobs=1", "add user=ann in=lab", "add qos=high priority=5"]);
    desk.submit(ANN, |_| {}).unwrap();
    desk.plan();
    let again = Cluster::from_snapshot(&desk.cluster.to_snapshot()).expect("a snapshot");
    assert_eq!((&again.accounts, again.tallies()), (&desk.cluster.accounts, desk.cluster.tallies()));
    assert_eq!(check::check(&again), Vec::<String>::new());
    assert_eq!(again.hash(), desk.cluster.hash());
    assert!(matches!(plan(&again, desk.now).steps.first(), None | Some(Step::Drain { .. })));
}

/// A lowered limit ends nothing; it holds what comes.
#[test]
fn limits_that_are_lowered_leave_what_runs() {
    let mut desk = Desk::new(config());
    desk.edit(&["add account=lab", "add user=ann in=lab"]);
    (0..3).for_each(|_| {
        desk.submit(ANN, |_| {}).unwrap();
    });
    assert_eq!(desk.plan(), 3);
    desk.edit(&["modify account=lab grpjobs=1"]);
    let waits = desk.submit(ANN, |_| {}).unwrap();
    assert_eq!(desk.plan(), 3);
    assert_eq!(desk.why(waits).0, Reason::AssocGrpJobsLimit);
}

#[test]
fn a_whole_site_is_one_change_and_more_than_that_is_refused() {
    let mut desk = Desk::new(config());
    let job = desk.submit(ANN, |spec| spec.account = "lab7".into()).expect("names are free");
    let account = |at: usize| edit(&format!("add account=lab{at} maxjobs=9"));
    let mut edits: Vec<AccountsEdit> = (0..1_000).map(account).collect();
    let user = |at: usize| edit(&format!("add user=u{} in=lab{} maxsubmitjobs=4", at / 3, at % 1_000));
    edits.extend((0..9_000).map(user));
    let mut uids: BTreeMap<String, Uid> = (0..3_000).map(|at| (format!("u{at}"), Uid(5_000 + at))).collect();
    let admin = Caller::Admin(Uid(0));
    let mut change = |edits: &[AccountsEdit], uids: &BTreeMap<String, Uid>| {
        desk.try_as(&admin, Command::EditAccounts { edits: edits.to_vec(), uids: uids.clone() })
    };
    let more = [edits.as_slice(), &[account(1_000)]].concat();
    let (slurm, text) = refused(change(&more, &uids));
    assert!(slurm == "Too many changes" && text.contains("10001 changes; at most 10000"), "{slurm} {text}");

    // Those whom nobody knows are told together, and nothing has happened then.
    for at in 0..25 {
        uids.remove(&format!("u{}", at * 7));
    }
    let (_, text) = refused(change(&edits, &uids));
    assert!(text.contains("\"u0\"") && text.contains("\"u7\"") && text.contains(" and 5 more;"), "{text}");
    uids.extend((0..3_000).map(|at| (format!("u{at}"), Uid(5_000 + at))));
    assert_eq!(change(&edits, &uids), Ok(Reply::Done));
    assert_eq!(desk.cluster.accounts.members.len(), 9_000);
    // A job that named its account before there was one counts for it.
    let tally = desk.cluster.tallies().of(&Holder::Account("lab7".into()));
    assert_eq!((tally.submits, desk.cluster.jobs.get(&job).is_some()), (1, true));
}
