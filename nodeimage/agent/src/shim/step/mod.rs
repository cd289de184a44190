//! The process that keeps one node's part of a step. It outlives the agent, and so does the step: an agent that is started
//! again finds its socket, and the client goes on where it was.
//!
//! A step ends when its tasks have; what they left is killed. A client that is lost has a while to come back, then
//! the tasks are terminated: nobody would hear of them.

mod backlog;
mod keeper;
mod tasks;
mod visitors;
pub mod words;

use super::records::Claim;
use crate::cell::{Cell, Process};
use crate::clock;
use crate::launch::SelfCommand;
use crate::ledger::sealed;
use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};
use squall_types::Span;
use squall_types::StepId;
use squall_types::agent::{ExitStatus, StepEnd};
use squall_types::ids::Run;
use std::io;
use std::path::Path;

/// The name of the socket in the step's folder.
pub const SOCKET: &str = "io.sock";
/// The name of the socket for visitors.
pub const VISITORS: &str = "visit.sock";
/// The name of the claim: what stays of a step that was collected, so that it can never be started again.
pub const CLAIM: &str = "claim-1";
/// The name of the record of the processes of its tasks.
pub const TASKS: &str = "tasks";
/// The name of the plan.
pub const PLAN: &str = "step";
/// The name of the record of the end.
pub const END: &str = "end";

/// Its name once it was told.
const TAKEN: &str = "end-told";

/// What the shim of a step is to do; in its folder as [`PLAN`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct StepPlan {
    #[n(0)]
    pub run: Run,
    #[n(1)]
    pub step: StepId,
    /// Of this step alone.
    #[n(2)]
    pub cell: Cell,
    #[n(3)]
    pub tasks: Vec<StepTask>,
    #[n(4)]
    pub kill_on_bad_exit: bool,
    /// How long the others may run after the first task ended.
    #[n(5)]
    pub wait_after: Option<Span>,
    #[n(6)]
    pub time_limit: Option<Span>,
    /// A warning so long before the time limit.
    #[n(7)]
    pub warning: Option<(i32, Span)>,
    /// Between SIGTERM and SIGKILL.
    #[n(8)]
    pub kill_wait: Span,
    /// Rows and columns.
    #[n(9)]
    pub terminal: Option<(u16, u16)>,
    /// Who may come back: only the bearer of the very same credential.
    #[n(10)]
    pub credential: ByteVec,
}

/// Which process each task is; in the step's folder as [`TASKS`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct TaskProcesses {
    /// Rank and process; those that could not be started are not in it.
    #[n(0)]
    pub tasks: Vec<(u32, Process)>,
}

/// One task. What it executes stands in `task-RANK`.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct StepTask {
    #[n(0)]
    pub rank: u32,
    /// Its input comes from the client.
    #[n(1)]
    pub stdin: bool,
    #[n(2)]
    pub stdout: bool,
    #[n(3)]
    pub stderr: bool,
    #[n(4)]
    pub terminal: bool,
}

/// Runs the shim of a step.
pub fn run(dir: &Path, again: &SelfCommand) -> i32 {
    match keep(dir, again) {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("squalld step: error: {}: {error}", dir.display());
            1
        }
    }
}

fn keep(dir: &Path, again: &SelfCommand) -> io::Result<()> {
    nix::sys::prctl::set_child_subreaper(true)?;
    let _ = nix::unistd::setsid();
    // The socket is bound by its bare name: a path to it could be longer than an address may be.
    nix::unistd::chdir(dir)?;
    let plan: StepPlan = sealed::read(&dir.join(PLAN)).map_err(io::Error::other)?;
    super::be_called(format!("step {}.{}", plan.run.job, plan.step));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(keeper::keep(dir, &plan, again))
}

/// Claims the step of a folder; `false` where somebody else has. It is never begun again, so the claim may be lost with
/// the machine.
fn claim(dir: &Path, claim: &Claim) -> io::Result<bool> {
    sealed::write_new(&dir.join(CLAIM), claim)
}

/// Who has the step of a folder.
pub fn claimed(dir: &Path) -> Option<Claim> {
    sealed::read(&dir.join(CLAIM)).ok()
}

/// The shim of the step, where it lives or ended since the machine booted.
pub fn shim_of(dir: &Path) -> Option<Process> {
    claimed(dir).filter(|claim| claim.boot_id == clock::boot_id())?.shim
}

/// Of several tasks, the worst: as `srun` counts them.
pub fn worst(one: ExitStatus, other: ExitStatus) -> ExitStatus {
    let weight = |exit: &ExitStatus| if exit.signal != 0 { 128 + exit.signal } else { exit.code };
    if weight(&other) > weight(&one) { other } else { one }
}

/// The end of a step, if its shim has written it down and nobody has taken it yet.
pub fn take_end(dir: &Path) -> Option<StepEnd> {
    let end = sealed::read(&dir.join(END)).ok()?;
    // Who renames it has it.
    std::fs::rename(dir.join(END), dir.join(TAKEN)).ok().map(|()| end)
}

/// The end as the shim has written it down, or, where it came to write none, what `otherwise` says. `None` where
/// somebody else has taken it.
pub fn end_or(dir: &Path, otherwise: impl FnOnce() -> StepEnd) -> Option<StepEnd> {
    // In this order: one that is taken in between is seen to be taken.
    take_end(dir).or_else(|| (!dir.join(TAKEN).exists()).then(otherwise))
}

#[cfg(test)]
mod tests {
    use super::*;
    use squall_types::agent::Usage;
    use squall_types::{Attempt, JobId, Timestamp};
    use std::thread;

    fn end(code: i32) -> StepEnd {
        StepEnd {
            run: Run { job: JobId(7), attempt: Attempt(1) },
            step: StepId(0),
            exit: ExitStatus { code, signal: 0 },
            started_at: Timestamp(0),
            ended_at: Timestamp(1),
            usage: Usage::default(),
        }
    }

    #[test]
    fn an_end_is_taken_once_and_made_up_only_where_there_is_none() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(end_or(dir.path(), || end(9)), Some(end(9)));
        sealed::write_unsynced(&dir.path().join(END), &end(3)).unwrap();
        assert_eq!(end_or(dir.path(), || end(9)), Some(end(3)));
        assert_eq!(end_or(dir.path(), || end(9)), None);
    }

    #[test]
    fn of_two_who_want_the_end_at_the_same_time_one_gets_it() {
        for _ in 0..500 {
            let dir = tempfile::tempdir().unwrap();
            sealed::write_unsynced(&dir.path().join(END), &end(3)).unwrap();
            let (one, other) = thread::scope(|scope| {
                let other = scope.spawn(|| take_end(dir.path()));
                (end_or(dir.path(), || end(9)), other.join().unwrap())
            });
            assert_eq!([one, other].into_iter().flatten().collect::<Vec<_>>(), [end(3)]);
        }
    }
}
