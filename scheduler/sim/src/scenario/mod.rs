//! What a seed stands for: a cluster, its clouds, the work of its users, and everything that will go wrong.

mod accounts;
mod acts;
mod chaos;
mod cluster;
mod work;

pub use accounts::{USERS, lift};
pub use acts::{Act, Change};
pub use chaos::{Chaos, Weather};
pub use work::{Behaviour, Work};

use crate::dice::{Dice, Stream};
use crate::points::Sniper;
use squall_core::ClusterConfig;
use squall_provisioner_sim::{CloudConfig, FaultPlan};
use squall_types::{NodeName, PoolName, Shape, Span, Timestamp};

/// What kinds of things may go wrong in a run: each is on or off, so that few at a time are seen as well as all.
#[derive(Clone, Copy, Debug, Default)]
pub struct Kinds {
    pub controller: bool,
    pub disk: bool,
    pub agents: bool,
    pub network: bool,
    pub clients: bool,
    pub cloud: bool,
    pub nodes: bool,
    pub money: bool,
    pub config: bool,
    pub restore: bool,
}

pub struct Scenario {
    pub seed: u64,
    pub start: Timestamp,
    pub kinds: Kinds,
    pub config: ClusterConfig,
    /// In force from the healing on.
    pub last_config: ClusterConfig,
    pub sites: Vec<Site>,
    /// Times when a cloud is out of order, or has nothing left to sell, for long.
    pub outages: u64,
    pub machines: Vec<(NodeName, Shape)>,
    pub work: Vec<Work>,
    pub acts: Vec<(Timestamp, Act)>,
    pub chaos: Vec<(Timestamp, Chaos)>,
    pub snipers: Vec<Sniper>,
    pub weather: Weather,
    /// Nothing goes wrong any more from then on.
    pub heal_at: Timestamp,
}

/// The cloud behind one pool.
pub struct Site {
    pub pool: PoolName,
    pub cloud: CloudConfig,
    pub faults: FaultPlan,
}

impl Scenario {
    pub fn draw(seed: u64) -> Self {
        let mut dice = Dice::new(seed, Stream::Scenario);
        let kinds = Kinds::draw(&mut dice);
        // Some runs cross midnight, where daily budgets turn.
        let midnight = Timestamp::from_secs(1_700_006_400);
        let start = midnight - dice.secs(60, 80_000);
        let length = dice.secs(600, 2400);
        let heal_at = start + length;
        let cluster = cluster::draw(&mut dice, &kinds, start, heal_at);
        let mut work = work::draw(&mut dice, &cluster.config);
        let mut acts = acts::draw(&mut dice, &kinds, &cluster, &work, start, length);
        let (mut chaos, snipers, mut weather) = chaos::draw(&mut dice, &kinds, &cluster, start, length);
        let mut later = Dice::new(seed, Stream::Later);
        if kinds.network && later.chance(300) {
            weather.replayed = later.between(10, 150) as u32;
        }
        if kinds.controller && later.chance(100) {
            // A job that outlasts a controller that stays away for long.
            let submit_at = start + later.secs(5, 60);
            acts.push((submit_at, Act::Submit(work.len())));
            work.push(work::long(&mut later, &cluster.config, work.len()));
            let at = submit_at + later.secs(120, 400);
            chaos.push((at, Chaos::KillController { down: later.secs(900, 3000) }));
        }
        let mut sites = cluster.sites;
        let outages = if kinds.cloud { cluster::outages(&mut later, &mut sites, start, length) } else { 0 };
        if later.chance(300) {
            accounts::draw(&mut later, &mut work, &mut acts, start, length);
        }
        if later.chance(300) {
            work::together(&mut later, &cluster.config, &mut work);
        }
        acts::parts(&mut later, &work, &mut acts);
        let mut last_config = cluster.config.clone();
        // Different from every other, so that a pool that was refused is tried again.
        last_config.limits.max_jobs += 1;
        last_config.budgets.values_mut().for_each(|budget| budget.limit = budget.limit.times(1000));
        Scenario {
            seed,
            start,
            kinds,
            last_config,
            config: cluster.config,
            sites,
            outages,
            machines: cluster.machines,
            work,
            acts,
            chaos,
            snipers,
            weather,
            heal_at,
        }
    }
}

impl Kinds {
    fn draw(dice: &mut Dice) -> Self {
        // One run in ten is calm: what fails there fails for anyone.
        if dice.chance(100) {
            return Kinds::default();
        }
        let mut half = || dice.chance(450);
        Kinds {
            controller: half(),
            disk: half(),
            agents: half(),
            network: half(),
            clients: half(),
            cloud: half(),
            nodes: half(),
            money: half(),
            config: half(),
            restore: dice.chance(50),
        }
    }
}

/// How long after the healing everything has to be over.
pub const LIVENESS: Span = Span::from_hours(6);
