//! `scontrol`: shows and changes single jobs, nodes and partitions.

mod act;
mod config;
mod hosts;
mod job;
mod json;
mod node;
mod partition;
mod record;
mod show;
mod topology;
mod update;

pub(crate) use config::seconds;

use crate::dispatch::VERSION;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::options::{Given, Parsed};
use crate::show::json::Notation;
use crate::terminal::escaped;
use record::Form;
use std::io::Read;

/// The longest line that is read where commands are typed.
const MAX_LINE: usize = 64 * 1024;

/// How what follows is shown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manner {
    form: Form,
    /// JSON or YAML instead of text.
    notation: Option<Notation>,
    details: bool,
    verbose: bool,
}

/// # Errors
/// What cannot be understood or done.
pub fn run(invocation: &mut Invocation<'_>, parsed: Parsed) -> Result<i32, Failure> {
    let given = Given::on_command_line(invocation.command, &parsed).and_environment(&invocation.environment);
    given.refuse_what_cannot_be_kept()?;
    let manner = Manner {
        form: if given.has("oneliner") { Form::Line } else { Form::Block },
        notation: crate::show::json::asked(&given, invocation.command)?,
        details: given.has("details"),
        verbose: given.has("verbose"),
    };
    match parsed.rest.split_first() {
        Some((keyword, words)) => command(invocation, manner, keyword, words),
        None => interactive(invocation, manner),
    }
}

/// Every keyword, in the order in which a beginning is taken for one.
const KEYWORDS: [&str; 30] = [
    "show",
    "update",
    "hold",
    "uhold",
    "holdu",
    "release",
    "requeue",
    "requeuehold",
    "ping",
    "reconfigure",
    "version",
    "write",
    "help",
    "exit",
    "quit",
    "suspend",
    "resume",
    "top",
    "completing",
    "errnumstr",
    "create",
    "delete",
    "notify",
    "reboot",
    "cancel_reboot",
    "listpids",
    "pidinfo",
    "setdebug",
    "shutdown",
    "wait_job",
];

fn command(invocation: &mut Invocation<'_>, manner: Manner, word: &str, words: &[String]) -> Result<i32, Failure> {
    let keyword = keyword(word).ok_or_else(|| unknown_keyword(word))?;
    let few = || Failure::plain(format!("too few arguments for keyword:{}", escaped(word)));
    match keyword {
        "show" => show::run(invocation, manner, words),
        "update" => update::run(invocation, words),
        "hold" | "uhold" | "holdu" | "release" | "requeue" | "requeuehold" | "suspend" | "resume"
            if words.is_empty() =>
        {
            Err(few())
        }
        "hold" | "uhold" | "holdu" => act::on_jobs(invocation, words, &squall_types::api::JobAction::Hold),
        "release" => act::on_jobs(invocation, words, &squall_types::api::JobAction::Release),
        "requeue" => act::requeue(invocation, words, false),
        "requeuehold" => act::requeue(invocation, words, true),
        "suspend" => act::on_numbered_jobs(invocation, words, &squall_types::api::JobAction::Suspend),
        "resume" => act::on_numbered_jobs(invocation, words, &squall_types::api::JobAction::Resume),
        "ping" => ping(invocation),
        "reconfigure" => reconfigure(invocation, manner),
        "version" => {
            writeln!(invocation.out, "{VERSION}")?;
            Ok(0)
        }
        "write" => act::write_script(invocation, words),
        "help" => {
            invocation.out.write_all(crate::options::help(invocation.command).as_bytes())?;
            writeln!(invocation.out, "\nCommands:\n  {}", DONE_HERE.join(", "))?;
            Ok(0)
        }
        "completing" => act::completing(invocation),
        "wait_job" => act::wait_job(invocation, words),
        other => {
            Err(Failure::error("scontrol", format_args!("{other} is not supported")).advising(crate::failure::Advice {
                limit: "this command changes nothing here".to_owned(),
                try_this: "scontrol help, which lists what does".to_owned(),
                code: "SQ0002",
                ..Default::default()
            }))
        }
    }
}

const DONE_HERE: [&str; 17] = [
    "show ENTITY [ID]",
    "update KEY=VALUE...",
    "hold JOB",
    "uhold JOB",
    "release JOB",
    "requeue JOB",
    "requeuehold JOB",
    "suspend JOB...",
    "resume JOB...",
    "ping",
    "reconfigure",
    "version",
    "write batch_script JOB [FILE]",
    "completing",
    "wait_job JOB",
    "help",
    "exit",
];

/// A keyword by its name or, as in Slurm, by any beginning of it, in any case.
fn keyword(word: &str) -> Option<&'static str> {
    let word = word.to_ascii_lowercase();
    let exact = KEYWORDS.into_iter().find(|keyword| *keyword == word);
    exact.or_else(|| KEYWORDS.into_iter().find(|keyword| word.len() >= 2 && keyword.starts_with(&word)))
}

fn unknown_keyword(word: &str) -> Failure {
    let failure = Failure::plain(format!("invalid keyword: {}", escaped(word)));
    match squall_types::did_you_mean::closest(word, KEYWORDS) {
        Some(meant) => failure.and_line(format!("scontrol: did you mean '{meant}'?")),
        None => failure,
    }
}

/// Commands from standard input, until its end or `exit`.
fn interactive(invocation: &mut Invocation<'_>, manner: Manner) -> Result<i32, Failure> {
    let mut code = 0;
    while let Some(line) = next_line(&mut *invocation.input)? {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let Some((first, rest)) = words.split_first() else { continue };
        if matches!(keyword(first), Some("exit" | "quit")) {
            break;
        }
        if let Err(failure) = command(invocation, manner, first, rest) {
            write!(invocation.err, "{failure}")?;
            code = failure.code;
        }
        invocation.out.flush()?;
    }
    Ok(code)
}

/// A line, byte by byte: nothing is taken from whoever reads standard input next.
fn next_line(input: &mut dyn Read) -> Result<Option<String>, Failure> {
    let (mut line, mut byte) = (Vec::new(), [0]);
    while line.len() < MAX_LINE && input.read(&mut byte)? > 0 {
        match byte[0] {
            b'\n' => return Ok(Some(String::from_utf8_lossy(&line).into_owned())),
            other => line.push(other),
        }
    }
    Ok(if line.is_empty() { None } else { Some(String::from_utf8_lossy(&line).into_owned()) })
}

fn ping(invocation: &mut Invocation<'_>) -> Result<i32, Failure> {
    match invocation.controller.ping() {
        Ok(reply) => {
            writeln!(invocation.out, "Slurmctld(primary) at {} is UP", escaped(&reply.hostname))?;
            Ok(0)
        }
        Err(error) => {
            writeln!(invocation.out, "Slurmctld(primary) is DOWN")?;
            Err(Failure::load("slurm_ping", &error))
        }
    }
}

fn reconfigure(invocation: &mut Invocation<'_>, manner: Manner) -> Result<i32, Failure> {
    let changed = invocation.controller.reconfigure().map_err(|error| Failure::load("slurm_reconfigure", &error))?;
    if manner.verbose {
        for line in &changed {
            writeln!(invocation.out, "{}", escaped(line))?;
        }
    }
    Ok(0)
}
