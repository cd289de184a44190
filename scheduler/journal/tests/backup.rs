//! The restore drill, and disks that are full.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod story;

use squall_core::Cluster;
use squall_core::event::What;
use squall_journal::{Journal, JournalError, Options, Reader, restore, verify};
use squall_types::api::AccountingQuery;
use squall_types::{JobId, NodeId, OrderId, Seq, Span};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use story::{Batch, Story, scratch, story};

fn append(journal: &mut Journal, cluster: &mut Cluster, batch: &Batch) {
    journal.append_with_blobs(journal.epoch(), &batch.events, &batch.blobs).unwrap();
    batch.events.iter().for_each(|event| cluster.apply(event));
}

/// A journal with a past, still open, and its state.
fn running(dir: &Path, snapshot: bool) -> (Journal, Cluster) {
    let (mut journal, _) = Journal::open(dir, Options::default()).unwrap();
    let mut cluster = Cluster::new();
    for (number, batch) in story(21, 80).iter().enumerate() {
        append(&mut journal, &mut cluster, batch);
        if snapshot && number == 50 {
            journal.snapshot_ticket().write(&cluster).unwrap();
        }
    }
    (journal, cluster)
}

#[test]
fn a_backup_taken_while_commits_go_on_starts_as_it_was() {
    for snapshot in [false, true] {
        let dir = scratch();
        let (state, saved, back) = (dir.path().join("state"), dir.path().join("saved"), dir.path().join("back"));
        let (mut journal, mut cluster) = running(&state, snapshot);
        let reader = journal.reader();
        let enough = AtomicBool::new(false);
        let made = std::thread::scope(|scope| {
            let backup = scope.spawn(|| {
                let made = reader.backup(&saved).unwrap();
                enough.store(true, Ordering::Release);
                made
            });
            let mut more = Story::new(99);
            more.begin();
            let mut ahead = Cluster::new();
            while !enough.load(Ordering::Acquire) {
                // Something harmless, again and again.
                let mut batch = Batch::default();
                batch.events.push(What::ListingTaken { pool: "lab".into(), instances: 0 }.at(cluster.counters.at));
                append(&mut journal, &mut cluster, &batch);
                ahead.clone_from(&cluster);
            }
            backup.join().unwrap()
        });
        assert_eq!(made.manifest.files.len(), 1 + usize::from(snapshot));
        let manifest = restore(&saved, &back).unwrap();
        assert_eq!(manifest, made.manifest);
        let (mut restored, recovered) = Journal::open(&back, Options::default()).unwrap();
        assert_eq!(recovered.seq, manifest.seq);
        assert!(recovered.restored, "the controller must be told");
        assert!(recovered.epoch.0 > manifest.epoch.0 + 1_000);
        assert_eq!(recovered.from_snapshot.is_some(), snapshot);
        let until = reader.dump(Seq(1)).unwrap().take(manifest.seq.0 as usize);
        let copied: Vec<String> = until.collect::<Result<_, _>>().unwrap();
        assert_eq!(restored.reader().dump(Seq(1)).unwrap().collect::<Result<Vec<_>, _>>().unwrap(), copied);

        // Until the ids were moved ahead, every start says so again; after that, none.
        drop(restored);
        (restored, _) = Journal::open(&back, Options::default()).unwrap();
        let moved = What::BackupRestored {
            next_job: JobId(5_000),
            next_node: NodeId(5_000),
            next_order: OrderId(5_000),
            settled_by: recovered.cluster.counters.at + Span::from_mins(10),
        };
        restored.append(restored.epoch(), &[moved.at(recovered.cluster.counters.at)]).unwrap();
        restored.close().unwrap();
        let (_, recovered) = Journal::open(&back, Options::default()).unwrap();
        assert!(!recovered.restored);
        assert_eq!(recovered.cluster.counters.next_job, JobId(5_000));
        assert_eq!(verify(&back).unwrap().problems, Vec::<String>::new());
    }
}

#[test]
fn a_backup_of_a_stopped_controller_needs_no_controller() {
    let dir = scratch();
    let (state, saved) = (dir.path().join("state"), dir.path().join("saved"));
    let (journal, cluster) = running(&state, true);
    journal.close().unwrap();
    let made = Reader::open(&state).unwrap().backup(&saved).unwrap();
    restore(made.dir, dir.path().join("back")).unwrap();
    let (_, recovered) = Journal::open(dir.path().join("back"), Options::default()).unwrap();
    assert_eq!(recovered.cluster.hash(), cluster.hash());
}

#[test]
fn nothing_is_overwritten_by_a_backup_or_a_restore() {
    let dir = scratch();
    let (state, saved) = (dir.path().join("state"), dir.path().join("saved"));
    let (journal, _) = running(&state, false);
    let reader = journal.reader();
    std::fs::create_dir(&saved).unwrap();
    reader.backup(&saved).unwrap();
    for again in [reader.backup(&saved).map(|_| ()), restore(&saved, &state).map(|_| ())] {
        match again {
            Err(error @ JournalError::Refused { .. }) => assert!(error.to_string().contains("is not empty"), "{error}"),
            other => panic!("{other:?}"),
        }
    }
    let error = restore(dir.path(), dir.path().join("elsewhere")).unwrap_err();
    assert!(error.to_string().contains("no complete backup"), "{error}");
    assert!(!dir.path().join("elsewhere").exists());
}

#[test]
fn a_backup_that_is_not_what_was_written_is_refused() {
    let dir = scratch();
    let (state, saved) = (dir.path().join("state"), dir.path().join("saved"));
    let (journal, _) = running(&state, true);
    journal.reader().backup(&saved).unwrap();
    let files: Vec<PathBuf> = std::fs::read_dir(&saved).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 3);
    for file in files {
        let honest = std::fs::read(&file).unwrap();
        for at in [honest.len() / 3, honest.len() - 3] {
            let mut bytes = honest.clone();
            bytes[at] ^= 1;
            std::fs::write(&file, bytes).unwrap();
            let error = restore(&saved, dir.path().join("back")).map(|_| ()).unwrap_err();
            assert!(matches!(error, JournalError::Damaged { .. } | JournalError::Io { .. }), "{error}");
            assert!(!dir.path().join("back").exists() && !dir.path().join("back.partial").exists());
        }
        std::fs::write(&file, honest).unwrap();
    }
    // A name in a manifest leads nowhere else.
    let manifest = saved.join("manifest.json");
    let text = std::fs::read_to_string(&manifest).unwrap().replace("\"journal.db\"", "\"../state/journal.db\"");
    std::fs::write(&manifest, text).unwrap();
    let error = restore(&saved, dir.path().join("back")).unwrap_err();
    assert!(error.to_string().contains("no file of a journal"), "{error}");
}

/// A file system of its own, of this size, where the test may make one.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn new(bytes: u64) -> Option<SmallDisk> {
        let dir = tempfile::tempdir().unwrap();
        let mut mount = std::process::Command::new("mount");
        let size = format!("size={bytes}");
        let mounted = mount.args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(dir.path()).output();
        match mounted {
            Ok(output) if output.status.success() => Some(SmallDisk(dir)),
            other => {
                eprintln!("SKIPPED: no small file system could be mounted: {other:?}");
                None
            }
        }
    }
}

impl SmallDisk {
    /// Somebody else takes all but so many bytes.
    fn leave(&self, bytes: u64) {
        let stat = nix::sys::statvfs::statvfs(self.0.path()).unwrap();
        let taken = (stat.blocks_available() * stat.fragment_size()).saturating_sub(bytes);
        let file = std::fs::File::create(self.0.path().join("others")).unwrap();
        nix::fcntl::posix_fallocate(&file, 0, taken as i64).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg(self.0.path()).status();
    }
}

#[test]
fn a_full_disk_is_told_before_and_survived_after() {
    survives_a_full_disk(512 << 10, None);
}

/// What a controller dies with that was killed on a full disk: a log that accounting is behind.
#[test]
fn a_full_disk_is_survived_with_records_that_nobody_accounted_for() {
    for arrears in [256, 20_000] {
        survives_a_full_disk(Options::default().ballast_bytes, Some(arrears));
    }
}

/// `behind`: accounting follows once it is so many events behind.
fn survives_a_full_disk(ballast_bytes: u64, behind: Option<usize>) {
    // The ballast is laid in where it is a small part of the disk.
    let Some(disk) = SmallDisk::new(12 * ballast_bytes) else { return };
    let dir = disk.0.path().join("state");
    let options = Options { reserve_bytes: ballast_bytes + (1 << 20), ballast_bytes, ..Options::default() };
    let (mut journal, _) = Journal::open(&dir, options.clone()).unwrap();
    assert!(!journal.disk_reserve().unwrap().is_low());
    let mut cluster = Cluster::new();
    let (mut warned, mut failed) = (false, false);
    let mut story = Story::new(3);
    let first = story.begin();
    append(&mut journal, &mut cluster, &first);
    disk.leave(ballast_bytes + (3 << 20));
    if behind.is_some() {
        journal.account_later(|| {});
    }
    for _ in 0..100_000 {
        let batch = story.batch();
        let written = journal.append_with_blobs(journal.epoch(), &batch.events, &batch.blobs);
        if written.is_ok() {
            batch.events.iter().for_each(|event| cluster.apply(event));
        }
        let due = behind.is_some_and(|behind| journal.arrears() >= behind);
        match written.and_then(|_| if due { journal.account() } else { Ok(()) }) {
            Ok(()) => {}
            Err(JournalError::DiskFull { .. }) => {
                failed = true;
                break;
            }
            Err(error) => panic!("{error}"),
        }
        // Not asked again after the first warning: the ballast stays for the next start.
        warned = warned || journal.disk_reserve().unwrap().is_low();
    }
    assert!(warned, "the disk was full without a warning");
    assert!(failed);
    let again = journal.append(journal.epoch(), &first.events);
    assert!(matches!(again, Err(JournalError::Poisoned { .. })), "{again:?}");
    drop(journal);
    // The ballast makes room for the start and for what has to be recorded now.
    let (mut journal, recovered) = Journal::open(&dir, options).unwrap();
    assert_eq!(recovered.cluster.hash(), cluster.hash());
    let mut batch = Batch::default();
    batch.events.push(What::ListingTaken { pool: "lab".into(), instances: 0 }.at(cluster.counters.at));
    append(&mut journal, &mut cluster, &batch);
    let jobs = journal.reader().accounting(&AccountingQuery::default()).unwrap().jobs;
    assert!(!jobs.is_empty());
    drop(journal);
    assert_eq!(verify(&dir).unwrap().problems, Vec::<String>::new());
}
