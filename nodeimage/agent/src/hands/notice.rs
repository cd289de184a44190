//! The words that Slurm leaves in the error output of a job that it ends.

use super::Hands;
use super::files::{executes, of_batch};
use crate::launch::{Act, Identity, Output, Stdin, TaskPlan};
use crate::ledger::sealed;
use minicbor::bytes::ByteVec;
use squall_types::agent::{Assignment, StopWhy};
use std::process::Stdio;
use std::time::{Duration, Instant};

/// What stands in the way of a word must not stand in the way of the end.
const PATIENCE: Duration = Duration::from_secs(2);

/// Appends the notice, as the job's user, to the file that the job's errors go to.
pub(super) fn say(hands: &Hands, assignment: &Assignment, why: StopWhy) {
    let Some(reason) = reason(why).filter(|_| executes(assignment)) else { return };
    let job = assignment.run.job;
    let now = jiff::Zoned::now().strftime("%Y-%m-%dT%H:%M:%S").to_string();
    let text = format!("slurmstepd: error: *** JOB {job} ON {} CANCELLED AT {now}{reason} ***\n", hands.node);
    if let Err(error) = append(hands, assignment, text) {
        tracing::warn!(%job, %error, "the notice of its end could not be left in a job's output");
    }
}

fn reason(why: StopWhy) -> Option<&'static str> {
    match why {
        StopWhy::Cancelled => Some(""),
        StopWhy::TimeLimit => Some(" DUE TO TIME LIMIT"),
        StopWhy::Requeued => Some(" DUE TO JOB REQUEUE"),
        StopWhy::NodeFailed => Some(" DUE TO NODE FAILURE, SEE SLURMCTLD LOG FOR DETAILS"),
        StopWhy::Preempted => Some(" DUE TO PREEMPTION"),
        StopWhy::BudgetExhausted => Some(" DUE TO EXHAUSTED BUDGET"),
        StopWhy::Ended => None,
    }
}

fn append(hands: &Hands, assignment: &Assignment, text: String) -> Result<(), String> {
    let spec = &assignment.detail.spec;
    let (_, stdout, stderr) = of_batch(assignment, &hands.node).map_err(|error| error.to_string())?;
    let file = if stderr == Output::Joined { stdout } else { stderr };
    let Output::File { path, .. } = file else { return Ok(()) };
    let cell = hands.cell(assignment.run).ok_or(super::NO_PLAN)?;
    let marker = cell.marker.clone();
    let plan = TaskPlan {
        cell,
        identity: Identity::of(spec.uid.0, spec.gid.0).map_err(|error| error.to_string())?,
        act: Act::Say(text),
        environment: ByteVec::from(Vec::new()),
        work_dir: "/".to_owned(),
        umask: spec.umask,
        stdin: Stdin::Nothing,
        stdout: Output::Nothing,
        stderr: Output::File { path, append: true },
        cpus: Vec::new(),
        reports: false,
        terminal: false,
    };
    let at = hands.places.run(assignment.run).join("notice");
    sealed::write_unsynced(&at, &plan).map_err(|error| error.to_string())?;
    let mut command = hands.again.command("task", &marker);
    command.arg(&at).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(|error| error.to_string())?;
    let until = Instant::now() + PATIENCE;
    while child.try_wait().map_err(|error| error.to_string())?.is_none() {
        if Instant::now() >= until {
            let _ = child.kill();
            let _ = child.wait();
            return Err("it took too long".to_owned());
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}
