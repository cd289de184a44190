//! What can be configured, and every limit of this crate.

use squall_types::Span;
use std::time::Duration;

/// Records, jobs or ledger rows that one maintenance step deletes at most, so that a commit never waits long.
pub const TEND_CHUNK: u32 = 500;
/// Jobs in a page of accounting where the client does not say.
pub const DEFAULT_PAGE: u32 = 1_000;
/// Jobs in a page of accounting at most, and rows in any other page.
pub const MAX_PAGE: u32 = 10_000;
/// Rows that one page looks at before it returns with what it has; the next page goes on from there.
pub const MAX_SCAN: u32 = 50_000;
/// Entries of a time index that one page looks at; with more it walks the jobs in order instead.
pub const MAX_CANDIDATES: u32 = 200_000;
/// Users, or job ids, that one query may name.
pub const MAX_NAMED: usize = 10_000;
/// Steps of one job in a page; the first ones are shown.
pub const MAX_STEPS: u32 = 10_000;
/// Steps in a page: once it has more, it ends with the job at hand.
pub const MAX_PAGE_STEPS: usize = 20_000;
/// The largest script or environment, above every configurable limit.
pub const MAX_BLOB_BYTES: usize = 64 << 20;
/// Events in one commit.
pub const MAX_BATCH: usize = 100_000;
/// Pages of the write-ahead log from which a commit itself moves them into the database.
pub const CHECKPOINT_PAGES: u32 = 16_384;
/// Pages of the write-ahead log from which maintenance moves them.
pub const IDLE_CHECKPOINT_PAGES: u32 = 1_000;
/// Bytes that the write-ahead log keeps after it was emptied.
pub const WAL_KEPT_BYTES: i64 = 64 << 20;
/// Databases up to this size are checked as a whole at every start, larger ones after a crash of the machine.
pub const CHECK_ALL_BYTES: u64 = 64 << 20;
/// Snapshot files that are kept.
pub const SNAPSHOTS_KEPT: usize = 2;
/// How far the epoch of a restored backup jumps: above every epoch that agents can have seen since.
pub const RESTORE_EPOCH_GAP: u64 = 1_000_000;
/// How long who asks accounting waits until it is where the log is: it takes milliseconds, except on a disk that hangs.
pub const ACCOUNT_PATIENCE: Duration = Duration::from_secs(10);
/// How long a connection waits for a lock of another one.
pub const BUSY_TIMEOUT_MILLIS: u64 = 10_000;
/// Pages that a backup copies at a time.
pub const BACKUP_CHUNK_PAGES: i32 = 1_024;

/// How the journal is kept. The defaults suit a production cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    pub retention: Retention,
    /// New submissions are refused while the file system has less free than this, in bytes.
    pub reserve_bytes: u64,
    /// Size of a file that is given up when the disk is full, so that everything else can go on; 0 for none.
    pub ballast_bytes: u64,
    /// Connections that read at the same time.
    pub readers: usize,
    /// Where the database lies; for tests of storage faults.
    pub storage: StorageKind,
}

/// How long what is over is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Records of events that a snapshot covers: the audit trail. They are never deleted before the older of the two
    /// snapshots covers them.
    pub records: Span,
    /// Ended jobs, their steps, scripts and environments, nodes that are gone and their orders. `None` keeps them.
    pub history: Option<Span>,
}

/// Where the database lies.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum StorageKind {
    /// In files of the operating system.
    #[default]
    Files,
    /// Behind a VFS of this name that was registered with SQLite. There is one connection, and no reader.
    Vfs(String),
}

impl Default for Options {
    fn default() -> Self {
        Options {
            retention: Retention { records: Span::from_hours(7 * 24), history: None },
            reserve_bytes: 256 << 20,
            ballast_bytes: 16 << 20,
            readers: 4,
            storage: StorageKind::Files,
        }
    }
}
