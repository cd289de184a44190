//! Files that are not what was written: a start says so and changes nothing, or the damage does no harm. Never a
//! wrong state.
//!
//! `SQUALL_FLIPS` sets how many bits of each file are tried (0 for all bytes), `SQUALL_SEED` which.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod story;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use squall_core::Cluster;
use squall_journal::{Journal, JournalError, Options, Reader, Totals, accept_loss, verify};
use squall_types::Seq;
use squall_types::api::{AccountedJob, AccountingQuery, LedgerQuery, LedgerRow};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use story::{scratch, story};

fn options() -> Options {
    Options { ballast_bytes: 0, ..Options::default() }
}

/// Everything that clients can ask.
#[derive(Debug, PartialEq)]
struct Answers {
    jobs: Vec<AccountedJob>,
    nodes: Vec<LedgerRow>,
    totals: Totals,
}

fn ask(reader: &Reader) -> Result<Answers, JournalError> {
    let query = AccountingQuery { with_steps: true, ..AccountingQuery::default() };
    Ok(Answers {
        jobs: reader.accounting(&query)?.jobs,
        nodes: reader.ledger(&LedgerQuery::default())?.rows,
        totals: reader.totals()?,
    })
}

/// The files of a journal as a crash leaves them: two snapshots, a database, and commits that are in its log alone.
struct Image {
    files: BTreeMap<PathBuf, Vec<u8>>,
    seq: Seq,
    hash: u64,
    answers: Answers,
}

/// Of the write-ahead log: its header, a frame, and what is kept free behind the last one at least.
const LOG_HEADER: usize = 32;
const FRAME: usize = 24 + 4096;
const ROOM: usize = 100 << 10;

fn read(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let paths = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let keep = |path: &PathBuf| !path.ends_with("journal.lock");
    paths.filter(keep).map(|path| (path.file_name().unwrap().into(), std::fs::read(&path).unwrap())).collect()
}

fn write(files: &BTreeMap<PathBuf, Vec<u8>>) -> tempfile::TempDir {
    let dir = scratch();
    files.iter().for_each(|(name, bytes)| std::fs::write(dir.path().join(name), bytes).unwrap());
    dir
}

/// As an orderly end leaves them: everything is in the database.
fn closed(seed: u64) -> Image {
    let crashed = image(seed);
    let dir = write(&crashed.files);
    Journal::open(dir.path(), options()).unwrap().0.close().unwrap();
    Image { files: read(dir.path()), ..crashed }
}

fn image(seed: u64) -> Image {
    let dir = scratch();
    let (mut journal, _) = Journal::open(dir.path(), options()).unwrap();
    let mut cluster = Cluster::new();
    let batches = story(seed, 60);
    for (number, batch) in batches.iter().enumerate() {
        journal.append_with_blobs(journal.epoch(), &batch.events, &batch.blobs).unwrap();
        batch.events.iter().for_each(|event| cluster.apply(event));
        if number == 15 || number == 30 {
            journal.snapshot_ticket().write(&cluster).unwrap();
        }
        if number == 40 {
            // Half of it moves into the database.
            journal.close().unwrap();
            journal = Journal::open(dir.path(), options()).unwrap().0;
        }
    }
    let answers = ask(&journal.reader()).unwrap();
    let mut files = read(dir.path());
    // The room behind the last frame is nobody's, whatever stands there.
    let log = files.get_mut(Path::new("journal.db-wal")).unwrap();
    let used = log.iter().rposition(|byte| *byte != 0).unwrap();
    let frames = (used - LOG_HEADER) / FRAME + 1;
    assert!(log.len() >= LOG_HEADER + frames * FRAME + ROOM, "{} of {frames} frames", log.len());
    log.truncate(LOG_HEADER + frames * FRAME);
    Image { files, seq: journal.seq(), hash: cluster.hash(), answers }
}

/// What a start on damaged files came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    Refused,
    Harmless,
    /// The state is right; accounting refuses what is damaged in it.
    FoundWhenAsked,
}

fn start(image: &Image, files: &BTreeMap<PathBuf, Vec<u8>>, what: &str) -> Outcome {
    let dir = write(files);
    match Journal::open(dir.path(), options()) {
        Err(error) => {
            let text = error.to_string();
            assert!(text.contains("journal") || text.contains("snapshot"), "{what}: no file is named: {text}");
            let after = read(dir.path());
            for (name, bytes) in files {
                let shared_memory = name.ends_with("journal.db-shm");
                assert!(shared_memory || after.get(name) == Some(bytes), "{what}: {} was changed", name.display());
            }
            Outcome::Refused
        }
        Ok((journal, recovered)) => {
            assert_eq!(recovered.cluster.hash(), image.hash, "{what}: a wrong state");
            assert_eq!(recovered.seq, image.seq, "{what}: acknowledged records are missing");
            match ask(&journal.reader()) {
                Ok(answers) => {
                    assert_eq!(answers, image.answers, "{what}: wrong answers");
                    Outcome::Harmless
                }
                Err(JournalError::Damaged { .. }) => Outcome::FoundWhenAsked,
                Err(error) => panic!("{what}: {error}"),
            }
        }
    }
}

#[test]
fn a_flipped_bit_anywhere_is_found_or_harmless() {
    let flips = std::env::var("SQUALL_FLIPS").ok().and_then(|text| text.parse().ok()).unwrap_or(25);
    let seed = story::seed();
    println!("SQUALL_SEED={seed}");
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    for (kind, image) in [("crashed", image(5)), ("closed", closed(5))] {
        flip(kind, &image, flips, &mut rng);
    }
}

fn flip(kind: &str, image: &Image, flips: usize, rng: &mut ChaCha8Rng) {
    for name in image.files.keys() {
        let bytes = image.files[name].len();
        let mut outcomes: BTreeMap<Outcome, u32> = BTreeMap::new();
        let all = if flips == 0 { bytes } else { flips };
        for number in 0..all {
            let at = if flips == 0 { number } else { rng.random_range(0..bytes) };
            let bit = rng.random_range(0..8);
            let mut files = image.files.clone();
            files.get_mut(name).unwrap()[at] ^= 1 << bit;
            let outcome = start(image, &files, &format!("bit {bit} of byte {at} of {}", name.display()));
            *outcomes.entry(outcome).or_default() += 1;
        }
        println!("{kind} {}: {outcomes:?} of {bytes} bytes", name.display());
    }
}

#[test]
fn a_missing_file_is_missed() {
    let image = image(6);
    let without = |name: &str| {
        let mut files = image.files.clone();
        files.remove(Path::new(name)).unwrap();
        let dir = write(&files);
        (Journal::open(dir.path(), options()).map(|(journal, recovered)| (journal.seq(), recovered)), dir)
    };
    for name in ["journal.db", "journal.db-wal"] {
        match without(name).0 {
            Err(error @ JournalError::Lost { .. }) => assert!(error.to_string().contains("accept-loss"), "{error}"),
            other => panic!("{name}: {other:?}"),
        }
    }
    let (opened, _) = without("journal.mark");
    let (seq, recovered) = opened.unwrap();
    assert_eq!((seq, recovered.cluster.hash()), (image.seq, image.hash));
    assert!(recovered.notes[0].contains("journal.mark is missing"), "{:?}", recovered.notes);
    assert_eq!(without("journal.db-shm").0.unwrap().1.cluster.hash(), image.hash);
}

#[test]
fn a_log_cut_anywhere_is_missed_and_its_rest_can_be_kept() {
    let image = image(7);
    let log = Path::new("journal.db-wal");
    let whole = image.files[log].len();
    let mut rng = ChaCha8Rng::seed_from_u64(9);
    let mut kept = 0;
    for _ in 0..12 {
        let mut files = image.files.clone();
        let length = rng.random_range(0..whole);
        files.get_mut(log).unwrap().truncate(length);
        let dir = write(&files);
        // What is cut off at the very end may be a frame of an older log.
        let error = match Journal::open(dir.path(), options()) {
            Ok((_, recovered)) => {
                assert_eq!((recovered.seq, recovered.cluster.hash()), (image.seq, image.hash));
                continue;
            }
            Err(error) => error,
        };
        assert!(matches!(error, JournalError::Lost { .. }), "{error}");
        let left = accept_loss(dir.path()).unwrap();
        let (journal, recovered) = Journal::open(dir.path(), options()).unwrap();
        assert!(left < image.seq && recovered.seq == left);
        assert!(recovered.restored && recovered.epoch.0 > 1_000_000);
        let mut state = Cluster::new();
        let events = story(7, 60).into_iter().flat_map(|batch| batch.events);
        events.take(left.0 as usize).for_each(|event| state.apply(&event));
        assert_eq!(recovered.cluster.hash(), state.hash());
        drop(journal);
        assert_eq!(verify(dir.path()).unwrap().problems, Vec::<String>::new());
        kept += 1;
    }
    assert!(kept > 6, "{kept}");
}

#[test]
fn a_log_whose_last_commit_is_torn_by_power_loss_is_read_up_to_it() {
    let image = image(8);
    let mut files = image.files.clone();
    // The power went while the last commit was written: the mark had not reached the disk either.
    files.remove(Path::new("journal.mark"));
    let log = files.get_mut(Path::new("journal.db-wal")).unwrap();
    let end = log.len();
    log[end - 2000] ^= 0x10;
    let last = story(8, 60).last().unwrap().events.len() as u64;
    // With room behind it, and without.
    for room in [0, ROOM] {
        files.get_mut(Path::new("journal.db-wal")).unwrap().resize(end + room, 0);
        let dir = write(&files);
        let (_, recovered) = Journal::open(dir.path(), options()).unwrap();
        assert_eq!(recovered.seq.0, image.seq.0 - last);
    }
}

#[test]
fn finished_commits_behind_a_bad_frame_are_missed_even_without_a_mark() {
    let image = image(8);
    let mut files = image.files.clone();
    files.remove(Path::new("journal.mark"));
    let log = files.get_mut(Path::new("journal.db-wal")).unwrap();
    log[32 + 24 + 100] ^= 1;
    let dir = write(&files);
    let error = Journal::open(dir.path(), options()).unwrap_err();
    assert!(error.to_string().contains("frame 1 is not what was written"), "{error}");
    let left = accept_loss(dir.path()).unwrap();
    assert!(left < image.seq);
    assert!(Journal::open(dir.path(), options()).unwrap().1.restored);
}

#[test]
fn a_database_of_another_time_is_no_match_for_its_log() {
    let early = image(10);
    let dir = write(&early.files);
    let (mut journal, _) = Journal::open(dir.path(), options()).unwrap();
    let more = &story(10, 200)[61..];
    for batch in more {
        journal.append_with_blobs(journal.epoch(), &batch.events, &batch.blobs).unwrap();
    }
    let (old, new) = (&early.files, read(dir.path()));
    let mixed = |database: &BTreeMap<PathBuf, Vec<u8>>, rest: &BTreeMap<PathBuf, Vec<u8>>| {
        let mut files = rest.clone();
        let db = PathBuf::from("journal.db");
        files.insert(db.clone(), database[&db].clone());
        let dir = write(&files);
        Journal::open(dir.path(), options()).map(|(journal, _)| journal.seq())
    };
    for (what, mix) in [("old database", mixed(old, &new)), ("new database", mixed(&new, old))] {
        match mix {
            Err(JournalError::Lost { .. } | JournalError::Damaged { .. }) => {}
            // The newer database holds all that the older log says.
            Ok(seq) => assert!(what == "new database" && seq >= early.seq, "{what}: {seq}"),
            Err(error) => panic!("{what}: {error}"),
        }
    }
}

#[test]
fn a_snapshot_of_another_cluster_is_not_believed() {
    let (ours, theirs) = (image(11), image(12));
    let is_snapshot = |name: &&PathBuf| name.to_string_lossy().starts_with("snapshot-");
    let (name, newest) =
        ours.files.keys().filter(is_snapshot).zip(theirs.files.keys().filter(is_snapshot)).last().unwrap();
    let mut files = ours.files.clone();
    files.insert(name.clone(), theirs.files[newest].clone());
    assert_eq!(start(&ours, &files, "a strange snapshot under our name"), Outcome::Harmless);
    let mut files = ours.files.clone();
    files.insert(newest.clone(), theirs.files[newest].clone());
    start(&ours, &files, "a strange snapshot");
}

#[test]
fn verify_finds_what_a_start_does_not_read() {
    let image = image(13);
    let dir = write(&image.files);
    assert_eq!(verify(dir.path()).unwrap().problems, Vec::<String>::new());
    assert_eq!(verify(dir.path()).unwrap().state, Some(image.hash));
    let db = rusqlite::Connection::open(dir.path().join("journal.db")).unwrap();
    db.execute_batch(
        "UPDATE steps SET sum = sum + 1 WHERE job = (SELECT min(job) FROM steps);
         UPDATE charges SET amount = amount + 1 WHERE job = (SELECT min(job) FROM charges);
         UPDATE records SET at = at + 1 WHERE seq = 3;
         UPDATE blobs SET size = size + 1 WHERE id = 1;",
    )
    .unwrap();
    drop(db);
    let problems = verify(dir.path()).unwrap().problems.join("\n");
    for what in ["of steps", "a charge of job", "record 3 is not what was written", "the blob"] {
        assert!(problems.contains(what), "{what}: {problems}");
    }
}
