//! One controller, from its configuration to its last word.

mod address;
mod door;
mod servers;

use crate::identity::{Authority, IdentityError, LoginHosts, Tokens, UserTokens};
use crate::meters::Meters;
use crate::metrics::Source;
use crate::pools::{PoolError, Pools};
use crate::reload::Reloader;
use crate::rpc::Service;
use crate::settings::Loaded;
use crate::shell::{self, Clock, ExitReason, ProviderTable, Shell, ShellOptions};
use crate::telemetry::{self, MetricsPush, TraceParent};
use address::Addresses;
use squall_core::{Caller, Command, Event};
use squall_engine::{Answer, Ask, Engine};
use squall_journal::{Journal, JournalError, Options, Recovered, Retention};
use squall_proto::VERSION;
use squall_proto::server::{BadCertificate, Failure};
use squall_types::Span;
use squall_types::offer::JoinTicket;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// How far ids jump after a backup was restored: above every id that was given since it was made.
const RESTORE_GAP: u32 = 100_000;
/// Why there is no controller, or no more.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error(transparent)]
    Pool(#[from] PoolError),
    #[error(transparent)]
    Certificate(#[from] BadCertificate),
    #[error("{doing} {place}: {source}")]
    Listen { doing: &'static str, place: String, source: io::Error },
    #[error("the journal in {dir} is of the cluster {stored}, the configuration of {configured}", dir = dir.display())]
    OtherCluster { dir: PathBuf, stored: String, configured: String },
    #[error("the configuration was refused: {0}")]
    Configuration(String),
    #[error("{0}")]
    Failed(String),
    #[error("the system gives no {what}: {source}")]
    System { what: &'static str, source: io::Error },
}

impl RunError {
    /// As in `sysexits.h`, so that supervisors know what is worth a new start.
    pub fn exit_code(&self) -> u8 {
        match self {
            RunError::Journal(JournalError::InUse { .. }) => 75,
            RunError::Journal(_) | RunError::Failed(_) => 74,
            RunError::Configuration(_) | RunError::OtherCluster { .. } => 78,
            RunError::Identity(_) | RunError::Certificate(_) => 77,
            RunError::Pool(_) | RunError::Listen { .. } | RunError::System { .. } => 69,
        }
    }
}

/// Runs until it is told to stop. Jobs go on running.
///
/// # Errors
/// Where it cannot start, or a commit failed.
pub async fn run(loaded: Loaded, relog: impl Fn(&str) + Send + Sync + 'static) -> Result<(), RunError> {
    let mut signals = Signals::new()?;
    let mut controller = Controller::start(loaded, relog).await?;
    loop {
        tokio::select! {
            ended = controller.ended() => return ended,
            asked = signals.next() => match asked {
                Asked::Stop => return controller.stop().await,
                // What is wrong with it stands in the log; everything stays as it was.
                Asked::Reload => drop(controller.reload().await),
            },
        }
    }
}

/// A controller that runs.
pub struct Controller {
    shell: Shell,
    reloader: Arc<Reloader>,
    servers: servers::Servers,
    pools: Arc<Pools>,
    address: String,
    push: Option<Arc<MetricsPush>>,
    /// What runs beside it.
    tasks: Vec<JoinHandle<()>>,
}

async fn start(loaded: Loaded, relog: impl Fn(&str) + Send + Sync + 'static) -> Result<Controller, RunError> {
    let controller = loaded.settings.controller.clone();
    let state_dir = controller.state_dir.clone();
    let (journal, recovered) = open_journal(&loaded)?;
    let stored = &recovered.cluster.config.cluster;
    if recovered.seq.0 > 0 && !recovered.cluster.config.partitions.is_empty() && *stored != loaded.cluster.cluster {
        let (stored, configured) = (stored.clone(), loaded.cluster.cluster.clone());
        return Err(RunError::OtherCluster { dir: state_dir, stored, configured });
    }
    let reader = journal.reader();
    let clock = Arc::new(Clock::starting_at(recovered.cluster.counters.at));
    let identity_dir = state_dir.join("identity");
    let authority = Arc::new(Authority::open(&identity_dir, &loaded.cluster.cluster, clock.now())?);
    let addresses = Addresses::bind(&controller, &state_dir).await?;
    let meters = Arc::new(Meters::default());
    let providers = ProviderTable::default();
    let pools = Pools::new(providers.clone(), state_dir.clone(), clock.clone(), meters.clone());
    pools.offer(&pools.begin(&loaded).await?);

    let (restored, from) = (recovered.restored, recovered.seq);
    let mail = crate::mail::follow(&controller, &recovered.cluster)
        .map_err(|source| RunError::System { what: "outbox for mail", source })?;
    let mailed = mail.as_ref().map(|mail| mail.events.clone());
    let followers = telemetry::follow(&recovered.cluster).into_iter().chain(mailed).collect();
    let shell = start_shell(
        journal,
        recovered,
        followers,
        &loaded,
        &authority,
        &addresses.advertised,
        clock,
        providers,
        &meters,
    );
    configure(&shell, &loaded, restored).await?;
    tracing::info!(
        cluster = %loaded.cluster.cluster, version = VERSION, records = from.0, state = %state_dir.display(), "controller started"
    );

    let cluster = loaded.cluster.cluster.clone();
    let reloader = Arc::new(Reloader::new(loaded, shell.handle.clone(), pools.clone(), meters.clone(), relog));
    let service = Service::new(
        shell.handle.clone(),
        authority.clone(),
        Tokens::open(&identity_dir.join("tokens"))?,
        UserTokens::open(&identity_dir.join("user-tokens"))?,
        LoginHosts::open(&identity_dir)?,
        reader,
        reloader.clone(),
        meters,
        addresses.advertised.clone(),
    );
    let mut tasks = vec![tokio::spawn(pools.clone().look_after_agents())];
    tasks.extend(mail.map(|mail| mail.delivery));
    let source = Source { handle: shell.handle.clone(), meters: service.meters.clone() };
    let push = MetricsPush::from_env("squallctld", &cluster, source.clone());
    tasks.extend(push.clone().map(|push| tokio::spawn(push.run())));
    if let Some(address) = controller.metrics.as_deref().and_then(|address| address.parse().ok()) {
        let served = crate::metrics::serve(address, source.clone()).await;
        let (address, task) = served.map_err(|source| RunError::Listen {
            doing: "serving metrics on",
            place: address.to_string(),
            source,
        })?;
        tracing::info!(%address, "metrics at /metrics");
        tasks.push(task);
    }
    let advertised = addresses.advertised.clone();
    let pace = service.meters.pace.clone();
    let servers = servers::Servers::start(Arc::new(service), &controller, addresses, &authority, pace).await?;
    Ok(Controller { shell, reloader, servers, pools, push, address: advertised, tasks })
}

/// Others may pass through the state folder, and look into nothing that is kept there but what is meant for them: jobs
/// of all users have their scripts below it where nodes are processes of this machine.
fn make_state_dir(dir: &Path) -> Result<(), RunError> {
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o711).create(dir);
    made.map_err(|source| RunError::Listen { doing: "making", place: dir.display().to_string(), source })
}

fn open_journal(loaded: &Loaded) -> Result<(Journal, Recovered), RunError> {
    let controller = &loaded.settings.controller;
    make_state_dir(&controller.state_dir)?;
    let retention = Retention { history: controller.retention.limited(), ..Options::default().retention };
    let options =
        Options { retention, reserve_bytes: controller.disk_reserve.0.saturating_mul(1 << 20), ..Options::default() };
    let (journal, recovered) = Journal::open(controller.state_dir.join("journal"), options)?;
    for note in &recovered.notes {
        tracing::warn!(reason = %note, "journal");
    }
    if !recovered.clean && recovered.seq.0 > 0 {
        tracing::info!(replayed = recovered.replayed, "the last controller did not stop by itself");
    }
    Ok((journal, recovered))
}

fn start_shell(
    journal: Journal,
    recovered: Recovered,
    events: Vec<UnboundedSender<Arc<[Event]>>>,
    loaded: &Loaded,
    authority: &Arc<Authority>,
    advertised: &str,
    clock: Arc<Clock>,
    providers: ProviderTable,
    meters: &Arc<Meters>,
) -> Shell {
    let (ticket_authority, controller) = (authority.clone(), format!("https://{advertised}"));
    let (credential_authority, credential_clock) = (authority.clone(), clock.clone());
    let alerts = meters.clone();
    shell::start(ShellOptions {
        engine: Engine::new(recovered.cluster, recovered.epoch, VERSION),
        journal,
        clock,
        providers,
        alert: Arc::new(move |_| alerts.alert()),
        ticket: Arc::new(move |order| JoinTicket {
            controller: controller.clone(),
            ca_pin: ticket_authority.ca_pin().to_owned(),
            secret: ticket_authority.join_secret(order.order),
        }),
        complete: Arc::new(move |duty| {
            if let Some(parent) = TraceParent::of_assignment(duty) {
                duty.detail.spec.trace_parent = Some(parent.to_string());
            }
            let (spec, now) = (&duty.detail.spec, credential_clock.now());
            let signed = credential_authority.job_credential(spec.uid, spec.gid, duty.run, duty.detail.time_limit, now);
            duty.credential = signed.unwrap_or_else(|error| {
                // The job runs all the same; commands inside it are told that they may not.
                tracing::error!(%error, job = duty.run.job.0, "no credential for a job");
                Vec::new()
            });
        }),
        events,
        snapshot_events: loaded.settings.controller.snapshot_events,
        snapshot_after: duration(loaded.settings.controller.snapshot_every.0),
        pace: meters.pace.clone(),
        disk_every: crate::limits::DISK_EVERY,
    })
}

/// The first commands of every start: what a restored backup needs, and the configuration as it is now.
async fn configure(shell: &Shell, loaded: &Loaded, restored: bool) -> Result<(), RunError> {
    if restored {
        tracing::warn!(
            gap = RESTORE_GAP,
            "the journal is a restored backup: ids jump ahead, and nothing unknown is ended"
        );
        perform(shell, Command::Restore { gap: RESTORE_GAP }).await?;
    }
    // Also where nothing changed: the engine begins nothing before it was told.
    perform(shell, Command::Configure { config: Box::new(loaded.cluster.clone()) }).await
}

async fn perform(shell: &Shell, command: Command) -> Result<(), RunError> {
    match shell.handle.ask(Caller::System, Ask::One(command)).await {
        Ok(Answer::Refused(refusal)) => {
            Err(RunError::Configuration(format!("{}: {} ({})", refusal.slurm, refusal.limit, refusal.asked)))
        }
        Ok(_) => Ok(()),
        Err(stopped) => Err(RunError::Failed(stopped.to_string())),
    }
}

impl Controller {
    /// Recovers the state, takes over, and answers from then on. Has to be called within a tokio runtime.
    ///
    /// # Errors
    /// Where it cannot: another controller works on the state, the state is damaged, a port is taken.
    pub async fn start(loaded: Loaded, relog: impl Fn(&str) + Send + Sync + 'static) -> Result<Controller, RunError> {
        start(loaded, relog).await
    }

    /// `HOST:PORT` under which machines and remote users reach it.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Reads the configuration again. In words, what changed.
    ///
    /// # Errors
    /// What is wrong with it; then everything stays as it was.
    pub async fn reload(&self) -> Result<Vec<String>, Failure> {
        self.reloader.reload(Caller::System).await
    }

    /// Waits until the loop ends without being asked to.
    ///
    /// # Errors
    /// A commit failed, or a bug ended it.
    pub async fn ended(&mut self) -> Result<(), RunError> {
        ended_by_itself((&mut self.shell.ended).await)
    }

    /// Takes no more calls, has on disk what was accepted, and closes the journal. Jobs go on running.
    ///
    /// # Errors
    /// A commit failed at the last moment, or one is not done in time.
    pub async fn stop(self) -> Result<(), RunError> {
        let Controller { shell, servers, pools, push, tasks, .. } = self;
        tasks.iter().for_each(JoinHandle::abort);
        tracing::info!("stopping: jobs go on running");
        servers.stop().await;
        if let Some(push) = push {
            push.finish().await;
        }
        shell.handle.stop();
        // Calls under way are cut off; what they were for is owed again at the next start.
        pools.end().await;
        match tokio::time::timeout(crate::limits::STOP_WITHIN, shell.ended).await {
            Ok(Ok(ExitReason::Stopped)) => {
                tracing::info!("stopped");
                Ok(())
            }
            Ok(ended) => ended_by_itself(ended),
            // Everything that was answered is on disk; what was under way is asked again.
            Err(_) => Err(RunError::Failed("the loop did not end in time".to_owned())),
        }
    }
}

fn ended_by_itself(ended: Result<ExitReason, oneshot::error::RecvError>) -> Result<(), RunError> {
    match ended {
        Ok(ExitReason::Stopped) => Ok(()),
        Ok(ExitReason::Failed(why)) => {
            Err(RunError::Failed(format!("{why}; jobs go on running, and a new start adopts them")))
        }
        Err(_) => Err(RunError::Failed("the engine's thread panicked: this is a bug; the journal is whole".to_owned())),
    }
}

/// What a signal asks for.
enum Asked {
    Stop,
    Reload,
}

struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> Result<Signals, RunError> {
        let listen = |kind| signal(kind).map_err(|source| RunError::System { what: "signals", source });
        Ok(Signals {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hangup: listen(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.terminate.recv() => Asked::Stop,
            _ = self.interrupt.recv() => Asked::Stop,
            _ = self.hangup.recv() => Asked::Reload,
        }
    }
}

pub(crate) fn duration(span: Span) -> Duration {
    Duration::from_millis(u64::try_from(span.0).unwrap_or(0))
}

/// The socket that a configuration names, for commands on the same machine.
pub fn socket_of(loaded: &Loaded) -> &Path {
    &loaded.settings.controller.socket
}
