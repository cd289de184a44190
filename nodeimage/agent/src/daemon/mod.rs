//! The agent as a process: joins the cluster, keeps the connection, and does its duties until it is told to end.

mod blobs;
mod driver;
mod jobs;
mod link;
mod membership;
mod options;
mod runtime_dir;
mod server;
mod sockets;
mod sweeper;

pub use driver::{Over, Runs};
pub use jobs::{LiveRun, RunStage};
pub use link::LinkError;
pub use membership::{Key, KeyError, Membership};
pub use options::{OptionError, Options, USAGE};
pub use runtime_dir::RuntimeDirError;

use crate::cell::Ground;
use crate::clock;
use crate::duty::{Duty, DutyConfig, PowerOffWhy, RecordId};
use crate::hands::Hands;
use crate::launch::SelfCommand;
use crate::ledger::{Ledger, Leftovers, LockError, Places, StateLock, parse_run};
use crate::measure::{self, DeclaredShape, Machine, ShapeFileError};
use crate::steps::StepService;
use driver::{Driver, INPUT_QUEUE};
use link::{Link, Pause};
use sockets::Sockets;
use squall_proto::server::BadCertificate;
use squall_types::agent::MeasuredNode;
use squall_types::{NodeName, Span};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use tokio::runtime::{Builder, Handle};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};

/// Another agent has the state folder.
pub const EXIT_LOCKED: i32 = 17;
/// The controller does not want this agent.
pub const EXIT_REFUSED: i32 = 18;
/// Anything that a person has to look at.
pub const EXIT_FAILED: i32 = 1;

/// Threads for clients of steps.
const SERVICE_THREADS: usize = 2;

/// Why the agent could not begin.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error("the state folder {0} cannot be used: {1}")]
    State(PathBuf, #[source] io::Error),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error(transparent)]
    Shape(#[from] ShapeFileError),
    #[error(transparent)]
    RuntimeDir(#[from] RuntimeDirError),
    #[error("the step service cannot listen on {0}")]
    Listen(String, #[source] io::Error),
    #[error(transparent)]
    Certificate(#[from] BadCertificate),
    #[error("the agent's runtime cannot be started")]
    Runtime(#[source] io::Error),
}

/// Runs the agent until it ends, and returns the exit code.
pub fn run(options: Options, again: SelfCommand) -> Result<i32, DaemonError> {
    let _lock = StateLock::take(&options.state_dir)?;
    // What decides, writes and starts is one thread, which hands nothing over to others but what may last.
    let runtime = Builder::new_current_thread().enable_all().build().map_err(DaemonError::Runtime)?;
    // What clients of steps ask for and hear may be much, and holds nothing else up.
    let services = Builder::new_multi_thread()
        .enable_all()
        .worker_threads(SERVICE_THREADS)
        .thread_name("services")
        .build()
        .map_err(DaemonError::Runtime)?;
    let left = Arc::new(Leftovers::default());
    let sweeping = sweeper::start(Places::new(&options.state_dir), left.clone()).map_err(DaemonError::Runtime)?;
    // As a task: what wakes the one that a runtime blocks on also writes to an eventfd, which the thread then reads itself.
    let live = runtime.spawn(live(Arc::new(options), again, services.handle().clone(), left));
    let code = runtime.block_on(live);
    if !sweeping.over_within(sweeper::AT_THE_END) {
        tracing::info!("the next agent clears away what runs have left here");
    }
    // Threads that wait for a disk or a process are not waited for.
    services.shutdown_background();
    runtime.shutdown_background();
    code.unwrap_or_else(|panicked| Err(DaemonError::Runtime(io::Error::other(panicked))))
}

async fn live(
    options: Arc<Options>,
    again: SelfCommand,
    services: Handle,
    left: Arc<Leftovers>,
) -> Result<i32, DaemonError> {
    let state_failed = |error| DaemonError::State(options.state_dir.clone(), error);
    let mut terminate = signal(SignalKind::terminate()).map_err(DaemonError::Runtime)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(DaemonError::Runtime)?;
    let over = tokio::select! {
        over = begin(options.clone(), again, services, left) => over?,
        _ = terminate.recv() => return Ok(0),
        _ = interrupt.recv() => return Ok(0),
    };
    match over {
        Over::PowerOff(why) => {
            tracing::info!(reason = ?why, "the machine's life is over");
            fs::write(options.state_dir.join("powered-off"), format!("{why:?}\n")).map_err(state_failed)?;
            power_off(&options);
            Ok(0)
        }
        Over::Refused(why) => {
            tracing::error!(reason = %why, "the controller does not want this agent");
            Ok(EXIT_REFUSED)
        }
        Over::Ledger(error) => {
            tracing::error!(%error, "the ledger could not be written: the agent has to start anew");
            Ok(EXIT_FAILED)
        }
    }
}

async fn begin(
    options: Arc<Options>,
    again: SelfCommand,
    services: Handle,
    left: Arc<Leftovers>,
) -> Result<Over, DaemonError> {
    let state_failed = |error| DaemonError::State(options.state_dir.clone(), error);
    let (ledger, records) = Ledger::open(&options.state_dir).map_err(state_failed)?;
    let declared = options.shape_file.as_deref().map(DeclaredShape::read).transpose()?;
    let machine = measure::measure(declared.as_ref());
    let hostname =
        nix::unistd::gethostname().map_or_else(|_| "localhost".to_owned(), |name| name.to_string_lossy().into_owned());
    let key = Arc::new(Key::open(&options.state_dir)?);
    let membership = match Membership::load(&options.state_dir) {
        Some(membership) => membership,
        None => match first_join(&options, &key, &hostname).await {
            Ok(membership) => membership,
            Err(why) => return Ok(Over::PowerOff(why)),
        },
    };
    let node = membership.name.clone();
    let mark = mark(&options, &node);
    let ground = Ground::detect(options.containment, &mark);
    remember_ground(&options.state_dir, &ground).map_err(state_failed)?;
    tracing::info!(%node, containment = ground.describe(), cpus = machine.shape.cpus, memory_mib = machine.shape.memory_mib,
        gpus = machine.shape.gpus.count(), "agent up");
    if !machine.fault.is_empty() {
        tracing::error!(%node, reason = %machine.fault, "a part of this machine does not answer");
    }

    let runtime_dir = options.runtime_dir.clone().unwrap_or_else(runtime_dir::usual);
    runtime_dir::make(&runtime_dir)?;
    let (hands_tell, inputs) = mpsc::channel(INPUT_QUEUE);
    let (client, clients) = watch::channel(None);
    let blobs = Arc::new(blobs::Fetched::new(clients));
    let places = ledger.places().clone();
    let mut hands = Hands::new(
        node.clone(),
        hostname.clone(),
        places,
        ground.clone(),
        again,
        machine.clone(),
        blobs,
        mark,
        hands_tell,
    );
    hands.leftovers = left;
    hands.outlive.ready();
    let config = DutyConfig {
        self_end: options.self_end,
        die_at: options.die_at,
        heartbeat: if membership.heartbeat > Span::ZERO {
            membership.heartbeat
        } else {
            DutyConfig::default().heartbeat
        },
        ..DutyConfig::default()
    };
    // So that what runs in a job finds its socket whoever it runs as.
    hands.brands.push(format!("{}={}", runtime_dir::VARIABLE, runtime_dir.display()));
    let hands = Arc::new(hands);
    let (membership, memberships) = watch::channel(membership);
    let (runs, live_runs) = watch::channel(Runs::new());
    let place = server::Place::take(&options).await?;
    let measured = measured(&machine, hostname.clone(), place.address());
    let steps = StepService::new(hands.clone(), live_runs.clone(), memberships.clone(), place.host.clone());
    let steps = Arc::new(steps);
    let here = server::socket(&runtime_dir, &memberships.borrow());
    // Without it clients on this machine come by the network.
    let _ = services.spawn(server::serve_here(here, steps.clone())).await;
    {
        let _theirs = services.enter();
        server::start(place, &key, memberships.clone(), steps.clone())?;
    }
    let duty = Duty::restore(config, measured, clock::now(), records);
    for assignment in duty.assignments() {
        steps.adopt(assignment.run);
    }
    ground.sweep(|name| parse_run(name).is_some_and(|run| duty.assignment(run).is_some()));
    let (events, link_events) = mpsc::channel(INPUT_QUEUE);
    let (told, served) = watch::channel(BTreeSet::new());
    let sockets = Sockets {
        dir: runtime_dir,
        hands: hands.clone(),
        runs: live_runs,
        membership: memberships,
        options: options.clone(),
        key: key.clone(),
        steps,
        services,
        told,
    };
    tokio::spawn(sockets.run());
    tokio::spawn(Arc::new(Link { options, key, hostname, membership, client, events }).run());
    let driver = Driver {
        duty,
        hands,
        inputs,
        link: link_events,
        ledger,
        records: Vec::new(),
        last: RecordId(0),
        urgent: false,
        runs,
        served,
        starting: BTreeMap::new(),
        reports: None,
    };
    let over = driver.run(machine.fault).await;
    ground.remove();
    Ok(over)
}

/// Joins, again and again. A bought machine that nobody admits ends itself.
async fn first_join(options: &Options, key: &Key, hostname: &str) -> Result<Membership, PowerOffWhy> {
    let began = clock::now();
    let config = DutyConfig::default();
    let mut pause = Pause::default();
    loop {
        match link::join(options, key, hostname).await {
            Ok(membership) => return Ok(membership),
            Err(error) => {
                tracing::warn!(controller = %options.controller, reason = %error, "not admitted to the cluster yet");
            }
        }
        let now = clock::now();
        if options.self_end && now.uptime - began.uptime >= config.alone_after {
            return Err(PowerOffWhy::Alone);
        }
        if options.self_end && options.die_at.is_some_and(|at| now.wall >= at) {
            return Err(PowerOffWhy::DieAt);
        }
        pause.wait().await;
    }
}

/// What tells this agent's groups and processes from those of others on the machine.
fn mark(options: &Options, node: &NodeName) -> String {
    if options.instance.as_str().is_empty() {
        let folder = fs::canonicalize(&options.state_dir).unwrap_or_else(|_| options.state_dir.clone());
        format!("squalld-{node}-{:08x}", crc32fast::hash(folder.as_os_str().as_encoded_bytes()))
    } else {
        options.instance.as_str().to_owned()
    }
}

/// Leaves word of where jobs are kept, for whoever has to clear up after an agent that cannot.
fn remember_ground(state: &Path, ground: &Ground) -> io::Result<()> {
    let folders = ground.unified.iter().chain(ground.v1.iter().map(|(_, folder)| folder));
    let lines: String = folders.map(|folder| format!("{}\n", folder.display())).collect();
    fs::write(state.join("cgroup"), lines)
}

fn measured(machine: &Machine, hostname: String, address: String) -> MeasuredNode {
    let os = nix::sys::utsname::uname().map_or_else(
        |_| String::new(),
        |name| format!("{} {}", name.sysname().to_string_lossy(), name.release().to_string_lossy()),
    );
    MeasuredNode {
        shape: machine.shape.clone(),
        hostname,
        address,
        agent_version: squall_proto::VERSION.to_owned(),
        boot_id: clock::boot_id(),
        os,
        clock_skew: Span::ZERO,
    }
}

fn power_off(options: &Options) {
    if let Some(command) = &options.power_off_command
        && let Err(error) = Command::new("/bin/sh").arg("-c").arg(command).status()
    {
        tracing::error!(%error, "the machine could not be switched off");
    }
}
