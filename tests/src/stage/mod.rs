//! A cluster of the real programs, in a folder of its own that goes with everything in it.

mod processes;
mod programs;

pub use processes::Process;
pub use programs::program;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use squall_proto::client::Client;
use squall_proto::connect::Target;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What is waited for comes much sooner, except on a machine that is busy with other things.
pub const PATIENCE: Duration = Duration::from_secs(120);
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// Of the controller's log, what is shown when something went wrong.
const SHOWN_LINES: usize = 40;
/// Variables that would lead commands elsewhere, or change what they do.
const FOREIGN: [&str; 8] = ["SLURM_", "SBATCH_", "SRUN_", "SQUEUE_", "SQUALL_", "OTEL_", "RUST_LOG", "TRACEPARENT"];

/// What tests call.
const COMMANDS: [&str; 14] = [
    "squall", "sbatch", "squeue", "sinfo", "scancel", "srun", "salloc", "sacct", "scontrol", "sattach", "sbcast",
    "sstat", "scrontab", "sacctmgr",
];

/// A folder, and whatever of the cluster runs in it.
pub struct Stage {
    dir: PathBuf,
    controller: Mutex<Option<Child>>,
    /// For the controller alone.
    variables: Vec<(String, String)>,
}

/// What a command said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Said {
    /// What it printed, of a command that has to succeed.
    #[track_caller]
    pub fn good(self) -> String {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.out
    }
}

impl From<Output> for Said {
    fn from(output: Output) -> Said {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Said { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

impl Stage {
    /// Makes the folder with the commands in `bin`, and a configuration from the folder's path.
    pub fn set(configuration: impl FnOnce(&Path) -> String) -> Stage {
        // A short path: sockets have no room for a long one.
        let dir = tempfile::Builder::new().prefix("stage-").tempdir_in("/tmp").expect("a temporary folder").keep();
        let stage = Stage { dir, controller: Mutex::default(), variables: Vec::new() };
        std::fs::create_dir(stage.path("bin")).expect("a folder for commands");
        let squall = program("squall");
        for name in COMMANDS {
            symlink(&squall, stage.path("bin").join(name)).expect("a link");
        }
        std::fs::create_dir(stage.path("work")).expect("a folder for jobs");
        stage.configure(&configuration(&stage.dir));
        stage
    }

    /// A variable that the controller gets.
    pub fn with_variable(mut self, name: &str, value: impl Into<String>) -> Stage {
        self.variables.push((name.to_owned(), value.into()));
        self
    }

    pub fn configure(&self, text: &str) {
        std::fs::write(self.path("squall.toml"), text).expect("a configuration");
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// A program of the house or a command, in the folder `work`, led to this cluster and to no other.
    pub fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        for (name, _) in std::env::vars_os() {
            if FOREIGN.iter().any(|prefix| name.as_encoded_bytes().starts_with(prefix.as_bytes())) {
                command.env_remove(name);
            }
        }
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{}:{path}", self.path("bin").display()));
        command.env(processes::MARK, &self.dir);
        command.env("SQUALL_CONTROLLER", format!("unix:{}", self.path("ctld.sock").display()));
        command.current_dir(self.path("work")).stdin(Stdio::null());
        command
    }

    /// Calls one of the commands as a person would.
    pub fn call(&self, words: &[&str]) -> Said {
        let mut command = self.command(self.path("bin").join(words[0]));
        command.args(&words[1..]).output().expect("a command of the house can be executed").into()
    }

    /// Writes a script into the folder `work`.
    pub fn script(&self, name: &str, text: &str) {
        std::fs::write(self.path("work").join(name), text).expect("a script");
    }

    /// What a file in the folder `work` says; nothing where there is none.
    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path("work").join(name)).unwrap_or_default()
    }

    /// Starts the controller, and does not wait for it.
    pub fn start(&self) {
        let log = std::fs::OpenOptions::new().append(true).create(true).open(self.path("controller.log"));
        let log = log.expect("the controller's log");
        let mut command = self.command(program("squallctld"));
        command.args(["run", "--config"]).arg(self.path("squall.toml")).env_remove("SQUALL_CONTROLLER");
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.stdout(log.try_clone().expect("a second handle")).stderr(log);
        *self.running() = Some(command.spawn().expect("the controller can be executed"));
    }

    /// Starts the controller, and waits for its first answer.
    pub fn up(&self) {
        self.start();
        self.eventually("the controller answers", || {
            let ended = self.running().as_mut().and_then(|child| child.try_wait().ok().flatten());
            assert_eq!(ended, None, "the controller ended while it started");
            (self.call(&["scontrol", "ping"]).code == Some(0)).then_some(())
        });
    }

    /// Ends the controller with SIGKILL; says whether it lived until then.
    pub fn kill(&self) -> bool {
        let Some(mut child) = self.running().take() else { return false };
        let lived = child.try_wait().expect("a child can be asked").is_none();
        let _ = child.kill();
        child.wait().expect("a child can be waited for");
        lived
    }

    /// Ends the controller as an admin would.
    pub fn down(&self) {
        let mut child = self.running().take().expect("the controller runs");
        kill(Pid::from_raw(child.id() as i32), Signal::SIGTERM).expect("the controller can be told to stop");
        let status = child.wait().expect("a child can be waited for");
        assert!(status.success(), "the controller stopped with {status}\n{}", self.log());
    }

    /// The client that the commands are made of, for what they print for people.
    pub async fn client(&self) -> Client {
        let target = Target::unix(&self.path("ctld.sock")).expect("a socket");
        Client::connect(&target).await.expect("the controller answers")
    }

    /// What runs, daemons and jobs.
    pub fn processes(&self) -> Vec<Process> {
        processes::of(self.dir.to_str().expect("a path in text"))
    }

    pub fn agents(&self) -> Vec<Process> {
        self.processes().into_iter().filter(Process::is_agent).collect()
    }

    /// Waits until `look` finds it.
    #[track_caller]
    pub fn eventually<T>(&self, what: &str, look: impl FnMut() -> Option<T>) -> T {
        self.within(PATIENCE, what, look)
    }

    #[track_caller]
    pub fn within<T>(&self, patience: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
        let until = Instant::now() + patience;
        loop {
            if let Some(found) = look() {
                return found;
            }
            assert!(Instant::now() < until, "it never came: {what}\n{}", self.log());
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    /// The pool has shrunk to nothing and no order is open, then the controller is stopped, and no process is left. At
    /// no time was there an event that could not be followed.
    #[track_caller]
    pub fn ends_empty(&self) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let summary = self.eventually("the last node is gone", || {
            let summary = runtime.block_on(async { self.client().await.summary().await }).ok()?;
            let live = summary.nodes_ordered
                + summary.nodes_booting
                + summary.nodes_ready
                + summary.nodes_draining
                + summary.nodes_retiring;
            (live + summary.orders_open == 0).then_some(summary)
        });
        assert_eq!(summary.alarm, "");
        self.down();
        self.eventually("every process is gone", || self.processes().is_empty().then_some(()));
    }

    /// The end of the controller's log.
    pub fn log(&self) -> String {
        let log = std::fs::read_to_string(self.path("controller.log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n")
    }

    fn running(&self) -> std::sync::MutexGuard<'_, Option<Child>> {
        self.controller.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Stage {
    /// Whatever became of the test, nothing of it runs on; what a failed one leaves in its folder is worth a look.
    fn drop(&mut self) {
        self.kill();
        let until = Instant::now() + Duration::from_secs(10);
        loop {
            let left = self.processes();
            left.iter().for_each(|process| _ = process.kill());
            if left.is_empty() || Instant::now() >= until {
                break;
            }
            std::thread::sleep(LOOK_AGAIN);
        }
        if std::thread::panicking() {
            eprintln!("what it left is in {}", self.dir.display());
        } else {
            let _ = std::fs::remove_dir_all(&self.dir);
        }
    }
}

/// The configuration of one elastic pool of local nodes, each with four CPUs and two declared GPUs.
pub fn elastic(dir: &Path, max_nodes: u32) -> String {
    let (dir, user, agent) = (dir.display(), nix::unistd::getuid(), program("squalld"));
    format!(
        r#"
cluster = "stage"
admins = ["{user}"]

[controller]
state_dir = "{dir}/state"
socket = "{dir}/ctld.sock"
listen = "127.0.0.1:0"
heartbeat = "1s"
disk_reserve = "1M"

[timing]
batch_idle = "100ms"
kill_wait = "2s"

[partitions.cloud]
pools = ["cloud"]
default_time = "10m"

[pools.cloud]
provisioner = "local"
max_nodes = {max_nodes}
idle_after = "2s"
min_lifetime = "0s"
settle = "0s"
listing_every = "1s"
absence_grace = "1s"
local = {{ agent = ["{agent}"] }}

[pools.cloud.offers.node]
cpus = 4
memory = "8G"
gpus = "h100:2"
price = 8.0
typical_boot = "1s"
"#,
        agent = agent.display()
    )
}
