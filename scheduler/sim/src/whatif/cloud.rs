//! The clouds behind the pools: each sells what its pool may buy, and does what it is asked.

use super::agent::{Life, Machine};
use super::world::{Happening, World};
use squall_core::ClusterConfig;
use squall_engine::{CallId, ProviderCall, ProviderReply};
use squall_provisioner_sim::{Cloud, CloudConfig, CloudEvent, CloudNews, FaultPlan, Spread};
use squall_types::{InstanceId, LaunchOrder, Offer, PoolName, Span};

/// A pool and where its machines are bought.
pub(super) struct Site {
    pub pool: PoolName,
    pub cloud: Cloud,
}

/// A cloud for each pool that buys.
pub(super) fn sites(config: &ClusterConfig, seed: u64) -> Vec<Site> {
    let bought = config.pools.iter().filter(|(_, pool)| !pool.provisioner.is_empty());
    let site = |(number, (pool, config)): (usize, (&PoolName, &squall_core::config::PoolConfig))| {
        let cloud = CloudConfig { boot: boots(&config.offers), ..CloudConfig::selling(config.offers.clone()) };
        let seed = seed.wrapping_mul(31).wrapping_add(number as u64);
        Site { pool: pool.clone(), cloud: Cloud::new(cloud, FaultPlan::default(), seed) }
    };
    bought.enumerate().map(site).collect()
}

/// Around what the offers say is typical: from a quarter less to twice as long.
fn boots(offers: &[Offer]) -> Spread {
    let sum: i64 = offers.iter().map(|offer| offer.typical_boot.0).sum();
    let typical = Span(sum / offers.len().max(1) as i64);
    Spread { least: Span(typical.0 * 3 / 4), typical, most: typical.times(2) }
}

impl World<'_> {
    pub fn call(&mut self, call: CallId, pool: &PoolName, verb: ProviderCall) {
        self.effort.provider_calls += 1;
        let now = self.now;
        let Some(number) = self.sites.iter().position(|site| site.pool == *pool) else { return };
        let cloud = &mut self.sites[number].cloud;
        let (heard_at, reply) = match verb {
            ProviderCall::Launch(order) => {
                let answer = cloud.launch(now, &order);
                if let Ok(launched) = &answer.result {
                    let fresh = launched.instances.iter().map(|one| (one.instance.clone(), one.name.clone()));
                    let fresh: Vec<_> = fresh.collect();
                    fresh.into_iter().for_each(|(instance, name)| self.launched(&order, instance, name));
                }
                (answer.heard_at, ProviderReply::Launched(answer.result))
            }
            ProviderCall::Retire(instances) => {
                let answer = cloud.retire(now, &instances);
                if answer.result.is_ok() {
                    instances.iter().for_each(|instance| self.retires(instance));
                }
                (answer.heard_at, ProviderReply::Retired(answer.result))
            }
            ProviderCall::List => {
                let answer = cloud.list(now);
                (answer.heard_at, ProviderReply::Listed(answer.result))
            }
            ProviderCall::Offers => {
                let answer = cloud.offers(now);
                (answer.heard_at, ProviderReply::Offers(answer.result))
            }
        };
        self.schedule_at(heard_at, Happening::Provided { call, reply: Box::new(reply) });
    }

    fn launched(&mut self, order: &LaunchOrder, instance: InstanceId, name: squall_types::NodeName) {
        // A repeated launch brings nothing new.
        if self.by_instance.contains_key(&instance) {
            return;
        }
        let shape = order.offer.shape.clone();
        let machine = Machine::bought(name, shape, instance.clone(), order.order, order.offer.price);
        self.by_instance.insert(instance, self.machines.len());
        self.add_machine(machine);
    }

    fn retires(&mut self, instance: &InstanceId) {
        let Some(machine) = self.by_instance.get(instance).copied() else { return };
        if matches!(self.machines[machine].life, Life::Booting | Life::Up) {
            self.lives(machine, Life::Ending);
        }
    }

    pub fn cloud_due(&mut self, number: usize) {
        let now = self.now;
        for event in self.sites[number].cloud.advance(now) {
            self.news(event);
        }
    }

    fn news(&mut self, event: CloudEvent) {
        let Some(machine) = self.by_instance.get(&event.instance).copied() else { return };
        match event.news {
            CloudNews::Booted { .. } => {
                self.lives(machine, Life::Up);
                self.ask_to_join(machine);
            }
            CloudNews::SpotNotice { .. } => {}
            CloudNews::Died { .. } => {
                self.by_instance.remove(&event.instance);
                self.machine_gone(machine);
            }
        }
    }

    pub fn machines_bought(&self) -> usize {
        self.by_instance.len()
    }
}
