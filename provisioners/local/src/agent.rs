//! One node's folder, and the agent that runs on it.

use crate::config::AgentCommand;
use crate::disk::{self, DiskError};
use crate::process::{self, Process, Stat};
use crate::sys;
use serde::{Deserialize, Serialize};
use squall_types::offer::JoinTicket;
use squall_types::{InstanceId, NodeName, OrderId, Shape, Timestamp};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// An agent's output is begun anew when it is started and the old one has grown beyond this.
const MAX_LOG_BYTES: u64 = 16 << 20;
/// Variables that begin so belong to whatever this process itself runs in.
const FOREIGN_VARIABLES: [&str; 4] = ["SQUALL_", "SLURM_", "SBATCH_", "TRACEPARENT"];

/// What an agent is started with, and started again with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct InstanceRecord {
    pub instance: InstanceId,
    pub order: OrderId,
    pub name: NodeName,
    pub launched_at: Timestamp,
    pub die_at: Timestamp,
    pub controller: String,
    pub ca_pin: String,
}

/// How an agent is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    /// It was never started.
    Unborn,
    Alive(Process),
    Dead,
}

/// The folder of one instance.
#[derive(Clone, Debug)]
pub(crate) struct NodeFolder {
    path: PathBuf,
}

impl NodeFolder {
    pub fn at(nodes: &Path, instance: &InstanceId) -> Self {
        Self { path: nodes.join(instance.as_str()) }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn exists(&self) -> bool {
        self.path.is_dir()
    }

    pub fn state(&self) -> PathBuf {
        self.path.join("state")
    }

    pub fn log(&self) -> PathBuf {
        self.path.join("agent.log")
    }

    pub fn powered_off(&self) -> bool {
        self.state().join("powered-off").exists()
    }

    pub fn record(&self) -> Result<Option<InstanceRecord>, DiskError> {
        disk::read_json(&self.path.join("instance.json"))
    }

    /// Makes the folder with everything that an agent needs, whole or not at all.
    pub fn make(&self, record: &InstanceRecord, shape: &Shape, ticket: &JoinTicket) -> Result<(), DiskError> {
        let aside = self.path.with_file_name(format!(".new-{}", record.instance));
        remove_folder(&aside)?;
        let made = Self { path: aside };
        disk::make_folder(&made.state())?;
        disk::write_unsynced(&made.path.join("join-secret"), ticket.secret.as_bytes())?;
        let (shape_file, record_file) = (made.path.join("shape.json"), made.path.join("instance.json"));
        disk::write_unsynced(&shape_file, &disk::encode(&shape_file, shape)?)?;
        disk::write_unsynced(&record_file, &disk::encode(&record_file, record)?)?;
        fs::rename(&made.path, &self.path).map_err(DiskError::new("make", &self.path))
    }

    pub fn life(&self) -> Result<Life, DiskError> {
        let content = disk::read(&self.path.join("agent.pid"))?.unwrap_or_default();
        let content = String::from_utf8_lossy(&content);
        let (boot, line) = content.split_once('\n').unwrap_or_default();
        Ok(match Stat::parse(line).map(|stat| stat.process) {
            None => Life::Unborn,
            Some(agent) if boot == process::boot_id() && agent.lives() => Life::Alive(agent),
            Some(_) => Life::Dead,
        })
    }

    /// Starts the agent. The caller holds the root's lock and has seen that none is alive.
    ///
    /// # Errors
    /// As the system says why the program cannot be executed; then nothing runs.
    pub fn start(&self, command: &AgentCommand, record: &InstanceRecord) -> io::Result<Child> {
        let mut start = Command::new(&command.program);
        start.args(&command.args).arg("run");
        start.arg("--node").arg(record.name.as_str());
        start.arg("--state-dir").arg(self.state());
        start.arg("--controller").arg(&record.controller);
        start.arg("--ca-pin").arg(&record.ca_pin);
        start.arg("--order").arg(record.order.to_string());
        start.arg("--instance").arg(record.instance.as_str());
        start.arg("--join-secret-file").arg(self.path.join("join-secret"));
        start.arg("--shape-file").arg(self.path.join("shape.json"));
        for (name, _) in std::env::vars_os() {
            if FOREIGN_VARIABLES.iter().any(|prefix| name.as_encoded_bytes().starts_with(prefix.as_bytes())) {
                start.env_remove(name);
            }
        }
        start.envs(&command.env);
        start.env(process::MARKER, record.instance.as_str());
        start.env("SQUALL_DIE_AT_MS", record.die_at.0.to_string());
        let log = self.open_log()?;
        start.current_dir("/").stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let mut pid_file = self.open_private("agent.pid")?;
        writeln!(pid_file, "{}", process::boot_id())?;
        sys::start_apart(&mut start, pid_file.into());
        start.spawn()
    }

    fn open_private(&self, name: &str) -> io::Result<File> {
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(self.path.join(name))
    }

    fn open_log(&self) -> io::Result<File> {
        if fs::metadata(self.log()).is_ok_and(|meta| meta.len() > MAX_LOG_BYTES) {
            fs::rename(self.log(), self.path.join("agent.log.1"))?;
        }
        OpenOptions::new().append(true).create(true).mode(0o600).open(self.log())
    }
}

/// Removes a folder and what is in it; one that is gone is fine.
pub(crate) fn remove_folder(path: &Path) -> Result<(), DiskError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(DiskError::new("remove", path)(error)),
        _ => Ok(()),
    }
}
