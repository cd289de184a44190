//! What carries out the duties: folders, cells, shims and signals.
//!
//! What is quick, as a few files and folders are, is done where it is asked for: a thread of its own for that costs more than
//! the thing itself. Whatever waits for a process or for others does so on the side. What happened is told as [`DutyInput`],
//! which is all that comes back.

mod ending;
mod examine;
mod files;
mod notice;
mod prepare;
mod start;
mod suspend;

pub use ending::gone;
pub use files::resolve;

use crate::cell::{Cell, Ground};
use crate::duty::{DutyInput, Found, Remains};
use crate::launch::environment::NodeFacts;
use crate::launch::{Identity, Outlive, SelfCommand};
use crate::ledger::{Leftovers, Owner, Places};
use crate::measure::Machine;
use crate::shim::ShimPlan;
use crate::shim::records::Folder;
use futures_util::future::BoxFuture;
use squall_types::agent::{Assignment, SignalTarget, StopWhy};
use squall_types::ids::Run;
use squall_types::{BlobDigest, NodeName};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::AbortHandle;

/// Where a run has no [`ShimPlan`].
pub(crate) const NO_PLAN: &str = "nothing says how the job was started on this node";
/// Shims that are started at once; more wait their turn.
const STARTS_AT_ONCE: usize = 16;

/// What this agent has made for a run and knows without looking.
#[derive(Debug)]
struct Made {
    /// Where the script is executed here.
    ready: Option<Ready>,
    /// Whose it is, where its folder may be another run's afterwards.
    owner: Option<Owner>,
    /// Somebody else was told where its cell and its folder are, and may have made a part of it at any time.
    shared: bool,
    /// Nothing is left of its cell.
    gone: bool,
}

/// What was found out about a run while it was prepared.
#[derive(Clone, Debug)]
struct Ready {
    cell: Cell,
    identity: Identity,
    /// As it was submitted.
    environment: Arc<Vec<u8>>,
}

impl Ready {
    fn owner(&self) -> Owner {
        Owner { uid: self.identity.uid, gid: self.identity.gid }
    }
}

/// Where scripts and environments come from.
pub trait Blobs: Send + Sync + 'static {
    /// The content of a blob that is here.
    fn at_hand(&self, digest: BlobDigest) -> Option<Arc<Vec<u8>>>;

    /// The content of a blob, verified. Waits as long as nobody can be asked.
    ///
    /// # Errors
    /// In words, where asking again would not help.
    fn fetch(&self, digest: BlobDigest, run: Run) -> BoxFuture<'_, Result<Arc<Vec<u8>>, String>>;
}

/// Everything that the hands need to know.
pub struct Hands {
    pub node: NodeName,
    pub hostname: String,
    pub places: Places,
    pub ground: Ground,
    pub again: SelfCommand,
    pub outlive: Outlive,
    pub machine: Machine,
    pub blobs: Arc<dyn Blobs>,
    /// `NAME=value` strings that everything started here bears, beside the mark of its run.
    pub brands: Vec<String>,
    /// Tells the runs of this agent from those of others on the machine.
    pub mark: String,
    pub inputs: mpsc::Sender<DutyInput>,
    pub starts: Semaphore,
    /// Folders that runs which come may have.
    pub leftovers: Arc<Leftovers>,
    preparing: Mutex<BTreeMap<Run, AbortHandle>>,
    /// Which CPUs each run is bound to.
    bound: Mutex<BTreeMap<Run, Vec<u32>>>,
    suspended: suspend::Suspended,
    /// Until the run is forgotten.
    made: Mutex<BTreeMap<Run, Made>>,
}

impl Hands {
    pub fn new(
        node: NodeName,
        hostname: String,
        places: Places,
        ground: Ground,
        again: SelfCommand,
        machine: Machine,
        blobs: Arc<dyn Blobs>,
        mark: String,
        inputs: mpsc::Sender<DutyInput>,
    ) -> Hands {
        let brand = std::env::var(crate::launch::INSTANCE).ok();
        let outlive = Outlive::new(again.clone(), ground.has_groups());
        Hands {
            node,
            hostname,
            places,
            ground,
            again,
            outlive,
            machine,
            blobs,
            brands: brand.map(|value| format!("{}={value}", crate::launch::INSTANCE)).into_iter().collect(),
            mark,
            inputs,
            starts: Semaphore::new(STARTS_AT_ONCE),
            leftovers: Arc::default(),
            preparing: Mutex::default(),
            bound: Mutex::default(),
            suspended: suspend::Suspended::default(),
            made: Mutex::default(),
        }
    }

    /// Sets everything up and executes nothing.
    pub fn prepare(self: &Arc<Self>, assignment: Arc<Assignment>) {
        let run = assignment.run;
        if let Some((identity, contents)) = prepare::at_hand(self, &assignment) {
            let made = prepare::make(self, &assignment, identity, contents);
            return self.tell_at_once(self.prepared(run, made));
        }
        let hands = self.clone();
        let task = tokio::spawn(async move {
            let made = match prepare::gather(&hands, &assignment).await {
                Ok((identity, contents)) => prepare::make(&hands, &assignment, identity, contents),
                Err(detail) => Err(detail),
            };
            let input = hands.prepared(run, made);
            lock(&hands.preparing).remove(&run);
            hands.tell(input).await;
        });
        lock(&self.preparing).insert(run, task.abort_handle());
    }

    fn prepared(&self, run: Run, made: Result<Option<Ready>, String>) -> DutyInput {
        match made {
            Ok(ready) => {
                // Without groups nobody knows for certain that all of a run is over.
                let owner = ready.as_ref().filter(|_| self.ground.has_groups()).map(Ready::owner);
                lock(&self.made).insert(run, Made { ready, owner, shared: false, gone: false });
                DutyInput::Prepared { run }
            }
            Err(detail) => DutyInput::PrepareFailed { run, detail },
        }
    }

    /// Stops preparing, and clears away what that has left.
    pub fn abandon(self: &Arc<Self>, run: Run) {
        if let Some(task) = lock(&self.preparing).remove(&run) {
            task.abort();
        }
        self.discard(run);
    }

    /// The run is forgotten, for good: its folder may be another's, or go.
    pub fn leave(&self, run: Run) {
        self.leftovers.push(run, self.folder(run).bytes());
    }

    /// Clears away the cell of a run that executes nothing any more. Its folder goes when the run is forgotten.
    pub fn discard(self: &Arc<Self>, run: Run) {
        if let Some(made) = lock(&self.made).remove(&run).filter(|made| made.gone && !made.shared) {
            if let Some(owner) = made.owner {
                self.leftovers.offer(run, owner);
            }
            return;
        }
        let hands = self.clone();
        tokio::task::spawn_blocking(move || {
            ending::whole(&hands, run).remove();
            hands.unbind(run);
        });
    }

    /// Lets a shim loose, and watches it until it is over.
    pub async fn start(self: &Arc<Self>, assignment: &Assignment, launch: u32) {
        start::start(self, assignment, launch).await;
    }

    /// Says what became of a run that an earlier agent may have started; watches it where it lives.
    pub async fn examine(self: &Arc<Self>, run: Run, remains: Remains) -> Found {
        examine::examine(self, run, remains).await
    }

    /// SIGTERM to everything of the run, after a word in its error output.
    pub fn stop(self: &Arc<Self>, assignment: Option<&Arc<Assignment>>, run: Run, why: StopWhy) {
        let (hands, assignment) = (self.clone(), assignment.cloned());
        tokio::task::spawn_blocking(move || {
            if let Some(assignment) = assignment {
                notice::say(&hands, &assignment, why);
            }
            ending::terminate(&hands, run);
        });
    }

    /// Stops everything of the run where it stands.
    pub fn freeze(self: &Arc<Self>, run: Run) {
        suspend::bring(self, run, true);
    }

    /// Lets everything of the run go on.
    pub fn thaw(self: &Arc<Self>, run: Run) {
        suspend::bring(self, run, false);
    }

    /// SIGKILL to everything of the run.
    pub fn kill(self: &Arc<Self>, run: Run) {
        let hands = self.clone();
        tokio::task::spawn_blocking(move || ending::kill(&hands, run));
    }

    /// A signal for a part of the run.
    pub fn signal(self: &Arc<Self>, run: Run, target: SignalTarget, signal: i32) {
        let hands = self.clone();
        tokio::task::spawn_blocking(move || ending::signal(&hands, run, target, signal));
    }

    /// What a job is told of this node, for a part of a run with these marks.
    pub fn facts(&self, assignment: &Assignment, markers: &[&str]) -> NodeFacts {
        let device =
            |gpu: &u16| self.machine.devices.get(usize::from(*gpu)).cloned().unwrap_or_else(|| gpu.to_string());
        NodeFacts {
            node: self.node.clone(),
            hostname: self.hostname.clone(),
            has_devices: self.machine.has_devices,
            devices: assignment.allocation.gpus.iter().map(device).collect(),
            markers: markers.iter().map(|marker| (*marker).to_owned()).chain(self.brands.iter().cloned()).collect(),
        }
    }

    pub(crate) fn folder(&self, run: Run) -> Folder {
        Folder(self.places.run(run))
    }

    /// What the shim of a run was told to do; `None` where it was told nothing, or where that is lost.
    pub(crate) fn plan(&self, run: Run) -> Option<ShimPlan> {
        self.share(run);
        self.folder(run).record().plan().cloned()
    }

    /// From now on somebody else may do something in the cell or in the folder of a run.
    fn share(&self, run: Run) {
        if let Some(made) = lock(&self.made).get_mut(&run) {
            made.shared = true;
        }
    }

    /// The cell of a run as its shim was given it.
    pub(crate) fn cell(&self, run: Run) -> Option<Cell> {
        self.plan(run).map(|plan| plan.cell)
    }

    /// For whoever is called by the one who hears it.
    fn tell_at_once(self: &Arc<Self>, input: DutyInput) {
        if let Err(TrySendError::Full(input)) = self.inputs.try_send(input) {
            let hands = self.clone();
            tokio::spawn(async move { hands.tell(input).await });
        }
    }

    pub(crate) async fn tell(&self, input: DutyInput) {
        // The agent is ending where nobody listens; the folder holds what happened.
        let _ = self.inputs.send(input).await;
    }

    /// The lowest CPUs that no other run is bound to; none where there are not enough, or where CPUs are declared.
    fn bind(&self, run: Run, count: u32) -> Vec<u32> {
        let mut bound = lock(&self.bound);
        let others = bound.iter().filter(|(other, _)| **other != run);
        let taken: BTreeSet<u32> = others.flat_map(|(_, cpus)| cpus).copied().collect();
        let free: Vec<u32> =
            self.machine.cpus.iter().filter(|cpu| !taken.contains(cpu)).take(count as usize).copied().collect();
        if free.len() < count as usize {
            return Vec::new();
        }
        bound.insert(run, free.clone());
        free
    }

    fn bind_again(&self, run: Run, cpus: Vec<u32>) {
        lock(&self.bound).insert(run, cpus);
    }

    /// The cell of a run that this agent has made.
    fn cell_made(&self, run: Run) -> Option<Cell> {
        lock(&self.made).contains_key(&run).then(|| prepare::cell_named(self, run))
    }

    fn ready(&self, run: Run) -> Option<Ready> {
        lock(&self.made).get(&run)?.ready.clone()
    }

    fn unbind(&self, run: Run) {
        lock(&self.bound).remove(&run);
    }
}

/// A lock whose holder cannot have left it in pieces.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
