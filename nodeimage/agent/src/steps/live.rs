//! What the steps of a run use at this moment, read from `/proc`.

use crate::cell::{Process, process};
use crate::hands::Hands;
use crate::ledger::sealed;
use crate::shim::step::{self, PLAN, StepPlan, TASKS, TaskProcesses};
use squall_types::StepId;
use squall_types::ids::Run;
use squall_types::visit::{LiveStep, LiveTask};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;

/// All steps of the run that live on this node, the batch script among them.
pub fn steps(hands: &Hands, run: Run) -> Vec<LiveStep> {
    let all = process::all();
    let task = |rank: u32, root: Process| (root.is_alive()).then(|| of_tree(&all, rank, root));
    let mut steps = Vec::new();
    if let Some(main) = hands.folder(run).record().started().and_then(|started| started.main) {
        let tasks: Vec<LiveTask> = task(0, main).into_iter().collect();
        steps.extend((!tasks.is_empty()).then_some(LiveStep { step: StepId::BATCH, tasks }));
    }
    let entries = fs::read_dir(hands.places.run(run)).into_iter().flatten().flatten();
    for dir in entries.map(|entry| entry.path()) {
        // Without a plan it was collected, or is no step.
        let Ok(plan) = sealed::read::<StepPlan>(&dir.join(PLAN)) else { continue };
        if !step::shim_of(&dir).is_some_and(Process::is_alive) {
            continue;
        }
        let Ok(known) = sealed::read::<TaskProcesses>(&dir.join(TASKS)) else { continue };
        let tasks: Vec<LiveTask> = known.tasks.iter().filter_map(|(rank, root)| task(*rank, *root)).collect();
        steps.extend((!tasks.is_empty()).then_some(LiveStep { step: plan.step, tasks }));
    }
    steps.sort_by_key(|step| step.step);
    steps
}

/// A process and all that descends from it.
fn of_tree(all: &BTreeMap<u32, process::Stat>, rank: u32, root: Process) -> LiveTask {
    let mut members = process::descendants(all, &BTreeSet::from([root]));
    members.insert(root);
    let mut task = LiveTask { rank, ..LiveTask::default() };
    let mut peak = 0;
    for member in members {
        // Gone meanwhile, and its time with its parent by now.
        let Some(used) = process::used(member.pid) else { continue };
        task.pids.push(member.pid);
        task.user_cpu = task.user_cpu + used.user_cpu;
        task.system_cpu = task.system_cpu + used.system_cpu;
        task.rss_kib += used.rss_kib;
        task.vm_kib += used.vm_kib;
        task.pages += used.major_faults;
        task.read_bytes += used.read_bytes;
        task.written_bytes += used.written_bytes;
        peak = peak.max(used.peak_rss_kib);
    }
    task.max_rss_kib = peak.max(task.rss_kib);
    task
}
