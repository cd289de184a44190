//! What a journal keeps, and whom it refuses.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod story;

use squall_core::Cluster;
use squall_core::event::What;
use squall_journal::{Journal, JournalError, Options, Reader, verify};
use squall_types::api::{AccountingQuery, JobState};
use squall_types::{Epoch, Seq, Span};
use std::path::Path;
use story::{Batch, story};

fn open(dir: &Path) -> (Journal, squall_journal::Recovered) {
    Journal::open(dir, Options::default()).unwrap()
}

fn append_all(journal: &mut Journal, cluster: &mut Cluster, batches: &[Batch]) {
    for batch in batches {
        journal.append_with_blobs(journal.epoch(), &batch.events, &batch.blobs).unwrap();
        batch.events.iter().for_each(|event| cluster.apply(event));
    }
}

#[test]
fn a_story_folds_without_an_alarm() {
    for seed in 0..20 {
        let mut cluster = Cluster::new();
        for batch in story(seed, 200) {
            batch.events.iter().for_each(|event| cluster.apply(event));
            assert_eq!(cluster.alarm, None, "seed {seed}");
        }
    }
}

#[test]
fn what_was_appended_is_there_at_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    let (mut journal, recovered) = open(&state);
    assert_eq!((recovered.seq, recovered.epoch, recovered.clean), (Seq(0), Epoch(1), true));
    let mut cluster = Cluster::new();
    append_all(&mut journal, &mut cluster, &story(1, 100));
    let seq = journal.seq();
    journal.close().unwrap();
    let (journal, recovered) = open(&state);
    assert_eq!((recovered.seq, recovered.epoch, recovered.clean), (seq, Epoch(2), true));
    assert_eq!(recovered.replayed, seq.0);
    assert_eq!(recovered.cluster.hash(), cluster.hash());
    assert!(recovered.notes.is_empty(), "{:?}", recovered.notes);
    drop(journal);
    let (_, recovered) = open(&state);
    assert!(!recovered.clean);
    assert_eq!(recovered.cluster.hash(), cluster.hash());
}

#[test]
fn a_second_controller_on_the_same_state_is_refused_with_the_holders_pid() {
    let dir = tempfile::tempdir().unwrap();
    let (_journal, _) = open(dir.path());
    match Journal::open(dir.path(), Options::default()) {
        Err(error @ JournalError::InUse { pid, .. }) => {
            assert_eq!(pid, Some(std::process::id()));
            assert!(error.to_string().contains("squall down"), "{error}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_earlier_epoch_can_write_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (mut first, _) = open(dir.path());
    let mut cluster = Cluster::new();
    let batches = story(2, 10);
    append_all(&mut first, &mut cluster, &batches[..5]);
    // The lock is gone, as on a file system that forgets locks: the epoch alone has to do.
    std::fs::remove_file(dir.path().join("journal.lock")).unwrap();
    let (mut second, recovered) = open(dir.path());
    assert_eq!(recovered.cluster.hash(), cluster.hash());
    match first.append(first.epoch(), &batches[5].events) {
        Err(JournalError::Fenced { mine: Epoch(1), current: Epoch(2) }) => {}
        other => panic!("{other:?}"),
    }
    // Nor can it by claiming the epoch of the other.
    assert!(matches!(first.append(Epoch(2), &batches[5].events), Err(JournalError::Poisoned { .. })));
    assert!(matches!(first.tend(cluster.counters.at), Err(JournalError::Poisoned { .. })));
    append_all(&mut second, &mut cluster, &batches[5..]);
    drop((first, second));
    std::fs::remove_file(dir.path().join("journal.lock")).unwrap();
    assert_eq!(open(dir.path()).1.cluster.hash(), cluster.hash());
}

#[test]
fn an_epoch_that_was_never_given_out_can_write_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = open(dir.path());
    let events = &story(2, 1)[0].events;
    assert!(matches!(journal.append(Epoch(9), events), Err(JournalError::Fenced { .. })));
}

#[test]
fn a_job_is_not_accepted_without_its_script() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = open(dir.path());
    let batches = story(3, 20);
    let submission = batches.iter().find(|batch| !batch.blobs.is_empty()).unwrap();
    let event = submission.events.iter().find(|event| matches!(event.what, What::JobSubmitted { .. })).unwrap();
    let error = journal.append(journal.epoch(), std::slice::from_ref(event)).unwrap_err();
    assert!(matches!(error, JournalError::MissingBlob { .. }), "{error}");
    drop(journal);
    assert_eq!(open(dir.path()).1.seq, Seq(0));
}

#[test]
fn scripts_and_environments_are_read_as_they_were_submitted() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = open(dir.path());
    append_all(&mut journal, &mut Cluster::new(), &story(4, 50));
    let reader = journal.reader();
    let mut specs = 0;
    for batch in story(4, 50) {
        for event in &batch.events {
            if let What::JobSubmitted { spec, .. } = &event.what {
                let script = reader.blob(spec.script.unwrap()).unwrap().unwrap();
                assert!(script.starts_with(b"#!/bin/sh\necho "));
                assert_eq!(
                    reader.blob(spec.environment.unwrap()).unwrap().unwrap(),
                    b"PATH=/usr/bin\0LANG=C\0".repeat(40)
                );
                specs += 1;
            }
        }
    }
    assert!(specs > 10);
}

#[test]
fn a_start_reads_the_newest_snapshot_and_what_came_after() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = open(dir.path());
    let mut cluster = Cluster::new();
    let batches = story(5, 60);
    for chunk in batches.chunks(20) {
        append_all(&mut journal, &mut cluster, chunk);
        let (ticket, state) = (journal.snapshot_ticket(), cluster.clone());
        let written = std::thread::spawn(move || ticket.write(&state).unwrap()).join().unwrap();
        journal.snapshot_written(&written);
    }
    let snapshots = || {
        let names =
            std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.filter(|name| name.starts_with("snapshot-")).collect();
        names.sort();
        names
    };
    let kept = snapshots();
    assert_eq!(kept.len(), 2, "{kept:?}");
    let after = journal.seq();
    append_all(&mut journal, &mut cluster, &story(5, 70)[batches.len()..]);
    let end = journal.seq();
    drop(journal);
    let (journal, recovered) = open(dir.path());
    assert_eq!((recovered.from_snapshot, recovered.replayed), (Some(after), end.0 - after.0));
    assert_eq!(recovered.cluster.hash(), cluster.hash());
    drop(journal);
    // A newest snapshot that is damaged is passed over.
    let newest = dir.path().join(kept.last().unwrap());
    let mut bytes = std::fs::read(&newest).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 8;
    std::fs::write(&newest, bytes).unwrap();
    let (journal, recovered) = open(dir.path());
    assert!(recovered.from_snapshot.unwrap() < after);
    assert_eq!(recovered.cluster.hash(), cluster.hash());
    assert!(recovered.notes[0].contains(kept.last().unwrap()), "{:?}", recovered.notes);
    journal.close().unwrap();
}

#[test]
fn records_are_pruned_only_when_two_snapshots_cover_them() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = Options::default();
    options.retention.records = Span::ZERO;
    let (mut journal, _) = Journal::open(dir.path(), options.clone()).unwrap();
    let mut cluster = Cluster::new();
    let batches = story(6, 600);
    let mut covered = Seq(0);
    let (first, rest) = batches.split_at(300);
    append_all(&mut journal, &mut cluster, first);
    journal.snapshot_written(&journal.snapshot_ticket().write(&cluster).unwrap());
    assert_eq!(journal.tend(cluster.counters.at + Span::from_secs(1)).unwrap().records, 0);
    covered.0 += journal.seq().0;
    append_all(&mut journal, &mut cluster, rest);
    journal.snapshot_written(&journal.snapshot_ticket().write(&cluster).unwrap());
    let (mut pruned, mut steps) = (0, 0);
    loop {
        let tended = journal.tend(cluster.counters.at + Span::from_secs(1)).unwrap();
        pruned += tended.records;
        steps += 1;
        if !tended.more {
            break;
        }
    }
    assert_eq!(pruned, covered.0);
    assert!(steps > 1);
    assert_eq!(journal.first_seq(), Seq(covered.0 + 1));
    drop(journal);
    let report = verify(dir.path()).unwrap();
    assert_eq!(report.problems, Vec::<String>::new());
    assert_eq!(report.state, Some(cluster.hash()));
    // The older snapshot still does where the newer one is gone.
    let newest = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path());
    let newest = newest.filter(|path| path.to_string_lossy().contains("snapshot-")).max().unwrap();
    std::fs::write(&newest, b"nothing").unwrap();
    let (journal, recovered) = Journal::open(dir.path(), options).unwrap();
    assert_eq!(recovered.cluster.hash(), cluster.hash());
    drop(journal);
    // With neither, nothing is invented.
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.to_string_lossy().contains("snapshot-") {
            std::fs::write(path, b"nothing").unwrap();
        }
    }
    let error = Journal::open(dir.path(), Options::default()).unwrap_err();
    assert!(matches!(error, JournalError::Damaged { .. }), "{error}");
    assert!(error.to_string().contains("no snapshot stands there"), "{error}");
}

#[test]
fn history_goes_when_it_is_old_and_takes_its_scripts_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = Options::default();
    options.retention.history = Some(Span::from_hours(1));
    let (mut journal, _) = Journal::open(dir.path(), options).unwrap();
    let mut cluster = Cluster::new();
    append_all(&mut journal, &mut cluster, &story(7, 200));
    let reader = journal.reader();
    let all = reader.accounting(&AccountingQuery::default()).unwrap().jobs;
    let over = all.iter().filter(|job| job.ended_at.is_some()).count();
    assert!(over > 10 && over < all.len());
    let totals = reader.totals().unwrap();
    let mut jobs = 0;
    loop {
        let tended = journal.tend(cluster.counters.at + Span::from_hours(3)).unwrap();
        jobs += tended.jobs;
        if !tended.more {
            break;
        }
    }
    assert_eq!(jobs, over);
    let left = reader.accounting(&AccountingQuery::default()).unwrap().jobs;
    assert_eq!(left.len(), all.len() - over);
    assert!(left.iter().all(|job| !matches!(job.state, JobState::Ended(_))));
    assert_eq!(reader.totals().unwrap(), totals);
    let report = verify(dir.path()).unwrap();
    assert_eq!(report.problems, Vec::<String>::new());
    // Only what the jobs that are left need.
    assert!(report.blobs <= 1 + left.len() as u64, "{} blobs for {} jobs", report.blobs, left.len());
}

#[test]
fn a_dump_says_every_record_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = open(dir.path());
    append_all(&mut journal, &mut Cluster::new(), &story(8, 300));
    let reader = Reader::open(dir.path()).unwrap();
    let lines: Vec<String> = reader.dump(Seq(1)).unwrap().collect::<Result<_, _>>().unwrap();
    assert_eq!(lines.len() as u64, journal.seq().0);
    assert!(
        lines[0].starts_with(r#"{"seq":1,"epoch":1,"version":1,"event":{"at":1700000000000,"what":{"ConfigApplied""#),
        "{}",
        lines[0]
    );
    let tail: Vec<String> = reader.dump(Seq(10)).unwrap().collect::<Result<_, _>>().unwrap();
    assert_eq!(tail[..], lines[9..]);
    assert!(matches!(reader.dump(Seq(journal.seq().0 + 2)), Err(JournalError::BadQuery(_))));
    assert_eq!(reader.bounds().unwrap(), (Seq(1), journal.seq()));
}

#[test]
fn another_programs_database_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let other = rusqlite::Connection::open(dir.path().join("journal.db")).unwrap();
    other.execute_batch("CREATE TABLE a (b)").unwrap();
    drop(other);
    let error = Journal::open(dir.path(), Options::default()).unwrap_err();
    assert!(error.to_string().contains("not the database of a Squall journal"), "{error}");
}

#[test]
fn a_record_of_a_newer_release_is_refused_with_advice() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = open(dir.path());
    append_all(&mut journal, &mut Cluster::new(), &story(9, 5));
    let (seq, epoch) = (journal.seq(), journal.epoch());
    journal.close().unwrap();
    let db = rusqlite::Connection::open(dir.path().join("journal.db")).unwrap();
    let chain: u32 = db.query_row("SELECT chain FROM records ORDER BY seq DESC LIMIT 1", [], |row| row.get(0)).unwrap();
    // A record as the next release would write it: sealed well, of a version that this one does not know.
    let payload = b"something new".to_vec();
    let sealed = squall_journal::Chain(chain).next(Seq(seq.0 + 1), epoch, 1, 2, &payload);
    let row = rusqlite::params![seq.0 as i64 + 1, epoch.0 as i64, 1, 2, sealed.0, payload];
    db.execute("INSERT INTO records (seq, epoch, at, version, chain, payload) VALUES (?1, ?2, ?3, ?4, ?5, ?6)", row)
        .unwrap();
    drop(db);
    let error = Journal::open(dir.path(), Options::default()).unwrap_err();
    assert!(matches!(error, JournalError::Newer { found: 2, known: 1, .. }), "{error}");
}
