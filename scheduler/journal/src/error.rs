//! Why the journal refuses or fails: one variant for each thing that its caller does differently.

use crate::options::ACCOUNT_PATIENCE;
use squall_types::{BlobDigest, Epoch, Seq};
use std::path::{Path, PathBuf};

/// An error of the journal.
///
/// Every error of a write is fatal to the controller: what the disk holds is then known only to a new start, which
/// reads it. A journal whose write failed refuses everything that follows ([`JournalError::Poisoned`]).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// Another controller works on this state.
    #[error(
        "the state in {dir} is in use by process {pid}; stop that controller first (`squall down`, or `kill {pid}`), \
         or give this one a state directory of its own", dir = dir.display(),
        pid = pid.map_or_else(|| "?".to_owned(), |pid| pid.to_string())
    )]
    InUse { dir: PathBuf, pid: Option<u32> },

    /// Another controller took the journal meanwhile: this one may write nothing any more.
    #[error("epoch {mine} may write nothing: the journal is at epoch {current}, another controller has taken it")]
    Fenced { mine: Epoch, current: Epoch },

    /// A write failed before; nothing is written or promised after that.
    #[error("an earlier write failed ({cause}); the controller has to start anew")]
    Poisoned { cause: String },

    #[error("no space is left for {doing} in {dir}; free some space there and start again", dir = dir.display())]
    DiskFull { doing: &'static str, dir: PathBuf },

    #[error("{doing} failed: {path}: {source}", path = path.display())]
    Io { doing: &'static str, path: PathBuf, source: std::io::Error },

    #[error("{doing} failed in {file}: {source}", file = file.display())]
    Storage { doing: &'static str, file: PathBuf, source: Box<dyn std::error::Error + Send + Sync> },

    /// Stored bytes are not what was written. Nothing was changed.
    #[error("{file} is damaged: {what}; {advice}", file = file.display())]
    Damaged { file: PathBuf, what: String, advice: &'static str },

    /// Records that were acknowledged are not there any more. Nothing was changed.
    #[error(
        "{dir} lacks records that were acknowledged: it ends at record {found} of epoch {found_epoch}, but record \
         {acknowledged} of epoch {acknowledged_epoch} was on disk; its write-ahead log ({dir}/journal.db-wal) was \
         deleted or damaged, or the files are of different times. {advice}", dir = dir.display(),
        advice = ACCEPT_LOSS
    )]
    Lost { dir: PathBuf, found: Seq, found_epoch: Epoch, acknowledged: Seq, acknowledged_epoch: Epoch },

    /// Written by a newer release.
    #[error(
        "{file}: {what} has format {found}, this release reads up to {known} (last written by squall {release}); \
         use that release or a newer one", file = file.display()
    )]
    Newer { file: PathBuf, what: String, found: u32, known: u32, release: String },

    /// The storage does not keep the rules that durability rests on.
    #[error("{file}: {rule} is {found}, but must be {wanted}; {advice}", file = file.display())]
    Unsound { file: PathBuf, rule: &'static str, found: String, wanted: &'static str, advice: &'static str },

    /// An event names a script or environment that is neither stored nor part of the commit.
    #[error("a job names the blob {digest}, which is neither stored nor part of the same commit")]
    MissingBlob { digest: BlobDigest },

    /// Who asks accounting has waited long enough for it.
    #[error(
        "accounting is {records} records behind, and has been for {} s; see whether the disk of {dir} answers",
        ACCOUNT_PATIENCE.as_secs(), dir = dir.display()
    )]
    Behind { records: u64, dir: PathBuf },

    /// A question that cannot be answered, for example an unknown page.
    #[error("{0}")]
    BadQuery(String),

    /// A backup or restore that was refused before anything was changed.
    #[error("{what}; {advice}")]
    Refused { what: String, advice: &'static str },
}

/// What an operator does when records are damaged that nothing else has.
pub(crate) const RESTORE: &str = "restore the latest backup (`squall journal restore BACKUP NEW-DIR`) and keep this \
                                  directory; `squall journal verify` lists everything that is damaged";

/// What an operator does when the end of the log is gone.
pub(crate) const ACCEPT_LOSS: &str = "Put the missing file back, or restore the latest backup (`squall journal restore \
                                      BACKUP NEW-DIR`), or go on without the lost records (`squall journal \
                                      accept-loss`): what runs is then kept until it is known again";

impl JournalError {
    pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> JournalError {
        move |source| match source.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                JournalError::DiskFull { doing, dir: path.parent().unwrap_or(path).to_owned() }
            }
            _ => JournalError::Io { doing, path: path.to_owned(), source },
        }
    }

    pub(crate) fn damaged(file: &Path, what: impl Into<String>) -> JournalError {
        JournalError::Damaged { file: file.to_owned(), what: what.into(), advice: RESTORE }
    }

    /// Sorts what SQLite says into what the caller does differently.
    pub(crate) fn sql(doing: &'static str, file: &Path) -> impl FnOnce(rusqlite::Error) -> JournalError {
        move |source| {
            use rusqlite::ErrorCode::{DatabaseCorrupt, DiskFull, NotADatabase};
            match &source {
                rusqlite::Error::FromSqlConversionFailure(..)
                | rusqlite::Error::IntegralValueOutOfRange(..)
                | rusqlite::Error::InvalidColumnType(..)
                | rusqlite::Error::Utf8Error(..) => JournalError::damaged(file, format!("{doing}: {source}")),
                other => match other.sqlite_error_code() {
                    Some(DatabaseCorrupt | NotADatabase) => JournalError::damaged(file, format!("{doing}: {source}")),
                    Some(DiskFull) => JournalError::DiskFull { doing, dir: file.parent().unwrap_or(file).to_owned() },
                    _ => JournalError::Storage { doing, file: file.to_owned(), source: Box::new(source) },
                },
            }
        }
    }
}
