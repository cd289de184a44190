//! The journal: the durable log of events, snapshots of the state, and the accounting projected from them.
//!
//! What is durable when it returns: [`Journal::commit`]; accounting may follow it. What a start believes: [`Journal::open`], which reads
//! everything first and changes nothing where something is wrong. What people ask: [`Reader`], on connections of its
//! own, while commits go on.
//!
//! | file in the state directory | what it is |
//! |---|---|
//! | `journal.db`, `-wal`, `-shm` | SQLite: records, accounting, scripts and environments; every row has a checksum |
//! | `snapshot-SEQ.cbor` | the state at a record; the last two are kept |
//! | `journal.mark` | how far the log was acknowledged: shows that its end is missing |
//! | `journal.lock` | held by the one controller that writes |
//! | `journal.ballast` | space that is given up when the disk is full |
#![forbid(unsafe_code)]

mod arrears;
mod backup;
mod blobs;
mod disk;
mod dump;
mod error;
mod files;
mod journal;
mod lock;
mod mark;
mod meta;
mod open;
pub mod options;
mod project;
mod query;
mod reader;
mod records;
mod recover;
mod room;
mod schema;
mod seal;
mod snapshot;
mod table;
mod tend;
mod verify;
mod wal;

pub use backup::{BackupMade, Manifest, accept_loss, restore};
pub use blobs::{PreparedBlob, RecentBlobs};
pub use disk::DiskState;
pub use dump::Dump;
pub use error::JournalError;
pub use journal::Journal;
pub use meta::Position;
pub use open::Recovered;
pub use options::{Options, Retention};
pub use project::Totals;
pub use query::{OrderPage, OrderView, ReceiptLine};
pub use reader::Reader;
pub use seal::Chain;
pub use snapshot::{SnapshotTicket, SnapshotWritten};
pub use tend::Tended;
pub use verify::{Verified, verify};
