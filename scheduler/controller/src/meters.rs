//! What the shell itself counts. Everything about jobs, nodes and money is read from the published state instead.

use crate::pace::Pace;
use squall_core::authz::Verb;
use squall_provisioner::Meter;
use squall_provisioner::supervise::{Health, Supervised};
use squall_types::PoolName;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Counters since the start of the process.
#[derive(Default)]
pub struct Meters {
    calls: [AtomicU64; Verb::ALL.len()],
    refused_joins: AtomicU64,
    alerts: AtomicU64,
    revived: AtomicU64,
    reloads: AtomicU64,
    failed_accepts: AtomicU64,
    /// At which the engine takes what comes.
    pub(crate) pace: Arc<Pace>,
    providers: Mutex<BTreeMap<PoolName, Arc<Meter>>>,
    programs: Mutex<BTreeMap<PoolName, Supervised>>,
}

impl Meters {
    pub fn call(&self, verb: Verb) {
        self.calls[position(verb)].fetch_add(1, Ordering::Relaxed);
    }

    pub fn calls(&self) -> impl Iterator<Item = (Verb, u64)> + '_ {
        Verb::ALL.into_iter().map(|verb| (verb, self.calls[position(verb)].load(Ordering::Relaxed)))
    }

    pub fn refused_join(&self) {
        self.refused_joins.fetch_add(1, Ordering::Relaxed);
    }

    pub fn refused_joins(&self) -> u64 {
        self.refused_joins.load(Ordering::Relaxed)
    }

    pub fn alert(&self) {
        self.alerts.fetch_add(1, Ordering::Relaxed);
    }

    pub fn alerts(&self) -> u64 {
        self.alerts.load(Ordering::Relaxed)
    }

    /// A local agent was started again.
    pub fn revive(&self) {
        self.revived.fetch_add(1, Ordering::Relaxed);
    }

    pub fn revived(&self) -> u64 {
        self.revived.load(Ordering::Relaxed)
    }

    pub fn reload(&self) {
        self.reloads.fetch_add(1, Ordering::Relaxed);
    }

    pub fn reloads(&self) -> u64 {
        self.reloads.load(Ordering::Relaxed)
    }

    /// A connection could not be taken from the system.
    pub fn failed_accept(&self) {
        self.failed_accepts.fetch_add(1, Ordering::Relaxed);
    }

    pub fn failed_accepts(&self) -> u64 {
        self.failed_accepts.load(Ordering::Relaxed)
    }

    /// The meter of a pool's provisioner, the same as long as the process lives.
    pub fn provider(&self, pool: &PoolName) -> Arc<Meter> {
        let mut providers = self.providers.lock().unwrap_or_else(PoisonError::into_inner);
        providers.entry(pool.clone()).or_default().clone()
    }

    /// A pool's provisioner is a process of its own from now on.
    pub fn supervise(&self, pool: &PoolName, supervised: Supervised) {
        self.programs.lock().unwrap_or_else(PoisonError::into_inner).insert(pool.clone(), supervised);
    }

    /// How the processes of provisioners are doing.
    pub fn programs(&self) -> BTreeMap<PoolName, Health> {
        let programs = self.programs.lock().unwrap_or_else(PoisonError::into_inner);
        programs.iter().map(|(pool, supervised)| (pool.clone(), supervised.health())).collect()
    }

    pub fn providers(&self) -> BTreeMap<PoolName, Arc<Meter>> {
        self.providers.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn position(verb: Verb) -> usize {
    Verb::ALL.iter().position(|known| *known == verb).unwrap_or(0)
}
