//! From a prepared run to one that is being executed.

use super::examine::{look, resolve};
use super::files::{self, executes};
use super::prepare::{cell, cell_marker, script_path};
use super::{Hands, Ready, ending};
use crate::cell::{Cell, Limits, SCRIPT};
use crate::duty::{DutyInput, Found};
use crate::launch::{Act, Begun, Identity, TaskPlan, environment};
use crate::shim::ShimPlan;
use crate::shim::records::Word;
use minicbor::bytes::ByteVec;
use squall_types::agent::Assignment;
use squall_types::ids::Run;
use std::sync::Arc;

/// Starts the shim of a launch, waits until it has begun or failed, and then watches it.
pub(super) async fn start(hands: Arc<Hands>, assignment: Arc<Assignment>, launch: u32) {
    let run = assignment.run;
    let spawned = {
        let _turn = hands.starts.acquire().await;
        let hands = hands.clone();
        let spawn = move || spawn(&hands, &assignment, launch).map(|begun| (begun, looked(&hands, run, launch)));
        tokio::task::spawn_blocking(spawn).await
    };
    let (Begun { process: shim, child }, looked) = match spawned {
        Ok(Ok(begun)) => begun,
        Ok(Err(detail)) => return hands.tell(DutyInput::ShimFailed { run, detail }).await,
        Err(panicked) => return hands.tell(DutyInput::ShimFailed { run, detail: panicked.to_string() }).await,
    };
    let found = match looked {
        Some(found) => found,
        None => resolve(&hands, run, launch).await,
    };
    let end = match found {
        Found::Running(began) => {
            hands.tell(DutyInput::ShimStarted { run, began }).await;
            tokio::spawn(ending::watch(hands, run, shim, child));
            return;
        }
        Found::NeverBegan | Found::Prepared => {
            let detail = "the job's shim ended before it began".to_owned();
            hands.tell(DutyInput::ShimFailed { run, detail }).await;
            return ending::reap(child).await;
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
    ending::reap(child).await;
}

/// A shim that has closed its pipe has mostly begun, which is plain to see.
fn looked(hands: &Hands, run: Run, launch: u32) -> Option<Found> {
    let record = hands.folder(run).record();
    let shim = record.claim(launch).and_then(|claim| claim.shim);
    match record.started().filter(|_| shim.is_some()) {
        Some(started) => Some(Found::Running(started.began)),
        None => look(hands, run, launch),
    }
}

/// Lets the shim loose, and returns when it has begun, failed, or ended. What executes nothing has its plan since it was
/// prepared; an agent before this one may have left that to now.
fn spawn(hands: &Hands, assignment: &Assignment, launch: u32) -> Result<Begun, String> {
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
        let task = if executes { Some(batch(hands, assignment, &cell, ready, cpus.clone())?) } else { None };
        let plan = Word::Plan(Box::new(ShimPlan { cell, task, cpus }));
        // With the machine its processes are lost, and nobody reads this again.
        folder.course().and_then(|mut course| course.say(&plan)).map_err(failed)?;
    }
    let launch = launch.to_string();
    hands.outlive.start(&["shim".as_ref(), folder.0.as_os_str(), launch.as_ref()], &marker).map_err(failed)
}

/// The plan of the batch script.
fn batch(
    hands: &Hands,
    assignment: &Assignment,
    cell: &Cell,
    ready: Option<Ready>,
    cpus: Vec<u32>,
) -> Result<TaskPlan, String> {
    let spec = &assignment.detail.spec;
    let run = assignment.run;
    let (identity, environment) = match ready {
        Some(ready) => (ready.identity, ready.environment),
        // An agent before this one has prepared it.
        None => {
            let record = hands.folder(run).record();
            let submitted = &record.prepared().ok_or("what was prepared for the job is gone")?.environment;
            let identity = Identity::of(spec.uid.0, spec.gid.0).map_err(|error| error.to_string())?;
            (identity, Arc::new(submitted.to_vec()))
        }
    };
    let (stdin, stdout, stderr) = files::of_batch(assignment, &hands.node).map_err(|error| error.to_string())?;
    let facts = hands.facts(assignment, &[&cell.marker, &cell.part_named(SCRIPT).marker]);
    let variables = environment::job(assignment, &identity, &facts, &environment);
    Ok(TaskPlan {
        // Not in a group of its own: making and removing one would be a good part of what a job costs here.
        cell: cell.clone(),
        identity,
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
