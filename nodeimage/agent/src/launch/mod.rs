//! From an assignment to a process: as whom, with what environment, into which files.

pub mod environment;
pub mod identity;
mod outlive;
pub mod plan;
pub mod receive;
pub mod task;

pub use identity::{Identity, IdentityError};
pub use outlive::{Begun, Outlive};
pub use plan::{Act, Output, Stdin, TaskPlan};

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::IntoRawFd;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// The variable that names the instance which an agent plays, where several share a machine.
pub const INSTANCE: &str = "SQUALL_INSTANCE";
/// The program of the processes that outlive the agent, where it stands beside the agent's own.
pub const SHIM: &str = "squall-shim";
/// Which agent a program was built with: version and sources. It is what `squall-shim build` prints.
pub const BUILD: &str = concat!(env!("CARGO_PKG_VERSION"), "-", env!("SQUALL_AGENT_SOURCES"));

/// How the processes that outlive this one are started: from this program, or from a small one of the same build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelfCommand {
    pub program: PathBuf,
    /// What comes before `shim` or `task`: `agent` in `squall`, nothing elsewhere.
    pub prefix: Vec<OsString>,
}

impl SelfCommand {
    /// This very executable, also after its file was replaced by an upgrade.
    pub fn current(prefix: &[&str]) -> SelfCommand {
        SelfCommand { program: "/proc/self/exe".into(), prefix: prefix.iter().map(Into::into).collect() }
    }

    /// [`SHIM`] where it is beside this executable and of the same build, else this executable. Three processes of a
    /// large program for each step of a job are most of what its start would cost. The file is kept open for as long
    /// as this process lives: an upgrade beside a running agent changes nothing for it.
    pub fn small(prefix: &[&str]) -> SelfCommand {
        match kept_open() {
            Ok(program) => SelfCommand { program, prefix: Vec::new() },
            Err(why) => {
                tracing::info!(%why, "jobs are started by the agent's own program");
                SelfCommand::current(prefix)
            }
        }
    }

    /// A call with an environment that is built from nothing but the mark of the cell.
    pub fn command(&self, verb: impl AsRef<OsStr>, marker: &str) -> Command {
        let mut command = Command::new(&self.program);
        command.arg0(SHIM).args(&self.prefix).arg(verb).env_clear();
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

/// The path by which the small program is started; in words, why there is none.
fn kept_open() -> Result<PathBuf, String> {
    let path = std::env::current_exe().map_err(|error| error.to_string())?.with_file_name(SHIM);
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    let file = File::open(&path).map_err(failed)?.into_raw_fd();
    let program = PathBuf::from(format!("/proc/self/fd/{file}"));
    let said = Command::new(&program).arg("build").env_clear().stdin(Stdio::null()).output().map_err(failed)?;
    match String::from_utf8_lossy(&said.stdout).trim() {
        BUILD => Ok(program),
        other => Err(format!("{} is of build {other:?}, and this agent of {BUILD:?}", path.display())),
    }
}
