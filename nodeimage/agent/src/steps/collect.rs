//! How steps ended, and steps of an earlier agent.

use crate::cell::Process;
use crate::clock;
use crate::duty::DutyInput;
use crate::hands::{Hands, gone};
use crate::launch::Begun;
use crate::ledger::sealed;
use crate::shim::step::{self, CLAIM, PLAN, StepPlan};
use squall_types::agent::{ExitStatus, StepEnd, Usage};
use squall_types::ids::Run;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// What a killed shim left is killed for so long before it is left to the end of the job.
const PATIENCE: Duration = Duration::from_secs(30);

/// Steps of a job of which files may stay, on so many of their tasks, of so many bytes each.
const FIRST_STEPS: u32 = 2;
const MOST_TASKS: usize = 2;
const MOST_BYTES: u64 = 16 << 10;
/// The name of the plan of a step whose end was taken.
const COLLECTED: &str = "step-collected";

/// Takes up the steps that an earlier agent left in the folder of a run. Returns the plans of those that live.
pub fn adopt(hands: &Arc<Hands>, run: Run) -> Vec<StepPlan> {
    let entries = fs::read_dir(hands.places.run(run)).into_iter().flatten().flatten();
    let steps = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("step-"));
    let mut live = Vec::new();
    for dir in steps.map(|entry| entry.path()) {
        // Without a plan it was collected, or never began.
        let Ok(plan) = sealed::read::<StepPlan>(&dir.join(PLAN)) else { continue };
        let shim = step::shim_of(&dir);
        if shim.is_some_and(Process::is_alive) {
            live.push(plan.clone());
        }
        tokio::spawn(watch(hands.clone(), dir, plan, None));
    }
    live
}

/// Waits for the end of a step's shim, which this agent or an earlier one has started, and tells how the step ended.
pub async fn watch(hands: Arc<Hands>, dir: PathBuf, plan: StepPlan, begun: Option<Begun>) {
    match begun {
        Some(begun) if begun.spoke => begun.over().await,
        // Whoever has claimed it.
        _ => gone(step::shim_of(&dir)).await,
    }
    let end = tokio::task::spawn_blocking(move || {
        let end = step::end_or(&dir, || abandoned(&plan));
        clear(&dir, &plan);
        end
    });
    if let Ok(Some(end)) = end.await {
        hands.tell(DutyInput::StepEnded(end)).await;
    }
}

/// Tells how a step ended whose shim still waits for its client to have heard it.
pub async fn told_finished(hands: &Arc<Hands>, dir: PathBuf) {
    if let Ok(Some(end)) = tokio::task::spawn_blocking(move || step::take_end(&dir)).await {
        hands.tell(DutyInput::StepEnded(end)).await;
    }
}

/// The shim was killed: so is what it kept.
fn abandoned(plan: &StepPlan) -> StepEnd {
    plan.cell.clear(PATIENCE);
    plan.cell.remove();
    let now = clock::now().wall;
    StepEnd {
        run: plan.run,
        step: plan.step,
        exit: ExitStatus { code: 0, signal: libc::SIGKILL },
        started_at: now,
        ended_at: now,
        usage: Usage::default(),
    }
}

/// Leaves the claim, by which the step can never be started again, and else nothing that is large. The few files of a
/// job's first steps go with the job's folder, when nothing starts: whoever makes a file looks at all that were deleted
/// just before.
fn clear(dir: &Path, plan: &StepPlan) {
    let is_small =
        |rank: u32| fs::metadata(dir.join(format!("task-{rank}"))).is_ok_and(|task| task.len() <= MOST_BYTES);
    let small =
        plan.step.0 < FIRST_STEPS && plan.tasks.len() <= MOST_TASKS && plan.tasks.iter().all(|t| is_small(t.rank));
    // Without a plan it counts as collected.
    if small && fs::rename(dir.join(PLAN), dir.join(COLLECTED)).is_ok() {
        return;
    }
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_name() != CLAIM
            && let Err(error) = fs::remove_file(entry.path())
        {
            tracing::debug!(%error, "a file of a step is left");
        }
    }
}
