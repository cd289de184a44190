//! From the name that was called to what runs.

use crate::command::Command;
use crate::failure::{EXIT_ERROR, Failure};
use crate::invocation::Invocation;
use crate::options::{self, Parsed};
use crate::show::json;
use std::ffi::OsString;
use std::io::Write;
use std::path::Path;

/// What `--version` of every command prints; programs read the number after `slurm`.
pub const VERSION: &str = concat!("slurm 24.05.4 (squall ", env!("CARGO_PKG_VERSION"), ")");

/// What runs behind `squall`. Handed in, so that the program that has Slurm's commands alone has nothing else in it.
pub type Own = fn(&mut Invocation<'_>, &Parsed) -> Result<i32, Failure>;

/// Which command was called, and with which words.
///
/// # Errors
/// A word that is not text, or no known command.
pub fn command(mut words: Vec<OsString>) -> Result<(Command, Vec<String>), Failure> {
    let called = if words.is_empty() { OsString::new() } else { words.remove(0) };
    let name = Path::new(&called).file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let linked = Command::linked(name);
    let command = linked.unwrap_or(Command::Squall);
    let mut texts = Vec::with_capacity(words.len());
    for (at, word) in words.into_iter().enumerate() {
        texts.push(word.into_string().map_err(|word| {
            let place = format!("argument {} is not valid UTF-8: {}", at + 1, word.display());
            Failure::error(command.name(), crate::terminal::escaped(&place))
        })?);
    }
    // `squall sbatch …` is `sbatch …`.
    if linked.is_none()
        && let Some(named) = texts.first().and_then(|first| Command::linked(first))
    {
        texts.remove(0);
        return Ok((named, texts));
    }
    Ok((command, texts))
}

/// The words behind `squall`, where it was called by that name.
pub fn behind_squall(words: &[OsString]) -> Option<&[OsString]> {
    let (called, rest) = words.split_first()?;
    let name = Path::new(called).file_name().and_then(|name| name.to_str()).unwrap_or_default();
    Command::linked(name).is_none().then_some(rest)
}

/// Answers what needs nothing but the words of one of Slurm's commands: `--version`, `--help`, `--usage`, `--json=list`.
/// Nothing else has been started by then.
///
/// # Errors
/// Options that cannot be read.
pub fn answered_at_once(command: Command, parsed: &Parsed, out: &mut dyn Write) -> Result<bool, Failure> {
    let given = |long: &str| parsed.set.iter().any(|set| set.opt.long == long);
    if given("version") {
        writeln!(out, "{VERSION}")?;
    } else if given("help") && command != Command::Squall {
        out.write_all(options::help(command).as_bytes())?;
    } else if given("usage") {
        out.write_all(options::usage(command).as_bytes())?;
    } else if parsed
        .set
        .iter()
        .any(|set| matches!(set.opt.long, "json" | "yaml") && set.value.as_deref() == Some("list"))
    {
        json::list(out)?;
    } else {
        return Ok(false);
    }
    Ok(true)
}

/// Runs a command whose options have been read.
///
/// # Errors
/// What it has to say when it did not do what it was asked.
pub fn run(invocation: &mut Invocation<'_>, parsed: Parsed) -> Result<i32, Failure> {
    run_with(invocation, parsed, crate::squall::run)
}

/// The same, with something else behind `squall`.
///
/// # Errors
/// As above.
pub fn run_with(invocation: &mut Invocation<'_>, parsed: Parsed, own: Own) -> Result<i32, Failure> {
    match invocation.command {
        Command::Sbatch => crate::sbatch::run(invocation, parsed),
        Command::Squeue => crate::squeue::run(invocation, parsed),
        Command::Scancel => crate::scancel::run(invocation, parsed),
        Command::Sinfo => crate::sinfo::run(invocation, parsed),
        Command::Sacct => crate::sacct::run(invocation, parsed),
        Command::Scontrol => crate::scontrol::run(invocation, parsed),
        Command::Srun => crate::srun::run(invocation, parsed),
        Command::Salloc => crate::salloc::run(invocation, parsed),
        Command::Sacctmgr => crate::sacctmgr::run(invocation, parsed),
        Command::Sreport => crate::sreport::run(invocation, parsed),
        Command::Sshare => crate::sshare::run(invocation, parsed),
        Command::Sprio => crate::sprio::run(invocation, parsed),
        Command::Sdiag => crate::sdiag::run(invocation, parsed),
        Command::Seff => crate::seff::run(invocation, parsed),
        Command::Sattach => crate::sattach::run(invocation, parsed),
        Command::Sbcast => crate::sbcast::run(invocation, parsed),
        Command::Sstat => crate::sstat::run(invocation, parsed),
        Command::Strigger => crate::strigger::run(invocation, parsed),
        Command::Scrontab => crate::scrontab::run(invocation, parsed),
        Command::Squall => own(invocation, &parsed),
    }
}

/// What a failure's exit code is: `SLURM_EXIT_ERROR` replaces the ordinary one of the commands that run jobs.
pub fn exit_code(command: Command, code: i32, exit_error: Option<&str>) -> i32 {
    let runs_jobs = matches!(command, Command::Sbatch | Command::Srun | Command::Salloc);
    match exit_error.and_then(|text| text.parse::<u8>().ok()) {
        Some(other) if runs_jobs && code == EXIT_ERROR && other > 0 => i32::from(other),
        _ => code,
    }
}
