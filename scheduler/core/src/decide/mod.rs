//! From a command to events, or to a refusal. Holds all policy, and changes the state by its events alone.

mod accounts;
mod admission;
mod agents;
mod control;
mod crontab;
mod dependencies;
mod draft;
mod ends;
mod het;
mod inventory;
mod orders;
mod perform;
mod startup;
mod steps;
mod submit;
mod suspend;
mod targets;
mod tick;
mod update;

use crate::cluster::Cluster;
use crate::command::{Caller, Command};
use crate::event::Event;
use crate::refuse::Rejection;
use draft::Draft;
use squall_types::api::{Estimate, StepGrant};
use squall_types::{JobId, NodeId, NodeName, Timestamp};

pub use accounts::MAX_EDITS;
pub use control::signal_targets;
pub(crate) use dependencies::{element_may_go, elements_that_may_go};
pub use tick::next_wakeup;

/// What follows from a command: events to store, and what to answer once they are on disk.
#[derive(Clone, Debug)]
pub struct Decision {
    pub events: Vec<Event>,
    pub reply: Reply,
    /// The state with these events in it, so that whoever takes the decision need not fold them again.
    pub after: Cluster,
}

/// A decision that the state already has in it.
#[derive(Clone, Debug)]
pub struct Decided {
    pub events: Vec<Event>,
    pub reply: Reply,
    /// Nodes whose duties may have changed with it.
    pub touched: Vec<NodeId>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    Done,
    Submitted {
        job: JobId,
        notes: Vec<String>,
        /// The step that was to begin with the job, where it did. The credential is for the shell to add.
        step: Option<Box<StepGrant>>,
    },
    /// `--test-only`.
    Estimated {
        estimate: Estimate,
    },
    Joined {
        node: NodeId,
        name: NodeName,
    },
    /// The credential is for the shell to add.
    Step(Box<StepGrant>),
    /// Refused, and that itself is worth a record.
    Refused(Rejection),
}

/// Decides one command.
///
/// # Errors
/// A refusal names what was asked, which rule and number refused it, and what would work. Nothing changes then.
pub fn decide(cluster: &Cluster, now: Timestamp, caller: &Caller, command: &Command) -> Result<Decision, Rejection> {
    let mut after = cluster.clone();
    let Decided { events, reply, .. } = decide_in_place(&mut after, now, caller, command)?;
    Ok(Decision { events, reply, after })
}

/// The same in a state that nobody else has to see as it was: what no snapshot shares with it is not copied.
///
/// # Errors
/// As those of [`decide`].
///
/// # Panics
/// Where a command that is to be checked first is refused after events: the state would no longer be the journal's.
pub fn decide_in_place(
    cluster: &mut Cluster,
    now: Timestamp,
    caller: &Caller,
    command: &Command,
) -> Result<Decided, Rejection> {
    let before = (!is_all_checked_first(cluster, command)).then(|| cluster.clone());
    let mut draft = Draft::new(cluster, now);
    let reply = draft.carry_out(caller, command);
    let Draft { mut events, touched, .. } = draft;
    match before {
        // A question may have tried things out.
        Some(before) if reply.is_err() || matches!(reply, Ok(Reply::Estimated { .. })) => {
            events.clear();
            *cluster = before;
        }
        _ => assert!(reply.is_ok() || events.is_empty(), "a refusal left events behind: {events:?}"),
    }
    Ok(Decided { events, reply: reply?, touched })
}

/// Whether every refusal of a command comes before its first event. Those are the many; where one of several parts may
/// be refused after others were done, the state is kept as it was.
fn is_all_checked_first(cluster: &Cluster, command: &Command) -> bool {
    use Command::*;
    match command {
        Perform { step } => !perform::is_of_several(cluster, step),
        Submit { .. } => true,
        // These are never refused.
        Start { .. } | Restore { .. } | Tick | Contact { .. } | Health { .. } | Attempt { .. } | StepEnded { .. } => {
            true
        }
        Offers { .. } | Launched { .. } | LaunchFailed { .. } | Listed { .. } => true,
        _ => false,
    }
}

impl Draft<'_> {
    fn carry_out(&mut self, caller: &Caller, command: &Command) -> Result<Reply, Rejection> {
        Ok(match command {
            Command::Start { epoch, version } => self.start(*epoch, version),
            Command::Configure { config } => self.configure(config)?,
            Command::Restore { gap } => self.restore(*gap),
            Command::Submit { spec, token, test_only } => self.submit(caller, spec, token, *test_only)?,
            Command::SubmitTogether { specs, token, test_only } => {
                self.submit_together(caller, specs, token, *test_only)?
            }
            Command::Cancel { job, cron } => self.cancel(caller, job, *cron)?,
            Command::Hold { job } => self.hold(caller, job)?,
            Command::Release { job } => self.release(caller, job)?,
            Command::Requeue { job, hold } => self.requeue(caller, job, *hold)?,
            Command::Suspend { job } => self.suspend(caller, job)?,
            Command::Resume { job } => self.resume(caller, job)?,
            Command::Update { job, update } => self.update(caller, job, update)?,
            Command::SetCrontab { uid, text, entries } => self.set_crontab(caller, *uid, text, entries)?,
            Command::EditAccounts { edits, uids } => self.edit_accounts(caller, edits, uids)?,
            Command::FinishAllocation { run, exit } => self.finish_allocation(caller, *run, *exit)?,
            Command::StartStep { request } => self.start_step(caller, request)?,
            Command::Node { node, action } => self.act_on_node(caller, node, action)?,
            Command::Perform { step } => self.perform(step)?,
            Command::Tick => self.tick(),
            Command::Join { order, name, instance, key } => self.join(*order, name.as_ref(), instance.as_ref(), key)?,
            Command::Register { node, measured } => self.register(*node, measured)?,
            Command::Contact { node, contact } => self.contact(*node, *contact),
            Command::Health { node, fault } => self.health(*node, fault),
            Command::Attempt { node, run, state } => self.attempt_news(*node, *run, state),
            Command::StepEnded { node, end } => self.step_ended(*node, end),
            Command::Offers { pool, offers } => self.offers(pool, offers),
            Command::Launched { order, launched } => self.launched(*order, launched),
            Command::LaunchFailed { order, failure } => self.launch_failed(*order, failure),
            Command::Listed { pool, listing, asked_at } => self.listed(pool, listing, *asked_at),
        })
    }
}
