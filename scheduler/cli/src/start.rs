//! From the process to an [`Invocation`]: the one place that looks at the real world.

use crate::command::Command;
use crate::controller::{self, Remote};
use crate::dispatch::{self, Own};
use crate::embedded;
use crate::failure::{EXIT_ERROR, Failure};
use crate::invocation::{Caller, Environment, Invocation};
use crate::options;
use crate::people::person;
use jiff::tz::TimeZone;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::{Mode, umask};
use nix::unistd::{getgid, gethostname, getuid};
use squall_types::{Gid, Timestamp, Uid};
use std::ffi::OsString;
use std::io::{BufWriter, Write};
use std::mem::ManuallyDrop;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Bytes of a listing that are written at once: each write may wake whoever reads.
const OUTPUT: usize = 32 << 10;

/// Runs what the words ask for, the command's name first.
pub fn main(words: Vec<OsString>) -> ExitCode {
    match dispatch::behind_squall(&words).and_then(embedded::daemon) {
        Some(code) => code,
        None => perform(words, crate::squall::run),
    }
}

/// The same for Slurm's commands alone; whatever else is asked for, the program `squall` beside this one does.
pub fn slurm_commands(words: Vec<OsString>) -> ExitCode {
    match dispatch::behind_squall(&words) {
        Some(rest) => {
            let squall = std::env::current_exe().map(|this| this.with_file_name("squall"));
            let error =
                squall.map_or_else(|error| error, |squall| std::process::Command::new(squall).args(rest).exec());
            let failure =
                Failure::error("squall", format_args!("the program squall: {}", crate::terminal::plain(&error)));
            ended(&mut std::io::stderr(), Command::Squall, &failure)
        }
        None => perform(words, |_, _| Err(Failure::error("squall", "this program has Slurm's commands alone"))),
    }
}

fn perform(words: Vec<OsString>, own: Own) -> ExitCode {
    let mut err = std::io::stderr();
    let (command, arguments) = match dispatch::command(words) {
        Ok(called) => called,
        Err(failure) => return ended(&mut err, Command::Squall, &failure),
    };
    let mut out = BufWriter::with_capacity(OUTPUT, std::io::stdout());
    let code = run(command, arguments, own, &mut out, &mut err);
    // Whoever reads may be gone; the work is done all the same.
    let flushed = out.flush().map_err(Failure::from);
    match code.and_then(|code| flushed.map(|()| code)) {
        Ok(code) => ExitCode::from(code.clamp(0, 255) as u8),
        Err(failure) => ended(&mut err, command, &failure),
    }
}

fn ended(err: &mut dyn Write, command: Command, failure: &Failure) -> ExitCode {
    // There is nobody left to tell where standard error is closed.
    let _ = write!(err, "{failure}");
    let replaced = std::env::var("SLURM_EXIT_ERROR").ok();
    let code = dispatch::exit_code(command, failure.code, replaced.as_deref());
    ExitCode::from(u8::try_from(code).unwrap_or(EXIT_ERROR as u8))
}

fn run(
    command: Command,
    arguments: Vec<String>,
    own: Own,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<i32, Failure> {
    let parsed = options::parse(command, &arguments).map_err(|error| error.told_by(command))?;
    if dispatch::answered_at_once(command, &parsed, out)? {
        return Ok(0);
    }
    let environment = Environment::new(std::env::vars_os());
    let caller = caller();
    let found = controller::find(&environment, caller.uid.0, &caller.home);
    // Not dropped: the connection and its runtime end with the process, at once.
    let remote = ManuallyDrop::new(Remote::new(found, environment.filled("TRACEPARENT").map(str::to_owned)));
    let directory = std::env::current_dir()
        .map_err(|error| Failure::error(command.name(), format_args!("the working directory: {error}")))?;
    // Not locked: what feeds a step's tasks reads it from a thread of its own.
    let mut input = std::io::stdin();
    let mut invocation = Invocation {
        command,
        arguments,
        environment,
        directory,
        caller,
        zone: zone(),
        clock: now,
        pause: std::thread::sleep,
        input: &mut input,
        heard_within,
        out,
        err,
        controller: &*remote,
    };
    dispatch::run_with(&mut invocation, parsed, own)
}

/// Waits for standard input. One that cannot be waited for, as where it is closed, is left to whoever reads it.
fn heard_within(time: Duration) -> bool {
    let input = std::io::stdin();
    let mut wanted = [PollFd::new(input.as_fd(), PollFlags::POLLIN)];
    poll(&mut wanted, PollTimeout::try_from(time).unwrap_or(PollTimeout::MAX)) != Ok(0)
}

/// The time zone that `TZ` names, else this machine's. The machine's is read as it is: to learn its name, which nothing
/// here shows, the whole database of zones would be listed, and that takes longer than all else that a command does.
fn zone() -> TimeZone {
    let here = || TimeZone::tzif("", &std::fs::read("/etc/localtime").ok()?).ok();
    match std::env::var_os("TZ") {
        Some(_) => TimeZone::system(),
        None => here().unwrap_or_else(TimeZone::system),
    }
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(since.as_millis().min(i64::MAX as u128) as i64)
}

fn caller() -> Caller {
    let (uid, gid) = (getuid(), getgid());
    let known = person(Uid(uid.as_raw()));
    let host = gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_default();
    // The mask can only be read by setting it.
    let mask = umask(Mode::empty());
    umask(mask);
    Caller {
        uid: Uid(uid.as_raw()),
        gid: Gid(gid.as_raw()),
        name: known.as_ref().map_or_else(|| uid.to_string(), |user| user.name.clone()),
        home: known.as_ref().map_or_else(|| "/".into(), |user| user.home.clone()),
        shell: known.map_or_else(|| "/bin/sh".into(), |user| user.shell),
        host: host.split('.').next().unwrap_or_default().to_owned(),
        umask: mask.bits(),
    }
}
