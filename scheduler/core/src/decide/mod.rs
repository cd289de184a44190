//! From a command to events, or to a refusal. Reads the state, changes nothing, holds all policy.

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
    let mut draft = Draft::new(cluster, now);
    let reply = match command {
        Command::Start { epoch, version } => draft.start(*epoch, version),
        Command::Configure { config } => draft.configure(config)?,
        Command::Restore { gap } => draft.restore(*gap),
        Command::Submit { spec, token, test_only } => draft.submit(caller, spec, token, *test_only)?,
        Command::SubmitTogether { specs, token, test_only } => {
            draft.submit_together(caller, specs, token, *test_only)?
        }
        Command::Cancel { job, cron } => draft.cancel(caller, job, *cron)?,
        Command::Hold { job } => draft.hold(caller, job)?,
        Command::Release { job } => draft.release(caller, job)?,
        Command::Requeue { job, hold } => draft.requeue(caller, job, *hold)?,
        Command::Suspend { job } => draft.suspend(caller, job)?,
        Command::Resume { job } => draft.resume(caller, job)?,
        Command::Update { job, update } => draft.update(caller, job, update)?,
        Command::SetCrontab { uid, text, entries } => draft.set_crontab(caller, *uid, text, entries)?,
        Command::EditAccounts { edits, uids } => draft.edit_accounts(caller, edits, uids)?,
        Command::FinishAllocation { run, exit } => draft.finish_allocation(caller, *run, *exit)?,
        Command::StartStep { request } => draft.start_step(caller, request)?,
        Command::Node { node, action } => draft.act_on_node(caller, node, action)?,
        Command::Perform { step } => draft.perform(step)?,
        Command::Tick => draft.tick(),
        Command::Join { order, name, instance, key } => draft.join(*order, name.as_ref(), instance.as_ref(), key)?,
        Command::Register { node, measured } => draft.register(*node, measured)?,
        Command::Contact { node, contact } => draft.contact(*node, *contact),
        Command::Health { node, fault } => draft.health(*node, fault),
        Command::Attempt { node, run, state } => draft.attempt_news(*node, *run, state),
        Command::StepEnded { node, end } => draft.step_ended(*node, end),
        Command::Offers { pool, offers } => draft.offers(pool, offers),
        Command::Launched { order, launched } => draft.launched(*order, launched),
        Command::LaunchFailed { order, failure } => draft.launch_failed(*order, failure),
        Command::Listed { pool, listing, asked_at } => draft.listed(pool, listing, *asked_at),
    };
    Ok(Decision { events: draft.events, reply, after: draft.cluster })
}
