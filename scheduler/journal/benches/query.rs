//! What questions cost with many finished jobs, and what a start costs.
//!
//! `SQUALL_BENCH_JOBS` says how many (100,000 where it does not), over a year, of 100 users of whom one owns half. With
//! `SQUALL_BENCH_KEEP` they are written to a folder that does not exist yet, and kept for `tests/bench/accounting.py`.
#![allow(clippy::unwrap_used, reason = "a benchmark is a test")]

#[path = "../tests/story/mod.rs"]
mod story;

use criterion::{Criterion, criterion_group, criterion_main};
use squall_journal::{Journal, Options, Reader, verify};
use squall_types::api::{AccountingQuery, JobRef, JobState, LedgerQuery};
use squall_types::{EndState, JobId, Span, Timestamp, Uid};
use std::path::{Path, PathBuf};
use std::time::Instant;
use story::{Batch, Story};

const YEAR: i64 = 365 * 86_400;

fn jobs() -> u32 {
    std::env::var("SQUALL_BENCH_JOBS").ok().and_then(|text| text.parse().ok()).unwrap_or(100_000)
}

/// A year of jobs, each submitted, bound, started and ended, with a script and a step.
fn fill(dir: &Path) -> (Timestamp, Timestamp) {
    let (mut journal, _) = Journal::open(dir, Options::default()).unwrap();
    let mut story = Story::new(1);
    story.users = 100;
    let first = story.begin();
    journal.append(journal.epoch(), &first.events).unwrap();
    let (begun, from) = (Instant::now(), story.now);
    let mut events = first.events.len();
    let each = Span::from_millis(YEAR * 1_000 / i64::from(jobs()));
    for chunk in 0..jobs().div_ceil(100) {
        let mut batch = Batch::default();
        for number in 0..100 {
            story.submit(&mut batch, None);
            if number % 2 == 0 {
                own(&mut batch, Uid(1_000));
            }
            story.start(&mut batch);
            story.now += each;
            story.finish(&mut batch);
        }
        events += batch.events.len();
        journal.append_with_blobs(journal.epoch(), &batch.events, &batch.blobs).unwrap();
        if chunk % 10 == 9 {
            journal.tend(from).unwrap();
        }
    }
    let took = begun.elapsed();
    journal.close().unwrap();
    let bytes = std::fs::metadata(dir.join("journal.db")).unwrap().len();
    eprintln!(
        "{} jobs in {events} events: {:.0} events/s, database {} MiB",
        jobs(),
        events as f64 / took.as_secs_f64(),
        bytes >> 20
    );
    (from, story.now)
}

fn own(batch: &mut Batch, user: Uid) {
    if let Some(squall_core::What::JobSubmitted { spec, .. }) = batch.events.last_mut().map(|event| &mut event.what) {
        spec.uid = user;
    }
}

fn queries(criterion: &mut Criterion) {
    let base = std::env::var_os("SQUALL_BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    if let Some(kept) = std::env::var_os("SQUALL_BENCH_KEEP") {
        return keep(Path::new(&kept));
    }
    let dir = tempfile::tempdir_in(base).unwrap();
    let (from, to) = fill(dir.path());
    let begun = Instant::now();
    let (journal, recovered) = Journal::open(dir.path(), Options::default()).unwrap();
    eprintln!("start without a snapshot: {} records in {:?}", recovered.replayed, begun.elapsed());
    let begun = Instant::now();
    let written = journal.snapshot_ticket().write(&recovered.cluster).unwrap();
    eprintln!("snapshot: {} bytes in {:?}", std::fs::metadata(written.path).unwrap().len(), begun.elapsed());
    journal.close().unwrap();
    let begun = Instant::now();
    let (journal, _) = Journal::open(dir.path(), Options::default()).unwrap();
    eprintln!("start from a snapshot: {:?}", begun.elapsed());

    let reader = journal.reader();
    let day = |start: Timestamp| (Some(start), Some(start + Span::from_hours(24)));
    let mut ask = |name: &str, query: AccountingQuery| {
        let found = reader.accounting(&query).unwrap();
        eprintln!("{name}: {} jobs, more: {}", found.jobs.len(), !found.next.is_empty());
        criterion.bench_function(name, |bencher| bencher.iter(|| reader.accounting(&query).unwrap()));
    };
    let one = vec![JobRef::from(JobId(jobs() / 2))];
    ask("one job with its steps", AccountingQuery { jobs: one, with_steps: true, ..AccountingQuery::default() });
    let (small, heavy) = (Uid(1_007), Uid(1_000));
    let (first, last) = (day(from), day(to - Span::from_hours(24)));
    for (name, user, (from, to)) in [
        ("a user's last day", small, last),
        ("a user's first day", small, first),
        ("the last day of the user with half of all jobs", heavy, last),
        ("the first day of the user with half of all jobs", heavy, first),
    ] {
        let users = vec![user];
        ask(name, AccountingQuery { users, from, to, limit: 10_000, ..AccountingQuery::default() });
    }
    let (from, to) = last;
    ask("everybody's last day", AccountingQuery { from, to, limit: 10_000, ..AccountingQuery::default() });
    ask("a page of everything", AccountingQuery::default());
    let users = vec![small];
    ask("a page of a user's jobs", AccountingQuery { users, ..AccountingQuery::default() });
    let states = vec![JobState::Ended(EndState::Timeout)];
    ask("a page that looks for what is not there", AccountingQuery { states, ..AccountingQuery::default() });
    criterion.bench_function("totals", |bencher| bencher.iter(|| reader.totals().unwrap()));
    criterion.bench_function("a page of the ledger", |bencher| {
        bencher.iter(|| reader.ledger(&LedgerQuery::default()).unwrap());
    });
    offline(dir.path(), &reader);
}

/// With a snapshot, as a controller leaves it.
fn keep(dir: &Path) {
    std::fs::create_dir(dir).unwrap();
    fill(dir);
    let (journal, recovered) = Journal::open(dir, Options::default()).unwrap();
    journal.snapshot_ticket().write(&recovered.cluster).unwrap();
    journal.close().unwrap();
}

/// What happens seldom is timed once.
fn offline(dir: &Path, reader: &Reader) {
    let begun = Instant::now();
    let saved = dir.join("saved");
    reader.backup(&saved).unwrap();
    eprintln!("backup: {:?}", begun.elapsed());
    std::fs::remove_dir_all(saved).unwrap();
    let begun = Instant::now();
    let report = verify(dir).unwrap();
    assert_eq!(report.problems, Vec::<String>::new());
    eprintln!("verify: {} records, {} rows in {:?}", report.records, report.rows, begun.elapsed());
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = queries
}
criterion_main!(benches);
