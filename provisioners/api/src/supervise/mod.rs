//! Provisioners as programs that are started, watched and started again.
//!
//! [`Supervised`] is a provisioner like any other to its caller: a program that crashed, hangs or talks nonsense shows as
//! calls with unknown outcomes, which the caller repeats. One task for each program owns its process; calls go past it.

mod keeper;
mod orphans;
mod process;
mod provisioner;
mod voice;

pub use orphans::end_marked;

use crate::TimeLimits;
use crate::bridge::Bridged;
use keeper::{Keeper, Order};
use squall_types::{Capabilities, Offer, PoolName, Span};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, mpsc, oneshot, watch};

/// What is started, and what it is told.
#[derive(Clone, Debug, PartialEq)]
pub struct Program {
    pub command: PathBuf,
    pub args: Vec<String>,
    /// All of its environment, but for the mark by which it is known.
    pub environment: Vec<(String, String)>,
    /// Its working directory: its own, and made where it is missing. Its socket lies there.
    pub folder: PathBuf,
    pub cluster: String,
    pub pool: PoolName,
    pub offers: Vec<Offer>,
    pub settings: serde_json::Map<String, serde_json::Value>,
    pub limits: TimeLimits,
    pub needs: Needs,
}

/// What a program has to promise, because its pool relies on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Gangs are delivered whole or not at all.
    pub whole_gangs: bool,
    /// A launch is repeated for so long.
    pub repeated_for: Span,
    /// An instance that complete listings do not show for so long is gone.
    pub absent_after: Span,
}

impl Needs {
    /// # Errors
    /// What the promises lack, with both numbers.
    pub fn met_by(&self, promised: &Capabilities) -> Result<(), String> {
        if self.whole_gangs && !promised.all_or_none {
            return Err("the pool relies on whole gangs, which the program does not promise".to_owned());
        }
        if self.repeated_for > promised.token_lifetime {
            return Err(format!(
                "the pool repeats a launch for {} s, and the program recognises one for {} s only",
                self.repeated_for.as_secs(),
                promised.token_lifetime.as_secs()
            ));
        }
        if self.absent_after < promised.listing_grace {
            return Err(format!(
                "the pool takes an instance for gone that is not listed for {} s, and the program may list one late by {} s",
                self.absent_after.as_secs(),
                promised.listing_grace.as_secs()
            ));
        }
        Ok(())
    }
}

/// How patient a supervisor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// The pause before a new start; doubles to `longest_pause` as long as starts fail or end soon.
    pub first_pause: Duration,
    pub longest_pause: Duration,
    /// A program that was up for so long did not end because of how it was started.
    pub settled_after: Duration,
    /// From the start to the first answer.
    pub start_within: Duration,
    /// How often a sign of life is asked for, and how long that may take.
    pub probe_every: Duration,
    pub probe_within: Duration,
    /// From the request to end until it is killed.
    pub end_within: Duration,
    /// Calls in a row without a useful answer after which it is started anew, though it gives signs of life.
    pub misses: u32,
}

impl Default for Pace {
    fn default() -> Pace {
        Pace {
            first_pause: Duration::from_millis(500),
            longest_pause: Duration::from_secs(60),
            settled_after: Duration::from_secs(60),
            start_within: Duration::from_secs(15),
            probe_every: Duration::from_secs(10),
            probe_within: Duration::from_secs(10),
            end_within: Duration::from_secs(3),
            misses: 3,
        }
    }
}

/// Why a program is not up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Outage {
    #[error("it cannot be started: {0}")]
    Unstartable(String),
    #[error("it ended with {0}")]
    Ended(String),
    #[error("it hangs: {0}")]
    Hung(String),
    #[error("{0}")]
    Refused(String),
}

impl Outage {
    /// As metrics spell it.
    pub fn word(&self) -> &'static str {
        match self {
            Outage::Unstartable(_) => "unstartable",
            Outage::Ended(_) => "ended",
            Outage::Hung(_) => "hung",
            Outage::Refused(_) => "refused",
        }
    }
}

/// Counted since the supervisor began.
#[derive(Debug, Default)]
struct Counts {
    starts: AtomicU64,
    outages: [AtomicU64; 4],
}

/// The kinds of outages, in the order of their counters.
const OUTAGES: [&str; 4] = ["unstartable", "ended", "hung", "refused"];

/// How a program is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    pub up: bool,
    /// Processes that were started.
    pub starts: u64,
    /// Why starts were lost, by [`Outage::word`].
    pub outages: [(&'static str, u64); 4],
    /// Of the process that is up.
    pub pid: Option<u32>,
}

/// A process that answers.
struct Running {
    bridged: Bridged,
    pid: u32,
    /// Calls in a row that it did not answer usefully.
    misses: AtomicU32,
    /// To be looked at now.
    suspect: Notify,
}

#[derive(Clone)]
enum State {
    Starting,
    Up(Arc<Running>),
    /// Until the next start, which is so far away.
    Down {
        outage: Outage,
        pause: Duration,
    },
    /// For good.
    Over,
}

/// A provisioner in a process of its own that is kept up. Clones are the same.
#[derive(Clone)]
pub struct Supervised {
    pool: PoolName,
    pace: Pace,
    state: watch::Receiver<State>,
    orders: mpsc::Sender<Order>,
    counts: Arc<Counts>,
    /// Of the last process that was up.
    promised: Arc<std::sync::Mutex<Capabilities>>,
}

impl Supervised {
    /// Begins to keep a program up. Needs a tokio runtime, and ends with it.
    pub fn begin(program: Program, pace: Pace) -> Supervised {
        let (states, state) = watch::channel(State::Starting);
        // Whoever orders waits for the answer, so few orders wait.
        let (orders, ordered) = mpsc::channel(4);
        let (counts, promised) = (Arc::<Counts>::default(), Arc::default());
        let supervised = Supervised {
            pool: program.pool.clone(),
            pace,
            state,
            orders,
            counts: counts.clone(),
            promised: Arc::clone(&promised),
        };
        tokio::spawn(Keeper { program, pace, states, ordered, counts, promised, trial: None }.keep());
        supervised
    }

    /// Waits until it is up, or is not.
    ///
    /// # Errors
    /// Why not.
    pub async fn settled(&self) -> Result<(), Outage> {
        let mut state = self.state.clone();
        let settled = state.wait_for(|state| !matches!(state, State::Starting)).await;
        match settled.map(|state| state.clone()) {
            Ok(State::Down { outage, .. }) => Err(outage),
            Ok(State::Over) | Err(_) => Err(Outage::Refused("it was ended".to_owned())),
            Ok(State::Starting | State::Up(_)) => Ok(()),
        }
    }

    /// Ends the process and keeps another program up in its place, under the same pool. If that does not come up, the old
    /// one is started again.
    ///
    /// # Errors
    /// Why the new one did not come up.
    pub async fn replace(&self, program: Program) -> Result<(), Outage> {
        let (told, outcome) = oneshot::channel();
        let _ = self.orders.send(Order::Replace { program: Box::new(program), told }).await;
        outcome.await.unwrap_or_else(|_| Err(Outage::Refused("it was ended".to_owned())))
    }

    /// Ends the process for good.
    pub async fn end(&self) {
        let (told, outcome) = oneshot::channel();
        let _ = self.orders.send(Order::End { told }).await;
        let _ = outcome.await;
    }

    pub fn health(&self) -> Health {
        let pid = match &*self.state.borrow() {
            State::Up(running) => Some(running.pid),
            _ => None,
        };
        let outages = std::array::from_fn(|at| (OUTAGES[at], self.counts.outages[at].load(Ordering::Relaxed)));
        Health { up: pid.is_some(), starts: self.counts.starts.load(Ordering::Relaxed), outages, pid }
    }
}

impl Counts {
    fn count(&self, outage: &Outage) {
        if let Some(at) = OUTAGES.iter().position(|word| *word == outage.word()) {
            self.outages[at].fetch_add(1, Ordering::Relaxed);
        }
    }
}
