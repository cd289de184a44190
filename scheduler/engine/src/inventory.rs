//! When each provider is asked what exists and what can be bought.

use crate::Engine;
use squall_types::{PoolName, Span, Timestamp};
use std::collections::BTreeMap;

/// Prices and shapes are asked for again after so long.
const OFFERS_EVERY: Span = Span::from_mins(10);
/// After an answer that failed.
const AGAIN: Span = Span::from_secs(15);
/// Listings are never asked for more often.
const LEAST: Span = Span::from_secs(1);

#[derive(Default)]
pub(crate) struct Inventory {
    pools: BTreeMap<PoolName, Asked>,
}

#[derive(Clone, Copy, Default)]
struct Asked {
    listing: bool,
    listed_at: Option<Timestamp>,
    list_again_at: Timestamp,
    offering: bool,
    offers_again_at: Timestamp,
}

impl Inventory {
    pub fn listed(&mut self, pool: &PoolName, now: Timestamp, well: bool) {
        let asked = self.pools.entry(pool.clone()).or_default();
        asked.listing = false;
        asked.listed_at = Some(now);
        asked.list_again_at = if well { now + LEAST } else { now + AGAIN };
    }

    pub fn offered(&mut self, pool: &PoolName, now: Timestamp, well: bool) {
        let asked = self.pools.entry(pool.clone()).or_default();
        asked.offering = false;
        asked.offers_again_at = now + if well { OFFERS_EVERY } else { AGAIN };
    }

    /// Something was asked to change: look sooner.
    pub fn hurry(&mut self, pool: &PoolName, now: Timestamp) {
        let asked = self.pools.entry(pool.clone()).or_default();
        asked.list_again_at = asked.list_again_at.min(now + LEAST);
    }
}

impl Engine {
    pub(crate) fn take_inventory(&mut self) {
        let pools: Vec<PoolName> = self.bought_pools();
        for pool in pools {
            let due_at = self.listing_due_at(&pool);
            let asked = self.inventory.pools.entry(pool.clone()).or_default();
            let (list, offer) =
                (!asked.listing && due_at <= self.now, !asked.offering && asked.offers_again_at <= self.now);
            asked.listing |= list;
            asked.offering |= offer;
            if offer {
                self.ask_for_offers(pool.clone());
            }
            if list {
                self.ask_for_listing(pool);
            }
        }
    }

    /// When a listing or the offers of some pool are due.
    pub(crate) fn next_inventory(&self) -> Option<Timestamp> {
        let due = |pool: &PoolName| {
            let asked = self.inventory.pools.get(pool).copied().unwrap_or_default();
            let listing = (!asked.listing).then(|| self.listing_due_at(pool));
            let offers = (!asked.offering).then_some(asked.offers_again_at);
            listing.into_iter().chain(offers).min()
        };
        self.bought_pools().iter().filter_map(due).min()
    }

    fn bought_pools(&self) -> Vec<PoolName> {
        let provided = self.cluster.config.pools.iter().filter(|(_, config)| !config.provisioner.is_empty());
        provided.map(|(name, _)| name.clone()).collect()
    }

    /// At the configured pace; sooner while something is outstanding that only a listing can settle.
    fn listing_due_at(&self, pool: &PoolName) -> Timestamp {
        let asked = self.inventory.pools.get(pool).copied().unwrap_or_default();
        let Some(config) = self.cluster.config.pools.get(pool) else { return Timestamp::NEVER };
        let Some(listed_at) = asked.listed_at else { return asked.list_again_at };
        let urgent = Span(config.absence_grace.0 / 2).max(LEAST).min(config.listing_every);
        let pace = if self.is_outstanding(pool) { urgent } else { config.listing_every };
        asked.list_again_at.max(listed_at + pace)
    }

    fn is_outstanding(&self, pool: &PoolName) -> bool {
        let nodes = self.cluster.unsettled_nodes().any(|node| node.pool == *pool);
        let orders = || {
            let mut placed = self.cluster.placed_orders();
            placed.any(|order| order.request.pool == *pool && order.accept_by <= self.now)
        };
        let strangers = || self.cluster.pools.get(pool).is_some_and(|state| !state.strangers.is_empty());
        nodes || orders() || strangers()
    }
}
