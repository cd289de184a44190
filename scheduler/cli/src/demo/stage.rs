//! The demo's stage: a temporary folder with a cluster in it, and the scripts that are played there.

use crate::invocation::Invocation;
use crate::personal::Place;
use crate::personal::config::{self, Machine, Pace};
use crate::personal::controller::{self, own_program};
use crate::personal::remains::{self, Left, Search};
use squall_proto::client::Client;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

/// Elements of the array.
pub const ELEMENTS: u32 = 24;
/// No machine that could be bought has so many.
const TOO_MANY_GPUS: u32 = 1_000;
/// Processes may take so long to be gone after the controller has ended.
const GONE_PATIENCE: Duration = Duration::from_secs(5);
/// Variables that would lead the commands elsewhere, or change what they do.
const FOREIGN: [&str; 8] = ["SLURM_", "SBATCH_", "SRUN_", "SQUEUE_", "SQUALL_", "SALLOC_", "SCONTROL_", "TRACEPARENT"];

/// A cluster of this one run.
pub struct Stage {
    pub place: Place,
    pub machine: Machine,
    work: PathBuf,
    controller: Option<Child>,
}

/// One submission: what was called, and what it said.
#[derive(Clone, Debug)]
pub struct Submission {
    pub line: String,
    pub code: Option<i32>,
    pub said: String,
    pub complained: String,
}

impl Stage {
    /// Makes the folder, the configuration, the links and the scripts; nothing runs yet.
    ///
    /// # Errors
    /// In words.
    pub fn set(invocation: &Invocation<'_>, declared: Option<u32>) -> Result<Stage, String> {
        let dir = fresh_folder().map_err(|error| format!("a temporary folder: {error}"))?;
        let place = Place::make(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
        let machine = Machine::new(&Pace::BRISK, declared);
        config::write(&place, "demo", &Pace::BRISK, &machine).map_err(|error| error.to_string())?;
        let work = dir.join("work");
        let make = || -> io::Result<()> {
            place.link_commands(&own_program()?)?;
            fs::create_dir(&work)?;
            for (name, script) in scripts(&machine, &invocation.caller.name) {
                fs::write(work.join(name), script)?;
            }
            Ok(())
        };
        make().map_err(|error| format!("{}: {error}", dir.display()))?;
        Ok(Stage { place, machine, work, controller: None })
    }

    pub fn work(&self) -> &Path {
        &self.work
    }

    /// Starts the controller and waits for its first answer.
    ///
    /// # Errors
    /// In words, with the end of its log.
    pub async fn open(&mut self) -> Result<Client, String> {
        let child = controller::start(&self.place).map_err(|error| error.to_string())?;
        let child = self.controller.insert(child);
        let ready = controller::wait_ready(&self.place, child).await;
        ready.map(|(client, _)| client).map_err(|error| error.to_string())
    }

    /// Runs one of the commands as a person would, in a process of its own.
    ///
    /// # Errors
    /// If it cannot be executed.
    pub fn call(&self, words: &[&str]) -> io::Result<Submission> {
        let mut command = Command::new(self.place.bin().join(words[0]));
        command.args(&words[1..]).current_dir(&self.work).stdin(Stdio::null());
        for (name, _) in std::env::vars_os() {
            if FOREIGN.iter().any(|prefix| name.as_encoded_bytes().starts_with(prefix.as_bytes())) {
                command.env_remove(name);
            }
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = [self.place.bin()].into_iter().chain(std::env::split_paths(&path));
        let path = std::env::join_paths(folders).map_err(io::Error::other)?;
        command.env("PATH", path).env("SQUALL_CONTROLLER", format!("unix:{}", self.place.socket().display()));
        let Output { status, stdout, stderr } = command.output()?;
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ok(Submission {
            line: words.join(" "),
            code: status.code(),
            said: text(stdout).trim_end().to_owned(),
            complained: text(stderr).trim_end().to_owned(),
        })
    }

    /// Ends the controller; what is left of the cluster then.
    pub fn close(&mut self) -> Vec<Left> {
        controller::stop(&self.place);
        if let Some(child) = &mut self.controller {
            // Reaped, so that it is no zombie; it has ended.
            let _ = child.wait();
        }
        remains::wait_for_none(&self.place, Search::AnyTrace, GONE_PATIENCE)
    }

    /// Removes the folder with everything in it.
    ///
    /// # Errors
    /// As the file system says.
    pub fn strike(&self) -> io::Result<()> {
        fs::remove_dir_all(self.place.dir())
    }
}

/// In the system's folder for such things, unless its path is too long for a socket.
fn fresh_folder() -> io::Result<PathBuf> {
    let mut bytes = [0; 6];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    let name = format!("squall-demo-{}", hex::encode(bytes));
    let wanted = std::env::temp_dir();
    let base = if wanted.as_os_str().len() > 64 { PathBuf::from("/tmp") } else { wanted };
    let dir = std::path::absolute(base)?.join(name);
    fs::create_dir(&dir)?;
    Ok(dir)
}

/// The batch that is played: file names and contents.
fn scripts(machine: &Machine, user: &str) -> [(&'static str, String); 4] {
    let gang = machine.gang_partition();
    // Without GPUs of its own a node of the gang is a whole one all the same.
    let whole = if machine.real_gpus { "--exclusive".to_owned() } else { format!("--gpus-per-node={}", machine.gpus) };
    let array = format!(
        "#!/bin/sh\n\
         #SBATCH --job-name=array\n\
         #SBATCH --array=0-{last}\n\
         #SBATCH --gpus=1\n\
         #SBATCH --time=5\n\
         #SBATCH --output=array-%a.out\n\
         squall demo-task\n",
        last = ELEMENTS - 1
    );
    let gang = format!(
        "#!/bin/sh\n\
         #SBATCH --job-name=gang\n\
         #SBATCH --partition={gang}\n\
         #SBATCH --nodes=2\n\
         #SBATCH --ntasks-per-node=1\n\
         #SBATCH {whole}\n\
         #SBATCH --time=5\n\
         #SBATCH --output=gang.out\n\
         # A job needs to know no controller: its node's agent serves it.\n\
         unset SQUALL_CONTROLLER\n\
         srun squall demo-rank\n"
    );
    let after = "#!/bin/sh\n\
         #SBATCH --job-name=after\n\
         #SBATCH --ntasks=1\n\
         #SBATCH --mem=1G\n\
         #SBATCH --time=5\n\
         #SBATCH --output=after.out\n\
         cat array-*.out | squall demo-count\n";
    let never = format!(
        "#!/bin/sh\n\
         #SBATCH --job-name=never\n\
         #SBATCH --gpus-per-node={TOO_MANY_GPUS}\n\
         echo \"{user} will never see this\"\n"
    );
    [("array.sh", array), ("gang.sh", gang), ("after.sh", after.to_owned()), ("never.sh", never)]
}
