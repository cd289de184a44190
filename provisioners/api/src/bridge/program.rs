//! The main function of a provisioner's program in Rust.

use super::contract::{About, CONTRACT, MARK, MAX_START_BYTES, OLDEST_CONTRACT, Start};
use super::server::serve;
use crate::Provisioner;
use std::io::{BufRead, Read};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

/// Calls that are under way when the program is to end have so long.
const FAREWELL: Duration = Duration::from_secs(2);

/// As in `sysexits.h`.
const USAGE: u8 = 64;
const UNAVAILABLE: u8 = 69;
const CONFIGURATION: u8 = 78;

/// Reads what the controller says, makes the provisioner of it, and serves it until the controller is gone or says so.
/// To be called outside of any runtime; `make` is called within one.
pub fn main(about: &About, make: impl FnOnce(&Start) -> Result<Arc<dyn Provisioner>, String>) -> ExitCode {
    match run(about, make) {
        Ok(()) => ExitCode::SUCCESS,
        Err((code, why)) => {
            eprintln!("{}: {why}", about.program);
            ExitCode::from(code)
        }
    }
}

fn run(about: &About, make: impl FnOnce(&Start) -> Result<Arc<dyn Provisioner>, String>) -> Result<(), (u8, String)> {
    if std::env::var_os(MARK).is_none() {
        let how = "the controller starts this program, for a pool with `provisioner = \"program\"`";
        return Err((USAGE, format!("{how} and its path as `program.command`")));
    }
    let start = read_start().map_err(|why| (USAGE, format!("standard input: {why}")))?;
    if start.contract < OLDEST_CONTRACT {
        let theirs = start.contract;
        let why = format!("the controller keeps edition {theirs} of the contract, this program {CONTRACT}");
        return Err((CONFIGURATION, why));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| (UNAVAILABLE, format!("no runtime: {error}")))?;
    let served = runtime.block_on(async {
        let gone = controller_gone();
        let mut terminate = signal(SignalKind::terminate()).map_err(|error| (UNAVAILABLE, error.to_string()))?;
        let provisioner = make(&start).map_err(|why| (CONFIGURATION, why))?;
        let until = async {
            tokio::select! {
                _ = terminate.recv() => leave_at_the_latest(),
                _ = gone => {}
            }
        };
        serve(about.clone(), provisioner, &start.socket, until).await.map_err(|error| {
            let cause = std::error::Error::source(&error).map_or_else(String::new, |cause| format!(": {cause}"));
            (UNAVAILABLE, format!("{error}{cause}"))
        })
    });
    runtime.shutdown_background();
    served
}

fn read_start() -> Result<Start, String> {
    let mut line = String::new();
    let read = std::io::stdin().lock().take(MAX_START_BYTES).read_line(&mut line);
    read.map_err(|error| error.to_string())?;
    serde_json::from_str(&line).map_err(|error| format!("the first line is not what a controller says: {error}"))
}

/// Ready when standard input ends. A thread waits for it, so that a runtime that hangs ends as well.
fn controller_gone() -> oneshot::Receiver<()> {
    let (gone, told) = oneshot::channel();
    std::thread::spawn(move || {
        // Whatever else is written there is ignored; an error ends it as well.
        let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        let _ = gone.send(());
        std::thread::sleep(FAREWELL);
        std::process::exit(0);
    });
    told
}

fn leave_at_the_latest() {
    std::thread::spawn(|| {
        std::thread::sleep(FAREWELL);
        std::process::exit(0);
    });
}
