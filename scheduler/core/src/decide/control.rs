//! Cancel, hold, release, requeue, and admins' words about nodes.

use super::Reply;
use super::draft::Draft;
use super::targets::Target;
use crate::authz::{self, Object, Verb};
use crate::command::Caller;
use crate::event::What;
use crate::job::{HeldBy, Job, JobPhase, Outcome};
use crate::node::{DrainWhy, GoneWhy, Hold, HoldOwner, NodeState};
use crate::refuse::Rejection;
use squall_types::agent::StopWhy;
use squall_types::api::{JobRef, NodeAction};
use squall_types::ids::Run;
use squall_types::{EndState, ExitStatus, JobId, JobKind, NodeId, NodeName, Reason, Uid};

impl Draft<'_> {
    pub(super) fn may_change(&self, caller: &Caller, job: JobId) -> Result<(), Rejection> {
        let uid = self.job(job).map_or(Uid(0), |job| job.spec.uid);
        authz::allow(caller, Verb::ChangeJob, Object::Job { uid })
    }

    pub fn cancel(&mut self, caller: &Caller, job: &JobRef, cron: bool) -> Result<Reply, Rejection> {
        let targets = self.targets(job)?;
        for target in &targets {
            let (Target::Record(id) | Target::Waiting(id, _)) = target;
            self.may_change(caller, *id)?;
            self.may_cancel_cron(*id, cron)?;
        }
        if let [Target::Record(id)] = targets.as_slice() {
            self.may_cancel(*id, job.component.is_some())?;
        }
        for target in targets {
            match target {
                Target::Record(id) => {
                    self.forget_entry(id);
                    self.cancel_record(id, caller.uid());
                }
                Target::Waiting(record, indices) => self.cancel_waiting(record, indices, caller.uid()),
            }
        }
        Ok(Reply::Done)
    }

    fn cancel_record(&mut self, id: JobId, by: Option<Uid>) {
        let Some(job) = self.job(id) else { return };
        let run = job.run();
        let outcome =
            Outcome::End { state: EndState::Cancelled, exit: ExitStatus::default(), reason: Reason::None, by };
        match &job.phase {
            JobPhase::Pending | JobPhase::Configuring(_) => {
                self.end(id, EndState::Cancelled, ExitStatus::default(), Reason::None, by, None);
            }
            JobPhase::Bound(_) | JobPhase::Running { .. } => self.stop(run, StopWhy::Cancelled, outcome),
            // It ends already; only a return to the queue is overruled.
            JobPhase::Stopping { outcome: Outcome::Requeue { .. }, .. }
                if !crate::canary::active("cancel_loses_to_requeue") =>
            {
                self.stop(run, StopWhy::Cancelled, outcome);
            }
            JobPhase::Stopping { .. } | JobPhase::Ended(_) => {}
        }
    }

    pub fn hold(&mut self, caller: &Caller, job: &JobRef) -> Result<Reply, Rejection> {
        let by = if caller.is_admin() { HeldBy::Admin } else { HeldBy::User };
        self.each_pending(caller, job, |record| Ok(record.held.is_none()), |id| What::JobHeld { job: id, by })
    }

    pub fn release(&mut self, caller: &Caller, job: &JobRef) -> Result<Reply, Rejection> {
        let is_held = |record: &Job| match record.held {
            Some(HeldBy::Admin) if !caller.is_admin() => Err(Rejection::new("SQ2001", "Access/permission denied")
                .asked(format!("to release job {}", record.id))
                .limit("an admin holds it: only an admin may release it")),
            held => Ok(held.is_some()),
        };
        self.each_pending(caller, job, is_held, |id| What::JobReleased { job: id })
    }

    /// Applies a change to everything named that still waits and is in need of it. Elements that wait with others which were
    /// not named get a record of their own first: one for all of them that wait in the same one.
    fn each_pending(
        &mut self,
        caller: &Caller,
        job: &JobRef,
        needs: impl Fn(&Job) -> Result<bool, Rejection>,
        change: impl Fn(JobId) -> What,
    ) -> Result<Reply, Rejection> {
        for target in self.targets(job)? {
            let (Target::Record(id) | Target::Waiting(id, _)) = &target;
            self.may_change(caller, *id)?;
            let Some(record) = self.job(*id).filter(|record| record.is_pending()) else { continue };
            if needs(record)? {
                let id = self.record_for(target);
                self.emit(change(id));
            }
        }
        Ok(Reply::Done)
    }

    pub fn requeue(&mut self, caller: &Caller, job: &JobRef, hold: bool) -> Result<Reply, Rejection> {
        for target in self.targets(job)? {
            let Target::Record(id) = target else { continue };
            self.may_change(caller, id)?;
            let Some(record) = self.job(id) else { continue };
            if let Some(place) = record.het() {
                // The others come back with the leader.
                match place.is_leader() || job.job == id || job.component.is_some() {
                    true => self.may_requeue(place)?,
                    false => continue,
                }
            }
            if record.spec.kind != JobKind::Batch || record.spec.requeue == Some(false) {
                return Err(Rejection::new("SQ1010", "Requested operation is presently disabled")
                    .asked(format!("to requeue job {id}"))
                    .limit("it is not a batch job, or was submitted with --no-requeue"));
            }
            let run = record.run();
            // As Slurm: somebody who may do so wanted it to stand still.
            let hold = match hold {
                _ if record.is_suspended() => Some(HeldBy::Admin),
                true => Some(if caller.is_admin() { HeldBy::Admin } else { HeldBy::User }),
                false => None,
            };
            let not_before = self.next_time(id).unwrap_or(self.now);
            let outcome = Outcome::Requeue { not_before, hold, reason: Reason::None, failure: false };
            match &record.phase {
                JobPhase::Bound(_) | JobPhase::Running { .. } => self.stop(run, StopWhy::Requeued, outcome),
                JobPhase::Pending if hold.is_some() => {
                    self.emit(What::JobHeld { job: id, by: hold.unwrap_or(HeldBy::User) })
                }
                JobPhase::Pending if record.attempt.0 == 0 => {
                    return Err(Rejection::new("SQ1013", "Job is pending execution")
                        .asked(format!("to requeue job {id}"))
                        .limit("it has not started yet"));
                }
                JobPhase::Ended(_) => {
                    return Err(Rejection::new("SQ1011", "Job/step already completing or completed")
                        .asked(format!("to requeue job {id}"))
                        .limit("it has ended: an ended job never runs again")
                        .try_this("submit it anew"));
                }
                _ => {}
            }
        }
        Ok(Reply::Done)
    }

    /// The client that holds an allocation is done with it.
    pub fn finish_allocation(&mut self, caller: &Caller, run: Run, exit: ExitStatus) -> Result<Reply, Rejection> {
        if self.job(run.job).is_none() {
            return Err(Rejection::new("SQ1001", "Invalid job id specified").asked(format!("job {}", run.job)));
        }
        self.may_change(caller, run.job)?;
        let Some(mut job) = self.job(run.job) else { return Ok(Reply::Done) };
        if !matches!(job.phase, JobPhase::Running { .. }) {
            // Before it runs there is only the whole.
            job = self.job(self.cluster.leader_of(job.id)).unwrap_or(job);
        }
        // An array is no allocation; whoever takes it for one gives up what waits of it.
        if let Some(waiting) = job.waiting().cloned() {
            self.cancel_waiting(run.job, waiting, caller.uid());
            return Ok(Reply::Done);
        }
        let run = job.run();
        let (state, reason) = match exit {
            ExitStatus { code: 0, signal: 0 } => (EndState::Completed, Reason::None),
            ExitStatus { signal: 0, .. } => (EndState::Failed, Reason::NonZeroExitCode),
            _ => (EndState::Failed, Reason::RaisedSignal),
        };
        match &job.phase {
            JobPhase::Pending | JobPhase::Configuring(_) => {
                self.end(run.job, EndState::Cancelled, exit, Reason::None, caller.uid(), None);
            }
            JobPhase::Bound(_) | JobPhase::Running { .. } => {
                self.stop(run, StopWhy::Ended, Outcome::End { state, exit, reason, by: None });
            }
            JobPhase::Stopping { .. } | JobPhase::Ended(_) => {}
        }
        Ok(Reply::Done)
    }

    pub fn act_on_node(&mut self, caller: &Caller, name: &NodeName, action: &NodeAction) -> Result<Reply, Rejection> {
        authz::allow(caller, Verb::ChangeNode, Object::Cluster)?;
        let Some(node) = self.cluster.node_named(name) else {
            return Err(Rejection::new("SQ3001", "Invalid node name specified")
                .asked(format!("node {name}"))
                .limit("no node of that name exists now")
                .try_this("`sinfo -N` lists them"));
        };
        let id = node.id;
        match action {
            NodeAction::Drain { reason } => {
                let hold = Hold { owner: HoldOwner::Admin, reason: reason.clone(), at: self.now };
                self.emit(What::NodeHeld { node: id, hold });
            }
            NodeAction::Resume => {
                let lasts = |owner: &HoldOwner| matches!(owner, HoldOwner::Health | HoldOwner::Config);
                let owners: Vec<_> = node.holds.iter().map(|hold| hold.owner).filter(|owner| !lasts(owner)).collect();
                let draining = matches!(node.state, NodeState::Draining { why: DrainWhy::Config, .. });
                owners.into_iter().for_each(|owner| self.emit(What::NodeReleased { node: id, owner }));
                if draining {
                    self.emit(What::DrainCancelled { node: id });
                }
            }
            // What the provider did is not known: closing the row now would hide a machine and what it costs.
            NodeAction::Down { .. } if matches!(node.state, NodeState::Ordered) => {
                let (asked, limit) = (format!("to declare node {name} down"), NOT_ANSWERED);
                return Err(invalid_node_state().asked(asked).limit(limit).try_this("the same in a while"));
            }
            NodeAction::Down { reason } => {
                let hold = Hold { owner: HoldOwner::Admin, reason: reason.clone(), at: self.now };
                let fixed = node.is_static();
                self.emit(What::NodeHeld { node: id, hold });
                self.parts_gone(id);
                self.emit(What::NodeContact { node: id, contact: false });
                if !fixed {
                    self.node_gone(id, GoneWhy::Declared);
                }
            }
            NodeAction::PowerDown => self.power_down(id)?,
        }
        Ok(Reply::Done)
    }

    /// What still runs there runs on; then the plan retires the node at once.
    fn power_down(&mut self, id: NodeId) -> Result<(), Rejection> {
        let Some(node) = self.cluster.nodes.get(&id) else { return Ok(()) };
        let refused = |limit: &str, try_this: &str| {
            Err(invalid_node_state().asked(format!("to give node {} back", node.name)).limit(limit).try_this(try_this))
        };
        match node.state {
            _ if node.is_static() => refused("it is a machine of one's own, which nobody takes back", "drain it"),
            NodeState::Ordered => refused(NOT_ANSWERED, "the same in a while"),
            NodeState::Ready { .. } | NodeState::Booting { .. } | NodeState::Draining { .. } => {
                self.emit(What::NodeDraining { node: id, why: DrainWhy::Config });
                Ok(())
            }
            NodeState::Retiring { .. } | NodeState::Gone { .. } => Ok(()),
        }
    }
}

/// Why nothing is done to a node whose order is under way.
const NOT_ANSWERED: &str = "its provider has not answered the order yet";

fn invalid_node_state() -> Rejection {
    Rejection::new("SQ3002", "Invalid node state specified")
}

/// The runs that a signal reaches, with their nodes.
///
/// # Errors
/// Where the job is not known, or the caller may not touch it.
pub fn signal_targets(
    cluster: &crate::cluster::Cluster,
    caller: &Caller,
    job: &JobRef,
) -> Result<Vec<(Run, Vec<squall_types::NodeId>)>, Rejection> {
    let (mut cluster, at) = (cluster.clone(), cluster.counters.at);
    let draft = Draft::new(&mut cluster, at);
    let mut runs = Vec::new();
    for target in draft.targets(job)? {
        let (Target::Record(id) | Target::Waiting(id, _)) = target;
        draft.may_change(caller, id)?;
        if let Some(job) = draft.job(id).filter(|job| job.is_suspended()) {
            return Err(Rejection::new("SQ1014", "Job can not be altered now, try again later")
                .asked(format!("to signal job {}", job.id))
                .limit("it is suspended: its processes hear nothing before it is resumed")
                .try_this(format!("scancel {}, which ends it, or have an admin resume it", job.id)));
        }
        if let Some(job) = draft.job(id)
            && let JobPhase::Running { placement, .. } | JobPhase::Stopping { placement, .. } = &job.phase
        {
            runs.push((job.run(), placement.allocations.iter().map(|held| held.node).collect()));
        }
    }
    Ok(runs)
}
