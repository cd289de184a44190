//! The controller's process: started apart from this one, waited for, ended.

use super::Place;
use super::process::Process;
use squall_proto::ClientError;
use squall_proto::client::Client;
use squall_proto::connect::Target;
use squall_types::api::PingReply;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

/// From its start to its first answer. A long journal is read meanwhile.
const START_PATIENCE: Duration = Duration::from_secs(60);
/// It finishes what it is at; then it is killed, which loses nothing.
const STOP_PATIENCE: Duration = Duration::from_secs(10);
/// Between two tries to reach it.
const TRY_AGAIN: Duration = Duration::from_millis(25);
/// One try to reach it.
const PING_PATIENCE: Duration = Duration::from_secs(2);
/// How much of the log's end is shown when it does not start.
const LOG_TAIL: u64 = 4_096;
const LOG_LINES: usize = 12;
/// A log that has grown beyond this is begun anew.
const MAX_LOG_BYTES: u64 = 64 << 20;

/// Why there is no controller.
#[derive(Debug, thiserror::Error)]
pub enum ControllerError {
    #[error("the controller ended while it started{}", said(.log))]
    Ended { log: String },
    #[error("the controller did not answer within {} s: {last}{}", START_PATIENCE.as_secs(), said(.log))]
    Silent { last: String, log: String },
}

fn said(log: &str) -> String {
    if log.is_empty() { String::new() } else { format!("; it said:\n{log}") }
}

/// This program's file, to be executed again.
///
/// # Errors
/// If it is gone.
pub fn own_program() -> io::Result<PathBuf> {
    let program = std::env::current_exe()?;
    if program.is_file() {
        return Ok(program);
    }
    Err(io::Error::new(io::ErrorKind::NotFound, format!("{} is gone", program.display())))
}

/// Where clients of this cluster go.
///
/// # Errors
/// A path that is no text.
pub fn target(place: &Place) -> Result<Target, ClientError> {
    Target::unix(&place.socket()).map_err(|error| ClientError::Other(error.to_string()))
}

/// Starts the controller: in a process group of its own, so that what is typed at this terminal does not reach it.
///
/// # Errors
/// As the system says why it cannot be executed.
pub fn start(place: &Place) -> io::Result<Child> {
    let log = open_log(&place.log())?;
    let mut command = Command::new(own_program()?);
    command.args(["ctld", "run", "--config"]).arg(place.config());
    for (name, _) in std::env::vars_os() {
        // Those of a job or of another cluster around this one. Settings (`SQUALL__…`) are meant.
        let name_bytes = name.as_encoded_bytes();
        let foreign = name_bytes.starts_with(b"SLURM_") || name_bytes.starts_with(b"SQUALL_");
        if foreign && !name_bytes.starts_with(b"SQUALL__") {
            command.env_remove(name);
        }
    }
    command.current_dir("/").stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    let child = command.process_group(0).spawn()?;
    if let Some(process) = Process::of(child.id()) {
        process.record(&place.controller_record())?;
    }
    Ok(child)
}

/// Waits until the controller answers.
///
/// # Errors
/// If it ends before, or does not answer in time, with the end of its log.
pub async fn wait_ready(place: &Place, child: &mut Child) -> Result<(Client, PingReply), ControllerError> {
    let silent = |last: String| ControllerError::Silent { last, log: log_tail(&place.log()) };
    let target = target(place).map_err(|error| silent(error.to_string()))?;
    let until = Instant::now() + START_PATIENCE;
    loop {
        let last = match reach(&target).await {
            Ok(reached) => return Ok(reached),
            Err(error) => error.to_string(),
        };
        if let Ok(Some(_)) = child.try_wait() {
            return Err(ControllerError::Ended { log: log_tail(&place.log()) });
        }
        if Instant::now() >= until {
            return Err(silent(last));
        }
        tokio::time::sleep(TRY_AGAIN).await;
    }
}

/// One try to reach the controller.
///
/// # Errors
/// As a client's.
pub async fn reach(target: &Target) -> Result<(Client, PingReply), ClientError> {
    let client = Client::lazy(target)?;
    let reply = client.clone().with_patience(PING_PATIENCE).ping().await?;
    Ok((client, reply))
}

/// Ends the controller that was noted, if there is one; says whether it is gone.
pub fn stop(place: &Place) -> bool {
    let Some(process) = Process::recorded(&place.controller_record()) else { return true };
    process.signal(Signal::SIGTERM);
    if process.wait(STOP_PATIENCE) {
        return true;
    }
    process.signal(Signal::SIGKILL);
    process.wait(STOP_PATIENCE)
}

fn open_log(path: &Path) -> io::Result<File> {
    let begin_anew = fs::metadata(path).is_ok_and(|log| log.len() > MAX_LOG_BYTES);
    if begin_anew {
        fs::rename(path, path.with_extension("log.1"))?;
    }
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

/// The last lines of a log, indented.
pub fn log_tail(path: &Path) -> String {
    let read = || -> io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(LOG_TAIL)))?;
        let mut bytes = Vec::new();
        file.take(LOG_TAIL).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<String> = text.lines().map(|line| format!("  {}", crate::terminal::escaped(line))).collect();
    lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
}
