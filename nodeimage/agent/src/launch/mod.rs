//! From an assignment to a process: as whom, with what environment, into which files.

pub mod environment;
pub mod identity;
pub mod plan;
pub mod receive;
pub mod task;

pub use identity::{Identity, IdentityError};
pub use plan::{Act, Output, Stdin, TaskPlan};

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

/// The variable that names the instance which an agent plays, where several share a machine.
pub const INSTANCE: &str = "SQUALL_INSTANCE";

/// How this program is called again, for the processes that outlive it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelfCommand {
    pub program: PathBuf,
    /// What comes before `shim` or `task`: nothing in `squalld`, `agent` in `squall`.
    pub prefix: Vec<OsString>,
}

impl SelfCommand {
    /// This very executable, also after its file was replaced by an upgrade.
    pub fn current(prefix: &[&str]) -> SelfCommand {
        SelfCommand { program: "/proc/self/exe".into(), prefix: prefix.iter().map(Into::into).collect() }
    }

    /// A call with an environment that is built from nothing but the mark of the cell.
    pub fn command(&self, verb: &str, marker: &str) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.prefix).arg(verb).env_clear();
        if let Some((name, value)) = marker.split_once('=') {
            command.env(name, value);
        }
        // By this mark whoever started this agent finds what it has left.
        if let Some(instance) = std::env::var_os(INSTANCE) {
            command.env(INSTANCE, instance);
        }
        command
    }
}
