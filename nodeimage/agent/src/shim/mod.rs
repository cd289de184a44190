//! The process that stands between the agent and a run, and outlives the agent.
//!
//! It executes the batch script (or, on the other nodes of a job and in interactive jobs, waits), adopts
//! the orphans of everything below it, writes down how it ended, and clears away what the script left.
//! It keeps no connection: the agent reads its folder, and signals it.

pub mod nursery;
pub mod records;
pub mod step;

use crate::cell::{Cell, Kind, Process};
use crate::clock;
use crate::launch::{TaskPlan, task};
use crate::ledger::parse_run;
use crate::sys::{self, Reaped};
use minicbor::{Decode, Encode};
use nix::sys::signal::{SigSet, Signal};
use records::{Claim, Clean, Course, CourseRecord, Exit, Failed, Folder, Started, Word};
use squall_types::Span;
use squall_types::agent::{ExitStatus, Usage};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// What a script left behind may go on so long after SIGTERM.
pub const LEFTOVER_GRACE: Duration = Duration::from_secs(5);
/// Between two looks while something is being ended.
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// Between two rounds of kills of what does not die.
const KILL_AGAIN: Duration = Duration::from_secs(1);
/// The most text that is taken of why something could not be executed.
const MAX_REASON: u64 = 4096;

/// What a shim is to do.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ShimPlan {
    /// All of the run on this node.
    #[n(0)]
    pub cell: Cell,
    /// What is executed; without it the shim waits until it is told to end.
    #[n(1)]
    pub task: Option<TaskPlan>,
    /// CPUs that the run is bound to.
    #[n(2)]
    pub cpus: Vec<u32>,
}

/// Runs the shim of a folder. Returns the exit code of the process, which nobody relies on: the records count.
pub fn run(dir: &Path, launch: u32) -> i32 {
    match keep(&Folder(dir.to_owned()), launch) {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("squalld shim: error: {}: {error}", dir.display());
            1
        }
    }
}

/// What `top` and `ps -e` show this process as: the program that it is a copy of says nothing of a job.
fn be_called(name: String) {
    if let Ok(name) = std::ffi::CString::new(name) {
        let _ = nix::sys::prctl::set_name(&name);
    }
}

fn keep(folder: &Folder, launch: u32) -> io::Result<()> {
    if let Some(run) = folder.0.file_name().and_then(|name| parse_run(name.to_str()?)) {
        be_called(format!("job {}", run.job));
    }
    // Before anything is started: nothing of what happens now may be missed.
    let mut signals = SigSet::empty();
    for signal in [Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT] {
        signals.add(signal);
    }
    signals.thread_block()?;
    nix::sys::prctl::set_child_subreaper(true)?;
    // Not a leader yet where the agent started it plainly; then no terminal of the agent's reaches it.
    let _ = nix::unistd::setsid();
    nix::unistd::chdir("/")?;
    let claim = Claim { shim: Some(Process::myself()), boot_id: clock::boot_id() };
    let no_plan = || io::Error::other("nothing says what is to be executed");
    let planned = |record: &CourseRecord| record.plan().map(drop).ok_or_else(no_plan);
    let mut course = folder.course()?;
    let Some(record) = course.claim(launch, &claim, planned).map_err(io::Error::other)? else { return Ok(()) };
    let plan = record.plan().ok_or_else(no_plan)?;
    let mut shim = Shim { course, plan, usage: Usage::default(), main: None, ended: None };
    match &plan.task {
        Some(task) => {
            if let Err(text) = shim.execute(task) {
                return shim.course.say_for_good(&Word::Failed(Failed { text, at: clock::now() }));
            }
        }
        None => shim.course.say(&Word::Started(Started { main: None, began: clock::now() }))?,
    }
    say_started();
    shim.wait(&signals)?;
    shim.over()
}

/// The agent that started this shim waits for this, and then for the end of the pipe; a later agent looks into the folder.
pub(crate) fn say_started() {
    // Nobody reads it where the agent is gone.
    let _ = nix::unistd::write(io::stdout(), b"+");
}

/// What the stage begins with: it reads nothing, and what it says is why nothing was executed.
fn std_streams(null: &File, said: &io::PipeWriter) -> io::Result<()> {
    nix::unistd::dup2_stdin(null)?;
    nix::unistd::dup2_stdout(said)?;
    nix::unistd::dup2_stderr(null)?;
    Ok(())
}

struct Shim<'a> {
    course: Course,
    plan: &'a ShimPlan,
    usage: Usage,
    main: Option<u32>,
    ended: Option<ExitStatus>,
}

impl Shim<'_> {
    /// Executes the script; the text says why that failed. The stage between works on the memory of this process: to
    /// execute this program once more for it, or to copy it, would cost more than all else that a start does here.
    fn execute(&mut self, plan: &TaskPlan) -> Result<(), String> {
        let failed = |error: io::Error| format!("the job's first process cannot be made: {error}");
        let (mut reason, said) = io::pipe().map_err(failed)?;
        let null = File::options().read(true).write(true).open("/dev/null").map_err(failed)?;
        let killed = Exit {
            status: ExitStatus { code: 0, signal: libc::SIGKILL },
            ended: clock::now(),
            usage: Usage::default(),
            out_of_memory: false,
        };
        let killed = self.course.last_words(&[Word::Exit(killed)]).map_err(failed)?;
        let stage = || match std_streams(&null, &said) {
            Ok(()) => task::become_planned(plan),
            Err(_) => 1,
        };
        let pid = sys::fork_until_executed(stage, killed).map_err(failed)?;
        drop(said);
        self.main = Some(pid);
        let process = Process::find(pid);
        let mut bytes = Vec::new();
        // It ends when the script is executed, or nothing is.
        Read::by_ref(&mut reason).take(MAX_REASON).read_to_end(&mut bytes).map_err(failed)?;
        if !bytes.is_empty() {
            let _ = nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(pid as i32), None);
            return Err(String::from_utf8_lossy(&bytes).into_owned());
        }
        let started = Started { main: process, began: clock::now() };
        self.course
            .say(&Word::Started(started))
            .map_err(|error| format!("the start could not be written down: {error}"))
    }

    /// Until the script is over or, where there is none, until it is told to end and nothing lives.
    fn wait(&mut self, signals: &SigSet) -> io::Result<()> {
        self.reap();
        while self.ended.is_none() {
            match signals.wait()? {
                Signal::SIGTERM if self.plan.task.is_none() => {
                    self.end_all();
                    self.ended = Some(ExitStatus::default());
                }
                _ => self.reap(),
            }
        }
        Ok(())
    }

    /// Writes down how it ended, and sees to it that nothing of it lives.
    fn over(&mut self) -> io::Result<()> {
        let (status, ended, usage) = (self.ended.unwrap_or_default(), clock::now(), self.usage_now());
        // Asked only where it would be the reason.
        let out_of_memory = status != ExitStatus::default() && self.plan.cell.out_of_memory() > 0;
        let exit = Word::Exit(Exit { status, ended, usage, out_of_memory });
        if self.is_clean() {
            self.course.say_all(&[exit, Word::Clean(Clean { usage })])?;
            return self.keep();
        }
        self.course.say(&exit)?;
        self.keep()?;
        self.clear()
    }

    /// Whether it is plain to see that nothing lives: with marks alone one look is not enough.
    fn is_clean(&self) -> bool {
        matches!(self.plan.cell.kind, Kind::Groups(_)) && self.plan.cell.is_empty()
    }

    /// That it is over outlives the machine before anybody hears of it: an agent that is there writes it down itself.
    fn keep(&mut self) -> io::Result<()> {
        // Where nothing was executed, that it is over is all, and every agent writes that down.
        if self.plan.task.is_some() && !nursery::has_agent() { self.course.keep() } else { Ok(()) }
    }

    /// SIGTERM, and then only patience: it is the agent that knows when to kill.
    fn end_all(&mut self) {
        self.terminate();
        while !self.plan.cell.is_empty() {
            self.reap();
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    /// Ends what the script left, and writes down that nothing lives.
    fn clear(&mut self) -> io::Result<()> {
        if !self.plan.cell.is_empty() {
            self.terminate();
            let until = Instant::now() + LEFTOVER_GRACE;
            while !self.plan.cell.is_empty() && Instant::now() < until {
                self.reap();
                std::thread::sleep(LOOK_AGAIN);
            }
        }
        while !self.plan.cell.clear(KILL_AGAIN) {
            self.reap();
        }
        self.reap();
        let clean = Clean { usage: self.usage_now() };
        self.course.say(&Word::Clean(clean))
    }

    fn terminate(&self) {
        // Stopped processes would not notice.
        self.plan.cell.signal(libc::SIGCONT);
        self.plan.cell.signal(libc::SIGTERM);
    }

    /// Takes note of every child that has ended, adopted ones included.
    fn reap(&mut self) {
        while let Ok(Some(reaped)) = sys::wait_any(false) {
            add(&mut self.usage, &reaped);
            if Some(reaped.pid) == self.main {
                self.ended = Some(exit_status(reaped.status));
            }
        }
    }

    fn usage_now(&self) -> Usage {
        let mut usage = self.usage;
        if let Some((user_cpu, system_cpu)) = self.plan.cell.cpu_time() {
            usage.user_cpu = user_cpu;
            usage.system_cpu = system_cpu;
        }
        usage
    }
}

/// Adds what a child and its own children used.
pub fn add(usage: &mut Usage, reaped: &Reaped) {
    let span = |time: Duration| Span::from_millis(i64::try_from(time.as_millis()).unwrap_or(i64::MAX));
    usage.user_cpu = usage.user_cpu + span(reaped.user_cpu);
    usage.system_cpu = usage.system_cpu + span(reaped.system_cpu);
    usage.max_rss_kib = usage.max_rss_kib.max(reaped.max_rss_kib);
}

/// Code and signal apart, as they are reported.
pub fn exit_status(status: std::process::ExitStatus) -> ExitStatus {
    ExitStatus { code: status.code().unwrap_or(0), signal: status.signal().unwrap_or(0) }
}
