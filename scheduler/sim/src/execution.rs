//! Simulated processes: each execution happens once where it happens, ends by itself, by a signal, or with its
//! machine, whether an agent watches or not.

use crate::happening::{AgentId, Happening, MachineId};
use crate::machine::{Execution, Freezer, Origin, Stage};
use crate::points::Point;
use crate::scenario::{Behaviour, Work};
use crate::tally::Fault;
use crate::world::World;
use squall_types::agent::{EndCause, StepEnd, StopWhy, Usage};
use squall_types::ids::Run;
use squall_types::{Assignment, AttemptEnd, ExitStatus, JobKind, JobSpec, NodeId, NodeName, Span, StepId};
use squalld::duty::{DutyInput, PowerOffWhy, Record};

/// How much longer than its limit a process may live: its agent is dead or paused for a while, it gets its grace, and
/// may be slow to die.
const OVERRUN: Span = Span::from_mins(6);

impl World {
    pub fn behaviour(&self, spec: &JobSpec, run: Run) -> Behaviour {
        let stubborn = if self.healed { 0 } else { self.scenario.weather.ignores_term };
        let work = Work::number_of(spec).and_then(|number| self.scenario.work.get(number));
        let short = Behaviour { runs_for: Span::from_secs(1), exit: ExitStatus::default(), ignores_term: false };
        work.map_or(short, |work| work.behaviour(self.scenario.seed, run, stubborn))
    }

    pub fn prepared(&mut self, id: MachineId, agent: AgentId, run: Run, well: bool) {
        if !self.is_running(id, agent) {
            return;
        }
        if well {
            self.executions.prepared(run);
            self.duty(id, DutyInput::Prepared { run });
        } else {
            self.tally.count(Fault::PrepareFails, "preparing");
            self.duty(id, DutyInput::PrepareFailed { run, detail: "no space left".to_owned() });
        }
    }

    pub fn start_shim(&mut self, id: MachineId, agent: AgentId, assignment: Assignment, launch: u32) {
        let run = assignment.run;
        let after = self.dice.millis(2, 300);
        if self.chance(self.scenario.weather.shim_fails) {
            self.tally.count(Fault::ShimFails, "starting");
            return self.schedule(after, Happening::ExecuteFailed { machine: id, agent, run });
        }
        let ignores_term = self.behaviour(&assignment.detail.spec, run).ignores_term;
        let machine = &mut self.machines[id.0];
        let boot = machine.boot;
        let alive = |old: &Execution| matches!(old.state, Stage::Alive { .. }) && old.boot == boot;
        if machine.runs.get(&run).is_some_and(alive) {
            self.wrong(format!("J4: a second shim of {run} is started on machine {}", id.0));
            return;
        }
        let execution = Execution {
            assignment,
            launch,
            boot,
            state: Stage::Starting,
            ignores_term,
            terminated: false,
            killed: false,
            freezer: Freezer::default(),
        };
        machine.runs.insert(run, execution);
        self.schedule(after, Happening::Execute { machine: id, boot, agent, run, launch });
    }

    pub fn execute_failed(&mut self, id: MachineId, agent: AgentId, run: Run) {
        if self.is_running(id, agent) {
            self.duty(id, DutyInput::ShimFailed { run, detail: "cannot fork".to_owned() });
        }
    }

    /// Its agent died while a shim was about to execute: it does so all the same, or never will.
    pub fn orphan_starting(&mut self, id: MachineId) {
        let chances: Vec<(Run, bool)> = self.machines[id.0]
            .runs
            .iter()
            .filter(|(_, execution)| execution.state == Stage::Starting)
            .map(|(run, _)| (*run, true))
            .collect();
        for (run, _) in chances {
            if self.dice.chance(500)
                && let Some(execution) = self.machines[id.0].runs.get_mut(&run)
            {
                execution.state = Stage::Void;
            }
        }
    }

    pub fn execute(&mut self, id: MachineId, boot: u32, agent: AgentId, run: Run, launch: u32) {
        let machine = &self.machines[id.0];
        let Some(execution) = machine.runs.get(&run) else { return };
        let due = machine.powered && machine.boot == boot && execution.launch == launch;
        if !due || execution.state != Stage::Starting {
            return;
        }
        let assignment = execution.assignment.clone();
        let began = machine.now(self.now);
        let shape = machine.shape.clone();
        self.trace.say(self.now, "executes", run.job.0.into(), || {
            format!("{run} rank {} on machine {} ({})", assignment.detail.rank, id.0, self.machines[id.0].name)
        });
        if !self.is_excused(assignment.allocation.node) {
            let names: Vec<NodeName> = assignment.detail.nodes.iter().map(|peer| peer.name.clone()).collect();
            let now = self.now;
            let found = self.executions.execute(&self.history, &self.excused, id.0, &shape, &assignment, now, &names);
            self.wrongs(found);
            if !self.is_recorded(id, run, launch) {
                self.wrong(format!("J4: {run} is executed on machine {} before its record is durable", id.0));
            }
        }
        if let Some(execution) = self.machines[id.0].runs.get_mut(&run) {
            execution.state = Stage::Alive { began };
        }
        self.arrange_end(id, boot, run, launch, &assignment);
        if self.strikes(Point::AgentExecuted, Fault::KillAgent) {
            self.agent_dies(id, crate::happening::End::Agent);
        } else {
            let after = self.dice.millis(1, 100);
            self.schedule(after, Happening::Executed { machine: id, agent, run });
        }
    }

    fn is_recorded(&self, id: MachineId, run: Run, launch: u32) -> bool {
        let starting = |record: &Record| match record {
            Record::Run { run: other, stage } if *other == run => {
                matches!(**stage, squalld::duty::Stage::Starting { launch: recorded, .. } if recorded == launch)
            }
            _ => false,
        };
        self.machines[id.0].records.iter().any(starting)
    }

    /// The batch script ends by itself; the other parts, and allocations, wait until they are told.
    fn arrange_end(&mut self, id: MachineId, boot: u32, run: Run, launch: u32, assignment: &Assignment) {
        let spec = &assignment.detail.spec;
        if assignment.detail.rank != 0 || spec.kind != JobKind::Batch {
            return;
        }
        let behaviour = self.behaviour(spec, run);
        let steps =
            Work::number_of(spec).and_then(|number| self.scenario.work.get(number)).map_or(0, |work| work.steps);
        if steps > 0 {
            let after = Span(behaviour.runs_for.0 / 4);
            self.schedule(after, Happening::LaunchStep { run, left: steps });
        }
        let exit = behaviour.exit;
        self.schedule(
            behaviour.runs_for,
            Happening::ProcessEnds { machine: id, boot, run, launch, exit, by_itself: true },
        );
    }

    pub fn executed(&mut self, id: MachineId, agent: AgentId, run: Run) {
        if !self.is_running(id, agent) {
            return;
        }
        let Some(Stage::Alive { began }) = self.machines[id.0].runs.get(&run).map(|run| run.state.clone()) else {
            // It has ended already: the end tells that it began.
            return;
        };
        self.duty(id, DutyInput::ShimStarted { run, began });
    }

    pub fn process_ends(&mut self, id: MachineId, boot: u32, run: Run, launch: u32, exit: ExitStatus, by_itself: bool) {
        let now = self.now;
        let machine = &mut self.machines[id.0];
        let ended_at = machine.now(self.now).wall;
        let live = machine.powered && machine.boot == boot;
        let Some(execution) = machine.runs.get_mut(&run).filter(|execution| live && execution.launch == launch) else {
            return;
        };
        if !matches!(execution.state, Stage::Alive { .. }) {
            return;
        }
        if by_itself {
            // What was frozen has not run for as long as it wanted to.
            let owed = std::mem::take(&mut execution.freezer.owed);
            if let Some(since) = execution.freezer.since {
                execution.freezer.rest = Some((now.since(since) + owed, exit));
                return;
            }
            if owed > Span::ZERO {
                let end = Happening::ProcessEnds { machine: id, boot, run, launch, exit, by_itself };
                return self.schedule(owed, end);
            }
        }
        let lived = match execution.state {
            Stage::Alive { began } => now.since(machine.booted_at) - began.uptime - execution.freezer.by(now),
            _ => Span::ZERO,
        };
        let node = execution.assignment.allocation.node;
        let usage = Usage::default();
        let end = AttemptEnd { cause: EndCause::Exited, exit, ended_at, usage, detail: String::new() };
        execution.state = Stage::Ended(end);
        self.executions.ended(id.0, run);
        self.outlived(id, run, node, lived);
        self.trace.say(self.now, "process ends", run.job.0.into(), || format!("{run} on machine {}: {exit:?}", id.0));
        if let Some(agent) = self.machines[id.0].agent.as_ref().map(|agent| agent.id) {
            let after = self.dice.millis(1, 100);
            self.schedule(after, Happening::EndSeen { machine: id, agent, run });
        }
    }

    /// M3: nothing runs beyond its limit, whether or not a controller is there.
    fn outlived(&mut self, id: MachineId, run: Run, node: NodeId, lived: Span) {
        let Some(limit) = self.history.bound.get(&run).map(|bound| bound.most_limit) else { return };
        if limit < Span::FOREVER && lived > limit + OVERRUN && !self.is_excused(node) {
            let (lived, limit) = (lived.as_secs(), limit.as_secs());
            self.wrong(format!("M3: {run} lived {lived} s on machine {}, its limit was {limit} s", id.0));
        }
    }

    pub fn end_seen(&mut self, id: MachineId, agent: AgentId, run: Run) {
        if !self.is_running(id, agent) {
            return;
        }
        let Some(Stage::Ended(end)) = self.machines[id.0].runs.get(&run).map(|run| run.state.clone()) else { return };
        self.duty(id, DutyInput::ShimEnded { run, end });
    }

    pub fn freeze(&mut self, id: MachineId, run: Run) {
        let now = self.now;
        let Some(execution) = self.machines[id.0].runs.get_mut(&run) else { return };
        if matches!(execution.state, Stage::Alive { .. }) && execution.freezer.since.is_none() {
            execution.freezer.since = Some(now);
            self.tally.count(Fault::Suspended, "running");
        }
    }

    pub fn thaw(&mut self, id: MachineId, run: Run) {
        let (now, boot) = (self.now, self.machines[id.0].boot);
        let Some(execution) = self.machines[id.0].runs.get_mut(&run) else { return };
        let Some(since) = execution.freezer.since.take() else { return };
        let (frozen, launch) = (now.since(since), execution.launch);
        execution.freezer.before = execution.freezer.before + frozen;
        match execution.freezer.rest.take() {
            Some((left, exit)) => {
                let end = Happening::ProcessEnds { machine: id, boot, run, launch, exit, by_itself: true };
                self.schedule(left, end);
            }
            None => execution.freezer.owed = execution.freezer.owed + frozen,
        }
    }

    /// SIGTERM. An agent may send it only for a reason: the controller's durable word, or the limit.
    pub fn terminate(&mut self, id: MachineId, run: Run, why: StopWhy) {
        self.thaw(id, run);
        let now = self.machines[id.0].now(self.now);
        let boot = self.machines[id.0].boot;
        let Some(execution) = self.machines[id.0].runs.get_mut(&run) else { return };
        let Stage::Alive { began } = execution.state else { return };
        let limit = self.history.bound.get(&run).map_or(Span::FOREVER, |bound| bound.least_limit);
        let ran = now.uptime - began.uptime - execution.freezer.before;
        let over = why == StopWhy::TimeLimit && ran >= limit;
        let (launch, ignores) = (execution.launch, execution.ignores_term);
        let again = std::mem::replace(&mut execution.terminated, true);
        // A part that an admin declared dead is over, although the rest of its job may go on (`--no-kill`).
        let node = execution.assignment.allocation.node;
        let declared = self.is_excused(node) && self.history.dead.contains(&(run, node));
        if !over && !declared && !self.history.was_stopped(run) && !self.was_restored() {
            self.wrong(format!("M3: {run} is cut short on machine {} ({why:?}), and no durable event says so", id.0));
        }
        if again {
            return;
        }
        if ignores {
            return self.tally.count(Fault::IgnoresTerm, "stopping");
        }
        let after = self.dice.millis(10, 2000);
        let exit = ExitStatus { code: 0, signal: 15 };
        self.schedule(after, Happening::ProcessEnds { machine: id, boot, run, launch, exit, by_itself: false });
    }

    pub fn kill(&mut self, id: MachineId, run: Run) {
        let boot = self.machines[id.0].boot;
        let Some(execution) = self.machines[id.0].runs.get_mut(&run) else { return };
        let launch = execution.launch;
        let again = std::mem::replace(&mut execution.killed, true);
        if again {
            return;
        }
        let stuck = self.chance(self.scenario.weather.unkillable);
        if stuck {
            self.tally.count(Fault::Unkillable, "killed");
        }
        let after = if stuck { self.dice.secs(15, 120) } else { self.dice.millis(1, 50) };
        let exit = ExitStatus { code: 0, signal: 9 };
        self.schedule(after, Happening::ProcessEnds { machine: id, boot, run, launch, exit, by_itself: false });
    }

    pub fn process_dies_now(&mut self, id: MachineId, run: Run) {
        self.executions.ended(id.0, run);
        if let Some(execution) = self.machines[id.0].runs.get_mut(&run) {
            execution.state = Stage::Void;
        }
    }

    /// What is cleared away must be dead, and its end durable where it was asked for.
    pub fn forget_run(&mut self, id: MachineId, run: Run) {
        let node = self.machines[id.0].joined.as_ref().map(|(node, _)| *node);
        if let Some(node) = node.filter(|node| !self.is_excused(*node))
            && self.unsettled(node, run).is_some()
        {
            self.wrong(format!("J6: machine {} forgets {run}, whose end is not durable", id.0));
        }
        let boot = self.machines[id.0].boot;
        let alive = |execution: &Execution| matches!(execution.state, Stage::Alive { .. }) && execution.boot == boot;
        if self.machines[id.0].runs.get(&run).is_some_and(alive) {
            self.wrong(format!("machine {} forgets {run}, which lives there", id.0));
        }
        self.machines[id.0].runs.remove(&run);
    }

    /// M3: a machine never ends itself under a job within its limit.
    pub fn powers_itself_off(&mut self, id: MachineId, why: PowerOffWhy) {
        let now = self.machines[id.0].now(self.now);
        let boot = self.machines[id.0].boot;
        let limit = |run: &Run| self.history.bound.get(run).map_or(Span::FOREVER, |bound| bound.least_limit);
        let within = |(run, execution): &(&Run, &Execution)| match execution.state {
            // Nothing moves the bound of what is suspended where no controller is heard.
            Stage::Alive { began } if execution.boot == boot && execution.freezer.since.is_none() => {
                now.uptime < began.uptime + limit(run) + execution.freezer.before
            }
            _ => false,
        };
        let cut: Vec<Run> = self.machines[id.0].runs.iter().filter(within).map(|(run, _)| *run).collect();
        if !self.was_restored() {
            for run in cut.into_iter().filter(|run| !self.history.was_stopped(*run)).collect::<Vec<_>>() {
                self.wrong(format!("M3: machine {} ends itself ({why:?}) under {run}, within its limit", id.0));
            }
        }
        match self.machines[id.0].origin.clone() {
            Origin::Static => self.wrong(format!("machine {} is one's own and ends itself", id.0)),
            Origin::Bought { site, instance, .. } => {
                self.power_off(id);
                let now = self.now;
                self.sites[site].cloud.power_off(now, &instance);
                self.cloud_is_due(site);
            }
        }
    }

    pub fn step_ends(&mut self, id: MachineId, boot: u32, run: Run, step: u32) {
        let machine = &self.machines[id.0];
        if !machine.powered || machine.boot != boot || machine.agent.is_none() {
            return;
        }
        let now = machine.now(self.now).wall;
        let end = StepEnd {
            run,
            step: StepId(step),
            exit: ExitStatus::default(),
            started_at: now - Span::from_secs(1),
            ended_at: now,
            usage: Usage::default(),
        };
        self.duty(id, DutyInput::StepEnded(end));
    }
}
