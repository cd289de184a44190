//! Machines are given back.

use crate::answer::Answer;
use crate::cloud::Cloud;
use crate::fault::{Fault, Site};
use crate::machine::{Death, MachineState};
use crate::timeline::Happening;
use squall_provisioner::Verb;
use squall_types::{InstanceId, LaunchFailure, Timestamp};

impl Cloud {
    /// The retire of the trait: what is unknown, ending or gone already is success.
    pub fn retire(&mut self, now: Timestamp, instances: &[InstanceId]) -> Answer<()> {
        self.catch_up(now);
        let result = self.transport(Verb::Retire, None).and_then(|()| Ok(self.retire_now(instances)?));
        self.answer(Verb::Retire, None, result)
    }

    fn retire_now(&mut self, instances: &[InstanceId]) -> Result<(), LaunchFailure> {
        let limit = self.config.capabilities.max_per_retire as usize;
        if instances.len() > limit {
            return Err(LaunchFailure::Rejected { why: format!("{} instances, not up to {limit}", instances.len()) });
        }
        // Every instance is attempted; the first failure is what the caller hears.
        let mut failure = None;
        for instance in instances {
            if let Err(refused) = self.retire_one(instance) {
                failure.get_or_insert(refused);
            }
        }
        failure.map_or(Ok(()), Err)
    }

    fn retire_one(&mut self, instance: &InstanceId) -> Result<(), LaunchFailure> {
        let now = self.now;
        let Some(machine) = self.machines.get_mut(instance) else { return Ok(()) };
        if !machine.ours {
            self.trespasses += 1;
            return Ok(());
        }
        if !matches!(machine.state, MachineState::Booting | MachineState::Running) {
            return Ok(());
        }
        let site = Site { now, verb: Some(Verb::Retire), offer: Some(&machine.offer) };
        if self.faults.strikes(Fault::RetireRefused, site, &mut self.rng).is_some() {
            return Err(LaunchFailure::Denied { why: format!("`{instance}` is protected against termination") });
        }
        if self.faults.strikes(Fault::RetireLies, site, &mut self.rng).is_some() {
            return Ok(());
        }
        let slow = self.faults.strikes(Fault::RetireSlow, site, &mut self.rng);
        let gone_at = now + slow.unwrap_or_else(|| self.config.shutdown.draw(&mut self.rng));
        machine.state = MachineState::Ending { gone_at };
        self.schedule(gone_at, Happening::Die(instance.clone(), Death::Retired));
        Ok(())
    }
}
