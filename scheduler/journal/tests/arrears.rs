//! Accounting that follows the log a little behind says the same in the end, and nobody sees it behind.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod story;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use squall_core::event::What;
use squall_journal::{Journal, Options, Reader, verify};
use squall_types::api::{AccountingQuery, JobState, LedgerQuery};
use squall_types::{Seq, Span, Timestamp};
use std::path::Path;
use std::sync::mpsc::channel;
use std::thread;
use story::{Batch, scratch, story};

fn open(dir: &Path) -> (Journal, Seq) {
    let mut options = Options::default();
    // What ended goes at once, and with it the scripts that nothing else names.
    options.retention.history = Some(Span::from_hours(1));
    let (journal, recovered) = Journal::open(dir, options).unwrap();
    (journal, recovered.seq)
}

fn commit(journal: &mut Journal, batch: &Batch) {
    journal.commit(journal.epoch(), batch.events.clone(), &batch.blobs).unwrap();
}

/// All that people are told.
fn told(reader: &Reader) -> String {
    let jobs = AccountingQuery { limit: 10_000, with_steps: true, ..AccountingQuery::default() };
    let ledger = LedgerQuery { limit: 10_000, ..LedgerQuery::default() };
    let jobs = reader.accounting(&jobs).unwrap();
    let receipts: Vec<_> = jobs.jobs.iter().map(|job| (job.job, reader.receipt(job.job).unwrap())).collect();
    let attempts: Vec<_> = jobs.jobs.iter().map(|job| reader.attempts(job.job).unwrap()).collect();
    let (nodes, orders) = (reader.ledger(&ledger).unwrap(), reader.orders(&ledger).unwrap());
    format!("{jobs:?}\n{receipts:?}\n{attempts:?}\n{nodes:?}\n{orders:?}\n{:?}", reader.totals().unwrap())
}

/// The same story with all accounting in its commits.
fn at_once(batches: &[Batch]) -> String {
    let dir = scratch();
    let (mut journal, _) = open(dir.path());
    batches.iter().for_each(|batch| commit(&mut journal, batch));
    told(&journal.reader())
}

#[test]
fn what_is_accounted_for_later_is_accounted_for_alike() {
    for seed in 0..6 {
        let batches: Vec<_> = story(seed, 150).into_iter().filter(|batch| !batch.events.is_empty()).collect();
        let expected = at_once(&batches);
        let mut dice = ChaCha8Rng::seed_from_u64(seed);
        let dir = scratch();
        let (mut journal, _) = open(dir.path());
        journal.account_later(|| {});
        for batch in &batches {
            commit(&mut journal, batch);
            if dice.random_ratio(1, 20) {
                journal.account().unwrap();
                assert_eq!(journal.arrears(), 0);
            }
            if dice.random_ratio(1, 20) {
                // Without a word: the next start finds records that nobody accounted for.
                drop(journal);
                let report = verify(dir.path()).unwrap();
                assert_eq!(report.problems, Vec::<String>::new());
                (journal, _) = open(dir.path());
                journal.account_later(|| {});
            }
        }
        journal.account().unwrap();
        assert_eq!(told(&journal.reader()), expected, "seed {seed}");
        journal.close().unwrap();
        assert_eq!(verify(dir.path()).unwrap().problems, Vec::<String>::new());
    }
}

#[test]
fn whoever_asks_is_told_of_everything_that_was_on_disk_then() {
    let dir = scratch();
    let (mut journal, _) = open(dir.path());
    let reader = journal.reader();
    let (ask, asked) = channel();
    journal.account_later(move || ask.send(()).unwrap());
    let (batches, (written, heard)) = (story(3, 200), channel());
    let submissions = |batch: &Batch| {
        batch.events.iter().filter(|event| matches!(event.what, What::JobSubmitted { .. })).count() as u64
    };
    let counts: Vec<_> = batches.iter().map(submissions).collect();
    thread::spawn(move || {
        // What a controller's writer does.
        for batch in &batches {
            commit(&mut journal, batch);
            written.send(()).unwrap();
            while asked.try_recv().is_ok() {
                journal.account().unwrap();
            }
        }
        while asked.recv().is_ok() {
            journal.account().unwrap();
        }
    });
    let mut submitted = 0;
    for count in counts {
        heard.recv().unwrap();
        submitted += count;
        assert!(reader.totals().unwrap().submissions >= submitted);
    }
}

#[test]
fn nobody_waits_for_a_journal_that_is_gone() {
    let dir = scratch();
    let (mut journal, _) = open(dir.path());
    let reader = journal.reader();
    journal.account_later(|| {});
    story(4, 20).iter().for_each(|batch| commit(&mut journal, batch));
    assert!(journal.arrears() > 0);
    let asked = thread::spawn(move || reader.totals().unwrap());
    drop(journal);
    asked.join().unwrap();
}

#[test]
fn maintenance_prunes_nothing_that_is_not_accounted_for() {
    let dir = scratch();
    let (mut journal, _) = open(dir.path());
    journal.account_later(|| {});
    let batches = story(5, 150);
    for batch in &batches {
        commit(&mut journal, batch);
        // Long after everything that ended: its scripts go, though what was committed just now may name them too.
        journal.tend(Timestamp(i64::MAX / 4)).unwrap();
        assert_eq!(journal.arrears(), 0);
    }
    assert_eq!(verify(dir.path()).unwrap().problems, Vec::<String>::new());
    let left = journal.reader().accounting(&AccountingQuery::default()).unwrap().jobs;
    assert!(!left.is_empty() && left.iter().all(|job| !matches!(job.state, JobState::Ended(_))), "{left:?}");
}
