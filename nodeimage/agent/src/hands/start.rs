//! From a prepared run to one that is being executed.

use super::examine::resolve;
use super::files::{self, executes};
use super::prepare::{cell, cell_marker, script_path};
use super::{Hands, Ready, ending, prepare};
use crate::cell::{Cell, Limits, SCRIPT};
use crate::duty::{DutyInput, Found, Now};
use crate::launch::{Act, Begun, TaskPlan, environment};
use crate::shim::ShimPlan;
use crate::shim::records::Word;
use minicbor::bytes::ByteVec;
use squall_types::agent::Assignment;
use squall_types::ids::Run;
use std::sync::Arc;

/// Starts the shim of a launch, waits until it has begun or failed, and then watches it.
pub(super) async fn start(hands: &Arc<Hands>, assignment: &Assignment, launch: u32) {
    let run = assignment.run;
    let begun = {
        let _turn = hands.starts.acquire().await;
        let_loose(hands, assignment, launch).await
    };
    let begun = match begun {
        Ok(begun) => begun,
        Err(detail) => return hands.tell(DutyInput::ShimFailed { run, detail }).await,
    };
    let found = match running(hands, run, launch) {
        Some(began) => Found::Running(began),
        None => resolve(hands, run, launch).await,
    };
    let end = match found {
        Found::Running(began) => {
            hands.tell(DutyInput::ShimStarted { run, began }).await;
            if !begun.spoke {
                // Another one has claimed the launch.
                let shim = hands.folder(run).record().claim(launch).and_then(|claim| claim.shim);
                ending::gone(shim).await;
            }
            begun.over().await;
            return ending::ended(hands, run).await;
        }
        Found::NeverBegan | Found::Prepared => {
            let detail = "the job's shim ended before it began".to_owned();
            hands.tell(DutyInput::ShimFailed { run, detail }).await;
            return begun.over().await;
        }
        Found::Ended(end) => end,
        Found::Lost { detail } => ending::lost(detail),
    };
    // Over already; that it began is news all the same.
    if let Some(started) = hands.folder(run).record().started() {
        hands.tell(DutyInput::ShimStarted { run, began: started.began }).await;
    }
    hands.unbind(run);
    hands.tell(DutyInput::ShimEnded { run, end }).await;
    begun.over().await;
}

/// What a shim that has spoken, or closed its pipe, has mostly written: that it has begun.
fn running(hands: &Hands, run: Run, launch: u32) -> Option<Now> {
    let record = hands.folder(run).record();
    record.claim(launch)?.shim?;
    Some(record.started()?.began)
}

/// Lets the shim loose, and returns when it has begun, failed, or ended. What executes nothing has its plan since it was
/// prepared; an agent before this one may have left that to now.
async fn let_loose(hands: &Hands, assignment: &Assignment, launch: u32) -> Result<Begun, String> {
    let run = assignment.run;
    let failed = |error: std::io::Error| format!("the node could not start the job: {error}");
    let folder = hands.folder(run);
    let marker = cell_marker(hands, run);
    let executes = executes(assignment);
    if executes || folder.record().plan().is_none() {
        let ready = hands.ready(run);
        let cell = match &ready {
            Some(ready) => ready.cell.clone(),
            None => {
                let limits = Limits { memory_mib: assignment.allocation.memory_mib, cpus: assignment.allocation.cpus };
                cell(hands, run, limits).map_err(failed)?
            }
        };
        let cpus = hands.bind(run, assignment.allocation.cpus);
        let task = match (executes, ready) {
            (true, Some(ready)) => Some(batch(hands, assignment, &ready, cpus.clone())?),
            (true, None) => Some(batch(hands, assignment, &remade(hands, assignment, &cell).await?, cpus.clone())?),
            (false, _) => None,
        };
        let plan = Word::Plan(Box::new(ShimPlan { cell, task, cpus }));
        // With the machine its processes are lost, and nobody reads this again.
        folder.course().and_then(|mut course| course.say(&plan)).map_err(failed)?;
    }
    let (claimed, number) = (|| folder.record().claim(launch).is_some(), launch.to_string());
    let words = ["shim".as_ref(), folder.0.as_os_str(), number.as_ref()];
    hands.outlive.start(&words, &marker, claimed).await.map_err(failed)
}

/// What an agent before this one has found out when it prepared the run.
async fn remade(hands: &Hands, assignment: &Assignment, cell: &Cell) -> Result<Ready, String> {
    let record = hands.folder(assignment.run).record();
    let submitted = record.prepared().ok_or("what was prepared for the job is gone")?.environment.to_vec();
    let identity = prepare::identify(assignment).await?;
    Ok(Ready { cell: cell.clone(), identity, environment: Arc::new(submitted) })
}

/// The plan of the batch script.
fn batch(hands: &Hands, assignment: &Assignment, ready: &Ready, cpus: Vec<u32>) -> Result<TaskPlan, String> {
    let (spec, run) = (&assignment.detail.spec, assignment.run);
    let Ready { cell, identity, environment } = ready;
    let (stdin, stdout, stderr) = files::of_batch(assignment, &hands.node).map_err(|error| error.to_string())?;
    let facts = hands.facts(assignment, &[&cell.marker, &cell.part_named(SCRIPT).marker]);
    let variables = environment::job(assignment, identity, &facts, environment);
    Ok(TaskPlan {
        // Not in a group of its own: making and removing one would be a good part of what a job costs here.
        cell: cell.clone(),
        identity: identity.clone(),
        act: Act::Execute {
            path: script_path(hands, run).to_string_lossy().into_owned(),
            arguments: spec.arguments.clone(),
        },
        environment: ByteVec::from(environment::blob(&variables)),
        work_dir: spec.work_dir.clone(),
        umask: spec.umask,
        stdin,
        stdout,
        stderr,
        cpus,
        reports: true,
        terminal: false,
    })
}
