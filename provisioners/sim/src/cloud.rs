//! The cloud as a value: what exists in it, and what will happen.

use crate::answer::{Answer, CallRecord, Unserved};
use crate::bill::{Bill, BillLine};
use crate::config::CloudConfig;
use crate::fault::{Fault, FaultPlan, Site};
use crate::machine::{Death, Machine, MachineState};
use crate::timeline::{CloudEvent, Happening};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use squall_provisioner::Verb;
use squall_types::{
    Capabilities, HourlyPrice, InstanceId, LaunchFailure, LaunchOrder, LaunchToken, Launched, NodeName, Offer,
    OfferName, OrderId, Span, Timestamp,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Calls that are remembered; the oldest are forgotten first.
const MAX_CALLS_REMEMBERED: usize = 1_000_000;

/// A token in use.
#[derive(Clone, Debug)]
pub(crate) struct Used {
    /// The request without its ticket.
    pub request: LaunchOrder,
    pub launched: Launched,
    pub at: Timestamp,
}

/// A machine that no call of ours made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Planted {
    /// It bears our cluster's tag.
    pub ours: bool,
    pub order: Option<OrderId>,
    pub name: Option<NodeName>,
}

/// The cloud: everything that exists in it, and everything that will happen.
#[derive(Clone, Debug)]
pub struct Cloud {
    pub(crate) config: CloudConfig,
    pub(crate) faults: FaultPlan,
    pub(crate) rng: ChaCha8Rng,
    pub(crate) now: Timestamp,
    pub(crate) machines: BTreeMap<InstanceId, Machine>,
    pub(crate) made: u64,
    /// How many machines of each offer exist.
    pub(crate) existing: BTreeMap<OfferName, u64>,
    /// Ended machines by the time when they are no longer listed.
    pub(crate) fading: BTreeSet<(Timestamp, InstanceId)>,
    pub(crate) tokens: BTreeMap<LaunchToken, Used>,
    pub(crate) timeline: BTreeMap<(Timestamp, u64), Happening>,
    pub(crate) scheduled: u64,
    pub(crate) news: Vec<CloudEvent>,
    pub(crate) bill: Bill,
    pub(crate) announced: BTreeSet<LaunchToken>,
    pub(crate) unjournaled: u64,
    pub(crate) trespasses: u64,
    pub(crate) refused_launches: BTreeMap<&'static str, u64>,
    calls: VecDeque<CallRecord>,
}

impl Cloud {
    pub fn new(config: CloudConfig, faults: FaultPlan, seed: u64) -> Self {
        Self {
            config,
            faults,
            rng: ChaCha8Rng::seed_from_u64(seed),
            now: Timestamp(i64::MIN / 4),
            machines: BTreeMap::new(),
            made: 0,
            existing: BTreeMap::new(),
            fading: BTreeSet::new(),
            tokens: BTreeMap::new(),
            timeline: BTreeMap::new(),
            scheduled: 0,
            news: Vec::new(),
            bill: Bill::default(),
            announced: BTreeSet::new(),
            unjournaled: 0,
            trespasses: 0,
            refused_launches: BTreeMap::new(),
            calls: VecDeque::new(),
        }
    }

    pub fn capabilities(&self) -> Capabilities {
        self.config.capabilities.clone()
    }

    /// What is sold, at the prices of `now`.
    pub fn offers(&mut self, now: Timestamp) -> Answer<Vec<Offer>> {
        self.catch_up(now);
        let result = self.transport(Verb::Offers, None).map(|()| {
            let mut offers: Vec<Offer> = self.config.sold.iter().map(|sold| sold.offer.clone()).collect();
            for offer in &mut offers {
                let site = Site { now: self.now, verb: Some(Verb::Offers), offer: Some(&*offer) };
                if self.faults.strikes(Fault::PriceWrong, site, &mut self.rng).is_some() {
                    offer.price = HourlyPrice(offer.price.0 / 10);
                }
            }
            offers
        });
        self.answer(Verb::Offers, None, result)
    }

    /// The token's order is in the journal: it may be launched.
    pub fn announce(&mut self, token: LaunchToken) {
        self.announced.insert(token);
    }

    /// Launches whose token had not been announced, which is a bug of the caller.
    pub fn unjournaled_calls(&self) -> u64 {
        self.unjournaled
    }

    /// Attempts to retire machines that are not ours, which is a bug of the caller.
    pub fn trespasses(&self) -> u64 {
        self.trespasses
    }

    /// How often each fault struck, by name.
    pub fn fault_counts(&self) -> BTreeMap<&'static str, u64> {
        self.faults.counts()
    }

    /// How often any fault struck.
    pub fn faults_struck(&self) -> u64 {
        self.faults.struck()
    }

    /// Launches refused for want of quota or of machines, without any fault, by what was wanting.
    pub fn refused_launches(&self) -> &BTreeMap<&'static str, u64> {
        &self.refused_launches
    }

    /// The calls, oldest first.
    pub fn calls(&self) -> impl Iterator<Item = &CallRecord> {
        self.calls.iter()
    }

    pub fn bill(&self) -> &Bill {
        &self.bill
    }

    /// Every machine that exists or is still listed, ours or not.
    pub fn machines(&self) -> impl Iterator<Item = &Machine> {
        self.machines.values()
    }

    pub fn machine(&self, instance: &InstanceId) -> Option<&Machine> {
        self.machines.get(instance)
    }

    pub fn faults_mut(&mut self) -> &mut FaultPlan {
        &mut self.faults
    }

    pub fn config_mut(&mut self) -> &mut CloudConfig {
        &mut self.config
    }

    /// From now on nothing goes wrong. What a fault has begun goes on: machines that never boot, late launches,
    /// slow ends. Losses and breakdowns that lie ahead do not come.
    pub fn heal(&mut self) {
        self.faults.heal();
        self.timeline.retain(|_, happening| {
            !matches!(happening, Happening::SpotNotice(_) | Happening::Die(_, Death::Spot | Death::Hardware))
        });
    }

    /// The machine's own agent switches it off.
    pub fn power_off(&mut self, now: Timestamp, instance: &InstanceId) {
        self.catch_up(now);
        self.end(instance, Death::PoweredOff);
    }

    /// The machine breaks, or somebody ends it by hand.
    pub fn kill(&mut self, now: Timestamp, instance: &InstanceId) {
        self.catch_up(now);
        self.end(instance, Death::Hardware);
    }

    /// Somebody edits the machine's order tag by hand.
    pub fn retag(&mut self, instance: &InstanceId, order: Option<OrderId>) {
        if let Some(machine) = self.machines.get_mut(instance) {
            machine.order = order;
        }
    }

    /// A price changes at `at`.
    pub fn change_price(&mut self, at: Timestamp, offer: OfferName, price: HourlyPrice) {
        self.schedule(at, Happening::Price(offer, price));
    }

    /// A running machine appears that no call of ours made: somebody else's, or a stray one with our tag.
    ///
    /// # Errors
    /// If nothing is sold from which it could be made.
    pub fn plant(&mut self, now: Timestamp, planted: Planted) -> Result<InstanceId, LaunchFailure> {
        self.catch_up(now);
        let Some(sold) = self.config.sold.first() else {
            return Err(LaunchFailure::Rejected { why: "nothing is sold here".to_owned() });
        };
        let offer = sold.offer.clone();
        let instance = self.next_instance();
        let machine = Machine {
            instance: instance.clone(),
            ours: planted.ours,
            order: planted.order,
            name: planted.name,
            shape: offer.shape.clone(),
            launched_at: self.now,
            die_at: None,
            state: MachineState::Running,
            join: None,
            listed_from: self.now,
            haunts: false,
            line: self.bill.lines.len(),
            offer,
        };
        self.admit(machine, None);
        Ok(instance)
    }

    pub(crate) fn next_instance(&mut self) -> InstanceId {
        self.made += 1;
        InstanceId::new(format!("sim-{:06}", self.made))
    }

    /// A machine exists from now on, and is billed.
    pub(crate) fn admit(&mut self, machine: Machine, order: Option<OrderId>) {
        *self.existing.entry(machine.offer.name.clone()).or_default() += 1;
        self.bill.lines.push(BillLine {
            instance: machine.instance.clone(),
            order,
            offer: machine.offer.name.clone(),
            kind: machine.offer.kind,
            started_at: machine.launched_at,
            ended_at: None,
            minimum_billed: machine.offer.minimum_billed,
            prices: vec![(machine.launched_at, machine.offer.price)],
        });
        self.machines.insert(machine.instance.clone(), machine);
    }

    /// The faults that can keep any call from having its effect.
    pub(crate) fn transport(&mut self, verb: Verb, offer: Option<&Offer>) -> Result<(), Unserved> {
        let site = Site { now: self.now, verb: Some(verb), offer };
        if let Some(pause) = self.faults.strikes(Fault::Throttled, site, &mut self.rng) {
            return Err(LaunchFailure::Throttled { retry_after: pause.max(Span(1)) }.into());
        }
        if self.faults.strikes(Fault::Denied, site, &mut self.rng).is_some() {
            return Err(LaunchFailure::Denied { why: "the credentials are revoked".to_owned() }.into());
        }
        if self.faults.strikes(Fault::ServerError, site, &mut self.rng).is_some() {
            return Err(LaunchFailure::Unknown { why: "the cloud answered with an internal error".to_owned() }.into());
        }
        if self.faults.strikes(Fault::TimeoutBeforeEffect, site, &mut self.rng).is_some() {
            return Err(Unserved::Silence);
        }
        Ok(())
    }

    /// What the caller hears and when, after the effect has happened; the answer may be lost.
    pub(crate) fn answer<T>(
        &mut self,
        verb: Verb,
        order: Option<&LaunchOrder>,
        mut served: Result<T, Unserved>,
    ) -> Answer<T> {
        let site = Site { now: self.now, verb: Some(verb), offer: order.map(|order| &order.offer) };
        if served.is_ok() && self.faults.strikes(Fault::ReplyLost, site, &mut self.rng).is_some() {
            served = Err(Unserved::Silence);
        }
        let (delay, result) = match served {
            Ok(value) => (self.config.answer.draw(&mut self.rng), Ok(value)),
            Err(Unserved::Refused(failure)) => (self.config.answer.draw(&mut self.rng), Err(failure)),
            Err(Unserved::Silence) => {
                (self.config.patience, Err(LaunchFailure::Unknown { why: "no answer in time".to_owned() }))
            }
        };
        if self.calls.len() == MAX_CALLS_REMEMBERED {
            self.calls.pop_front();
        }
        self.calls.push_back(CallRecord {
            at: self.now,
            verb,
            offer: order.map(|order| order.offer.name.clone()),
            token: order.map(|order| order.token.clone()),
            failure: result.as_ref().err().cloned(),
        });
        Answer { heard_at: self.now + delay, result }
    }
}
