//! Stops, signals, and what is left when a run is over.

use super::{Hands, lock, suspend};
use crate::cell::{Cell, Process};
use crate::clock;
use crate::duty::DutyInput;
use crate::shim::records::{self, CourseRecord};
use crate::sys;
use squall_types::StepId;
use squall_types::agent::{AttemptEnd, EndCause, ExitStatus, SignalTarget, Usage};
use squall_types::ids::Run;
use std::sync::Arc;
use std::time::Duration;

/// Where a shim left no word: somebody killed it.
pub(super) const SHIM_GONE: &str = "its shim was killed, and with it what is known of its end";
/// Between two reports that something cannot be killed.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often a process is looked at that cannot be watched.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Waits for the end of a shim that an earlier agent has started.
pub(super) async fn watch(hands: Arc<Hands>, run: Run, shim: Option<Process>) {
    gone(shim).await;
    ended(&hands, run).await;
}

/// The shim is over: makes sure that nothing of the run lives, and tells how it ended.
pub(super) async fn ended(hands: &Arc<Hands>, run: Run) {
    let record = hands.folder(run).record();
    if !cleared(hands, run) {
        let hands = hands.clone();
        let _ = tokio::task::spawn_blocking(move || clear(&hands, run)).await;
    }
    // Shims of steps that wait for a client to come back need not: the run is over.
    records::shims_of_steps(&hands.places.run(run)).into_iter().for_each(|shim| shim.signal(libc::SIGTERM));
    hands.unbind(run);
    let end = of_record(&record).unwrap_or_else(|| lost(SHIM_GONE.to_owned()));
    hands.tell(DutyInput::ShimEnded { run, end }).await;
}

/// Until a process is over.
pub async fn gone(process: Option<Process>) {
    let Some(process) = process else { return };
    let watched = sys::pidfd_open(process.pid).and_then(sys::watched);
    if let Ok(fd) = watched
        && process.is_alive()
    {
        let _ = fd.readable().await;
    }
    // A child that nobody has waited for yet is no process any more; one that cannot be watched is looked at.
    while process.is_alive() {
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// Kills until nothing of the run lives, however long that takes, and removes its cell.
pub(super) fn clear(hands: &Hands, run: Run) {
    if cleared(hands, run) {
        return;
    }
    let cell = whole(hands, run);
    while !cell.clear(PATIENCE) {
        tracing::error!(job = %run.job, attempt = %run.attempt, "processes of a job do not die");
    }
    cell.remove();
    is_gone(hands, run);
}

/// Removes the cell of a run in which nothing lives, which is quickly done. `false` where something may.
fn cleared(hands: &Hands, run: Run) -> bool {
    suspend::let_go(hands, run);
    let cleared = whole(hands, run).remove_if_empty();
    if cleared {
        is_gone(hands, run);
    }
    cleared
}

/// Only of what will be forgotten, and only then.
fn is_gone(hands: &Hands, run: Run) {
    if let Some(made) = lock(&hands.made).get_mut(&run) {
        (made.gone, made.ready) = (true, None);
    }
}

/// The cell of a run, as written down or, where that is lost, as it must have been.
pub(super) fn whole(hands: &Hands, run: Run) -> Cell {
    hands.cell_made(run).or_else(|| hands.cell(run)).unwrap_or_else(|| super::prepare::cell_named(hands, run))
}

/// The end of a run as its shim wrote it down.
pub(super) fn of_record(record: &CourseRecord) -> Option<AttemptEnd> {
    if let Some(failed) = record.failed() {
        let cause = EndCause::LaunchFailed;
        let (exit, usage) = (ExitStatus::default(), Usage::default());
        return Some(AttemptEnd { cause, exit, ended_at: failed.at.wall, usage, detail: failed.text.clone() });
    }
    let exit = record.exit()?;
    let failed = exit.status != ExitStatus::default();
    Some(AttemptEnd {
        cause: if exit.out_of_memory && failed { EndCause::OutOfMemory } else { EndCause::Exited },
        exit: exit.status,
        ended_at: exit.ended.wall,
        usage: record.clean().map_or(exit.usage, |clean| clean.usage),
        detail: String::new(),
    })
}

pub(super) fn lost(detail: String) -> AttemptEnd {
    AttemptEnd {
        cause: EndCause::Lost,
        exit: ExitStatus::default(),
        ended_at: clock::now().wall,
        usage: Usage::default(),
        detail,
    }
}

/// SIGTERM to all of the run; a shim without a script then ends when nothing is left.
pub(super) fn terminate(hands: &Hands, run: Run) {
    suspend::let_go(hands, run);
    let cell = whole(hands, run);
    // Stopped processes would not notice.
    cell.signal(libc::SIGCONT);
    cell.signal(libc::SIGTERM);
    tell_shims(hands, run);
}

pub(super) fn kill(hands: &Hands, run: Run) {
    suspend::let_go(hands, run);
    whole(hands, run).kill();
    tell_shims(hands, run);
}

/// A shim that waits for steps ends on this; others are not concerned.
fn tell_shims(hands: &Hands, run: Run) {
    for shim in records::shims(&hands.places.run(run)) {
        shim.signal(libc::SIGTERM);
    }
}

pub(super) fn signal(hands: &Hands, run: Run, target: SignalTarget, signal: i32) {
    let cell = whole(hands, run);
    match target {
        SignalTarget::All => cell.signal(signal),
        SignalTarget::BatchShell => {
            if let Some(main) = hands.folder(run).record().started().and_then(|started| started.main) {
                main.signal(signal);
            }
        }
        SignalTarget::Step(StepId::BATCH) => cell.of_script().into_iter().for_each(|process| process.signal(signal)),
        SignalTarget::Step(step) => cell.part_named(&format!("step-{step}")).signal(signal),
        SignalTarget::Steps => {
            let entries = std::fs::read_dir(hands.places.run(run)).into_iter().flatten().flatten();
            for name in entries.filter_map(|entry| entry.file_name().into_string().ok()) {
                if name.starts_with("step-") {
                    cell.part_named(&name).signal(signal);
                }
            }
        }
    }
}
