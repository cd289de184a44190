//! Provisioners of pools: opened from the configuration, metered, and for local nodes looked after.

mod local;

use crate::meters::Meters;
use crate::settings::{Kind, Loaded, PoolSettings};
use crate::shell::{Clock, ProviderTable};
use local::LocalPools;
use squall_provisioner::{Metered, Provisioner};
use squall_provisioner_local::OpenError;
use squall_provisioner_sim::{Cloud, CloudConfig, FaultPlan, Pace, SimProvisioner};
use squall_types::{Offer, PoolName};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// Why a pool has nobody to buy from.
#[derive(Debug, thiserror::Error)]
pub enum PoolError {
    #[error("pool {pool}: {source}")]
    Local { pool: PoolName, source: Box<OpenError> },
    #[error(
        "pool {pool}: no agent was found beside {beside}; name its program in `pools.{pool}.local.agent`",
        beside = beside.display()
    )]
    NoAgent { pool: PoolName, beside: PathBuf },
    #[error("the provisioners could not be opened")]
    Interrupted,
}

/// All provisioners of this process.
pub struct Pools {
    table: ProviderTable,
    local: LocalPools,
    /// Simulated clouds live as long as the process: what was bought there is not forgotten by a new configuration.
    clouds: Mutex<BTreeMap<PoolName, Arc<Mutex<Cloud>>>>,
    state_dir: PathBuf,
    clock: Arc<Clock>,
    meters: Arc<Meters>,
}

/// Provisioners that are ready to be asked.
pub struct Prepared(BTreeMap<PoolName, Arc<dyn Provisioner>>);

impl Pools {
    pub fn new(table: ProviderTable, state_dir: PathBuf, clock: Arc<Clock>, meters: Arc<Meters>) -> Arc<Pools> {
        let local = LocalPools::new(meters.clone());
        Arc::new(Pools { table, local, clouds: Mutex::default(), state_dir, clock, meters })
    }

    /// Opens what a configuration names.
    ///
    /// # Errors
    /// Where one of them cannot be; then nothing changes.
    pub async fn prepare(self: &Arc<Self>, loaded: &Loaded) -> Result<Prepared, PoolError> {
        let (pools, loaded) = (self.clone(), loaded.clone());
        // Local provisioners look at their folders.
        let opened = tokio::task::spawn_blocking(move || pools.open_all(&loaded)).await;
        opened.map_err(|_| PoolError::Interrupted)?
    }

    /// Lets them be asked. Those of pools that are no longer configured stay for what is left there.
    pub fn offer(&self, prepared: Prepared) {
        self.table.write().unwrap_or_else(PoisonError::into_inner).extend(prepared.0);
    }

    /// Starts agents of local nodes again when they die, until the runtime ends.
    pub async fn look_after_agents(self: Arc<Self>) {
        self.local.look_after().await;
    }

    fn open_all(&self, loaded: &Loaded) -> Result<Prepared, PoolError> {
        let mut opened = BTreeMap::new();
        for (name, settings) in &loaded.settings.pools {
            let pool = PoolName::new(name);
            let offers = loaded.cluster.pools.get(&pool).map(|config| config.offers.clone()).unwrap_or_default();
            let provisioner: Arc<dyn Provisioner> = match settings.provisioner {
                Kind::Static => continue,
                Kind::Local => {
                    Arc::new(self.metered(&pool, self.local.open(&pool, settings, offers, &self.state_dir)?))
                }
                Kind::Sim => Arc::new(self.metered(&pool, self.simulated(&pool, settings, offers))),
            };
            opened.insert(pool, provisioner);
        }
        Ok(Prepared(opened))
    }

    fn metered<P: Provisioner>(&self, pool: &PoolName, inner: P) -> Metered<P> {
        let clock = self.clock.clone();
        Metered::new(inner, Arc::new(move || clock.now()), self.meters.provider(pool))
    }

    fn simulated(&self, pool: &PoolName, settings: &PoolSettings, offers: Vec<Offer>) -> SimProvisioner {
        let mut clouds = self.clouds.lock().unwrap_or_else(PoisonError::into_inner);
        let new =
            || Arc::new(Mutex::new(Cloud::new(CloudConfig::selling(offers), FaultPlan::none(), settings.sim.seed)));
        let cloud = clouds.entry(pool.clone()).or_insert_with(new).clone();
        let clock = self.clock.clone();
        SimProvisioner::new(cloud, Arc::new(move || clock.now()), Pace::RealTime)
    }
}
