//! One process: started, spoken to for the first time, watched, ended.

use super::voice::{LastWords, listen};
use super::{Outage, Pace, Program, Running};
use crate::bridge::{Bridged, CONTRACT, ConnectError, MARK, Start};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{DirBuilder, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::unix::pipe;
use tokio::process::{Child, ChildStdin, Command};
use tokio::task::JoinHandle;

/// The socket's name in the program's folder.
const SOCKET: &str = "socket";
/// A path of a Unix socket has to fit the kernel's structure, with its zero.
const MAX_SOCKET_PATH: usize = 107;
/// Between two tries to reach a program that has just been started.
const KNOCK_EVERY: Duration = Duration::from_millis(20);
/// A process that stopped to answer may be about to end: its status says more.
const LAST_BREATH: Duration = Duration::from_millis(300);

pub(super) struct Process {
    child: Child,
    /// Its end tells the program that nobody is there any more.
    stdin: Option<ChildStdin>,
    socket: PathBuf,
    last: LastWords,
    voice: JoinHandle<()>,
}

impl Process {
    pub fn start(program: &Program) -> Result<Process, Outage> {
        let socket = program.folder.join(SOCKET);
        if socket.as_os_str().as_bytes().len() > MAX_SOCKET_PATH {
            let length = socket.as_os_str().as_bytes().len();
            return Err(Outage::Unstartable(format!(
                "the path of its socket, {}, has {length} bytes, and the system allows {MAX_SOCKET_PATH}",
                socket.display()
            )));
        }
        let failed = |what: &Path, error: &io::Error| Outage::Unstartable(format!("{}: {error}", what.display()));
        make_private(&program.folder).map_err(|error| failed(&program.folder, &error))?;
        match std::fs::remove_file(&socket) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(&socket, &error)),
            _ => {}
        }
        let (heard, voice) = io::pipe().map_err(|error| failed(&program.command, &error))?;
        let spawned = voice.try_clone().and_then(|second| {
            Command::new(&program.command)
                .args(&program.args)
                .env_clear()
                .envs(program.environment.iter().map(|(name, value)| (name, value)))
                .env(MARK, &program.folder)
                .current_dir(&program.folder)
                // A signal from a terminal is meant for the controller.
                .process_group(0)
                .stdin(Stdio::piped())
                .stdout(voice)
                .stderr(second)
                .kill_on_drop(true)
                .spawn()
        });
        let mut child = spawned.map_err(|error| failed(&program.command, &error))?;
        let heard = pipe::Receiver::from_owned_fd(OwnedFd::from(heard));
        let heard = heard.map_err(|error| failed(&program.command, &error))?;
        let last = LastWords::default();
        let name = program.command.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let voice = tokio::spawn(listen(heard, program.pool.clone(), name, last.clone()));
        Ok(Process { stdin: child.stdin.take(), child, socket, last, voice })
    }

    pub fn pid(&self) -> u32 {
        self.child.id().unwrap_or(0)
    }

    /// Tells the program what it is for, and waits until it says who it is.
    pub async fn introduce(&mut self, program: &Program, within: Duration) -> Result<Bridged, Outage> {
        let start = Start {
            contract: CONTRACT,
            socket: self.socket.clone(),
            cluster: program.cluster.clone(),
            pool: program.pool.clone(),
            offers: program.offers.clone(),
            settings: program.settings.clone(),
        };
        let mut line = serde_json::to_vec(&start).map_err(|error| Outage::Unstartable(error.to_string()))?;
        line.push(b'\n');
        let mut last_error = "it does not read its standard input".to_owned();
        let meeting = async {
            if let Some(stdin) = &mut self.stdin {
                // A program that ended already shows below.
                let _ = stdin.write_all(&line).await;
            }
            loop {
                match Bridged::connect(&self.socket, program.limits).await {
                    Ok(bridged) => return Ok(bridged),
                    Err(ConnectError::Unreachable(error)) => last_error = error.to_string(),
                    Err(error) => return Err(Outage::Refused(error.to_string())),
                }
                tokio::time::sleep(KNOCK_EVERY).await;
            }
        };
        let met = tokio::select! {
            biased;
            status = self.child.wait() => return Err(self.ended(status).await),
            met = tokio::time::timeout(within, meeting) => met,
        };
        let bridged = match met {
            Ok(met) => met?,
            Err(_) => {
                let silence = format!("no answer within {} ms of its start: {last_error}", within.as_millis());
                return Err(Outage::Hung(self.last.after(silence)));
            }
        };
        program.needs.met_by(&bridged.described().capabilities).map_err(Outage::Refused)?;
        Ok(bridged)
    }

    /// Waits until it ends, or gives no signs of life, or no useful answers.
    pub async fn watch(&mut self, running: &Running, pace: &Pace) -> Outage {
        let trouble = async {
            loop {
                let _ = tokio::time::timeout(pace.probe_every, running.suspect.notified()).await;
                let misses = running.misses.load(Ordering::Relaxed);
                if misses >= pace.misses {
                    return format!("{misses} calls in a row had no useful answer");
                }
                if let Err(error) = running.bridged.probe(pace.probe_within).await {
                    return format!("no sign of life: {error}");
                }
            }
        };
        let trouble = tokio::select! {
            biased;
            status = self.child.wait() => return self.ended(status).await,
            trouble = trouble => trouble,
        };
        match tokio::time::timeout(LAST_BREATH, self.child.wait()).await {
            Ok(status) => self.ended(status).await,
            Err(_) => Outage::Hung(self.last.after(trouble)),
        }
    }

    async fn ended(&mut self, status: io::Result<ExitStatus>) -> Outage {
        self.hear_out().await;
        let status = status.map_or_else(|error| error.to_string(), |status| status.to_string());
        Outage::Ended(self.last.after(status))
    }

    /// What it wrote at last is still on its way.
    async fn hear_out(&mut self) {
        if !self.voice.is_finished() {
            let _ = tokio::time::timeout(LAST_BREATH, &mut self.voice).await;
        }
    }

    /// Asks it to end and waits for so long, then kills it.
    pub async fn end(mut self, within: Duration) {
        drop(self.stdin.take());
        if let Some(pid) = self.child.id().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?))
            && !within.is_zero()
        {
            // It is not waited for yet, so the number is its own.
            let _ = kill_process(pid, Signal::TERM);
            let _ = tokio::time::timeout(within, self.child.wait()).await;
        }
        // Of one that ended this does nothing.
        let _ = self.child.kill().await;
        self.hear_out().await;
        self.voice.abort();
        let _ = std::fs::remove_file(&self.socket);
    }
}

/// A folder that nobody else can look into.
fn make_private(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    std::fs::set_permissions(folder, Permissions::from_mode(0o700))
}
