//! The clouds: calls that take time, answers to controllers that may be dead by then, machines that come and go.

use crate::happening::{Happening, MachineId, ProcessId};
use crate::machine::Origin;
use crate::points::Point;
use crate::tally::Fault;
use crate::world::World;
use squall_core::node::NodeState;
use squall_engine::{CallId, Input, ProviderCall, ProviderReply};
use squall_provisioner_sim::{CloudEvent, CloudNews, Death};
use squall_types::{InstanceId, LaunchOrder, PoolName, Span, Timestamp};

/// What was decided leaves with its commit, which may be slow.
const SLOWEST_COMMIT: Span = Span::from_secs(30);

impl World {
    /// The controller makes a call: it is on its way, whatever becomes of the controller.
    pub fn call(&mut self, id: ProcessId, call: CallId, pool: PoolName, verb: ProviderCall) {
        let point = match &verb {
            ProviderCall::Launch(order) => {
                self.check_launch(id, order);
                Point::Launching
            }
            ProviderCall::Retire(instances) => {
                self.check_retire(id, &pool, instances);
                Point::Retiring
            }
            ProviderCall::List | ProviderCall::Offers => Point::Listing,
        };
        if let Some(process) = self.processes.get_mut(&id) {
            process.calls.insert(call, point);
        }
        let delay = self.dice.millis(1, 200);
        self.schedule(delay, Happening::Effect { process: id, call, pool, verb });
    }

    /// M1: exactly this request is durable. M5: its token lives.
    fn check_launch(&mut self, id: ProcessId, order: &LaunchOrder) {
        let late = |process: &crate::controller::Process| {
            let accept_by = self.history.accept_by.get(&order.order).copied().unwrap_or(Timestamp::NEVER);
            !process.lagged && self.now + process.ahead > accept_by + SLOWEST_COMMIT
        };
        if self.processes.get(&id).is_some_and(late) {
            self.wrong(format!("M5: order {} is launched past the life of its token", order.order));
        }
        if self.history.orders.get(&order.token) != Some(order) {
            self.wrong(format!("M1: order {} is launched with a request that is not durable", order.order));
        }
    }

    /// Only what durable events ask to end is ended. A controller that was replaced knows less, not more.
    fn check_retire(&mut self, id: ProcessId, pool: &PoolName, instances: &[InstanceId]) {
        if self.leader != Some(id) {
            return;
        }
        for instance in instances {
            let node = self.shadow.live_nodes_of(pool).find(|node| node.instance.as_ref() == Some(instance));
            let retiring = node.is_some_and(|node| matches!(node.state, NodeState::Retiring { .. }));
            let stranger = self.shadow.pools.get(pool).and_then(|state| state.strangers.get(instance));
            if !retiring && !stranger.is_some_and(|stranger| stranger.retiring) {
                self.wrong(format!("{instance} is asked to end, and no durable event says so"));
            }
        }
    }

    pub fn take_effect(&mut self, id: ProcessId, call: CallId, pool: &PoolName, verb: ProviderCall) {
        let now = self.now;
        let Some(number) = self.sites.iter().position(|site| site.pool == *pool) else { return };
        let cloud = &mut self.sites[number].cloud;
        let launches = matches!(verb, ProviderCall::Launch(_));
        let (heard_at, reply): (Timestamp, ProviderReply) = match verb {
            ProviderCall::Launch(order) => {
                let answer = cloud.launch(now, &order);
                (answer.heard_at, ProviderReply::Launched(answer.result))
            }
            ProviderCall::Retire(instances) => {
                let answer = cloud.retire(now, &instances);
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
        self.trace.say(now, "cloud", call.0, || crate::describe::short(format!("{pool} call {} → {reply:?}", call.0)));
        if cloud.unjournaled_calls() > 0 {
            self.wrong("M1: a launch reached the cloud before its token was durable".to_owned());
        }
        self.count_cloud_faults(number);
        self.cloud_is_due(number);
        if !self.processes.contains_key(&id) {
            self.tally.count(Fault::ProviderReplyLost, if launches { "launch" } else { "other call" });
        } else if launches && self.strikes(Point::Launched, Fault::KillController) {
            self.die_of_sniper(id);
        }
        let input = Box::new(Input::Provider { call, reply });
        self.schedule_at(heard_at, Happening::Feed { process: id, input });
    }

    /// Faults of a cloud by what the controller was doing when they struck.
    fn count_cloud_faults(&mut self, number: usize) {
        let site = &self.sites[number];
        let struck = site.cloud.faults_struck();
        if struck == site.struck {
            return;
        }
        let state = self.leader.map_or("no controller", |leader| self.state_of(leader));
        let counts = site.cloud.fault_counts();
        for (fault, times) in &counts {
            let before = site.counted.get(fault).copied().unwrap_or(0);
            if *times > before {
                self.tally.add(fault, state, times - before);
            }
        }
        let site = &mut self.sites[number];
        (site.counted, site.struck) = (counts, struck);
    }

    /// Takes note of when a cloud does something next by itself.
    pub fn cloud_is_due(&mut self, number: usize) {
        let site = &mut self.sites[number];
        let Some(at) = site.cloud.next_at().map(|at| at.max(self.now)) else { return };
        if site.due_at.is_none_or(|before| at < before || before < self.now) {
            site.due_at = Some(at);
            self.schedule_at(at, Happening::CloudDue(number));
        }
    }

    pub fn cloud_due(&mut self, number: usize) {
        let now = self.now;
        let site = &mut self.sites[number];
        if site.due_at == Some(now) {
            site.due_at = None;
        }
        let events = site.cloud.advance(now);
        self.count_cloud_faults(number);
        for event in events {
            self.cloud_news(number, event);
        }
        self.cloud_is_due(number);
    }

    fn cloud_news(&mut self, number: usize, event: CloudEvent) {
        self.trace.say(self.now, "cloud news", number as u64, || format!("{} {:?}", event.instance, event.news));
        match event.news {
            CloudNews::Booted { name, shape, die_at, .. } => {
                let bill = self.sites[number].cloud.bill();
                // The order stands in its user data, whatever became of its tags.
                let order = bill.lines.iter().find(|line| line.instance == event.instance).and_then(|line| line.order);
                let (Some(order), Some(name)) = (order, name) else { return };
                let origin = Origin::Bought { site: number, instance: event.instance, order };
                let skew = if self.scenario.kinds.agents { self.dice.secs(-30, 30) } else { Span::ZERO };
                let machine = self.add_machine(origin, name, shape, die_at, skew);
                self.power_on(machine);
            }
            CloudNews::SpotNotice { .. } => {}
            CloudNews::Died { why } => {
                if let Some(machine) = self.machine_of(number, &event.instance) {
                    self.machine_is_gone(machine, why);
                }
            }
        }
    }

    pub fn machine_of(&self, number: usize, instance: &InstanceId) -> Option<MachineId> {
        let is_it = |machine: &crate::machine::Machine| matches!(&machine.origin, Origin::Bought { site, instance: bought, .. } if *site == number && bought == instance);
        self.machines.iter().position(is_it).map(MachineId)
    }

    /// M8: what was asked to end ran nothing.
    fn machine_is_gone(&mut self, id: MachineId, why: Death) {
        if why == Death::Retired {
            let under: Vec<String> = self
                .executions
                .on(id.0)
                .filter(|executed| !self.is_excused(executed.node))
                .map(|executed| format!("M8: machine {} is ended under {}, which lives", id.0, executed.run))
                .collect();
            self.wrongs(under);
        }
        self.scrap(id);
    }
}
