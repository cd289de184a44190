//! Requests of clients and of agents that join: lost, late, answered twice, and tried again with the same token.

use crate::happening::{AgentId, Happening, MachineId, RpcId};
use crate::machine::Origin;
use crate::scenario::USERS;
use crate::tally::Fault;
use crate::world::World;
use squall_core::command::WantedEntry;
use squall_core::{Caller, Command, Reply};
use squall_engine::{Answer, Ask, Input, RequestId};
use squall_types::accounts::AccountsEdit;
use squall_types::api::{JobAction, JobFilter, JobRef, JobUpdate, NodeAction, StepRequest};
use squall_types::cron::CronSpec;
use squall_types::ids::Run;
use squall_types::{BlobDigest, CpuAsk, ExitStatus, JobKind, JobSpec, NodeName, OrderId, Span, SubmitToken, Uid};

/// How long a client waits for an answer, in seconds, before it asks again.
const PATIENCE: (i64, i64) = (5, 30);
/// Refusals that say "later": no room, no disk.
const LATER: [&str; 3] = ["SQ1030", "SQ1034", "SQ5010"];

#[derive(Clone, Debug)]
pub enum Wanted {
    Submit { work: usize },
    Change { caller: Caller, job: JobRef, change: JobChange },
    CancelAll { uid: Uid },
    Node { name: NodeName, action: NodeAction },
    Accounts { edits: Vec<AccountsEdit> },
    Crontab { uid: Uid, entries: Vec<&'static str> },
    Join { machine: MachineId, agent: AgentId },
    Finish { caller: Caller, run: Run },
    Step { caller: Caller, run: Run, left: u32 },
}

#[derive(Clone, Debug)]
pub enum JobChange {
    Cancel,
    Hold,
    Release,
    Requeue { hold: bool },
    Suspend,
    Resume,
    Update(Box<JobUpdate>),
}

pub struct Rpc {
    pub wanted: Wanted,
    tries: u32,
    pub done: bool,
}

impl World {
    pub fn request(&mut self, wanted: Wanted) {
        let id = RpcId(self.fresh_id());
        self.trace.say(self.now, "client", id.0, || crate::describe::short(format!("{} wants {wanted:?}", id.0)));
        self.rpcs.insert(id, Rpc { wanted, tries: 0, done: false });
        self.send(id, Span::ZERO);
    }

    pub fn ask_to_join(&mut self, machine: MachineId, agent: AgentId) {
        self.request(Wanted::Join { machine, agent });
    }

    fn send(&mut self, id: RpcId, after: Span) {
        let delay = self.delay();
        let patience = self.dice.secs(PATIENCE.0, PATIENCE.1);
        let Some(rpc) = self.rpcs.get_mut(&id) else { return };
        rpc.tries += 1;
        let tries = rpc.tries;
        self.schedule(after + delay, Happening::Send(id));
        self.schedule(after + patience, Happening::TimedOut { rpc: id, tries });
    }

    pub fn timed_out(&mut self, id: RpcId, tries: u32) {
        let Some(rpc) = self.rpcs.get(&id).filter(|rpc| !rpc.done && rpc.tries == tries) else { return };
        if let Wanted::Join { machine, agent } = rpc.wanted
            && !self.is_running(machine, agent)
        {
            self.rpcs.remove(&id);
            return;
        }
        let after = self.dice.millis(100, 3000);
        self.send(id, after);
    }

    pub fn rpc_arrives(&mut self, id: RpcId) {
        let Some(rpc) = self.rpcs.get(&id).filter(|rpc| !rpc.done) else { return };
        let wanted = rpc.wanted.clone();
        if let Wanted::Join { machine, agent } = wanted {
            let cut = self.machines[machine.0].cut;
            if !self.is_running(machine, agent) || cut.up_until > self.now || cut.down_until > self.now {
                return;
            }
        } else if self.chance(self.scenario.weather.request_lost) {
            return self.tally.count(Fault::RequestLost, kind(&wanted));
        }
        let Some(leader) = self.leader else { return };
        let (caller, ask) = self.words(id, &wanted);
        let request = RequestId(self.fresh_id());
        if let Some(process) = self.processes.get_mut(&leader) {
            process.requests.insert(request, id);
        }
        self.feed(leader, Input::Request { id: request, caller, ask });
    }

    fn words(&self, id: RpcId, wanted: &Wanted) -> (Caller, Ask) {
        let one = |caller: &Caller, command| (caller.clone(), Ask::One(command));
        match wanted {
            Wanted::Submit { work } => {
                let array = |number: usize| self.scenario.work[number].spec.array.is_some();
                let job_of = |number: usize| self.jobs.get(&number).map(|job| (*job, array(number)));
                let mut specs = self.scenario.work[*work].specs(job_of);
                let (caller, token) = (Caller::User(specs[0].uid), token(*work));
                let command = match specs.len() {
                    1 => Command::Submit { spec: Box::new(specs.remove(0)), token, test_only: false },
                    _ => Command::SubmitTogether { specs, token, test_only: false },
                };
                match &command {
                    // As `srun` does: with the step that is to run in it.
                    Command::Submit { spec, .. } if spec.kind == JobKind::Interactive => {
                        let step = Box::new(StepRequest { name: "first".to_owned(), ..StepRequest::default() });
                        (caller, Ask::WithStep { submission: command, step })
                    }
                    _ => one(&caller, command),
                }
            }
            Wanted::Change { caller, job, change } => {
                let job = job.clone();
                let command = match change {
                    JobChange::Cancel => Command::Cancel { job, cron: false },
                    JobChange::Hold => Command::Hold { job },
                    JobChange::Release => Command::Release { job },
                    JobChange::Requeue { hold } => Command::Requeue { job, hold: *hold },
                    JobChange::Suspend => Command::Suspend { job },
                    JobChange::Resume => Command::Resume { job },
                    JobChange::Update(update) => Command::Update { job, update: update.clone() },
                };
                one(caller, command)
            }
            Wanted::CancelAll { uid } => {
                let filter = JobFilter { users: vec![*uid], ..JobFilter::default() };
                (Caller::User(*uid), Ask::Many { filter, action: JobAction::Cancel })
            }
            Wanted::Node { name, action } => {
                one(&Caller::Admin(Uid(0)), Command::Node { node: name.clone(), action: action.clone() })
            }
            Wanted::Crontab { uid, entries } => {
                let lines = entries.iter().zip(1u32..);
                let entries = lines.map(|(times, line)| entry(*uid, id, times, line)).collect();
                let text = format!("of request {}\n", id.0);
                one(&Caller::User(*uid), Command::SetCrontab { uid: *uid, text, entries })
            }
            Wanted::Accounts { edits } => {
                let uids = USERS.iter().map(|(name, uid)| ((*name).to_owned(), *uid)).collect();
                one(&Caller::Admin(Uid(0)), Command::EditAccounts { edits: edits.clone(), uids })
            }
            Wanted::Join { machine, .. } => {
                let machine = &self.machines[machine.0];
                let (order, instance) = match &machine.origin {
                    Origin::Static => (None, None),
                    Origin::Bought { order, instance, .. } => (Some(*order), Some(instance.clone())),
                };
                one(&Caller::System, join(order, machine.name.clone(), instance, machine.key.clone()))
            }
            Wanted::Finish { caller, run } => {
                one(caller, Command::FinishAllocation { run: *run, exit: ExitStatus::default() })
            }
            Wanted::Step { caller, run, .. } => {
                let request = StepRequest { job: run.job, name: "step".to_owned(), ..StepRequest::default() };
                one(caller, Command::StartStep { request })
            }
        }
    }

    /// An answer leaves the controller: from now on it binds, whether it arrives or not.
    pub fn answer(&mut self, id: RpcId, answer: Answer) {
        let Some(wanted) = self.rpcs.get(&id).map(|rpc| rpc.wanted.clone()) else { return };
        match (&wanted, &answer) {
            (Wanted::Submit { work }, Answer::Done(Reply::Submitted { job, .. })) => {
                let found = self.promises.submitted(&self.history, &token(*work), *job);
                found.into_iter().for_each(|text| self.wrong(text));
            }
            (Wanted::Change { job, change: JobChange::Cancel, .. }, Answer::Done(_)) => {
                self.promises.cancelled(&mut self.history, job);
            }
            _ => {}
        }
        if !matches!(wanted, Wanted::Join { .. }) && self.chance(self.scenario.weather.reply_lost) {
            return self.tally.count(Fault::ReplyLost, kind(&wanted));
        }
        let delay = self.delay();
        self.schedule(delay, Happening::Answered { rpc: id, answer: Box::new(answer) });
    }

    pub fn answered(&mut self, id: RpcId, answer: &Answer) {
        let Some(rpc) = self.rpcs.get(&id).filter(|rpc| !rpc.done) else { return };
        let wanted = rpc.wanted.clone();
        self.trace.say(self.now, "answer", id.0, || format!("{} hears {answer:?}", id.0));
        if let Answer::Refused(refusal) = answer {
            if LATER.contains(&refusal.code.as_str()) {
                let after = self.dice.secs(1, 20);
                return self.send(id, after);
            }
            if let Wanted::Join { machine, agent } = wanted {
                let after = self.dice.secs(10, 30);
                if self.is_running(machine, agent) {
                    self.send(id, after);
                }
                return;
            }
        }
        if let Some(rpc) = self.rpcs.get_mut(&id) {
            rpc.done = true;
        }
        match (wanted, answer) {
            (Wanted::Submit { work }, Answer::Done(Reply::Submitted { job, step, .. })) => {
                self.jobs.insert(work, *job);
                if let Some(grant) = step {
                    grant.nodes.iter().for_each(|node| self.step_runs(&node.name, grant.run, grant.step.0));
                }
            }
            (Wanted::Join { machine, agent }, Answer::Done(Reply::Joined { node, name }))
                if self.is_running(machine, agent) =>
            {
                self.machines[machine.0].joined = Some((*node, name.clone()));
                self.redial(machine, agent);
            }
            (Wanted::Step { run, left, .. }, Answer::Done(Reply::Step(grant))) => {
                for node in &grant.nodes {
                    self.step_runs(&node.name, run, grant.step.0);
                }
                if left > 1 {
                    let after = self.dice.secs(1, 10);
                    self.schedule(after, Happening::LaunchStep { run, left: left - 1 });
                }
            }
            _ => {}
        }
    }

    pub fn finish_allocation(&mut self, run: Run) {
        if let Some(uid) = self.history.jobs.get(&run.job).map(|facts| facts.spec.uid) {
            self.request(Wanted::Finish { caller: Caller::User(uid), run });
        }
    }

    /// The script of an attempt that still lives launches a step.
    pub fn launch_step(&mut self, run: Run, left: u32) {
        let lives = self.executions.living().any(|executed| executed.run == run);
        if let Some(uid) = self.history.jobs.get(&run.job).map(|facts| facts.spec.uid).filter(|_| lives) {
            self.request(Wanted::Step { caller: Caller::Job { uid, run }, run, left });
        }
    }

    fn step_runs(&mut self, name: &NodeName, run: Run, step: u32) {
        let here = |(_, machine): &(usize, &crate::machine::Machine)| machine.powered && machine.name == *name;
        let found = self.machines.iter().enumerate().find(here).map(|(id, machine)| (MachineId(id), machine.boot));
        if let Some((machine, boot)) = found {
            let after = self.dice.secs(1, 20);
            self.schedule(after, Happening::StepEnds { machine, boot, run, step });
        }
    }
}

pub fn token(work: usize) -> SubmitToken {
    SubmitToken::new(format!("submission {work}"))
}

/// A short job that runs again and again.
fn entry(uid: Uid, request: RpcId, times: &str, line: u32) -> WantedEntry {
    let cron = CronSpec { times: times.to_owned(), zone: "UTC0".to_owned() };
    let spec = JobSpec {
        name: format!("cron {line}"),
        uid,
        script: Some(BlobDigest([1; 32])),
        time_limit: Some(Span::from_mins(5)),
        ask: squall_types::Ask { cpus: CpuAsk::PerTask(1), ..Default::default() },
        cron: Some(Box::new(cron)),
        ..JobSpec::default()
    };
    let token = SubmitToken::new(format!("entry {line} of {}", request.0));
    WantedEntry { spec: Box::new(spec), token, first_line: line, last_line: line }
}

fn join(order: Option<OrderId>, name: NodeName, instance: Option<squall_types::InstanceId>, key: String) -> Command {
    Command::Join { order, name: Some(name), instance, key }
}

fn kind(wanted: &Wanted) -> &'static str {
    match wanted {
        Wanted::Submit { .. } => "submit",
        Wanted::Change { .. } | Wanted::CancelAll { .. } => "change a job",
        Wanted::Node { .. } => "change a node",
        Wanted::Accounts { .. } => "change accounts",
        Wanted::Crontab { .. } => "set a crontab",
        Wanted::Join { .. } => "join",
        Wanted::Finish { .. } | Wanted::Step { .. } => "run a step",
    }
}
