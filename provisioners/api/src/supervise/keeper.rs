//! The task that owns a program's process: starts it, watches it, starts it again after a pause.

use super::process::Process;
use super::{Counts, Outage, Pace, Program, Running, State, end_marked};
use crate::Provisioner;
use squall_types::Capabilities;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, mpsc, oneshot, watch};

/// What the owner of a program wants.
pub(super) enum Order {
    Replace { program: Box<Program>, told: oneshot::Sender<Result<(), Outage>> },
    End { told: oneshot::Sender<()> },
}

/// A program that takes the place of another until it comes up.
pub(super) struct Trial {
    before: Program,
    told: oneshot::Sender<Result<(), Outage>>,
}

pub(super) struct Keeper {
    pub program: Program,
    pub pace: Pace,
    pub states: watch::Sender<State>,
    pub ordered: mpsc::Receiver<Order>,
    pub counts: Arc<Counts>,
    pub promised: Arc<Mutex<Capabilities>>,
    pub trial: Option<Trial>,
}

/// How the life of one process ended.
enum Life {
    Lost(Outage),
    /// Its owner wants something, or is gone.
    Interrupted(Option<Order>),
}

impl Keeper {
    pub async fn keep(mut self) {
        let mut pause = self.pace.first_pause;
        loop {
            self.states.send_replace(State::Starting);
            let began = Instant::now();
            let order = match self.live().await {
                Life::Interrupted(order) => order,
                Life::Lost(outage) => {
                    self.counts.count(&outage);
                    tracing::warn!(pool = %self.program.pool, program = %self.name(), reason = %outage, "a provisioner is down");
                    if let Some(Trial { before, told }) = self.trial.take() {
                        self.program = before;
                        let _ = told.send(Err(outage));
                        continue;
                    }
                    if began.elapsed() >= self.pace.settled_after {
                        pause = self.pace.first_pause;
                    }
                    self.states.send_replace(State::Down { outage, pause });
                    let ordered = tokio::time::timeout(pause, self.ordered.recv()).await;
                    pause = (pause * 2).min(self.pace.longest_pause);
                    match ordered {
                        Ok(order) => order,
                        Err(_) => continue,
                    }
                }
            };
            match order {
                Some(Order::Replace { program, told }) => {
                    pause = self.pace.first_pause;
                    self.try_out(*program, told);
                }
                Some(Order::End { told }) => {
                    self.states.send_replace(State::Over);
                    let _ = told.send(());
                    return;
                }
                None => return,
            }
        }
    }

    /// From the start of a process to its end.
    async fn live(&mut self) -> Life {
        self.sweep().await;
        let mut process = match Process::start(&self.program) {
            Ok(process) => process,
            Err(outage) => return Life::Lost(outage),
        };
        self.counts.starts.fetch_add(1, Ordering::Relaxed);
        let introduced = tokio::select! {
            introduced = process.introduce(&self.program, self.pace.start_within) => introduced.map_err(Life::Lost),
            order = self.ordered.recv() => Err(Life::Interrupted(order)),
        };
        let life = match introduced {
            Err(life) => life,
            Ok(bridged) => {
                let pid = process.pid();
                let about = bridged.described();
                tracing::info!(
                    pool = %self.program.pool, program = %about.program, version = %about.version, pid, "a provisioner is up"
                );
                *self.promised.lock().unwrap_or_else(PoisonError::into_inner) = bridged.capabilities();
                let running = Arc::new(Running { bridged, pid, misses: AtomicU32::default(), suspect: Notify::new() });
                self.states.send_replace(State::Up(running.clone()));
                if let Some(Trial { told, .. }) = self.trial.take() {
                    let _ = told.send(Ok(()));
                }
                tokio::select! {
                    outage = process.watch(&running, &self.pace) => Life::Lost(outage),
                    order = self.ordered.recv() => Life::Interrupted(order),
                }
            }
        };
        // New calls wait for what comes next; those under way are cut off.
        self.states.send_replace(State::Starting);
        let gently = matches!(life, Life::Interrupted(_));
        process.end(if gently { self.pace.end_within } else { Duration::ZERO }).await;
        self.sweep().await;
        life
    }

    fn try_out(&mut self, program: Program, told: oneshot::Sender<Result<(), Outage>>) {
        let replaced = std::mem::replace(&mut self.program, program);
        let before = match self.trial.take() {
            // One that had not come up yet is no program to go back to.
            Some(trial) => {
                let _ = trial.told.send(Err(Outage::Refused("another program was to be started".to_owned())));
                trial.before
            }
            None => replaced,
        };
        self.trial = Some(Trial { before, told });
    }

    /// Nothing of an earlier process is left, whoever started it.
    async fn sweep(&self) {
        let folder = self.program.folder.clone();
        let ended = tokio::task::spawn_blocking(move || end_marked(&folder)).await.unwrap_or(0);
        if ended > 0 {
            tracing::warn!(pool = %self.program.pool, processes = ended, "ended what an earlier provisioner left");
        }
    }

    fn name(&self) -> String {
        self.program.command.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }
}
