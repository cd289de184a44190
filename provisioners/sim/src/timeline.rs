//! What happens by itself, in order of time.

use crate::cloud::Cloud;
use crate::fault::{Fault, Site};
use crate::machine::{Death, MachineState};
use squall_types::offer::JoinTicket;
use squall_types::{HourlyPrice, InstanceId, LaunchOrder, NodeName, OfferName, OrderId, Shape, Timestamp};

/// Something that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Happening {
    Boot(InstanceId),
    SpotNotice(InstanceId),
    Die(InstanceId, Death),
    /// A launch that was answered with an error takes place after all.
    Launch(Box<LaunchOrder>),
    Price(OfferName, HourlyPrice),
}

/// News from the cloud for whoever plays the machines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloudEvent {
    pub at: Timestamp,
    pub instance: InstanceId,
    pub news: CloudNews,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CloudNews {
    /// The machine is up, and its agent begins.
    Booted {
        order: Option<OrderId>,
        name: Option<NodeName>,
        /// As measured; a fault may have taken a GPU.
        shape: Shape,
        die_at: Option<Timestamp>,
        join: Option<JoinTicket>,
    },
    /// The machine hears that it will be taken back.
    SpotNotice { gone_at: Timestamp },
    /// The machine is gone, with everything that ran on it.
    Died { why: Death },
}

impl Cloud {
    pub(crate) fn schedule(&mut self, at: Timestamp, happening: Happening) {
        self.scheduled += 1;
        self.timeline.insert((at, self.scheduled), happening);
    }

    /// When something will happen next by itself.
    pub fn next_at(&self) -> Option<Timestamp> {
        let due = self.timeline.keys().next().map(|(at, _)| *at);
        if self.news.is_empty() { due } else { Some(self.now) }
    }

    /// Lets time pass until `now` and says what happened since the last time this was called, in order.
    pub fn advance(&mut self, now: Timestamp) -> Vec<CloudEvent> {
        self.catch_up(now);
        std::mem::take(&mut self.news)
    }

    /// Everything due up to `now` happens. Time does not go backwards.
    pub(crate) fn catch_up(&mut self, now: Timestamp) {
        while let Some(entry) = self.timeline.first_entry().filter(|entry| entry.key().0 <= now) {
            let ((at, _), happening) = entry.remove_entry();
            self.now = self.now.max(at);
            self.happen(happening);
        }
        self.now = self.now.max(now);
        while let Some((_, instance)) = self.fading.first().filter(|(until, _)| *until <= self.now) {
            self.machines.remove(instance);
            self.fading.pop_first();
        }
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Boot(instance) => self.boot(&instance),
            Happening::SpotNotice(instance) => self.warn(&instance),
            Happening::Die(instance, why) => self.end(&instance, why),
            Happening::Launch(order) => {
                // Nobody hears the outcome; a repeated call or a listing will show it.
                let _ = self.launch_now(&order);
            }
            Happening::Price(offer, price) => self.reprice(&offer, price),
        }
    }

    fn boot(&mut self, instance: &InstanceId) {
        let Some(machine) = self.machines.get_mut(instance) else { return };
        if machine.state != MachineState::Booting {
            return;
        }
        machine.state = MachineState::Running;
        let news = CloudNews::Booted {
            order: machine.order,
            name: machine.name.clone(),
            shape: machine.shape.clone(),
            die_at: machine.die_at,
            join: machine.join.clone(),
        };
        self.tell(instance, news);
    }

    fn warn(&mut self, instance: &InstanceId) {
        let Some(machine) = self.machines.get(instance).filter(|machine| machine.exists()) else { return };
        let (gone_at, heard) = (self.now + self.config.spot_notice, machine.has_agent());
        self.schedule(gone_at, Happening::Die(instance.clone(), Death::Spot));
        if heard {
            self.tell(instance, CloudNews::SpotNotice { gone_at });
        }
    }

    /// A machine is gone, and billed no more.
    pub(crate) fn end(&mut self, instance: &InstanceId, why: Death) {
        let now = self.now;
        let Some(machine) = self.machines.get_mut(instance).filter(|machine| machine.exists()) else { return };
        // An agent that began in time has outlived its boot.
        if why == Death::WhileBooting && machine.state != MachineState::Booting {
            return;
        }
        machine.state = MachineState::Ended { at: now };
        let mut listed_until = now + self.config.ended_listed;
        let site = Site { now, verb: None, offer: Some(&machine.offer) };
        if let Some(haunting) = self.faults.strikes(Fault::ListedWhenGone, site, &mut self.rng) {
            machine.haunts = true;
            listed_until = now + haunting;
        }
        self.fading.insert((listed_until, instance.clone()));
        if let Some(existing) = self.existing.get_mut(&machine.offer.name) {
            *existing -= 1;
        }
        self.bill.lines[machine.line].ended_at = Some(now);
        self.tell(instance, CloudNews::Died { why });
    }

    fn reprice(&mut self, offer: &OfferName, price: HourlyPrice) {
        for sold in self.config.sold.iter_mut().filter(|sold| sold.offer.name == *offer) {
            sold.offer.price = price;
        }
        if !self.config.spot_follows_market {
            return;
        }
        let now = self.now;
        let spot = squall_types::CapacityKind::Spot;
        for line in self.bill.lines.iter_mut() {
            if line.offer == *offer && line.kind == spot && line.ended_at.is_none() && line.price_now() != price {
                line.prices.push((now, price));
            }
        }
    }

    fn tell(&mut self, instance: &InstanceId, news: CloudNews) {
        self.news.push(CloudEvent { at: self.now, instance: instance.clone(), news });
    }
}
