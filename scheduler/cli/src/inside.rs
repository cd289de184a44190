//! Commands that end, or signal, the job that they run in.

use crate::invocation::Invocation;
use nix::sys::signal::{SigSet, Signal};

/// From here on the command ends with the controller's answer, and not by what it asked for: the node signals everything
/// in the job before the answer is heard, and the job's program asks how it went. Outside of jobs nothing changes.
pub fn outlives(invocation: &Invocation<'_>, signal: Option<i32>) {
    if invocation.environment.filled("SLURM_JOB_ID").is_none() {
        return;
    }
    let mut blocked = SigSet::from(Signal::SIGTERM);
    blocked.extend(signal.and_then(|signal| Signal::try_from(signal).ok()));
    // One thread does everything here. What cannot be blocked kills, as it would have.
    let _ = blocked.thread_block();
}
