//! What the cloud says that there is.

use crate::answer::Answer;
use crate::cloud::Cloud;
use crate::fault::{Fault, Site};
use crate::machine::{Machine, MachineState};
use rand::RngExt;
use squall_provisioner::Verb;
use squall_types::{Listing, SeenInstance, Timestamp};

impl Cloud {
    /// The listing of the trait, as true as the faults let it be.
    pub fn list(&mut self, now: Timestamp) -> Answer<Listing> {
        self.catch_up(now);
        let result = self.transport(Verb::List, None).map(|()| self.listing());
        self.answer(Verb::List, None, result)
    }

    fn listing(&mut self) -> Listing {
        let now = self.now;
        let site = Site { now, verb: Some(Verb::List), offer: None };
        let mut instances: Vec<SeenInstance> =
            self.machines.values().filter_map(|machine| seen(machine, now)).collect();
        if self.faults.strikes(Fault::ListingEmpty, site, &mut self.rng).is_some() {
            instances.clear();
        }
        let shrunken = self.faults.strikes(Fault::ListingShrunken, site, &mut self.rng).is_some();
        let partial = self.faults.strikes(Fault::ListingPartial, site, &mut self.rng).is_some();
        if shrunken || partial {
            instances.retain(|_| self.rng.random_range(0..2) == 0);
        }
        Listing { instances, complete: !partial }
    }
}

fn seen(machine: &Machine, now: Timestamp) -> Option<SeenInstance> {
    if !machine.ours || now < machine.listed_from {
        return None;
    }
    let ending = match machine.state {
        MachineState::Booting | MachineState::Running => false,
        MachineState::Ending { .. } => true,
        MachineState::Ended { .. } => !machine.haunts,
    };
    Some(SeenInstance {
        instance: machine.instance.clone(),
        order: machine.order,
        name: machine.name.clone(),
        launched_at: machine.launched_at,
        ending,
    })
}
