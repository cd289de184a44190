//! The healing, and what has to be so when everything is over: every job ended, every bought machine given back,
//! nothing left of either.

use crate::happening::{Happening, MachineId};
use crate::rpc::{JobChange, Wanted};
use crate::scenario::{LIVENESS, lift};
use crate::world::World;
use squall_core::explain::explain;
use squall_core::order::OrderState;
use squall_core::{Caller, Cluster};
use squall_types::accounts::Entity;
use squall_types::api::{JobRef, NodeAction};
use squall_types::{JobId, NodeName, Span, Uid};

/// Between two looks.
const LOOK_EVERY: Span = Span::from_secs(60);
/// What waits for ever is cancelled after so long.
const GIVE_UP_AFTER: Span = Span::from_mins(10);

impl World {
    /// From now on nothing goes wrong, and nobody asks for anything new.
    pub fn heal(&mut self) {
        self.trace.say(self.now, "healed", 0, String::new);
        self.healed = true;
        self.snipers.disarm();
        self.disk_refuses = false;
        self.disk_reserve(false);
        let now = self.now;
        for number in 0..self.sites.len() {
            let cloud = &mut self.sites[number].cloud;
            cloud.heal();
            cloud.config_mut().quotas.clear();
            cloud.config_mut().sold.iter_mut().for_each(|sold| sold.capacity = None);
            self.cloud_is_due(number);
        }
        self.machines.iter_mut().for_each(|machine| {
            machine.cut.up_until = machine.cut.up_until.min(now);
            machine.cut.down_until = machine.cut.down_until.min(now);
        });
        for number in 0..self.machines.len() {
            if self.clones.contains(&MachineId(number)) {
                self.scrap(MachineId(number));
            } else {
                self.health(MachineId(number), String::new());
            }
        }
        let others: Vec<_> = self.processes.keys().copied().filter(|process| self.leader != Some(*process)).collect();
        others.into_iter().for_each(|process| self.kill_controller(process, Span::ZERO));
        self.config = self.scenario.last_config.clone();
        match self.leader {
            Some(leader) => {
                self.resume(leader);
                self.reload(leader);
            }
            None => self.start_controller(),
        }
        self.schedule(Span::from_secs(5), Happening::Look { since: Span::ZERO });
    }

    /// Lets go of everything that people held, and looks whether all is over.
    pub fn look(&mut self, since: Span) {
        if since.0 % GIVE_UP_AFTER.0 == 0 {
            self.let_go();
        }
        if since >= GIVE_UP_AFTER {
            self.give_up();
        }
        if self.is_over() {
            self.over = true;
            self.trace.say(self.now, "over", since.0 as u64, String::new);
            return self.audit();
        }
        if since > LIVENESS {
            let text = self.what_is_left();
            if self.is_leak() {
                return self.wrong(format!("M2: nobody knows of machines that run for ever: {text}"));
            }
            return self.wrong(format!("J10: not over {} min after the healing: {text}", since.0 / 60_000));
        }
        self.schedule(LOOK_EVERY, Happening::Look { since: since + LOOK_EVERY });
    }

    fn let_go(&mut self) {
        let admin = Caller::Admin(Uid(0));
        let held: Vec<JobId> =
            self.shadow.live_jobs().filter(|job| job.held.is_some()).map(|job| job.array().unwrap_or(job.id)).collect();
        for job in held {
            let job = JobRef::from(job);
            self.request(Wanted::Change { caller: admin.clone(), job, change: JobChange::Release });
        }
        let suspended: Vec<JobId> =
            self.shadow.live_jobs().filter(|job| job.is_suspended()).map(|job| job.id).collect();
        for job in suspended {
            let job = JobRef::from(job);
            self.request(Wanted::Change { caller: admin.clone(), job, change: JobChange::Resume });
        }
        let crontabs: Vec<Uid> = self.shadow.crontabs.keys().copied().collect();
        for uid in crontabs {
            self.request(Wanted::Crontab { uid, entries: Vec::new() });
        }
        self.lift_limits();
        let closed: Vec<NodeName> =
            self.shadow.live_nodes().filter(|node| !node.holds.is_empty()).map(|node| node.name.clone()).collect();
        for name in closed {
            self.request(Wanted::Node { name, action: NodeAction::Resume });
        }
    }

    /// What a limit holds back would wait for ever.
    fn lift_limits(&mut self) {
        let accounts = &self.shadow.accounts;
        let limited = accounts.accounts.values().filter(|account| !account.terms.limits.is_empty());
        let qos = accounts.qos.values().filter(|qos| !qos.limits.is_empty());
        let limited = limited.map(|account| Entity::Account(account.name.clone()));
        let edits: Vec<_> = limited.chain(qos.map(|qos| Entity::Qos(qos.name.clone()))).map(lift).collect();
        if !edits.is_empty() {
            self.request(Wanted::Accounts { edits });
        }
    }

    /// Jobs whose dependency can never come true are cancelled by their owners.
    fn give_up(&mut self) {
        let hopeless: Vec<(JobId, Uid)> = self
            .history
            .live_jobs()
            .filter(|(job, facts)| !facts.bound && !facts.claimed && self.history.waits_for_ever(**job))
            .map(|(job, facts)| {
                let leader = self.history.together.place_of(*job).map_or(*job, |place| place.leader);
                (facts.array.map_or(leader, |(array, _)| array), facts.spec.uid)
            })
            .collect();
        for (job, uid) in hopeless {
            let job = JobRef::from(job);
            self.request(Wanted::Change { caller: Caller::User(uid), job, change: JobChange::Cancel });
        }
    }

    fn is_over(&self) -> bool {
        let waiting = self.rpcs.values().any(|rpc| !rpc.done && !matches!(rpc.wanted, Wanted::Join { .. }));
        !waiting
            && self.history.live_jobs().next().is_none()
            && self.shadow.live_job_count() == 0
            && self.shadow.open_orders().all(|order| !matches!(order.state, OrderState::Placed))
            && self.shadow.live_nodes().all(|node| node.is_static() || self.is_kept(node.id))
            && self.shadow.pools.values().all(|pool| pool.strangers.is_empty())
            && self.sites.iter().all(|site| {
                let ours = site.cloud.machines().filter(|machine| machine.ours && machine.exists());
                ours.count() == self.shadow.live_nodes_of(&site.pool).filter(|node| self.is_kept(node.id)).count()
            })
            && self.executions.living().next().is_none()
    }

    /// Everything is over but machines that the ledger does not know.
    fn is_leak(&self) -> bool {
        self.shadow.live_job_count() == 0
            && self.shadow.live_nodes().all(|node| node.is_static() || self.is_kept(node.id))
            && self.shadow.pools.values().all(|pool| pool.strangers.is_empty())
            && self.sites.iter().any(|site| site.cloud.machines().any(|machine| machine.ours && machine.exists()))
    }

    /// A node of a pool that keeps some.
    fn is_kept(&self, node: squall_types::NodeId) -> bool {
        let Some(node) = self.shadow.nodes.get(&node) else { return false };
        let least = self.config.pools.get(&node.pool).map_or(0, |pool| pool.min_nodes);
        let live = self.shadow.live_nodes_of(&node.pool).filter(|node| node.is_usable()).count();
        least > 0 && live <= least as usize && node.is_usable()
    }

    fn what_is_left(&self) -> String {
        let mut left = Vec::new();
        for job in self.shadow.live_jobs() {
            let why = explain(&self.shadow, self.now, job.id);
            let blockers: Vec<&str> = why.blockers.iter().map(|blocker| blocker.text.as_str()).collect();
            left.push(format!("job {} {} [{}]", job.id, why.state, blockers.join("; ")));
        }
        left.extend(
            self.shadow
                .live_nodes()
                .filter(|node| !node.is_static() && !self.is_kept(node.id))
                .map(|node| format!("node {} {:?} contact {}", node.name, node.state, node.contact)),
        );
        for (pool, state) in self.shadow.pools.iter() {
            left.extend(state.strangers.keys().map(|instance| format!("stranger {instance} in {pool}")));
        }
        for site in &self.sites {
            let ours = site.cloud.machines().filter(|machine| machine.ours && machine.exists());
            left.extend(ours.map(|machine| format!("machine {} {:?}", machine.instance, machine.state)));
        }
        let waiting = self.rpcs.values().filter(|rpc| !rpc.done).map(|rpc| format!("request {:?}", rpc.wanted));
        left.extend(waiting);
        left.extend(self.executions.living().map(|executed| format!("{} lives", executed.run)));
        left.truncate(12);
        left.join(", ")
    }

    /// Nothing is left, and every account agrees.
    fn audit(&mut self) {
        let mut found = Vec::new();
        if let Some(process) = self.leader.and_then(|leader| self.processes.get(&leader)) {
            let state: &Cluster = process.engine.committed();
            if state.hash() != self.shadow.hash() {
                found.push("the last state is not what the durable events give".to_owned());
            }
        }
        if self.disk.recover().is_ok_and(|events| {
            let mut cluster = Cluster::new();
            events.iter().for_each(|event| cluster.apply(event));
            cluster.hash() != self.shadow.hash()
        }) {
            found.push("C4: the log gives another state than what was written".to_owned());
        }
        for site in &self.sites {
            if site.cloud.trespasses() > 0 {
                found.push("an instance that is not ours was retired".to_owned());
            }
        }
        for site in &self.sites {
            found.extend(self.history.rows.audit(&site.pool, site.cloud.bill()));
        }
        self.wrongs(found);
    }

    /// After a restored backup the reference model starts again from what is left.
    pub fn rewind(&mut self) {
        let highest = self.history.highest_job;
        let used = std::mem::take(&mut self.history.used);
        let epoch = self.history.epoch;
        let events = match self.disk.recover() {
            Ok(events) => events,
            Err(text) => return self.wrong(format!("C5: {text}")),
        };
        self.shadow = Cluster::new();
        self.history = Default::default();
        for event in &events {
            self.shadow.apply(event);
            self.history.take(event);
        }
        // Ids that were given once are given, whatever the backup knows.
        self.history.highest_job = highest;
        self.history.used = used;
        self.history.epoch = epoch;
        self.history.found.clear();
        self.promises.restored(&self.history);
        let known = |job: &JobId| self.history.jobs.contains_key(job);
        self.jobs.retain(|_, job| known(job));
    }
}
