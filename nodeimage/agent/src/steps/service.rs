//! The service through which clients start steps.

use super::layout::{self, Granted};
use super::relay::{accompany, connect, relay};
use super::{adopt, collect};
use crate::clock;
use crate::daemon::{LiveRun, RunStage, Runs};
use crate::hands::Hands;
use crate::launch::Begun;
use crate::ledger::sealed;
use crate::shim::step::{self, PLAN, StepPlan};
use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use sha2::{Digest, Sha256};
use squall_proto::credential::{self, Action, Credential, CredentialError};
use squall_proto::server::{Channel, Failure, Incoming, Outgoing, StepApi};
use squall_types::StepId;
use squall_types::agent::Assignment;
use squall_types::ids::Run;
use squall_types::step::{StepAttach, StepCommand, StepNews, StepStart};
use squall_types::visit::{FilePart, FileStored, LiveStep};
use std::collections::BTreeMap;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::UnixStream;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_stream::wrappers::ReceiverStream;

pub use crate::daemon::Membership;

/// How long a client may take to say what it wants.
const FIRST_COMMAND: Duration = Duration::from_secs(30);
/// How long a step waits for its job to begin on this node: the others may be a little ahead.
const JOB_BEGINS: Duration = Duration::from_secs(30);
/// News that waits for the connection to take it.
const NEWS_QUEUE: usize = 16;
/// Steps of which it is remembered who may come back to them.
const MAX_KNOWN: usize = 16_384;

/// Runs steps for whoever bears a credential for one.
pub struct StepService {
    pub(super) hands: Arc<Hands>,
    runs: watch::Receiver<Runs>,
    membership: watch::Receiver<Membership>,
    /// Name or address of this machine: from where a client on it comes.
    here: String,
    /// By the hash of the credential that began it.
    known: Mutex<BTreeMap<[u8; 32], (Run, StepId)>>,
}

/// Somebody who proved for which job he comes.
pub(super) struct Admitted {
    pub assignment: Arc<Assignment>,
    pub credential: Credential,
}

impl StepService {
    pub fn new(
        hands: Arc<Hands>,
        runs: watch::Receiver<Runs>,
        membership: watch::Receiver<Membership>,
        here: String,
    ) -> Self {
        StepService { hands, runs, membership, here, known: Mutex::default() }
    }

    /// Takes up the steps of a run that an earlier agent began.
    pub fn adopt(&self, run: Run) {
        for plan in adopt(&self.hands, run) {
            self.remember(&plan.credential, plan.run, plan.step);
        }
    }

    fn remember(&self, credential: &[u8], run: Run, step: StepId) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_KNOWN {
            known.retain(|_, (run, step)| self.hands.places.step(*run, *step).join(PLAN).exists());
        }
        known.insert(Sha256::digest(credential).into(), (run, step));
    }

    fn recall(&self, credential: &[u8]) -> Option<(Run, StepId)> {
        let hash: [u8; 32] = Sha256::digest(credential).into();
        self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&hash).copied()
    }

    /// Verifies a credential, and finds the job that it is for; waits a little for a job that is about to come so far.
    pub(super) async fn admit(&self, credential: &[u8], stage: RunStage) -> Result<Admitted, Failure> {
        let denied = |error: CredentialError| Failure::Denied(error.to_string());
        let key = self.membership.borrow().credential_key.to_vec();
        let mut runs = self.runs.clone();
        let until = Instant::now() + JOB_BEGINS;
        loop {
            {
                let live = runs.borrow_and_update();
                let cluster = live.values().next().map(|live| live.assignment.detail.cluster.clone());
                if let Some(cluster) = cluster {
                    let now = clock::now().wall;
                    let credential = credential::verify(&key, credential, &cluster, now).map_err(denied)?;
                    if let Some(live) = live.get(&credential.run).filter(|live| live.stage >= stage) {
                        let assignment = live.assignment.clone();
                        if assignment.detail.spec.uid != credential.uid {
                            return Err(Failure::Denied("the credential is of another user".to_owned()));
                        }
                        return Ok(Admitted { assignment, credential });
                    }
                }
            }
            match timeout_at(until, runs.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(_) => return Err(self.no_job()),
            }
        }
    }

    fn no_job(&self) -> Failure {
        Failure::Denied(format!("the job does not run on node {}", self.hands.node))
    }

    /// Waits until a job that is about to begin on this node has.
    async fn is_up(&self, run: Run) -> Result<(), Failure> {
        let up = |live: &Arc<LiveRun>| live.stage == RunStage::Up;
        let mut runs = self.runs.clone();
        let over = runs.wait_for(|runs| runs.get(&run).is_none_or(up));
        match timeout(JOB_BEGINS, over).await {
            Ok(Ok(runs)) if runs.contains_key(&run) => Ok(()),
            _ => Err(self.no_job()),
        }
    }

    /// Starts the step; the text says why that failed. All is set up for it while its job begins.
    async fn begin(
        &self,
        admitted: Admitted,
        start: StepStart,
        from: String,
    ) -> Result<Result<(UnixStream, PathBuf), String>, Failure> {
        let Admitted { assignment, credential } = admitted;
        let run = credential.run;
        let Action::RunStep { step, tasks, nodes } = credential.action else {
            return Ok(Err("the credential is not for a step".to_owned()));
        };
        let dir = self.hands.places.step(run, step);
        let hands = self.hands.clone();
        let bytes = start.credential.clone();
        let set_up = {
            let dir = dir.clone();
            tokio::task::spawn_blocking(move || {
                let granted = Granted { run, step, nodes: &nodes, tasks, launched_from: &from };
                set_up(&hands, &dir, &assignment, &granted, &start)
            })
        };
        let plan = match set_up.await {
            Ok(Ok(plan)) => plan,
            Ok(Err(text)) => return Ok(Err(text)),
            Err(panicked) => return Ok(Err(panicked.to_string())),
        };
        if let Err(failure) = self.is_up(run).await {
            tokio::task::spawn_blocking(move || take_down(&dir, &plan));
            return Err(failure);
        }
        // Also for a client that is gone before it has begun: then it begins without one.
        let (hands, folder) = (self.hands.clone(), dir.clone());
        let launched = tokio::spawn(async move {
            let begun = launch(&hands, &folder, &plan.cell.marker).await?;
            tokio::spawn(collect::watch(hands, folder, plan, Some(begun)));
            Ok(())
        });
        match launched.await {
            Ok(Ok(())) => {}
            Ok(Err(text)) => return Ok(Err(text)),
            Err(panicked) => return Ok(Err(panicked.to_string())),
        }
        self.remember(&bytes, run, step);
        let socket = connect(&dir).await.map_err(|error| format!("the step did not come up: {error}"));
        Ok(socket.map(|socket| (socket, dir)))
    }
}

impl StepService {
    /// A visitor of a step that somebody else has started.
    async fn let_in(
        &self,
        attach: &StepAttach,
        commands: Incoming<StepCommand>,
    ) -> Result<Outgoing<StepNews>, Failure> {
        match self.attach(attach).await? {
            Ok(socket) => {
                let (tell, news) = mpsc::channel(NEWS_QUEUE);
                tokio::spawn(accompany(socket, commands, tell));
                Ok(ReceiverStream::new(news).boxed())
            }
            Err(text) => Ok(failed(text)),
        }
    }
}

/// Writes the plans of a step.
fn set_up(
    hands: &Hands,
    dir: &Path,
    assignment: &Assignment,
    granted: &Granted<'_>,
    start: &StepStart,
) -> Result<StepPlan, String> {
    let (plan, tasks) = layout::plan(hands, assignment, granted, start)?;
    // Made once: whoever comes second with the same step is refused here.
    match std::fs::DirBuilder::new().mode(0o700).create(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            return Err(format!("step {}.{} was started here before", granted.run.job, granted.step));
        }
        made => made.map_err(not_started)?,
    }
    for (rank, task) in &tasks {
        sealed::write_unsynced(&dir.join(format!("task-{rank}")), task).map_err(not_started)?;
    }
    sealed::write_unsynced(&dir.join(PLAN), &plan).map_err(not_started)?;
    Ok(plan)
}

/// Takes back what was set up for a step whose job did not begin.
fn take_down(dir: &Path, plan: &StepPlan) {
    plan.cell.remove();
    if let Err(error) = std::fs::remove_dir_all(dir) {
        tracing::debug!(%error, "a step that did not begin is left");
    }
}

/// Lets the step's shim loose, and returns when it has begun or is over.
async fn launch(hands: &Hands, dir: &Path, marker: &str) -> Result<Begun, String> {
    let words = ["step".as_ref(), dir.as_os_str()];
    hands.outlive.start(&words, marker, || step::claimed(dir).is_some()).await.map_err(not_started)
}

fn not_started(error: std::io::Error) -> String {
    format!("the node could not start the step: {error}")
}

#[async_trait]
impl StepApi for StepService {
    async fn run_step(
        &self,
        channel: Channel,
        mut commands: Incoming<StepCommand>,
    ) -> Result<Outgoing<StepNews>, Failure> {
        let start = match timeout(FIRST_COMMAND, commands.next()).await {
            Ok(Some(Ok(StepCommand::Start(start)))) => start,
            Ok(Some(Ok(StepCommand::Attach(attach)))) => return self.let_in(&attach, commands).await,
            _ => return Err(Failure::Denied("a step begins with its start".to_owned())),
        };
        let had = start.resume_after.unwrap_or(0);
        let opened = match self.recall(&start.credential) {
            // Nobody else has these bytes; that the credential has expired meanwhile does not matter.
            Some((run, step)) => {
                let dir = self.hands.places.step(run, step);
                let connected = connect(&dir).await.map_err(|_| format!("step {}.{step} is over", run.job));
                connected.map(|socket| (socket, dir))
            }
            None => {
                let admitted = self.admit(&start.credential, RunStage::Prepared).await?;
                let from = channel.remote.map_or_else(|| self.here.clone(), |remote| remote.ip().to_string());
                self.begin(admitted, *start, from).await?
            }
        };
        let (socket, dir) = match opened {
            Ok(opened) => opened,
            Err(text) => return Ok(failed(text)),
        };
        let (tell, news) = mpsc::channel(NEWS_QUEUE);
        let hands = self.hands.clone();
        let finished = async move { collect::told_finished(&hands, dir).await };
        tokio::spawn(relay(socket, commands, tell, had, finished));
        Ok(ReceiverStream::new(news).boxed())
    }

    async fn live_steps(&self, _: Channel, credential: Vec<u8>) -> Result<Vec<LiveStep>, Failure> {
        self.live(&credential).await
    }

    async fn store_file(&self, _: Channel, mut parts: Incoming<FilePart>) -> Result<Outgoing<FileStored>, Failure> {
        match timeout(FIRST_COMMAND, parts.next()).await {
            Ok(Some(Ok(FilePart::Begin(begin)))) => Ok(ReceiverStream::new(self.store(*begin, parts).await?).boxed()),
            _ => Err(Failure::Denied("a file begins with what it is to become".to_owned())),
        }
    }
}

fn failed(text: String) -> Outgoing<StepNews> {
    stream::iter([Ok(StepNews::Failed { text })]).boxed()
}
