//! Orders become machines.

use crate::answer::{Answer, Unserved};
use crate::cloud::{Cloud, Used};
use crate::fault::{Fault, Site};
use crate::machine::{Death, Machine, MachineState};
use crate::timeline::Happening;
use rand::RngExt;
use squall_provisioner::Verb;
use squall_types::offer::LaunchedInstance;
use squall_types::{CapacityKind, LaunchFailure, LaunchOrder, Launched, NodeName, Offer, Timestamp};
use std::collections::BTreeSet;

impl Cloud {
    /// The launch of the trait: idempotent by token while the token lives and no fault forgets it.
    pub fn launch(&mut self, now: Timestamp, order: &LaunchOrder) -> Answer<Launched> {
        self.catch_up(now);
        let result = self.launch_over_the_wire(order);
        self.answer(Verb::Launch, Some(order), result)
    }

    fn launch_over_the_wire(&mut self, order: &LaunchOrder) -> Result<Launched, Unserved> {
        if self.config.checks_journal && !self.announced.contains(&order.token) {
            self.unjournaled += 1;
            return Err(LaunchFailure::Rejected { why: format!("token `{}` is in no journal", order.token) }.into());
        }
        self.transport(Verb::Launch, Some(&order.offer))?;
        let site = Site { now: self.now, verb: Some(Verb::Launch), offer: Some(&order.offer) };
        if let Some(delay) = self.faults.strikes(Fault::LateEffect, site, &mut self.rng) {
            self.schedule(self.now + delay, Happening::Launch(Box::new(order.clone())));
            return Err(LaunchFailure::Unknown { why: "the cloud answered with an internal error".to_owned() }.into());
        }
        if self.faults.strikes(Fault::Rejected, site, &mut self.rng).is_some() {
            return Err(LaunchFailure::Rejected { why: "the image is gone".to_owned() }.into());
        }
        Ok(self.launch_now(order)?)
    }

    /// The effect of a launch.
    pub(crate) fn launch_now(&mut self, order: &LaunchOrder) -> Result<Launched, LaunchFailure> {
        let request = LaunchOrder { join: None, ..order.clone() };
        let site = Site { now: self.now, verb: Some(Verb::Launch), offer: Some(&order.offer) };
        if let Some(used) = self.tokens.get(&order.token) {
            let expired = self.now.since(used.at) >= self.config.capabilities.token_lifetime;
            if !expired && self.faults.strikes(Fault::TokenForgotten, site, &mut self.rng).is_none() {
                if used.request != request {
                    return Err(LaunchFailure::Conflict {
                        why: format!("token `{}` was used for another request", order.token),
                    });
                }
                return Ok(used.launched.clone());
            }
        }
        let offer = self.checked(order)?;
        let nodes = self.deliverable(order, &offer)?;
        let instances = order.names[..nodes].iter().map(|name| self.make(order, &offer, name)).collect();
        let launched = Launched { instances };
        let used = Used { request, launched: launched.clone(), at: self.now };
        self.tokens.insert(order.token.clone(), used);
        Ok(launched)
    }

    /// The offer as it is sold now, if the request makes sense.
    fn checked(&self, order: &LaunchOrder) -> Result<Offer, LaunchFailure> {
        let rejected = |why: String| Err(LaunchFailure::Rejected { why });
        let Some(sold) = self.config.sold.iter().find(|sold| sold.offer.name == order.offer.name) else {
            return rejected(format!("`{}` is not sold here", order.offer.name));
        };
        let limit = self.config.capabilities.max_per_order.min(sold.offer.max_per_order) as usize;
        if order.names.is_empty() || order.names.len() > limit {
            return rejected(format!("{} nodes in one order, not 1 to {limit}", order.names.len()));
        }
        if order.names.iter().collect::<BTreeSet<_>>().len() < order.names.len() {
            return rejected("a name stands twice in the order".to_owned());
        }
        Ok(sold.offer.clone())
    }

    /// How many of the nodes there is quota and room for: at least one.
    fn deliverable(&mut self, order: &LaunchOrder, offer: &Offer) -> Result<usize, LaunchFailure> {
        let site = Site { now: self.now, verb: Some(Verb::Launch), offer: Some(offer) };
        let dry = LaunchFailure::NoCapacity { scope: format!("{} in {}", offer.instance_type, offer.scope) };
        if self.faults.strikes(Fault::StockOut, site, &mut self.rng).is_some() {
            return Err(dry);
        }
        let wanted = order.names.len();
        let whole = order.gang && self.config.capabilities.all_or_none;
        let enough = |room: usize| room >= if whole { wanted } else { 1 };

        let mut nodes = wanted;
        for quota in &self.config.quotas {
            let share = quota.share_of(offer);
            if share == 0 {
                continue;
            }
            let used =
                self.config.sold.iter().map(|sold| quota.share_of(&sold.offer) * self.existing(&sold.offer)).sum();
            let room = usize::try_from(quota.limit.saturating_sub(used) / share).unwrap_or(usize::MAX);
            if !enough(room) {
                *self.refused_launches.entry("quota").or_default() += 1;
                return Err(LaunchFailure::Quota { name: quota.name.clone(), limit: quota.limit, used });
            }
            nodes = nodes.min(room);
        }
        let room = self.room_for(offer);
        if !enough(room) {
            *self.refused_launches.entry("capacity").or_default() += 1;
            return Err(dry);
        }
        nodes = nodes.min(room);
        if nodes > 1 && !whole && self.faults.strikes(Fault::PartialDelivery, site, &mut self.rng).is_some() {
            nodes = self.rng.random_range(1..nodes);
        }
        Ok(nodes)
    }

    /// Machines of this offer that there still are.
    fn room_for(&self, offer: &Offer) -> usize {
        let sold = self.config.sold.iter().find(|sold| sold.offer.name == offer.name);
        let Some(capacity) = sold.and_then(|sold| sold.capacity) else { return usize::MAX };
        usize::try_from(u64::from(capacity).saturating_sub(self.existing(offer))).unwrap_or(usize::MAX)
    }

    fn existing(&self, offer: &Offer) -> u64 {
        self.existing.get(&offer.name).copied().unwrap_or(0)
    }

    /// One machine, with the fate that the faults give it.
    fn make(&mut self, order: &LaunchOrder, offer: &Offer, name: &NodeName) -> LaunchedInstance {
        let instance = self.next_instance();
        let now = self.now;
        let site = Site { now, verb: None, offer: Some(offer) };
        let mut machine = Machine {
            instance: instance.clone(),
            ours: true,
            order: Some(order.order),
            name: Some(name.clone()),
            shape: offer.shape.clone(),
            offer: offer.clone(),
            launched_at: now,
            die_at: Some(order.die_at),
            state: MachineState::Booting,
            join: order.join.clone(),
            listed_from: now,
            haunts: false,
            line: self.bill.lines.len(),
        };
        if self.faults.strikes(Fault::OrderTagLost, site, &mut self.rng).is_some() {
            machine.order = None;
        }
        if let Some(delay) = self.faults.strikes(Fault::ListedLate, site, &mut self.rng) {
            machine.listed_from = now + delay;
        }
        if let Some(group) = machine.shape.gpus.0.first_mut()
            && self.faults.strikes(Fault::GpuMissing, site, &mut self.rng).is_some()
        {
            group.count = group.count.saturating_sub(1);
        }
        self.admit(machine, Some(order.order));
        self.fate(&instance, offer, order.die_at);
        LaunchedInstance { instance, name: name.clone() }
    }

    /// Whether and when a new machine boots, and what ends it before its time.
    fn fate(&mut self, instance: &squall_types::InstanceId, offer: &Offer, die_at: Timestamp) {
        let now = self.now;
        let site = Site { now, verb: None, offer: Some(offer) };
        let die = |why| Happening::Die(instance.clone(), why);
        let mut boot = self.config.boot.draw(&mut self.rng);
        if let Some(delay) = self.faults.strikes(Fault::BootSlow, site, &mut self.rng) {
            boot = boot + delay;
        }
        let death = self.faults.strikes(Fault::DeathWhileBooting, site, &mut self.rng);
        let never = self.faults.strikes(Fault::BootNever, site, &mut self.rng).is_some();
        match death {
            Some(after) => self.schedule(now + after.min(boot), die(Death::WhileBooting)),
            None if never => {}
            None => self.schedule(now + boot, Happening::Boot(instance.clone())),
        }
        if let Some(after) = self.faults.strikes(Fault::SuddenDeath, site, &mut self.rng) {
            self.schedule(now + after, die(Death::Hardware));
        }
        if offer.kind == CapacityKind::Spot {
            if self.faults.strikes(Fault::SpotNotice, site, &mut self.rng).is_some() {
                let life = self.config.spot_life.draw(&mut self.rng);
                self.schedule(now + life, Happening::SpotNotice(instance.clone()));
            } else if self.faults.strikes(Fault::SpotLoss, site, &mut self.rng).is_some() {
                let life = self.config.spot_life.draw(&mut self.rng);
                self.schedule(now + life, die(Death::Spot));
            }
        }
        if self.config.capabilities.ends_at_die_at {
            self.schedule(die_at, die(Death::DieAt));
        }
    }
}
