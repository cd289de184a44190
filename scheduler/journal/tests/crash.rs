//! A real process that writes and is killed at random moments: everything that it was told to be on disk is there.
//!
//! `SQUALL_CRASH_ROUNDS` sets how often, `SQUALL_SEED` which random numbers.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod story;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use squall_core::Cluster;
use squall_core::event::What;
use squall_journal::{Journal, Options, verify};
use squall_types::api::AccountingQuery;
use squall_types::{Seq, Span};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use story::Story;

const STORY: u64 = 77;
const DIR: &str = "SQUALL_CRASH_DIR";

/// Small, so that pruning and snapshots happen within a round.
fn options() -> Options {
    let mut options = Options { ballast_bytes: 4096, ..Options::default() };
    options.retention.records = Span::ZERO;
    options
}

/// A fold that follows the journal from outside.
#[derive(Default)]
struct Witness {
    cluster: Cluster,
    seq: u64,
    submitted: usize,
}

impl Witness {
    fn apply(&mut self, batch: &story::Batch) {
        batch.events.iter().for_each(|event| self.cluster.apply(event));
        self.seq += batch.events.len() as u64;
        let submissions = batch.events.iter().filter(|event| matches!(event.what, What::JobSubmitted { .. }));
        self.submitted += submissions.count();
    }
}

/// Everything of the story from the beginning.
fn batches() -> impl Iterator<Item = story::Batch> {
    let mut story = Story::new(STORY);
    let first = story.begin();
    std::iter::once(first).chain(std::iter::repeat_with(move || story.batch())).filter(|batch| !batch.events.is_empty())
}

#[test]
#[ignore = "the part of the crash test that is killed"]
fn writer() {
    let Ok(dir) = std::env::var(DIR) else { return };
    let (mut journal, recovered) = Journal::open(&dir, options()).unwrap();
    let mut cluster = recovered.cluster;
    // In every other life accounting follows later.
    if recovered.epoch.0 % 2 == 0 {
        journal.account_later(|| {});
    }
    let mut behind = recovered.seq.0;
    let mut snapshot: Option<std::thread::JoinHandle<_>> = None;
    for (number, batch) in batches().enumerate() {
        if behind > 0 {
            behind = behind.checked_sub(batch.events.len() as u64).expect("a commit was cut in two");
            continue;
        }
        let seq = journal.append_with_blobs(recovered.epoch, &batch.events, &batch.blobs).unwrap();
        let mut out = std::io::stdout().lock();
        out.write_all(format!("ack {seq}\n").as_bytes()).unwrap();
        out.flush().unwrap();
        drop(out);
        batch.events.iter().for_each(|event| cluster.apply(event));
        if journal.arrears() > 25 {
            journal.account().unwrap();
        }
        if number % 10 == 9 {
            if let Some(written) = snapshot.take_if(|writing| writing.is_finished()) {
                journal.snapshot_written(&written.join().unwrap());
            }
            if snapshot.is_none() {
                let (ticket, state) = (journal.snapshot_ticket(), cluster.clone());
                snapshot = Some(std::thread::spawn(move || ticket.write(&state).unwrap()));
            }
            journal.tend(cluster.counters.at + Span::from_secs(1)).unwrap();
        }
    }
}

/// When a writer is killed.
enum Kill {
    /// While it still opens the journal, or thereabouts.
    After(Duration),
    /// So long after it was first told that something is on disk.
    AfterFirst(Duration),
}

/// Runs the writer, kills it, and returns the last record that it was told to be on disk.
fn run_and_kill(dir: &Path, kill: &Kill) -> u64 {
    let mut writer = Command::new(std::env::current_exe().unwrap());
    writer.args(["writer", "--exact", "--ignored", "--nocapture", "--test-threads=1"]).env(DIR, dir);
    let mut writer = writer.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
    let mut out = BufReader::new(writer.stdout.take().unwrap());
    let mut said = String::new();
    match kill {
        Kill::After(life) => std::thread::sleep(*life),
        Kill::AfterFirst(life) => {
            while !said.contains("ack ") {
                assert_ne!(out.read_line(&mut said).unwrap(), 0, "the writer ended by itself: {said}");
            }
            std::thread::sleep(*life);
        }
    }
    assert_eq!(writer.try_wait().unwrap(), None, "the writer ended by itself");
    writer.kill().unwrap();
    out.read_to_string(&mut said).unwrap();
    writer.wait().unwrap();
    // A line that was cut off was not heard.
    let whole = said.rfind('\n').map_or("", |end| &said[..end]);
    whole.lines().filter_map(|line| line.strip_prefix("ack ")?.parse().ok()).next_back().unwrap_or(0)
}

#[test]
fn nothing_that_was_acknowledged_is_lost_to_kill_9() {
    let rounds = std::env::var("SQUALL_CRASH_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(15);
    let seed = story::seed();
    println!("SQUALL_SEED={seed}");
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let dir = tempfile::tempdir().unwrap();
    let mut witness = Witness::default();
    let mut ahead = batches();
    let (mut acknowledged, mut unheard) = (0, 0);
    for round in 0..rounds {
        // Many rounds end while the journal is still being opened: recoveries are cut short by the next.
        let kill = match round % 3 {
            2 => Kill::After(Duration::from_millis(rng.random_range(1..15))),
            _ => Kill::AfterFirst(Duration::from_millis(rng.random_range(0..120))),
        };
        acknowledged = run_and_kill(dir.path(), &kill).max(acknowledged);
        if rng.random_bool(0.4) {
            continue;
        }
        let (journal, recovered) = Journal::open(dir.path(), options()).unwrap();
        assert!(recovered.seq.0 >= acknowledged, "{acknowledged} was acknowledged, {} is there", recovered.seq);
        unheard += u64::from(recovered.seq.0 > acknowledged);
        while witness.seq < recovered.seq.0 {
            witness.apply(&ahead.next().unwrap());
        }
        assert_eq!(Seq(witness.seq), recovered.seq, "a commit was cut in two");
        assert_eq!(recovered.cluster.hash(), witness.cluster.hash());
        let reader = journal.reader();
        assert_eq!(reader.totals().unwrap().submissions as usize, witness.submitted);
        for job in reader.accounting(&AccountingQuery::default()).unwrap().jobs {
            assert!(!job.name.is_empty());
        }
        if rng.random_bool(0.3) {
            journal.close().unwrap();
        }
    }
    println!(
        "{rounds} rounds, {} records, {unheard} rounds with a commit whose acknowledgement was cut off",
        witness.seq
    );
    assert_eq!(verify(dir.path()).unwrap().problems, Vec::<String>::new());
}
