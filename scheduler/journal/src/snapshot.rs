//! Snapshot files: the state at one record, so that a start replays only what came after it.
//!
//! Written by any thread from a clone of the state, aside, synced, renamed; the last two are kept. A snapshot names
//! the checksum of the record that it stands at, so one that belongs to another log is recognised.

use crate::files;
use crate::options::SNAPSHOTS_KEPT;
use crate::seal::{Chain, Seal};
use crate::{JournalError, Position};
use sha2::{Digest, Sha256};
use squall_core::Cluster;
use squall_types::{Epoch, Seq};
use std::path::{Path, PathBuf};

const MAGIC: [u8; 8] = *b"SQUSNAP1";
/// Of the header; the payload has its own version.
const FORMAT: u32 = 1;
const HEADER: usize = 80;
const PREFIX: &str = "snapshot-";
const SUFFIX: &str = ".cbor";

/// A snapshot file by its name; nothing of it has been read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SnapshotFile {
    pub seq: Seq,
    pub path: PathBuf,
}

/// Where a state stood when its clone was taken: writes it, on any thread, and blocks nobody.
#[derive(Clone, Debug)]
pub struct SnapshotTicket {
    pub(crate) dir: PathBuf,
    pub(crate) position: Position,
}

impl SnapshotTicket {
    /// The record that the state must stand at: every event up to it applied, and none after.
    pub fn seq(&self) -> Seq {
        self.position.seq
    }

    /// Writes `cluster` as the snapshot at this ticket's record, and deletes all but the last two snapshots.
    ///
    /// # Errors
    /// `Io` or `DiskFull`; the journal itself is not harmed, the snapshots before are kept.
    pub fn write(self, cluster: &Cluster) -> Result<SnapshotWritten, JournalError> {
        let payload = cluster.to_snapshot();
        let header = encode_header(&Header {
            position: self.position,
            length: payload.len() as u64,
            sha256: Sha256::digest(&payload).into(),
        });
        let path = self.dir.join(format!("{PREFIX}{:020}{SUFFIX}", self.position.seq));
        files::write_whole(&path, &[&header, &payload])?;
        let files = list(&self.dir)?;
        for old in files.iter().skip(SNAPSHOTS_KEPT) {
            std::fs::remove_file(&old.path).map_err(JournalError::io("deleting the old snapshot", &old.path))?;
        }
        // Records are given up only for snapshots that were read back.
        let kept = files.get(..SNAPSHOTS_KEPT).filter(|kept| kept.iter().all(|file| verify(file).is_ok()));
        Ok(SnapshotWritten { path, covers: kept.and_then(<[_]>::last).map(|older| older.seq) })
    }
}

/// A snapshot that is on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotWritten {
    pub path: PathBuf,
    /// The older of the two snapshots, once there are two that can be read: records up to there may be pruned.
    pub(crate) covers: Option<Seq>,
}

/// Snapshot files, the newest first.
pub(crate) fn list(dir: &Path) -> Result<Vec<SnapshotFile>, JournalError> {
    let entries = std::fs::read_dir(dir).map_err(JournalError::io("listing", dir))?;
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(JournalError::io("listing", dir))?.path();
        let digits = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_prefix(PREFIX));
        if let Some(seq) = digits.and_then(|rest| rest.strip_suffix(SUFFIX)).and_then(|digits| digits.parse().ok()) {
            found.push(SnapshotFile { seq: Seq(seq), path });
        }
    }
    found.sort_by(|a, b| b.cmp(a));
    Ok(found)
}

pub(crate) fn is_snapshot_name(name: &str) -> bool {
    let digits = name.strip_prefix(PREFIX).and_then(|rest| rest.strip_suffix(SUFFIX));
    digits.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Where a snapshot stands, after its whole content was checked.
pub(crate) fn verify(file: &SnapshotFile) -> Result<Position, JournalError> {
    read_bytes(file).map(|(position, _)| position)
}

/// Takes away what an interrupted writer left.
pub(crate) fn sweep_partial(dir: &Path) -> Result<(), JournalError> {
    for entry in std::fs::read_dir(dir).map_err(JournalError::io("listing", dir))?.flatten() {
        let path = entry.path();
        let ours = path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(PREFIX));
        if ours && path.extension().is_some_and(|ending| ending == files::PARTIAL) {
            std::fs::remove_file(&path).map_err(JournalError::io("deleting", &path))?;
        }
    }
    Ok(())
}

/// Reads and checks a snapshot.
///
/// # Errors
/// `Damaged` where the bytes are not what was written, `Newer` where a newer release wrote them, `Io`.
pub(crate) fn read(file: &SnapshotFile) -> Result<(Position, Cluster), JournalError> {
    let (position, bytes) = read_bytes(file)?;
    match Cluster::from_snapshot(&bytes[HEADER..]) {
        Ok(cluster) => Ok((position, cluster)),
        Err(squall_core::snapshot::SnapshotError::Version(found)) => Err(JournalError::Newer {
            file: file.path.clone(),
            what: "the snapshot".to_owned(),
            found,
            known: squall_core::snapshot::SNAPSHOT_VERSION,
            release: "of another version".to_owned(),
        }),
        Err(error) => Err(JournalError::damaged(&file.path, error.to_string())),
    }
}

/// The whole file, checked against its header and checksum.
fn read_bytes(file: &SnapshotFile) -> Result<(Position, Vec<u8>), JournalError> {
    let damaged = |what: &str| JournalError::damaged(&file.path, what);
    let size = std::fs::metadata(&file.path).map_err(JournalError::io("reading", &file.path))?.len();
    let bytes = files::read_limited(&file.path, size)?;
    let (head, payload) = bytes.split_at_checked(HEADER).ok_or_else(|| damaged("it is cut short"))?;
    let head = decode_header(head, &file.path)?;
    if head.position.seq != file.seq {
        return Err(damaged("its name is that of another record"));
    }
    if head.length != payload.len() as u64 {
        return Err(damaged("its length is not what its header says"));
    }
    if <[u8; 32]>::from(Sha256::digest(payload)) != head.sha256 {
        return Err(damaged("its checksum is wrong"));
    }
    Ok((head.position, bytes))
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Header {
    position: Position,
    length: u64,
    sha256: [u8; 32],
}

fn encode_header(header: &Header) -> [u8; HEADER] {
    let mut bytes = [0; HEADER];
    bytes[..8].copy_from_slice(&MAGIC);
    bytes[8..12].copy_from_slice(&FORMAT.to_le_bytes());
    bytes[12..20].copy_from_slice(&header.position.seq.0.to_le_bytes());
    bytes[20..28].copy_from_slice(&header.position.epoch.0.to_le_bytes());
    bytes[28..32].copy_from_slice(&header.position.chain.0.to_le_bytes());
    bytes[32..40].copy_from_slice(&header.length.to_le_bytes());
    bytes[40..72].copy_from_slice(&header.sha256);
    let sum = Seal::of("snapshot").bytes(&bytes[..76]).end();
    bytes[76..].copy_from_slice(&sum.to_le_bytes());
    bytes
}

fn decode_header(bytes: &[u8], path: &Path) -> Result<Header, JournalError> {
    let long = |from: usize| bytes[from..from + 8].iter().rev().fold(0, |long, byte| long << 8 | u64::from(*byte));
    let word = |from: usize| bytes[from..from + 4].iter().rev().fold(0, |word, byte| word << 8 | u32::from(*byte));
    if bytes[..8] != MAGIC || word(76) != Seal::of("snapshot").bytes(&bytes[..76]).end() {
        return Err(JournalError::damaged(path, "its header is not that of a snapshot"));
    }
    if word(8) != FORMAT {
        let (file, what) = (path.to_owned(), "the snapshot".to_owned());
        let release = "of another version".to_owned();
        return Err(JournalError::Newer { file, what, found: word(8), known: FORMAT, release });
    }
    let mut sha256 = [0; 32];
    sha256.copy_from_slice(&bytes[40..72]);
    let position = Position { seq: Seq(long(12)), epoch: Epoch(long(20)), chain: Chain(word(28)) };
    Ok(Header { position, length: long(32), sha256 })
}
