//! The shell around the engine: one thread owns it, one thread writes the journal, everything else talks to a mailbox.
//!
//! ```text
//! rpc, agents, timers ──► mailbox (two lanes) ──► engine thread ──► writer thread ──► disk
//!                              ▲                    │   ▲ committed        │
//!                              └── provider calls ◄─┘   └──────────────────┘
//! ```
//!
//! While a commit is under way the engine goes on deciding, and everything that comes meanwhile is one commit more. Where
//! no processor is idle, what comes also waits a little for company.
//! A commit that fails ends the process: what is not on disk was never promised.

mod answers;
mod clock;
mod engine_thread;
mod handle;
mod mailbox;
mod providers;
mod writer;

pub use clock::Clock;
pub use handle::{AgentLink, Handle, LinkEvent, Stopped};

use crate::pace::Pace;
use mailbox::Mailbox;
use squall_core::plan::Notes;
use squall_core::{Cluster, Event};
use squall_engine::Engine;
use squall_journal::Journal;
use squall_provisioner::Provisioner;
use squall_types::offer::JoinTicket;
use squall_types::{Assignment, LaunchOrder, PoolName, Timestamp};
use std::collections::BTreeMap;
use std::sync::{Arc, RwLock};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};

/// What readers see: everything in it is on disk.
pub struct Published {
    pub cluster: Cluster,
    /// Why jobs wait, as the last plan saw it.
    pub notes: Notes,
    /// The last record that it contains.
    pub seq: u64,
    pub at: Timestamp,
}

/// Fills in what a launch carries to the machine: derived from the controller's key, never stored.
pub type TicketMaker = Arc<dyn Fn(&LaunchOrder) -> JoinTicket + Send + Sync>;
/// Adds to a duty what is not stored: the credential of the job, and where the attempt stands in its trace.
pub type DutyCompleter = Arc<dyn Fn(&mut Assignment) + Send + Sync>;

/// Who sells for each pool. A new configuration may change it while the controller runs.
pub type ProviderTable = Arc<RwLock<BTreeMap<PoolName, Arc<dyn Provisioner>>>>;
/// Told of what an operator must see, beside the log.
pub type AlertBell = Arc<dyn Fn(&str) + Send + Sync>;

pub struct ShellOptions {
    pub engine: Engine,
    pub journal: Journal,
    pub clock: Arc<Clock>,
    pub providers: ProviderTable,
    pub alert: AlertBell,
    pub ticket: TicketMaker,
    pub complete: DutyCompleter,
    /// Who gets committed events, in order: traces, mail.
    pub events: Vec<mpsc::UnboundedSender<Arc<[Event]>>>,
    /// A snapshot is written after so many events, or after `snapshot_after` if there were any.
    pub snapshot_events: u64,
    pub snapshot_after: Duration,
    /// How often the free space of the disk is looked at.
    pub disk_every: Duration,
    pub(crate) pace: Arc<Pace>,
}

/// Why the shell ended.
#[derive(Debug, PartialEq, Eq)]
pub enum ExitReason {
    /// Asked to: everything that was accepted is on disk, and the journal is closed.
    Stopped,
    /// A commit failed, or a thread died: what it would have promised was not promised.
    Failed(String),
}

pub struct Shell {
    pub handle: Handle,
    pub ended: oneshot::Receiver<ExitReason>,
}

/// Starts both threads. Must be called within a tokio runtime, which performs the provider calls.
pub fn start(options: ShellOptions) -> Shell {
    let clock = options.clock.clone();
    let mailbox = Arc::new(Mailbox::default());
    let first = Published {
        cluster: options.engine.committed().clone(),
        notes: options.engine.notes(),
        seq: options.journal.seq().0,
        at: clock.now(),
    };
    let (publish, published) = watch::channel(Arc::new(first));
    let (done, ended) = oneshot::channel();
    let handle = Handle::new(mailbox.clone(), published, clock.clone());
    engine_thread::spawn(options, mailbox, clock, publish, tokio::runtime::Handle::current(), done);
    Shell { handle, ended }
}
