//! One socket for each job on this node, for what runs in it: there it asks the controller in the job's name, and
//! starts steps, with nothing to prove but that it is one of the job's own processes.

use super::driver::Runs;
use super::jobs::LiveRun;
use super::link;
use super::membership::{Key, Membership};
use super::options::Options;
use crate::cell::Process;
use crate::hands::Hands;
use crate::steps::StepService;
use futures_util::{StreamExt, stream};
use squall_proto::client::Client;
use squall_proto::server::{Channel, Failure, Forward, bind_unix, client_service, local_builder, step_service};
use squall_types::ids::Run;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::net::{UnixListener, UnixStream};
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio_stream::wrappers::UnixListenerStream;

/// Anybody may knock; who is let in is decided by who knocks.
const MODE: u32 = 0o666;
/// Sockets to which nobody has come and that wait for another job.
const MOST_SPARE: usize = 64;

/// Serves the sockets of the jobs that live.
pub struct Sockets {
    pub dir: PathBuf,
    pub hands: Arc<Hands>,
    pub runs: watch::Receiver<Runs>,
    pub membership: watch::Receiver<Membership>,
    pub options: Arc<Options>,
    pub key: Arc<Key>,
    pub steps: Arc<StepService>,
    /// Where those are served who come.
    pub services: Handle,
    /// Hears which runs have a socket.
    pub told: watch::Sender<BTreeSet<Run>>,
}

/// A socket while it is a job's.
struct Served {
    path: PathBuf,
    /// Dropped when the job is over.
    stop: oneshot::Sender<()>,
    /// It gives the socket back where nobody has come.
    server: JoinHandle<Option<UnixListenerStream>>,
}

/// A socket that listens and is no job's.
struct Spare {
    path: PathBuf,
    incoming: UnixListenerStream,
}

impl Spare {
    /// With this name from now on.
    fn named(self, path: &Path) -> Option<UnixListenerStream> {
        let renamed = std::fs::rename(&self.path, path);
        if renamed.is_err() {
            let _ = std::fs::remove_file(&self.path);
        }
        renamed.is_ok().then_some(self.incoming)
    }
}

impl Sockets {
    /// Until the agent ends.
    pub async fn run(mut self) {
        self.sweep();
        let mut served: BTreeMap<Run, Served> = BTreeMap::new();
        let mut spare: Vec<Spare> = Vec::new();
        let mut spared = 0u64;
        loop {
            let live: BTreeSet<Run> = self.runs.borrow_and_update().keys().copied().collect();
            let is_over = |run: &Run, served: &Served| !live.contains(run) || served.server.is_finished();
            let over = served.iter().filter(|(run, served)| is_over(run, served)).map(|(run, _)| *run);
            for run in over.collect::<Vec<Run>>() {
                let Some(Served { path, stop, server }) = served.remove(&run) else { continue };
                drop(stop);
                let unused = server.await.ok().flatten().filter(|_| spare.len() < MOST_SPARE);
                spared += 1;
                let aside = self.dir.join(format!("job-spare-{spared}{}", self.ending()));
                match unused {
                    // What a name costs is less than what a socket does.
                    Some(incoming) if std::fs::rename(&path, &aside).is_ok() => {
                        spare.push(Spare { path: aside, incoming });
                    }
                    // Nobody listens there any more.
                    _ => drop(std::fs::remove_file(path)),
                }
            }
            for run in live {
                if served.contains_key(&run) {
                    continue;
                }
                let path = self.path(run);
                let incoming = match spare.pop().and_then(|spare| spare.named(&path)) {
                    Some(incoming) => Ok(incoming),
                    None => bind_unix(&path, MODE).await,
                };
                match incoming {
                    Ok(incoming) => {
                        let (stop, over) = oneshot::channel();
                        let server = self.serve(incoming, over, run);
                        served.insert(run, Served { path, stop, server });
                    }
                    Err(error) => {
                        tracing::error!(job = %run.job, path = %path.display(), %error, "a job has no socket");
                    }
                }
            }
            self.told.send_replace(served.keys().copied().collect());
            if self.runs.changed().await.is_err() {
                return;
            }
        }
    }

    /// `job-<id>.<node>.<agent>.sock`: clusters that share a machine number their jobs and nodes alike.
    fn path(&self, run: Run) -> PathBuf {
        self.dir.join(format!("job-{}{}", run.job, self.ending()))
    }

    fn ending(&self) -> String {
        format!(".{}.{:08x}.sock", self.hands.node, crc32fast::hash(self.hands.mark.as_bytes()))
    }

    /// Removes what an agent that was killed has left of jobs that have ended meanwhile; those that live get theirs
    /// anew.
    fn sweep(&self) {
        let ending = self.ending();
        for entry in std::fs::read_dir(&self.dir).into_iter().flatten().flatten() {
            let name = entry.file_name();
            if name.to_str().is_some_and(|name| name.starts_with("job-") && name.ends_with(&ending)) {
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }

    fn serve(
        &self,
        mut incoming: UnixListenerStream,
        mut over: oneshot::Receiver<()>,
        run: Run,
    ) -> JoinHandle<Option<UnixListenerStream>> {
        let (hands, runs) = (self.hands.clone(), self.runs.clone());
        let (membership, options, key) = (self.membership.clone(), self.options.clone(), self.key.clone());
        let choose = move |channel: &Channel| {
            let live = runs.borrow().get(&run).cloned();
            let live = live.ok_or_else(|| Failure::Denied(format!("job {} is over here", run.job)))?;
            admit(&hands, &live, channel)?;
            // Made anew for each call: the certificate may have been renewed, and a connection is quickly made.
            let target =
                link::target(&options, &key, &membership.borrow()).map_err(|e| Failure::Internal(e.to_string()))?;
            let client = Client::lazy(&target).map_err(Failure::from)?;
            Ok(client.for_job(live.assignment.credential.clone()))
        };
        let (steps, services) = (self.steps.clone(), self.services.clone());
        tokio::spawn(async move {
            // Most jobs never ask anything: what would serve them is made for the first who does.
            let first = tokio::select! {
                first = incoming.next() => first?.and_then(UnixStream::into_std),
                _ = &mut over => return Some(incoming),
            };
            let listener = incoming.into_inner().into_std();
            let served = services.spawn(async move {
                let first = UnixStream::from_std(first?)?;
                let others = UnixListenerStream::new(UnixListener::from_std(listener?)?);
                let router = local_builder()
                    .add_service(client_service(Arc::new(Forward::new(choose))))
                    .add_service(step_service(steps));
                let callers = stream::iter([Ok(first)]).chain(others);
                router.serve_with_incoming(callers).await.map_err(io::Error::other)
            });
            let end = served.abort_handle();
            tokio::select! {
                ended = served => {
                    if let Ok(Err(error)) = ended {
                        tracing::warn!(job = %run.job, %error, "a job's socket failed");
                    }
                }
                _ = over => end.abort(),
            }
            None
        })
    }
}

/// Lets in what runs in the job, and nobody else: neither other users nor other jobs of the same one.
fn admit(hands: &Hands, live: &LiveRun, channel: &Channel) -> Result<(), Failure> {
    let run = live.assignment.run;
    let denied = |why: &str| Err(Failure::Denied(format!("this is the socket of job {}: {why}", run.job)));
    let Some(peer) = channel.peer else { return denied("nothing says who is calling") };
    if peer.uid != live.assignment.detail.spec.uid {
        return denied("it belongs to another user");
    }
    let process = peer.pid.and_then(|pid| Process::find(u32::try_from(pid).ok()?));
    let Some(process) = process else { return denied("nothing says which process is calling") };
    match hands.cell(run) {
        Some(cell) if cell.holds(process) => Ok(()),
        _ => denied("only what runs in that job may use it"),
    }
}
