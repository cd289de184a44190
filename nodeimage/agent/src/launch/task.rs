//! The stage between shim and job: a process of its own that is root for the last time. It enters the
//! cell, gives up its rights, opens the job's files as the job's user, and becomes the job.

use super::plan::{Act, Output, Stdin, TaskPlan, entries};
use crate::{ledger::sealed, sys};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::stat::{Mode, umask};
use nix::unistd::{Pid, chdir, dup2_stderr, dup2_stdin, dup2_stdout, setsid};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Where a job is that has no working directory on this machine.
const ELSEWHERE: &str = "/tmp";
/// Where commands are looked for if the environment does not say.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Why nothing was executed.
#[derive(Debug)]
struct Failure {
    text: String,
    /// What `execve` said, else 1: the exit code, as Slurm's.
    code: i32,
}

impl Failure {
    fn new(text: impl Into<String>) -> Failure {
        Failure { text: text.into(), code: 1 }
    }
}

/// Becomes what the plan in this file says. Returns only where that failed, with the exit code.
pub fn run(plan: &Path) -> i32 {
    let plan: TaskPlan = match sealed::read(plan) {
        Ok(plan) => plan,
        Err(error) => {
            eprintln!("squalld: error: {}: {error}", plan.display());
            return 1;
        }
    };
    become_planned(&plan)
}

/// The same with a plan that is there already.
pub fn become_planned(plan: &TaskPlan) -> i32 {
    let report = if plan.reports { io::stdout().as_fd().try_clone_to_owned().ok().map(File::from) } else { None };
    let failure = match become_it(plan) {
        Ok(None) => return 0,
        Ok(Some(never)) => match never {},
        Err(failure) => failure,
    };
    match report {
        Some(mut pipe) => {
            // The shim reads it, or is gone and nobody does.
            let _ = pipe.write_all(failure.text.as_bytes());
        }
        // In the words of Slurm: on a step's error output people and programs know them.
        None => eprintln!("slurmstepd: error: {}", failure.text),
    }
    failure.code
}

/// `None` where there was nothing to execute and all was said.
fn become_it(plan: &TaskPlan) -> Result<Option<Infallible>, Failure> {
    sys::close_on_exec_from(3).map_err(|error| Failure::new(format!("close_range: {error}")))?;
    // Already the leader of a session where the parent made it one.
    if let Err(errno) = setsid()
        && errno != Errno::EPERM
    {
        return Err(Failure::new(format!("setsid: {errno}")));
    }
    if plan.terminal {
        sys::control_terminal(io::stdin().as_fd()).map_err(|error| Failure::new(format!("terminal: {error}")))?;
    }
    plan.cell.join().map_err(|error| Failure::new(format!("the job's control group cannot be entered: {error}")))?;
    bind(&plan.cpus);
    plan.identity.assume().map_err(|error| Failure::new(error.to_string()))?;

    // From here on, nothing has more rights than the job itself.
    umask(Mode::from_bits_truncate(plan.umask & 0o777));
    let astray = chdir(Path::new(&plan.work_dir)).err();
    open_files(plan)?;
    if let Act::Say(text) = &plan.act {
        let mut stderr = io::stderr();
        let _ = stderr.write_all(text.as_bytes());
        return Ok(None);
    }
    if let Some(errno) = astray {
        chdir(ELSEWHERE).map_err(|errno| Failure::new(format!("chdir to {ELSEWHERE}: {errno}")))?;
        eprintln!(
            "slurmstepd: error: couldn't chdir to `{}': {}: going to {ELSEWHERE} instead",
            plan.work_dir.escape_debug(),
            errno.desc()
        );
    }
    execute(plan).map(Some)
}

fn bind(cpus: &[u32]) {
    if cpus.is_empty() {
        return;
    }
    let mut set = CpuSet::new();
    for cpu in cpus {
        // A number beyond what the set can hold does not exist here.
        let _ = set.set(*cpu as usize);
    }
    // CPUs may have gone offline; running on others is better than not running.
    let _ = sched_setaffinity(Pid::from_raw(0), &set);
}

fn open_files(plan: &TaskPlan) -> Result<(), Failure> {
    let dup = |errno: Errno| Failure::new(format!("dup2: {errno}"));
    let stdin = match &plan.stdin {
        Stdin::Given => None,
        Stdin::Nothing => Some(open("/dev/null", OpenOptions::new().read(true))?),
        Stdin::File(path) => Some(open(path, OpenOptions::new().read(true))?),
    };
    let stdout = sink(&plan.stdout)?;
    let stderr = sink(&plan.stderr)?;
    if let Some(file) = stdin {
        dup2_stdin(file).map_err(dup)?;
    }
    if let Some(file) = stdout {
        dup2_stdout(file).map_err(dup)?;
    }
    match (&plan.stderr, stderr) {
        (_, Some(file)) => dup2_stderr(file).map_err(dup),
        (Output::Joined, None) => dup2_stderr(io::stdout()).map_err(dup),
        _ => Ok(()),
    }
}

fn sink(output: &Output) -> Result<Option<OwnedFd>, Failure> {
    match output {
        Output::Given | Output::Joined => Ok(None),
        Output::Nothing => open("/dev/null", OpenOptions::new().write(true)).map(Some),
        // Appending always: several writers of one file then never overwrite each other.
        Output::File { path, append } => {
            let file = open(path, OpenOptions::new().append(true).create(true).mode(0o666))?;
            if !append && !path.starts_with("/dev/") {
                let file = File::from(file);
                // What cannot be cut short, as a FIFO, begins empty anyway.
                let _ = file.set_len(0);
                return Ok(Some(file.into()));
            }
            Ok(Some(file))
        }
    }
}

/// Opens without waiting for anybody: a FIFO that nobody reads is an error, not a hang.
fn open(path: &str, options: &mut OpenOptions) -> Result<OwnedFd, Failure> {
    let file = options
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path)
        .map_err(|error| Failure::new(format!("could not open `{}': {}", path.escape_debug(), plain(&error))))?;
    let flags = fcntl(&file, FcntlArg::F_GETFL).map_err(|errno| Failure::new(errno.to_string()))?;
    let flags = OFlag::from_bits_retain(flags) & !OFlag::O_NONBLOCK;
    fcntl(&file, FcntlArg::F_SETFL(flags)).map_err(|errno| Failure::new(errno.to_string()))?;
    Ok(file.into())
}

fn execute(plan: &TaskPlan) -> Result<Infallible, Failure> {
    let mut environment: BTreeMap<&[u8], &[u8]> = entries(&plan.environment).collect();
    // Checked as the user, who may not reach what others can.
    let reachable = |path: &[u8]| std::str::from_utf8(path).is_ok_and(|path| Path::new(path).is_dir());
    if !environment.get(b"TMPDIR".as_slice()).is_some_and(|path| reachable(path)) {
        environment.insert(b"TMPDIR", b"/tmp");
    }
    let pid = std::process::id().to_string();
    environment.insert(b"SLURM_TASK_PID", pid.as_bytes());
    let path = environment
        .get(b"PATH".as_slice())
        .map_or(DEFAULT_PATH, |path| std::str::from_utf8(path).unwrap_or(DEFAULT_PATH));
    let (candidates, arguments) = match &plan.act {
        Act::Execute { path, arguments } => {
            let all = std::iter::once(path).chain(arguments).map(String::as_str).collect::<Vec<_>>();
            (vec![path.clone()], all)
        }
        Act::Command(command) => {
            let name = command.first().ok_or_else(|| Failure::new("there is no command"))?;
            (lookup(name, path), command.iter().map(String::as_str).collect())
        }
        Act::Say(_) => return Err(Failure::new("there is no command")),
    };
    let c_string = |bytes: &[u8]| CString::new(bytes).map_err(|_| Failure::new("an argument contains a NUL byte"));
    let arguments = arguments.iter().map(|text| c_string(text.as_bytes())).collect::<Result<Vec<_>, _>>()?;
    let environment = environment
        .iter()
        .map(|(name, value)| c_string(&[name, b"=".as_slice(), value].concat()))
        .collect::<Result<Vec<_>, _>>()?;
    sys::default_signals();
    let mut worst = Errno::ENOENT;
    for candidate in &candidates {
        let errno = sys::execute(&c_string(candidate.as_bytes())?, &arguments, &environment);
        // As a shell: what is not there is looked for further on, and not permitted is remembered.
        if errno != Errno::ENOENT && errno != Errno::ENOTDIR {
            worst = errno;
            if errno != Errno::EACCES {
                break;
            }
        }
    }
    let named = candidates.first().map_or("", String::as_str);
    Err(Failure { text: why_not(plan, named, worst), code: worst as i32 })
}

/// Where a shell would look for a command.
fn lookup(name: &str, path: &str) -> Vec<String> {
    if name.contains('/') {
        return vec![name.to_owned()];
    }
    path.split(':').map(|dir| if dir.is_empty() { format!("./{name}") } else { format!("{dir}/{name}") }).collect()
}

/// What `execve` will not say: which interpreter is missing, and that a line end is the reason.
fn why_not(plan: &TaskPlan, path: &str, errno: Errno) -> String {
    let name = match &plan.act {
        Act::Command(command) => command.first().map_or("", String::as_str),
        _ => path,
    };
    let reason = match errno {
        Errno::ENOENT => "No such file or directory",
        Errno::EACCES => "Permission denied",
        Errno::ENOEXEC => "Exec format error",
        errno => errno.desc(),
    };
    let mut text = format!("execve(): {}: {reason}", name.escape_debug());
    if let Act::Execute { .. } = plan.act
        && let Ok(script) = std::fs::read(path)
        && let Some(line) = script.strip_prefix(b"#!").and_then(|rest| rest.split(|byte| *byte == b'\n').next())
    {
        let line = String::from_utf8_lossy(&line[..line.len().min(256)]).into_owned();
        if line.ends_with('\r') {
            text.push_str(" (the script has DOS line ends: its interpreter's name ends with a carriage return)");
        } else if let Some(interpreter) = line.split_ascii_whitespace().next() {
            text.push_str(&format!(" (the script's interpreter is `{}')", interpreter.escape_debug()));
        }
    }
    text
}

/// An IO error in the words of the system alone.
fn plain(error: &io::Error) -> String {
    error.raw_os_error().map_or_else(|| error.to_string(), |code| Errno::from_raw(code).desc().to_owned())
}
