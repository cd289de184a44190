//! What `sacct` and the ledger answer, against the state and against plain reading.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod story;

use proptest::prelude::*;
use squall_core::Cluster;
use squall_core::event::{ChargeKind, What};
use squall_core::job::{HeldBy, Job, Role};
use squall_core::views::{cost_so_far, job_state};
use squall_journal::{Journal, JournalError, Options, Reader};
use squall_types::api::{AccountedJob, AccountingQuery, ArrayView, JobRef, JobState, LedgerQuery};
use squall_types::{EndState, IndexSet, JobId, MicroUsd, Reason, Seq, Span, StepId, Timestamp, Uid};
use std::sync::LazyLock;
use story::{Batch, Story, scratch, story};

struct Lab {
    _dir: tempfile::TempDir,
    journal: Journal,
    cluster: Cluster,
}

impl Lab {
    fn new() -> Lab {
        let dir = scratch();
        let (journal, recovered) = Journal::open(dir.path(), Options::default()).unwrap();
        Lab { _dir: dir, journal, cluster: recovered.cluster }
    }

    fn append(&mut self, batch: &Batch) {
        self.journal.append_with_blobs(self.journal.epoch(), &batch.events, &batch.blobs).unwrap();
        batch.events.iter().for_each(|event| self.cluster.apply(event));
    }

    fn reader(&self) -> Reader {
        self.journal.reader()
    }
}

fn all(reader: &Reader, query: AccountingQuery) -> Vec<AccountedJob> {
    let mut query = AccountingQuery { limit: 3, ..query };
    let mut jobs = Vec::new();
    loop {
        let page = reader.accounting(&query).unwrap();
        assert!(page.jobs.len() <= 3);
        jobs.extend(page.jobs);
        if page.next.is_empty() {
            return jobs;
        }
        query.after = page.next;
    }
}

fn one(reader: &Reader, job: u32) -> AccountedJob {
    let jobs = vec![JobRef::from(JobId(job))];
    let mut found = all(reader, AccountingQuery { jobs, with_steps: true, ..AccountingQuery::default() });
    assert_eq!(found.len(), 1);
    found.remove(0)
}

#[test]
fn accounting_says_of_every_job_what_the_state_says() {
    for seed in 0..10 {
        let mut lab = Lab::new();
        for batch in story(seed, 150) {
            lab.append(&batch);
        }
        let told = all(&lab.reader(), AccountingQuery::default());
        let find = |job: &Job| told.iter().find(|told| told.job == job.id && !is_cancelled_group(told, job)).unwrap();
        for job in lab.cluster.jobs.values() {
            let told = find(job);
            assert_eq!(told.state, job_state(job), "seed {seed}: {told:?}");
            assert_eq!(told.attempt, job.attempt);
            assert_eq!(told.started_at, job.started_at());
            assert_eq!((told.submitted_at, told.eligible_at), (job.submitted_at, job.eligible_at));
            assert_eq!((told.name.as_str(), told.comment.as_str()), (job.spec.name(), job.spec.comment()));
            let (stdout, stderr) = (told.stdout.as_deref(), told.stderr.as_deref());
            assert_eq!((told.batch, stdout, stderr), (true, job.spec.stdout(), job.spec.stderr()));
            assert_eq!(told.node_count, job.spec.ask.min_nodes());
            if job.is_ended() {
                assert_eq!(told.cost, cost_so_far(&lab.cluster, job, lab.cluster.counters.at));
            }
            let names = job.allocations().iter().map(|held| lab.cluster.nodes.get(&held.node).unwrap().name.clone());
            if !job.allocations().is_empty() {
                assert_eq!(told.nodes, names.collect::<Vec<_>>());
            }
            match (&told.array, &job.role) {
                (None, Role::Single) => {}
                (Some(ArrayView::Pending { indices, .. }), Role::Pending { indices: pending, .. }) => {
                    assert!(indices == pending || job.is_ended());
                }
                (Some(ArrayView::Element { array, index }), Role::Element { .. }) => {
                    assert_eq!((Some(*array), Some(*index)), (job.array(), job.index()));
                }
                other => panic!("{other:?}"),
            }
        }
        let counters = &lab.cluster.counters;
        let totals = lab.reader().totals().unwrap();
        assert_eq!((totals.nodes_gone, totals.spent), (counters.nodes_gone, counters.spent));
    }
}

/// Elements that were cancelled before they ran have a row beside the one of those that wait.
fn is_cancelled_group(told: &AccountedJob, job: &Job) -> bool {
    matches!(told.array, Some(ArrayView::Pending { .. }))
        && told.state == JobState::Ended(EndState::Cancelled)
        && !job.is_ended()
}

#[test]
fn a_job_is_told_from_its_submission_to_its_end() {
    let mut lab = Lab::new();
    let mut story = Story::new(1);
    let first = story.begin();
    lab.append(&first);
    let step = |lab: &mut Lab, act: fn(&mut Story, &mut Batch), story: &mut Story| {
        let mut batch = Batch::default();
        act(story, &mut batch);
        lab.append(&batch);
        one(&lab.reader(), 1)
    };
    let told = step(&mut lab, |story, batch| story.submit(batch, None), &mut story);
    assert_eq!((told.state, told.reason, told.attempt.0), (JobState::Pending, Reason::None, 0));
    assert_eq!((told.partition.as_str(), told.qos.as_str(), told.cpus, told.node_count), ("main", "normal", 1, 1));
    assert_eq!(told.req_tres, "cpu=1,node=1,billing=1");
    assert!(told.nodes.is_empty() && told.ended_at.is_none() && told.steps.is_empty());

    let told = step(&mut lab, |story, batch| story.start(batch), &mut story);
    assert_eq!((told.state, told.attempt.0, told.restarts), (JobState::Running, 1, 0));
    assert_eq!((told.cpus, told.memory_mib, told.nodes.len()), (2, 1_024, 1));
    assert!(told.nodes[0].as_str().starts_with("lab-"));
    assert_eq!(told.started_at, Some(story.now));

    story.now += Span::from_secs(60);
    let told = step(&mut lab, |story, batch| story.finish(batch), &mut story);
    assert_eq!(told.ended_at, Some(story.now));
    assert_eq!(told.cost, MicroUsd(17));
    let steps: Vec<StepId> = told.steps.iter().map(|step| step.step).collect();
    assert_eq!(steps, [StepId::BATCH, StepId(0)]);
    let batch = &told.steps[0];
    assert_eq!((batch.name.as_str(), batch.cpus, batch.exit), ("batch", 2, told.exit));
    assert_eq!((batch.usage.user_cpu, batch.usage.max_rss_kib), (Span::from_secs(9), 2_048));
    assert_eq!((batch.started_at, batch.ended_at), (told.started_at.unwrap(), told.ended_at));
    let receipt = lab.reader().receipt(JobId(1)).unwrap();
    assert_eq!(
        receipt.iter().map(|line| (line.what, line.amount)).collect::<Vec<_>>(),
        [(ChargeKind::Run, MicroUsd(17))]
    );
    assert_eq!(receipt[0].node, told.nodes[0]);
}

#[test]
fn a_requeued_job_keeps_its_earlier_attempts() {
    let mut lab = Lab::new();
    for batch in story(4, 300) {
        lab.append(&batch);
    }
    let reader = lab.reader();
    let again: Vec<AccountedJob> = all(&reader, AccountingQuery { with_steps: true, ..AccountingQuery::default() })
        .into_iter()
        .filter(|job| job.restarts > 0)
        .collect();
    assert!(!again.is_empty());
    for job in again {
        let earlier = reader.attempts(job.job).unwrap();
        assert_eq!(earlier.len() as u32, job.restarts);
        for (number, attempt) in earlier.iter().enumerate() {
            assert_eq!(attempt.attempt.0 as usize, number + 1);
            assert_eq!(attempt.state, JobState::Ended(EndState::NodeFail));
            assert_eq!((attempt.reason, attempt.cost, attempt.nodes.len()), (Reason::NodeFailure, MicroUsd(5), 1));
            // What ran when its node failed ended with the attempt.
            for step in job.steps.iter().filter(|step| step.attempt == attempt.attempt) {
                assert_eq!((step.state, step.ended_at), (attempt.state, attempt.ended_at));
            }
        }
        assert!(job.cost >= MicroUsd(5) || job.state == JobState::Ended(EndState::Completed) || job.ended_at.is_some());
    }
}

#[test]
fn elements_that_never_ran_are_one_row_and_are_found_by_any_of_their_names() {
    let mut lab = Lab::new();
    let mut story = Story::new(2);
    let first = story.begin();
    lab.append(&first);
    let mut batch = Batch::default();
    let indices = IndexSet::from_iter(0..1_000);
    story.submit(&mut batch, Some(squall_types::spec::ArraySpec { indices, limit: Some(2), step: 1 }));
    lab.append(&batch);
    let at = story.now;
    let array = JobId(1);
    let mut act = |what: What| lab.append(&Batch { events: vec![what.at(at)], blobs: Vec::new() });
    act(What::ElementSplit { array, index: 3, job: JobId(2), group: None });
    act(What::ElementsCancelled { array, indices: IndexSet::from_iter(500..600), by: Some(Uid(7)), group: None });
    act(What::ElementsCancelled { array, indices: IndexSet::from_iter([900]), by: None, group: None });
    let reader = lab.reader();
    let ask = |job: u32, elements: Option<IndexSet>| {
        all(
            &reader,
            AccountingQuery {
                jobs: vec![JobRef { job: JobId(job), elements, component: None }],
                ..AccountingQuery::default()
            },
        )
    };
    let whole = ask(1, None);
    let shown: Vec<(u32, String, JobState)> = whole.iter().map(|job| (job.job.0, shape(job), job.state)).collect();
    let cancelled = JobState::Ended(EndState::Cancelled);
    assert_eq!(
        shown,
        [
            (1, "[0-2,4-499,600-899,901-999]".to_owned(), JobState::Pending),
            (1, "[500-599]".to_owned(), cancelled),
            (1, "[900]".to_owned(), cancelled),
            (2, "3".to_owned(), JobState::Pending),
        ]
    );
    assert_eq!(whole[1].cancelled_by, Some(Uid(7)));
    assert_eq!(lab.reader().totals().unwrap().ended(EndState::Cancelled), 101);
    let mut act = |what: What| lab.append(&Batch { events: vec![what.at(at)], blobs: Vec::new() });
    act(What::GroupSplit { array, indices: IndexSet::from_iter(100..200), job: JobId(3), group: None });
    act(What::JobHeld { job: JobId(3), by: HeldBy::User });
    let group = Some(JobId(3));
    act(What::ElementsCancelled { array, indices: IndexSet::from_iter(150..200), by: None, group });
    act(What::ElementSplit { array, index: 100, job: JobId(4), group });
    // A group is found by the number of its array, and what waits of it by its own.
    let rows = [(1, "[150-199]", cancelled), (3, "[101-149]", JobState::Pending), (4, "100", JobState::Pending)];
    let of_group: Vec<_> = ask(1, Some(IndexSet::from_iter(100..200)));
    let shown: Vec<(u32, String, JobState)> = of_group.iter().map(|job| (job.job.0, shape(job), job.state)).collect();
    assert_eq!(shown, rows.map(|(job, indices, state)| (job, indices.to_owned(), state)));
    assert_eq!(of_group[1].reason, Reason::JobHeldUser);
    assert_eq!(ask(3, None).iter().map(shape).collect::<Vec<_>>(), ["[101-149]"]);
    assert_eq!(
        ask(1, Some(IndexSet::from_iter(98..=102))).iter().map(shape).collect::<Vec<_>>(),
        ["[98-99]", "[101-102]", "100"]
    );
    // By the number of its own record, by its place, and by a range that crosses rows.
    assert_eq!(ask(2, None).iter().map(shape).collect::<Vec<_>>(), ["3"]);
    assert_eq!(ask(1, Some(IndexSet::from_iter([3]))).iter().map(shape).collect::<Vec<_>>(), ["3"]);
    let range = ask(1, Some(IndexSet::from_iter(2..=501)));
    assert_eq!(
        range.iter().map(shape).collect::<Vec<_>>(),
        ["[2,4-99,200-499]", "[500-501]", "[150-199]", "3", "[101-149]", "100"]
    );
    assert_eq!(ask(9, None), []);
}

fn shape(job: &AccountedJob) -> String {
    match &job.array {
        None => String::new(),
        Some(ArrayView::Element { index, .. }) => index.to_string(),
        Some(ArrayView::Pending { indices, .. }) => format!("[{indices}]"),
    }
}

#[test]
fn the_ledger_follows_a_node_from_order_to_gone() {
    let mut lab = Lab::new();
    for batch in story(6, 200) {
        lab.append(&batch);
    }
    let reader = lab.reader();
    let (mut after, mut rows) = (String::new(), Vec::new());
    loop {
        let page = reader.ledger(&LedgerQuery { after, limit: 4 }).unwrap();
        rows.extend(page.rows);
        after = page.next;
        if after.is_empty() {
            break;
        }
    }
    assert_eq!(rows.len(), lab.cluster.nodes.len());
    for (row, node) in rows.iter().zip(lab.cluster.nodes.values()) {
        assert_eq!((&row.node, &row.pool, row.ordered_at), (&node.name, &node.pool, node.created_at));
        assert_eq!((row.launched_at, row.first_job_at), (node.launched_at, node.first_job_at));
        assert_eq!(row.ready_at, node.ready_at);
        assert_eq!(row.gone_at.is_some(), node.is_gone());
        if node.is_gone() {
            assert_eq!((row.cost, row.gone_why.as_str()), (MicroUsd(123), "retired"));
        }
    }
    let orders = reader.orders(&LedgerQuery::default()).unwrap().rows;
    assert_eq!(orders.len(), lab.cluster.orders.len());
    assert!(orders.iter().all(|order| order.nodes == 1 && order.delivered == 1 && order.launched_at.is_some()));
}

#[test]
fn a_question_that_no_page_answers_is_refused() {
    let lab = Lab::new();
    for after in ["x", "-4", "99999999999999999999999"] {
        let error = lab.reader().accounting(&AccountingQuery { after: after.into(), ..AccountingQuery::default() });
        assert!(matches!(error, Err(JournalError::BadQuery(_))), "{error:?}");
    }
    let jobs = vec![JobRef::from(JobId(1)); 10_001];
    let error = lab.reader().accounting(&AccountingQuery { jobs, ..AccountingQuery::default() }).unwrap_err();
    assert!(error.to_string().contains("at most 10000"), "{error}");
}

#[test]
fn readers_never_wait_for_commits_nor_commits_for_readers() {
    let mut lab = Lab::new();
    let reader = lab.reader();
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..6)
            .map(|_| {
                let (reader, done) = (reader.clone(), &done);
                scope.spawn(move || {
                    let (mut answers, mut last) = (0, 0);
                    while !done.load(std::sync::atomic::Ordering::Acquire) {
                        let page = reader.accounting(&AccountingQuery::default()).unwrap();
                        let submissions = reader.totals().unwrap().submissions;
                        assert!(submissions >= last && submissions >= u64::from(page.jobs.last().is_some()));
                        last = submissions;
                        answers += 1;
                    }
                    answers
                })
            })
            .collect();
        for batch in story(8, 300) {
            lab.append(&batch);
        }
        done.store(true, std::sync::atomic::Ordering::Release);
        for reader in readers {
            assert!(reader.join().unwrap() > 0);
        }
    });
    assert!(lab.journal.seq() > Seq(300));
}

/// One journal for all questions.
static PAST: LazyLock<(Reader, Vec<AccountedJob>)> = LazyLock::new(|| {
    let mut lab = Lab::new();
    for batch in story(9, 400) {
        lab.append(&batch);
    }
    let reader = lab.reader();
    let everything = reader.accounting(&AccountingQuery { limit: 10_000, ..AccountingQuery::default() }).unwrap();
    assert!(everything.next.is_empty() && everything.jobs.len() > 300);
    // Lives as long as the test process.
    std::mem::forget(lab);
    (reader, everything.jobs)
});

prop_compose! {
    fn any_query()(
        users in prop::collection::vec((998u32..1_006).prop_map(Uid), 0..3),
        accounts in prop::collection::vec((0u32..4).prop_map(|number| format!("project{number}").as_str().into()), 0..2),
        names in prop::collection::vec((0u32..9).prop_map(|number| format!("train-{number}")), 0..2),
        states in prop::collection::vec(prop_oneof![
            Just(JobState::Pending), Just(JobState::Running), Just(JobState::Ended(EndState::Completed)),
            Just(JobState::Ended(EndState::Failed)), Just(JobState::Ended(EndState::Cancelled)),
        ], 0..3),
        from in prop::option::of(-100i64..2_500),
        to in prop::option::of(-100i64..2_500),
        jobs in prop::collection::vec((1u32..400, prop::option::of((0u32..6, 0u32..6))), 0..4),
    ) -> AccountingQuery {
        let at = |seconds: i64| Timestamp::from_secs(1_700_000_000 + seconds);
        let range = |(a, b): (u32, u32)| IndexSet::from_ranges(vec![(a.min(b), a.max(b))]);
        let jobs = jobs.into_iter().map(|(job, elements)| JobRef { job: JobId(job), elements: elements.map(range), component: None });
        AccountingQuery {
            jobs: jobs.collect(), users, accounts, names, states,
            from: from.map(at), to: to.map(at), ..AccountingQuery::default()
        }
    }
}

/// What the question means, read plainly.
fn plainly(query: &AccountingQuery, everything: &[AccountedJob]) -> Vec<AccountedJob> {
    let narrow = |job: &AccountedJob| -> Option<AccountedJob> {
        let (array, members) = match &job.array {
            None => (job.job, None),
            Some(ArrayView::Element { array, index }) => (*array, Some(IndexSet::from_iter([*index]))),
            Some(ArrayView::Pending { array, indices, .. }) => (*array, Some(indices.clone())),
        };
        let mut asked = IndexSet::new();
        for named in &query.jobs {
            match (&named.elements, &members) {
                (None, _) if named.job == job.job || named.job == array => return Some(job.clone()),
                (Some(_), None) if named.job == job.job => return Some(job.clone()),
                (Some(indices), Some(members)) if named.job == array || named.job == job.job => {
                    indices.intersection(members).iter().for_each(|index| asked.insert(index));
                }
                _ => {}
            }
        }
        let mut job = job.clone();
        if let Some(ArrayView::Pending { indices, .. }) = &mut job.array {
            *indices = asked.clone();
        }
        (query.jobs.is_empty() || !asked.is_empty()).then_some(job)
    };
    let any = |wanted: bool, empty: bool| wanted || empty;
    everything
        .iter()
        .filter(|job| any(query.users.contains(&job.uid), query.users.is_empty()))
        .filter(|job| any(query.accounts.contains(&job.account), query.accounts.is_empty()))
        .filter(|job| any(query.names.contains(&job.name), query.names.is_empty()))
        .filter(|job| any(query.states.contains(&job.state), query.states.is_empty()))
        .filter(|job| query.to.is_none_or(|to| job.submitted_at <= to))
        .filter(|job| query.from.is_none_or(|from| job.ended_at.is_none_or(|ended| ended >= from)))
        .filter_map(|job| if query.jobs.is_empty() { Some(job.clone()) } else { narrow(job) })
        .collect()
}

proptest! {
    #[test]
    fn whatever_index_is_taken_the_answer_is_that_of_plain_reading(query in any_query()) {
        let (reader, everything) = &*PAST;
        prop_assert_eq!(all(reader, query.clone()), plainly(&query, everything));
    }
}
