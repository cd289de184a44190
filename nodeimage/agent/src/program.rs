//! The command line of the agent and of the processes that it makes of itself.

use crate::launch::{SelfCommand, task};
use crate::shim;
use std::ffi::OsString;
use std::path::Path;

/// A wrong call.
pub const EXIT_USAGE: i32 = 64;

/// Runs what the arguments say, and returns the exit code. `prefix` is what comes before them when this
/// program calls itself: nothing in `squalld`, `agent` in `squall`.
pub fn run(prefix: &[&str], arguments: Vec<OsString>) -> i32 {
    let again = SelfCommand::current(prefix);
    let text = |at: usize| arguments.get(at).map(|argument| argument.to_string_lossy());
    match (text(0).as_deref(), arguments.len()) {
        (Some("shim"), 3) => match text(2).as_deref().map(str::parse) {
            Some(Ok(launch)) => shim::run(Path::new(&arguments[1]), launch, &again),
            _ => usage(),
        },
        (Some("task"), 2) => task::run(Path::new(&arguments[1])),
        _ => usage(),
    }
}

fn usage() -> i32 {
    eprintln!("usage: squalld run --node NAME --state-dir DIR --controller ADDR …");
    EXIT_USAGE
}
