//! Provisioners of pools: opened from the configuration, metered, and for local nodes looked after.

mod local;
mod programs;

use crate::meters::Meters;
use crate::settings::{Kind, Loaded, PoolSettings};
use crate::shell::{Clock, ProviderTable};
use local::LocalPools;
use programs::{ProgramError, Programs, Undo};
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
    #[error("pool {pool}: {source}")]
    Program { pool: PoolName, source: ProgramError },
    #[error("the provisioners could not be opened")]
    Interrupted,
}

/// All provisioners of this process.
pub struct Pools {
    table: ProviderTable,
    local: LocalPools,
    programs: Programs,
    /// Simulated clouds live as long as the process: what was bought there is not forgotten by a new configuration.
    clouds: Mutex<BTreeMap<PoolName, Arc<Mutex<Cloud>>>>,
    state_dir: PathBuf,
    clock: Arc<Clock>,
    meters: Arc<Meters>,
}

/// Provisioners that are ready to be asked.
pub struct Prepared {
    provisioners: BTreeMap<PoolName, Arc<dyn Provisioner>>,
    undo: Undo,
}

impl Pools {
    pub fn new(table: ProviderTable, state_dir: PathBuf, clock: Arc<Clock>, meters: Arc<Meters>) -> Arc<Pools> {
        let local = LocalPools::new(meters.clone());
        let programs = Programs::new(&state_dir, meters.clone());
        Arc::new(Pools { table, local, programs, clouds: Mutex::default(), state_dir, clock, meters })
    }

    /// Opens what the first configuration names, after ending what a killed controller left.
    ///
    /// # Errors
    /// Where one of them cannot be. A program that does not come up is no error: it is tried again.
    pub async fn begin(self: &Arc<Self>, loaded: &Loaded) -> Result<Prepared, PoolError> {
        let pools = self.clone();
        let swept = tokio::task::spawn_blocking(move || pools.programs.end_orphans()).await;
        swept.map_err(|_| PoolError::Interrupted)?;
        self.open(loaded, true).await
    }

    /// Opens what a configuration names.
    ///
    /// # Errors
    /// Where one of them cannot be; then nothing changes.
    pub async fn prepare(self: &Arc<Self>, loaded: &Loaded) -> Result<Prepared, PoolError> {
        self.open(loaded, false).await
    }

    async fn open(self: &Arc<Self>, loaded: &Loaded, first: bool) -> Result<Prepared, PoolError> {
        let (pools, all) = (self.clone(), loaded.clone());
        // Local provisioners look at their folders.
        let opened = tokio::task::spawn_blocking(move || pools.open_within(&all)).await;
        let mut provisioners = opened.map_err(|_| PoolError::Interrupted)??;
        let offers = |pool: &PoolName| loaded.cluster.pools.get(pool).map(|config| config.offers.clone());
        let pools = loaded.settings.pools.iter().filter(|(_, settings)| settings.provisioner == Kind::Program);
        let wanted = pools.map(|(name, settings)| {
            let pool = PoolName::new(name);
            (pool.clone(), settings.clone(), offers(&pool).unwrap_or_default())
        });
        let programs = self.programs.open(wanted.collect(), loaded, first).await;
        let (programs, undo) = programs.map_err(|(pool, source)| PoolError::Program { pool, source })?;
        for (pool, supervised) in programs {
            let metered: Arc<dyn Provisioner> = Arc::new(self.metered(&pool, supervised));
            provisioners.insert(pool, metered);
        }
        Ok(Prepared { provisioners, undo })
    }

    /// Lets them be asked. Those of pools that are no longer configured stay for what is left there.
    pub fn offer(&self, prepared: &Prepared) {
        let offered = prepared.provisioners.iter().map(|(pool, provisioner)| (pool.clone(), provisioner.clone()));
        self.table.write().unwrap_or_else(PoisonError::into_inner).extend(offered);
    }

    /// Goes back to the programs of before: the configuration for which these were prepared does not come to hold.
    pub async fn forget(&self, prepared: Prepared) {
        self.programs.undo(prepared.undo).await;
    }

    /// Ends the programs. Local nodes run on.
    pub async fn end(&self) {
        self.programs.end().await;
    }

    /// Starts agents of local nodes again when they die, until the runtime ends.
    pub async fn look_after_agents(self: Arc<Self>) {
        self.local.look_after().await;
    }

    /// What needs no process of its own.
    fn open_within(&self, loaded: &Loaded) -> Result<BTreeMap<PoolName, Arc<dyn Provisioner>>, PoolError> {
        let mut opened = BTreeMap::new();
        for (name, settings) in &loaded.settings.pools {
            let pool = PoolName::new(name);
            let offers = loaded.cluster.pools.get(&pool).map(|config| config.offers.clone()).unwrap_or_default();
            let provisioner: Arc<dyn Provisioner> = match settings.provisioner {
                Kind::Static | Kind::Program => continue,
                Kind::Local => {
                    Arc::new(self.metered(&pool, self.local.open(&pool, settings, offers, &self.state_dir)?))
                }
                Kind::Sim => Arc::new(self.metered(&pool, self.simulated(&pool, settings, offers))),
            };
            opened.insert(pool, provisioner);
        }
        Ok(opened)
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
