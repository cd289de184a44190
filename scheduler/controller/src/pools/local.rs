//! Local nodes: which program is their agent, and who starts it again when it dies.

use super::PoolError;
use crate::limits::{REVIVE_EVERY, REVIVE_PAUSE};
use crate::meters::Meters;
use crate::settings::{PoolSettings, Revive};
use squall_provisioner_local::{AgentCommand, LocalConfig, LocalProvisioner, ReviveError, Revived};
use squall_types::{InstanceId, Offer, PoolName};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// First pause before an agent that died again is started again.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// An agent that lived so long died for another reason.
const LIVED: Duration = Duration::from_secs(60);

pub(super) struct LocalPools {
    pools: Mutex<BTreeMap<PoolName, Open>>,
    /// Opened before a new configuration: only their processes are of interest.
    former: Mutex<Vec<LocalProvisioner>>,
    meters: Arc<Meters>,
}

#[derive(Clone)]
struct Open {
    provisioner: LocalProvisioner,
    config: LocalConfig,
    revive: Revive,
}

/// How an agent did so far.
struct Trials {
    pause: Duration,
    started_at: Instant,
    not_before: Instant,
}

impl LocalPools {
    pub fn new(meters: Arc<Meters>) -> LocalPools {
        LocalPools { pools: Mutex::default(), former: Mutex::default(), meters }
    }

    /// The provisioner of a pool; the same as before where nothing about it changed.
    pub fn open(
        &self,
        pool: &PoolName,
        settings: &PoolSettings,
        offers: Vec<Offer>,
        state_dir: &Path,
    ) -> Result<LocalProvisioner, PoolError> {
        let nodes = settings.local.dir.clone().unwrap_or_else(|| state_dir.join("nodes"));
        let mut config = LocalConfig::new(nodes.join(pool.as_str()), agent_command(pool, settings)?, offers);
        config.max_instances = settings.max_nodes;
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = pools.get_mut(pool) {
            open.revive = settings.local.revive;
            let same = LocalConfig { max_instances: config.max_instances, ..open.config.clone() };
            if same == config {
                open.provisioner.set_max_instances(config.max_instances);
                return Ok(open.provisioner.clone());
            }
        }
        let opened = LocalProvisioner::open(config.clone());
        let provisioner = opened.map_err(|source| PoolError::Local { pool: pool.clone(), source: Box::new(source) })?;
        let open = Open { provisioner: provisioner.clone(), config, revive: settings.local.revive };
        if let Some(before) = pools.insert(pool.clone(), open) {
            self.former.lock().unwrap_or_else(PoisonError::into_inner).push(before.provisioner);
        }
        Ok(provisioner)
    }

    pub async fn look_after(&self) {
        let mut trials: BTreeMap<InstanceId, Trials> = BTreeMap::new();
        loop {
            tokio::time::sleep(REVIVE_EVERY).await;
            let pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let former = self.former.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let meters = self.meters.clone();
            let round = tokio::task::spawn_blocking(move || {
                for before in former {
                    // For its ended children alone, which nobody else waits for.
                    let _ = before.agents();
                }
                for (pool, open) in pools {
                    if open.revive == Revive::Always {
                        revive(&pool, &open.provisioner, &mut trials, &meters);
                    }
                }
                trials
            });
            // A panic there is a bug that must not end the looking after.
            trials = round.await.unwrap_or_default();
        }
    }
}

fn revive(pool: &PoolName, provisioner: &LocalProvisioner, trials: &mut BTreeMap<InstanceId, Trials>, meters: &Meters) {
    let agents = match provisioner.agents() {
        Ok(agents) => agents,
        Err(error) => {
            tracing::warn!(%pool, reason = %error, "the agents of local nodes cannot be looked at");
            return;
        }
    };
    let now = Instant::now();
    for agent in agents.iter().filter(|agent| agent.pid.is_none()) {
        let trial = trials.entry(agent.instance.clone()).or_insert(Trials {
            pause: FIRST_PAUSE,
            started_at: now,
            not_before: now,
        });
        if now < trial.not_before {
            continue;
        }
        if now.duration_since(trial.started_at) > LIVED {
            trial.pause = FIRST_PAUSE;
        }
        trial.started_at = now;
        trial.not_before = now + trial.pause;
        trial.pause = (trial.pause * 2).min(REVIVE_PAUSE);
        match provisioner.revive(&agent.instance) {
            Ok(Revived::Started { pid }) => {
                meters.revive();
                tracing::warn!(%pool, node = %agent.name, instance = %agent.instance, pid, "an agent had died");
            }
            Ok(Revived::Alive) | Err(ReviveError::Ended(_) | ReviveError::Unknown(_)) => {}
            Err(error) => {
                tracing::warn!(%pool, node = %agent.name, reason = %error, "an agent that died was not started again");
            }
        }
    }
    trials.retain(|instance, trial| {
        agents.iter().any(|agent| agent.instance == *instance) || now.duration_since(trial.started_at) < LIVED
    });
}

/// The configured agent, or the one that came with this program.
fn agent_command(pool: &PoolName, settings: &PoolSettings) -> Result<AgentCommand, PoolError> {
    if let Some((program, args)) = settings.local.agent.split_first() {
        return Ok(AgentCommand::new(program, args));
    }
    let own = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("squallctld"));
    // In one binary with the commands, where the agent is one of them.
    if own.file_name().is_some_and(|name| name == "squall") {
        return Ok(AgentCommand::new(own, ["agent"]));
    }
    let beside = own.with_file_name("squalld");
    if beside.is_file() {
        return Ok(AgentCommand::new(beside, [] as [&str; 0]));
    }
    Err(PoolError::NoAgent { pool: pool.clone(), beside: own })
}
