//! The command line of the agent and of the processes that it makes of itself.

use crate::daemon::{self, DaemonError, EXIT_FAILED, EXIT_LOCKED, OptionError, Options, USAGE};
use crate::launch::{BUILD, SHIM, SelfCommand, receive, task};
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
    match arguments.first().and_then(|word| word.to_str()) {
        Some("run") => agent(&arguments[1..], prefix),
        Some("login") => login(&arguments[1..]),
        _ => outliving(prefix, &arguments).unwrap_or_else(usage),
    }
}

/// The program that has nothing but the processes which outlive the agent.
pub fn shim(arguments: &[OsString]) -> i32 {
    // Started through a descriptor, it would be called by its number.
    let _ = nix::sys::prctl::set_name(c"squall-shim");
    outliving(&[], arguments).unwrap_or_else(|| {
        eprintln!("{SHIM}: this program is started by Squall's agent, for each job that the node runs");
        EXIT_USAGE
    })
}

/// What the agent starts for jobs; `None` for other words.
fn outliving(prefix: &[&str], arguments: &[OsString]) -> Option<i32> {
    let text = |at: usize| arguments.get(at).and_then(|argument| argument.to_str());
    match (text(0)?, arguments.len()) {
        ("shim", 3) => Some(shim::run(Path::new(&arguments[1]), text(2)?.parse().ok()?)),
        ("step", 2) => Some(shim::step::run(Path::new(&arguments[1]), &SelfCommand::current(prefix))),
        ("nursery", 1) => Some(shim::nursery::run(|words| outliving(prefix, &words).unwrap_or(EXIT_USAGE))),
        ("receive", 1) => Some(receive::run()),
        ("task", 2) => Some(task::run(Path::new(&arguments[1]))),
        ("build", 1) => {
            println!("{BUILD}");
            Some(0)
        }
        _ => None,
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

fn agent(arguments: &[OsString], prefix: &[&str]) -> i32 {
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
    match daemon::run(options, SelfCommand::small(prefix)) {
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
