//! A new configuration while the controller runs: all of it or nothing.

use crate::meters::Meters;
use crate::pools::{PoolError, Pools};
use crate::settings::{ConfigError, Loaded, load};
use crate::shell::Handle;
use squall_core::{Caller, Command, Rejection};
use squall_engine::{Answer, Ask};
use squall_proto::server::Failure;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

/// Which configuration holds, and how another comes to.
pub struct Reloader {
    path: PathBuf,
    current: RwLock<Arc<Loaded>>,
    handle: Handle,
    pools: Arc<Pools>,
    meters: Arc<Meters>,
    /// What changes the log's filter while it is written.
    relog: Box<dyn Fn(&str) + Send + Sync>,
    /// One at a time.
    turn: tokio::sync::Mutex<()>,
}

/// Keys that are read once, at the start.
const AT_START: [&str; 11] = [
    "controller.state_dir",
    "controller.socket",
    "controller.listen",
    "controller.advertise",
    "controller.names",
    "controller.metrics",
    "controller.disk_reserve",
    "controller.snapshot",
    "controller.retention",
    "controller.mail",
    "telemetry.log_format",
];

impl Reloader {
    pub fn new(
        loaded: Loaded,
        handle: Handle,
        pools: Arc<Pools>,
        meters: Arc<Meters>,
        relog: impl Fn(&str) + Send + Sync + 'static,
    ) -> Reloader {
        Reloader {
            path: loaded.path.clone(),
            current: RwLock::new(Arc::new(loaded)),
            handle,
            pools,
            meters,
            relog: Box::new(relog),
            turn: tokio::sync::Mutex::default(),
        }
    }

    pub fn current(&self) -> Arc<Loaded> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the file again and lets it hold. In words, what changed.
    ///
    /// # Errors
    /// Whatever is wrong with it, or with what would follow from it; then everything stays as it was.
    pub async fn reload(&self, caller: Caller) -> Result<Vec<String>, Failure> {
        let _turn = self.turn.lock().await;
        let path = self.path.clone();
        let loaded = tokio::task::spawn_blocking(move || load(&path)).await;
        let loaded = loaded.map_err(|_| Failure::Internal("the configuration could not be read".to_owned()))?;
        let new = loaded.map_err(|errors| self.refused(&errors))?;
        let old = self.current();
        if new.cluster.cluster != old.cluster.cluster {
            return Err(self.wrong(format!(
                "the cluster is called {}: certificates and machines bear that name, so it cannot become {}",
                old.cluster.cluster, new.cluster.cluster
            )));
        }
        // Who is to sell is ready before anything can be bought there.
        let prepared = self.pools.prepare(&new).await.map_err(|error: PoolError| self.wrong(error.to_string()))?;
        self.pools.offer(&prepared);
        let command = Command::Configure { config: Box::new(new.cluster.clone()) };
        match self.handle.ask(caller, Ask::One(command)).await {
            Ok(Answer::Done(_)) => {}
            refused => {
                self.pools.forget(prepared).await;
                return Err(match refused {
                    Ok(Answer::Refused(refusal)) => Failure::Refused(refusal),
                    Ok(_) => Failure::Internal("the engine answered something else".to_owned()),
                    Err(stopped) => Failure::Standby(stopped.to_string()),
                });
            }
        }
        let changes = changes(&old, &new);
        (self.relog)(&new.settings.telemetry.log);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(new);
        self.meters.reload();
        tracing::info!(changes = changes.len(), path = %self.path.display(), "configuration read again");
        Ok(changes)
    }

    fn refused(&self, errors: &[ConfigError]) -> Failure {
        let told: Vec<String> = errors.iter().map(ToString::to_string).collect();
        self.wrong(told.join("\n"))
    }

    fn wrong(&self, limit: String) -> Failure {
        tracing::warn!(reason = %limit, "the configuration stays as it was");
        let rejection = Rejection::new("SQ6001", "Unable to reconfigure: invalid configuration")
            .asked(self.path.display().to_string())
            .limit(limit)
            .try_this(format!("squall config check {}", self.path.display()));
        Failure::Refused(*rejection.0)
    }
}

/// Key by key, and whether it holds at once.
fn changes(old: &Loaded, new: &Loaded) -> Vec<String> {
    let values = |loaded: &Loaded| -> BTreeMap<String, String> {
        loaded.entries().into_iter().map(|entry| (entry.key, entry.value)).collect()
    };
    let (old, new) = (values(old), values(new));
    let keys: std::collections::BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let changed = keys.into_iter().filter(|key| old.get(*key) != new.get(*key));
    let told = changed.map(|key| {
        let value = |values: &BTreeMap<String, String>| values.get(key).map_or("(unset)", String::as_str).to_owned();
        let later = if AT_START.iter().any(|prefix| key.starts_with(prefix)) { " (from the next start)" } else { "" };
        format!("{key}: {} -> {}{later}", value(&old), value(&new))
    });
    told.collect()
}
