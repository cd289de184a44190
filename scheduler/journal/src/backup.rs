//! Backups taken while commits go on, and starting again from one.
//!
//! A backup is a directory: a copy of the database as of one moment, the snapshot that goes with it, and a manifest
//! with checksums, written last. A restored journal says of itself that it is one until the event that moves the ids
//! ahead is in its log.

use crate::files::{self, aside};
use crate::lock::StateLock;
use crate::mark::{Found, Mark};
use crate::meta::Head;
use crate::open::{self, Trust};
use crate::options::{BACKUP_CHUNK_PAGES, RESTORE_EPOCH_GAP, StorageKind};
use crate::schema::{self, DB_FILE, Location};
use crate::snapshot::{self, SnapshotFile};
use crate::{JournalError, Position, Reader, records};
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, Transaction, TransactionBehavior};
use serde::{Deserialize, Serialize};
use squall_types::{Epoch, Seq};
use std::path::{Path, PathBuf};
use std::time::Duration;

const MANIFEST: &str = "manifest.json";
const FORMAT: u32 = 1;
/// A manifest names a handful of files.
const MAX_MANIFEST_BYTES: u64 = 64 << 10;
/// Between attempts to read a database that is being written.
const PAUSE: Duration = Duration::from_millis(20);

/// What a backup holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    pub format: u32,
    /// The release that made it.
    pub release: String,
    /// The last record in it.
    pub seq: Seq,
    pub epoch: Epoch,
    pub files: Vec<ManifestFile>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestFile {
    pub name: String,
    pub bytes: u64,
    /// SHA-256 in hexadecimal.
    pub sha256: String,
}

/// A backup that is on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupMade {
    pub dir: PathBuf,
    pub manifest: Manifest,
}

impl Reader {
    /// Copies the journal as of this moment into the directory `to`, which must not exist or be empty. Commits go on
    /// meanwhile.
    ///
    /// # Errors
    /// `Refused` where something is in the way, `Io`, `Storage`, `DiskFull`; nothing is left at `to` then.
    pub fn backup(&self, to: impl AsRef<Path>) -> Result<BackupMade, JournalError> {
        let to = to.as_ref();
        let partial = prepare(to)?;
        let copied = copy(&self.location(), &partial).and_then(|manifest| {
            let text = serde_json::to_vec_pretty(&manifest).expect("a manifest is plain data");
            files::write_whole(&partial.join(MANIFEST), &[&text])?;
            settle(&partial, to)?;
            Ok(BackupMade { dir: to.to_owned(), manifest })
        });
        discard_on_error(copied, &partial)
    }
}

/// Makes a state directory of a backup: `into` must not exist or be empty.
///
/// # Errors
/// `Refused` where something is in the way or the backup is incomplete, `Damaged` where it is not what was written;
/// nothing is left at `into` then.
pub fn restore(from: impl AsRef<Path>, into: impl AsRef<Path>) -> Result<Manifest, JournalError> {
    let (from, into) = (from.as_ref(), into.as_ref());
    let manifest = read_manifest(from)?;
    let partial = prepare(into)?;
    let restored = copy_verified(from, &manifest, &partial)
        .and_then(|()| mark_restored(&Location { dir: partial.clone(), storage: StorageKind::Files }, &manifest))
        .and_then(|()| settle(&partial, into));
    discard_on_error(restored, &partial)?;
    Ok(manifest)
}

/// Gives up records that were acknowledged and are not there any more, so that the journal in `dir` opens again. It
/// then counts as restored: ids move ahead, and what runs is kept until it is known again.
///
/// # Errors
/// `InUse`, and whatever else is wrong but the missing end.
pub fn accept_loss(dir: impl AsRef<Path>) -> Result<Seq, JournalError> {
    let dir = dir.as_ref();
    let _lock = StateLock::take(dir)?;
    let location = Location { dir: dir.to_owned(), storage: StorageKind::Files };
    let acknowledged = match Mark::read(dir)? {
        Found::Mark(mark) => mark.epoch,
        Found::Absent | Found::Damaged => Epoch(0),
    };
    let found = open::look(&location, Found::Absent, Trust::WhatIsThere)?;
    let mut head = found.head;
    head.epoch = head.epoch.max(acknowledged);
    // The log begins anew behind what is left, so that its damaged end is gone.
    schema::accept(&found.connection).map_err(JournalError::sql("accepting the loss", &location.db()))?;
    set_restored(&found.connection, head).map_err(JournalError::sql("accepting the loss", &location.db()))?;
    Mark::delete(dir)?;
    files::sync_dir(dir)?;
    Ok(found.replay.last.seq)
}

fn copy(location: &Location, partial: &Path) -> Result<Manifest, JournalError> {
    let db = location.db();
    let source = location.reader()?;
    let sql = |error| JournalError::sql("copying the database", &db)(error);
    // Everything below is of the one moment at which this transaction reads first.
    let moment = Transaction::new_unchecked(&source, TransactionBehavior::Deferred).map_err(sql)?;
    let head = Head::load(&moment, &db)?;
    let last = records::last(&moment, &db, head.pruned)?;
    let mut copied = Vec::new();
    if let Some(file) = matching_snapshot(&moment, location, &head)? {
        let name = file.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let sum = files::copy_synced(&file.path, &partial.join(&name))?;
        copied.push(ManifestFile { name, bytes: sum.0, sha256: hex::encode(sum.1) });
    }
    let target = partial.join(DB_FILE);
    copy_pages(&source, &target).map_err(sql)?;
    drop(moment);
    files::sync_file(&target)?;
    let (bytes, sha256) = files::sum_of(&target)?;
    copied.push(ManifestFile { name: DB_FILE.to_owned(), bytes, sha256: hex::encode(sha256) });
    let release = env!("CARGO_PKG_VERSION").to_owned();
    Ok(Manifest { format: FORMAT, release, seq: last.seq, epoch: head.epoch, files: copied })
}

/// The newest snapshot that the records of this moment follow.
fn matching_snapshot(
    moment: &Connection,
    location: &Location,
    head: &Head,
) -> Result<Option<SnapshotFile>, JournalError> {
    for file in snapshot::list(&location.dir)? {
        let Ok(position) = snapshot::verify(&file) else { continue };
        let recorded = match position.seq {
            seq if seq == head.pruned.seq => Some(head.pruned),
            seq => records::position_of(moment, &location.db(), seq)?,
        };
        if recorded == Some(position) {
            return Ok(Some(file));
        }
    }
    if head.pruned == Position::START {
        return Ok(None);
    }
    let what = format!("no snapshot in {} goes with its records", location.dir.display());
    Err(JournalError::Refused { what, advice: "try again when the controller has written one" })
}

fn copy_pages(source: &Connection, target: &Path) -> rusqlite::Result<()> {
    let mut target = Connection::open(target)?;
    let backup = Backup::new(source, &mut target)?;
    loop {
        match backup.step(BACKUP_CHUNK_PAGES)? {
            StepResult::Done => return Ok(()),
            StepResult::More => {}
            _ => std::thread::sleep(PAUSE),
        }
    }
}

fn read_manifest(from: &Path) -> Result<Manifest, JournalError> {
    let path = from.join(MANIFEST);
    if !path.exists() {
        let what = format!("{} is no complete backup: it has no {MANIFEST}", from.display());
        return Err(JournalError::Refused { what, advice: "name the directory that `squall journal backup` made" });
    }
    let bytes = files::read_limited(&path, MAX_MANIFEST_BYTES)?;
    let manifest: Manifest =
        serde_json::from_slice(&bytes).map_err(|error| JournalError::damaged(&path, error.to_string()))?;
    if manifest.format > FORMAT {
        return Err(JournalError::Newer {
            file: path,
            what: "the backup".to_owned(),
            found: manifest.format,
            known: FORMAT,
            release: manifest.release,
        });
    }
    // A name out of a file is not trusted to stay inside the directory.
    let plain = |name: &str| name == DB_FILE || snapshot::is_snapshot_name(name);
    if let Some(strange) = manifest.files.iter().find(|file| !plain(&file.name)) {
        return Err(JournalError::damaged(
            &path,
            format!("it names {:?}, which is no file of a journal", strange.name),
        ));
    }
    Ok(manifest)
}

fn copy_verified(from: &Path, manifest: &Manifest, partial: &Path) -> Result<(), JournalError> {
    for file in &manifest.files {
        let source = from.join(&file.name);
        let (bytes, sha256) = files::copy_synced(&source, &partial.join(&file.name))?;
        if bytes != file.bytes || hex::encode(sha256) != file.sha256 {
            return Err(JournalError::damaged(&source, "it is not what the manifest says"));
        }
    }
    Ok(())
}

fn mark_restored(location: &Location, manifest: &Manifest) -> Result<(), JournalError> {
    let found = open::look(location, Found::Absent, Trust::WhatIsThere)?;
    if found.replay.last.seq != manifest.seq || found.head.epoch != manifest.epoch {
        let what = format!("it ends at record {}, the manifest says {}", found.replay.last.seq, manifest.seq);
        return Err(JournalError::damaged(&location.db(), what));
    }
    let sql = |error| JournalError::sql("marking the database as restored", &location.db())(error);
    schema::accept(&found.connection).map_err(sql)?;
    set_restored(&found.connection, found.head).map_err(sql)?;
    found.connection.close().map_err(|(_, error)| sql(error))
}

fn set_restored(connection: &Connection, mut head: Head) -> rusqlite::Result<()> {
    head.restored = true;
    // Agents obey the highest epoch that they have seen, and they may have seen more than this journal knows.
    head.epoch = Epoch(head.epoch.0.saturating_add(RESTORE_EPOCH_GAP));
    let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
    head.store(&transaction)?;
    transaction.commit()?;
    connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")
}

/// A place beside `target` to work in, where nothing is in the way.
fn prepare(target: &Path) -> Result<PathBuf, JournalError> {
    let refused =
        |what| Err(JournalError::Refused { what, advice: "name a directory that does not exist or is empty" });
    match std::fs::read_dir(target) {
        Ok(mut entries) => {
            if entries.next().is_some() {
                return refused(format!("{} is not empty", target.display()));
            }
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(_) => return refused(format!("{} is not a directory", target.display())),
    }
    let partial = aside(target);
    if partial.exists() {
        let what = format!("{} is left over from an attempt before", partial.display());
        return Err(JournalError::Refused { what, advice: "delete it and try again" });
    }
    files::make_dir(&partial)?;
    Ok(partial)
}

/// Puts a finished directory in its place.
fn settle(partial: &Path, target: &Path) -> Result<(), JournalError> {
    files::sync_dir(partial)?;
    std::fs::rename(partial, target).map_err(JournalError::io("renaming to", target))?;
    match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => files::sync_dir(parent),
        _ => files::sync_dir(Path::new(".")),
    }
}

fn discard_on_error<R>(result: Result<R, JournalError>, partial: &Path) -> Result<R, JournalError> {
    if result.is_err() {
        // The first error is the one to tell.
        let _ = std::fs::remove_dir_all(partial);
    }
    result
}
