//! The power goes, syncs fail, the disk is full: what was acknowledged is there at the next start.
//!
//! `SQUALL_SEEDS` sets how many lives are tried, `SQUALL_SEED` where they begin.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod faulty;
mod story;

use faulty::{Disk, Fired, Plan};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use squall_core::Cluster;
use squall_journal::options::StorageKind;
use squall_journal::{Journal, JournalError, Options};
use squall_types::Seq;
use std::path::Path;
use std::sync::{Arc, Mutex};
use story::{Batch, story};

const MARK: &str = "journal.mark";

fn options() -> Options {
    Options { storage: StorageKind::Vfs(faulty::NAME.to_owned()), ballast_bytes: 0, ..Options::default() }
}

/// One cluster on one disk, through many crashes.
struct Life {
    dir: tempfile::TempDir,
    disk: Arc<Mutex<Disk>>,
    rng: ChaCha8Rng,
    batches: Vec<Batch>,
    acknowledged: Seq,
    /// What the mark may have been on disk when the power went.
    marks: Vec<Vec<u8>>,
}

/// How many commits of the story lead to this record; none may be cut in two.
fn commits(batches: &[Batch], seq: Seq) -> usize {
    let mut events = 0;
    let whole = batches.iter().take_while(|batch| {
        events += batch.events.len() as u64;
        events <= seq.0
    });
    let count = whole.count();
    let sum: u64 = batches[..count].iter().map(|batch| batch.events.len() as u64).sum();
    assert_eq!(sum, seq.0, "a commit was cut in two");
    count
}

impl Life {
    fn new(seed: u64) -> Life {
        let dir = story::scratch();
        let disk = faulty::disk(dir.path(), seed);
        let rng = ChaCha8Rng::seed_from_u64(seed);
        Life { dir, disk, rng, batches: story(seed, 400), acknowledged: Seq(0), marks: Vec::new() }
    }

    fn fired(&self) -> Fired {
        self.disk.lock().unwrap().fired
    }

    fn mark(&self) -> Vec<u8> {
        std::fs::read(self.dir.path().join(MARK)).unwrap_or_default()
    }

    /// Opens, checks everything against the story, and appends until something fails or `most` commits are done.
    fn live(&mut self, plan: Plan, most: usize) {
        let opened = Journal::open(self.dir.path(), options());
        let (mut journal, recovered) = opened.unwrap_or_else(|error| panic!("after honest crashes: {error}"));
        assert!(
            recovered.seq >= self.acknowledged,
            "{} was acknowledged, {} is there",
            self.acknowledged,
            recovered.seq
        );
        let done = commits(&self.batches, recovered.seq);
        let mut state = Cluster::new();
        self.batches[..done].iter().flat_map(|batch| &batch.events).for_each(|event| state.apply(event));
        assert_eq!(recovered.cluster.hash(), state.hash());
        self.acknowledged = recovered.seq;
        self.marks = vec![self.mark()];
        self.disk.lock().unwrap().plan(plan);
        // In every other life accounting follows later.
        if recovered.epoch.0 % 2 == 0 {
            journal.account_later(|| {});
        }
        for batch in self.batches.iter().skip(done).take(most) {
            if journal.arrears() > 25 {
                // Where this fails, so does the commit.
                let _ = journal.account();
            }
            match journal.append_with_blobs(recovered.epoch, &batch.events, &batch.blobs) {
                Ok(seq) => {
                    self.acknowledged = seq;
                    batch.events.iter().for_each(|event| state.apply(event));
                    self.marks.push(self.mark());
                }
                Err(_) => {
                    let again = journal.append_with_blobs(recovered.epoch, &batch.events, &batch.blobs);
                    assert!(matches!(again, Err(JournalError::Poisoned { .. })), "{again:?}");
                    break;
                }
            }
        }
        // The process is gone before it can write another byte.
        self.disk.lock().unwrap().crash();
        drop(journal);
        let mark = &self.marks[self.rng.random_range(0..self.marks.len())];
        std::fs::write(self.dir.path().join(MARK), mark).unwrap();
    }
}

fn seeds() -> std::ops::Range<u64> {
    let number = |name: &str, default| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    let first = number("SQUALL_SEED", 0);
    first..first + number("SQUALL_SEEDS", 6)
}

fn fired(lives: impl Iterator<Item = Fired>) -> Fired {
    lives.fold(Fired::default(), |sum, life| Fired {
        syncs: sum.syncs + life.syncs,
        crashes: sum.crashes + life.crashes,
        kept: sum.kept + life.kept,
        dropped: sum.dropped + life.dropped,
        torn: sum.torn + life.torn,
        failed_syncs: sum.failed_syncs + life.failed_syncs,
        full: sum.full + life.full,
        lies: sum.lies + life.lies,
    })
}

#[test]
fn power_loss_at_any_write_loses_nothing_that_was_acknowledged() {
    let lives = seeds().map(|seed| {
        let mut life = Life::new(seed);
        for _ in 0..12 {
            let power_after = Some(life.rng.random_range(0..400));
            life.live(Plan { power_after, ..Plan::default() }, 60);
        }
        life.fired()
    });
    let fired = fired(lives);
    println!("{fired:?}");
    assert!(fired.kept > 0 && fired.dropped > 0 && fired.torn > 0, "{fired:?}");
}

/// Creating, reading, emptying the log into the database, closing: cut short by the next crash, again and again.
#[test]
fn power_loss_while_opening_or_closing_loses_nothing_either() {
    let lives = seeds().map(|seed| {
        let mut life = Life::new(4_000 + seed);
        for round in 0..24 {
            let power_after = Some(life.rng.random_range(0..if round % 2 == 0 { 30 } else { 200 }));
            life.disk.lock().unwrap().plan(Plan { power_after, ..Plan::default() });
            let before = life.mark();
            let cut_short = match Journal::open(life.dir.path(), options()) {
                Ok((journal, recovered)) => {
                    assert!(recovered.seq >= life.acknowledged);
                    let closed = journal.close();
                    life.disk.lock().unwrap().crash();
                    closed.is_err()
                }
                Err(JournalError::Lost { .. } | JournalError::Damaged { .. } | JournalError::Newer { .. }) => {
                    panic!("seed {seed}: an honest crash was taken for damage")
                }
                Err(_) => {
                    life.disk.lock().unwrap().crash();
                    true
                }
            };
            if cut_short && !before.is_empty() && life.rng.random_bool(0.5) {
                std::fs::write(life.dir.path().join(MARK), before).unwrap();
            }
            life.live(Plan::default(), 5);
        }
        life.fired()
    });
    let fired = fired(lives);
    println!("{fired:?}");
    assert!(fired.kept > 0 && fired.dropped > 0 && fired.torn > 0, "{fired:?}");
}

#[test]
fn a_failed_sync_ends_the_journal_and_loses_nothing() {
    let lives = seeds().map(|seed| {
        let mut life = Life::new(1_000 + seed);
        for _ in 0..8 {
            let fail_sync = Some(life.rng.random_range(1..40));
            life.live(Plan { fail_sync, ..Plan::default() }, 60);
        }
        life.fired()
    });
    let fired = fired(lives);
    println!("{fired:?}");
    assert!(fired.failed_syncs > 0, "{fired:?}");
}

#[test]
fn a_full_disk_ends_the_journal_and_loses_nothing() {
    let lives = seeds().map(|seed| {
        let mut life = Life::new(2_000 + seed);
        for _ in 0..8 {
            let full_after = Some(life.rng.random_range(0..400));
            life.live(Plan { full_after, ..Plan::default() }, 60);
        }
        life.fired()
    });
    let fired = fired(lives);
    println!("{fired:?}");
    assert!(fired.full > 0, "{fired:?}");
}

/// Shows that the test above would see a journal that does not sync; and that the journal itself sees such a disk.
#[test]
fn a_disk_that_lies_about_its_syncs_is_found_out() {
    let (mut refused, mut lost) = (0, 0);
    for seed in seeds() {
        let mut life = Life::new(3_000 + seed);
        life.live(Plan::default(), 20);
        // The crash of a process alone: the mark is as new as can be.
        let newest = {
            let (mut journal, recovered) = Journal::open(life.dir.path(), options()).unwrap();
            life.disk.lock().unwrap().plan(Plan { lying: true, ..Plan::default() });
            let done = commits(&life.batches, recovered.seq);
            for batch in &life.batches[done..done + 20] {
                life.acknowledged = journal.append_with_blobs(recovered.epoch, &batch.events, &batch.blobs).unwrap();
            }
            life.disk.lock().unwrap().crash();
            drop(journal);
            life.acknowledged
        };
        match Journal::open(life.dir.path(), options()) {
            Err(JournalError::Lost { acknowledged, .. }) => {
                assert_eq!(acknowledged, newest);
                refused += 1;
            }
            Err(JournalError::Damaged { .. }) => refused += 1,
            Err(error) => panic!("{error}"),
            Ok((_, recovered)) => lost += u64::from(recovered.seq < newest),
        }
    }
    println!("{refused} refused");
    assert_eq!(lost, 0, "a start went on without records that were acknowledged");
    assert!(refused > 0);
}

#[test]
fn a_state_directory_that_does_not_sync_is_refused() {
    // `journal_mode` is what SQLite says it is, not what was asked for: memory has no write-ahead log.
    let dir = tempfile::tempdir().unwrap();
    let options = Options { storage: StorageKind::Vfs("memdb".to_owned()), ballast_bytes: 0, ..Options::default() };
    let error = Journal::open(dir.path(), options).unwrap_err();
    assert!(matches!(error, JournalError::Unsound { rule: "journal_mode", .. }), "{error}");
    assert!(Path::new(dir.path()).exists());
}
