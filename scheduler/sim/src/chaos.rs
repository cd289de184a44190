//! Faults that strike at their time.

use crate::happening::{End, Happening, MachineId};
use crate::machine::Origin;
use crate::network::Cut;
use crate::scenario::Chaos;
use crate::tally::Fault;
use crate::world::World;
use squall_engine::{Input, SessionId};
use squall_provisioner_sim::Planted;
use squall_types::{HourlyPrice, Span};

impl World {
    pub fn chaos(&mut self, number: usize) {
        if self.healed {
            return;
        }
        let chaos = self.scenario.chaos[number].1;
        self.trace.say(self.now, "chaos", number as u64, || format!("{chaos:?}"));
        match chaos {
            Chaos::KillController { down } => {
                if let Some(leader) = self.leader {
                    let fault = if down > Span::from_secs(60) { Fault::StopController } else { Fault::KillController };
                    let state = self.state_of(leader);
                    self.tally.count(fault, state);
                    self.kill_controller(leader, down);
                }
            }
            Chaos::PauseController { pause } => {
                if let Some(leader) = self.leader {
                    self.tally.count(Fault::PauseController, self.state_of(leader));
                    self.stop_controller(leader);
                    self.schedule(pause, Happening::Resume(leader));
                }
            }
            Chaos::Failover { pause } => self.fail_over(pause),
            Chaos::RestoreBackup => self.restore_backup(),
            Chaos::KillAgent { nth } => self.strike_machine(nth, |world, machine| {
                world.tally.count(Fault::KillAgent, world.agent_state(machine));
                world.agent_dies(machine, End::Agent);
            }),
            Chaos::PauseAgent { nth, pause } => self.strike_machine(nth, |world, machine| {
                world.tally.count(Fault::PauseAgent, world.agent_state(machine));
                world.stop_agent(machine, pause);
            }),
            Chaos::CloneAgent { nth } => self.strike_machine(nth, World::clone_machine),
            Chaos::AgentClock { nth, by } => self.strike_machine(nth, |world, machine| {
                world.tally.count(Fault::AgentClock, world.agent_state(machine));
                world.machines[machine.0].skew = by;
            }),
            Chaos::Reboot { nth } => {
                let down = self.dice.secs(1, 4);
                self.strike_machine(nth, |world, machine| world.reboot(machine, down));
            }
            Chaos::PowerLoss { nth, down } => {
                self.strike_machine(nth, |world, machine| world.reboot(machine, down.max(Span::from_secs(5))));
            }
            Chaos::Health { nth, lasting } => self.strike_machine(nth, |world, machine| {
                world.tally.count(Fault::Health, world.agent_state(machine));
                world.health(machine, "a GPU fell off the bus".to_owned());
                world.schedule(lasting, Happening::HealthClears(machine));
            }),
            Chaos::Cut { nth: Some(nth), up, down, lasting } => {
                self.strike_machine(nth, |world, machine| world.cut(machine, up, down, lasting));
            }
            Chaos::Cut { nth: None, up, down, lasting } => {
                self.powered_machines().into_iter().for_each(|machine| self.cut(machine, up, down, lasting));
            }
            Chaos::Reset { nth } => {
                let sessions: Vec<SessionId> = self.sessions.keys().copied().collect();
                if !sessions.is_empty() {
                    let session = sessions[nth % sessions.len()];
                    let machine = self.sessions[&session].machine;
                    self.tally.count(Fault::Reset, self.agent_state(machine));
                    self.breaks(session);
                }
            }
            Chaos::DiskReserve { lasting } => {
                self.tally.count(Fault::DiskReserve, "any");
                self.disk_reserve(true);
                self.schedule(lasting, Happening::DiskHasReserve);
            }
            Chaos::DiskRefuses => self.disk_refuses = true,
            Chaos::Stranger { site } => {
                let planted = Planted { ours: true, order: None, name: None };
                if self.sites[site].cloud.plant(self.now, planted).is_ok() {
                    self.tally.count(Fault::Stranger, "any");
                }
            }
            Chaos::KillInstance { nth } => self.strike_machine(nth, World::kill_instance),
            Chaos::PriceChange { site, percent } => {
                let offer = self.scenario.config.pools[&self.sites[site].pool].offers[0].clone();
                let price = HourlyPrice(offer.price.0 * percent / 100);
                let now = self.now;
                self.sites[site].cloud.change_price(now, offer.name, price);
                self.tally.count(Fault::PriceChange, "any");
                self.cloud_is_due(site);
            }
        }
    }

    fn strike_machine(&mut self, nth: usize, strike: impl FnOnce(&mut World, MachineId)) {
        let machines = self.powered_machines();
        if !machines.is_empty() {
            strike(self, machines[nth % machines.len()]);
        }
    }

    pub fn disk_reserve(&mut self, low: bool) {
        self.disk_reserve = low;
        if let Some(leader) = self.leader {
            let refusal = low.then(|| "the disk is below its reserve".to_owned());
            self.feed(leader, Input::DiskReserve { refusal });
        }
    }

    /// The leader is paused and taken for dead; another takes the journal; the first comes back.
    fn fail_over(&mut self, pause: Span) {
        let Some(leader) = self.leader else { return };
        self.tally.count(Fault::Failover, self.state_of(leader));
        self.stop_controller(leader);
        self.schedule(pause, Happening::Resume(leader));
        self.leader = None;
        let after = self.dice.secs(1, 5);
        self.schedule(after, Happening::StartController);
    }

    /// Everything since the backup is gone: from then on it is not promised, and what runs is unknown.
    fn restore_backup(&mut self) {
        if self.leader.is_some_and(|leader| self.state_of(leader) == "append under way") {
            return;
        }
        let running: Vec<_> = self.processes.keys().copied().collect();
        running.into_iter().for_each(|process| self.kill_controller(process, Span::from_secs(5)));
        if self.disk.restore() {
            self.tally.count(Fault::RestoreBackup, "any");
            self.rewind();
            self.restored = true;
            self.restorations += 1;
        }
    }

    fn kill_instance(&mut self, machine: MachineId) {
        if let Origin::Bought { site, instance, .. } = self.machines[machine.0].origin.clone() {
            self.tally.count(Fault::KilledByHand, self.agent_state(machine));
            let now = self.now;
            self.sites[site].cloud.kill(now, &instance);
            self.cloud_is_due(site);
        }
    }

    /// A second machine comes up with the disk of the first, identity and all.
    fn clone_machine(&mut self, machine: MachineId) {
        let original = &self.machines[machine.0];
        if original.joined.is_none() {
            return;
        }
        let state = self.agent_state(machine);
        self.tally.count(Fault::CloneAgent, state);
        let original = &self.machines[machine.0];
        let (name, shape, skew) = (original.name.clone(), original.shape.clone(), original.skew);
        let (key, joined) = (original.key.clone(), original.joined.clone());
        let clone = self.add_machine(Origin::Static, name, shape, None, skew);
        self.machines[clone.0].key = key;
        self.machines[clone.0].joined = joined;
        self.machines[clone.0].cut = Cut::default();
        self.clones.insert(clone);
        self.excused.extend(self.machines[clone.0].joined.as_ref().map(|(node, _)| *node));
        self.power_on(clone);
        // Somebody finds it and switches it off.
        let after = self.dice.secs(60, 600);
        self.schedule(after, Happening::CloneIsFound(clone));
    }
}
