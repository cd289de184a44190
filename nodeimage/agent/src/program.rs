//! The command line of the agent and of the processes that it makes of itself.

use crate::daemon::{self, DaemonError, EXIT_FAILED, EXIT_LOCKED, OptionError, Options, USAGE};
use crate::launch::{SelfCommand, receive, task};
use crate::login::{self, LoginOptions};
use crate::shim;
use std::error::Error;
use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::Path;
use tracing_subscriber::EnvFilter;

/// A wrong call.
pub const EXIT_USAGE: i32 = 64;
/// What the agent logs, in the form of `RUST_LOG`.
const LOG: &str = "SQUALL_LOG";

/// Runs what the arguments say, and returns the exit code. `prefix` is what comes before them when this
/// program calls itself: nothing in `squalld`, `agent` in `squall`.
pub fn run(prefix: &[&str], arguments: Vec<OsString>) -> i32 {
    let again = SelfCommand::current(prefix);
    let text = |at: usize| arguments.get(at).map(|argument| argument.to_string_lossy());
    match (text(0).as_deref(), arguments.len()) {
        (Some("run"), _) => agent(&arguments[1..], again),
        (Some("login"), _) => login(&arguments[1..]),
        (Some("shim"), 3) => match text(2).as_deref().map(str::parse) {
            Some(Ok(launch)) => shim::run(Path::new(&arguments[1]), launch),
            _ => usage(),
        },
        (Some("step"), 2) => shim::step::run(Path::new(&arguments[1]), &again),
        (Some("receive"), 1) => receive::run(),
        (Some("task"), 2) => task::run(Path::new(&arguments[1])),
        _ => usage(),
    }
}

fn usage() -> i32 {
    eprint!("{USAGE}");
    EXIT_USAGE
}

/// The daemon of a login host.
fn login(arguments: &[OsString]) -> i32 {
    let options = match LoginOptions::parse(arguments) {
        Ok(options) => options,
        Err(text) => {
            eprintln!("squalld: {text}");
            return EXIT_USAGE;
        }
    };
    start_logging();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("squalld: error: the system gives no runtime: {error}");
            return EXIT_FAILED;
        }
    };
    match runtime.block_on(login::run(options)) {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("squalld: error: {}", with_causes(&error));
            EXIT_FAILED
        }
    }
}

fn start_logging() {
    let filter = EnvFilter::try_from_env(LOG).unwrap_or_else(|_| EnvFilter::new("info"));
    // Another subscriber, where this is a part of a larger program, stays.
    let _ = tracing_subscriber::fmt()
        .with_ansi(std::io::stderr().is_terminal())
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .try_init();
}

fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}

fn agent(arguments: &[OsString], again: SelfCommand) -> i32 {
    let options = match Options::parse(arguments) {
        Ok(options) => options,
        Err(OptionError::Help(text)) => {
            print!("{text}");
            return 0;
        }
        Err(error) => {
            eprintln!("squalld: error: {error}");
            return EXIT_USAGE;
        }
    };
    start_logging();
    match daemon::run(options, again) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("squalld: error: {}", with_causes(&error));
            if matches!(error, DaemonError::Lock(crate::ledger::LockError::Taken { .. })) {
                EXIT_LOCKED
            } else {
                EXIT_FAILED
            }
        }
    }
}
