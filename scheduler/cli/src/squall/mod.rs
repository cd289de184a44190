//! `squall` itself: what Slurm has no command for.

mod compat;
mod completion;
mod config;
mod doctor;
mod explain;
mod export;
mod join;
mod links;
mod man;
mod manual;
mod token;
mod why;

#[cfg(feature = "embed")]
pub use config::entries_text;

use crate::command::Command;
use crate::failure::{EXIT_ERROR, Failure};
use crate::invocation::Invocation;
use crate::options::Parsed;
use crate::terminal::escaped;
use squall_types::did_you_mean;

/// A command behind `squall`, with the words that follow its name.
struct Subcommand {
    name: &'static str,
    operands: &'static str,
    /// One line for the list; empty for what is called by programs alone.
    about: &'static str,
    run: fn(&mut Invocation<'_>, &[String]) -> Result<i32, Failure>,
}

/// In the order of the list.
static SUBCOMMANDS: &[Subcommand] = &[
    #[cfg(feature = "embed")]
    Subcommand {
        name: "demo",
        operands: "[--plain] [--keep]",
        about: "a cluster that shows what it does, and checks it",
        run: crate::demo::demo,
    },
    #[cfg(feature = "embed")]
    Subcommand {
        name: "up",
        operands: "[--detach]",
        about: "a cluster of your own on this machine",
        run: crate::personal::up,
    },
    #[cfg(feature = "embed")]
    Subcommand { name: "down", operands: "[--yes]", about: "ends it", run: crate::personal::down },
    #[cfg(feature = "embed")]
    Subcommand {
        name: "replay",
        operands: "[OPTIONS] TRACE",
        about: "the jobs of a real trace as real processes",
        run: crate::replay::replay,
    },
    #[cfg(feature = "embed")]
    Subcommand {
        name: "simulate",
        operands: "[OPTIONS] TRACE",
        about: "what a trace would wait and cost, under any configuration",
        run: crate::simulate::run,
    },
    #[cfg(feature = "embed")]
    Subcommand { name: "demo-task", operands: "", about: "", run: crate::demo::task::task },
    #[cfg(feature = "embed")]
    Subcommand { name: "demo-count", operands: "", about: "", run: crate::demo::task::count },
    #[cfg(feature = "embed")]
    Subcommand { name: "demo-rank", operands: "", about: "", run: crate::demo::rank::rank },
    Subcommand { name: "why", operands: "JOB", about: "everything that a job waits for", run: why::run },
    Subcommand { name: "explain", operands: "CODE", about: "what an error's code means", run: explain::run },
    Subcommand { name: "doctor", operands: "", about: "what is wrong on this machine", run: doctor::run },
    Subcommand {
        name: "config",
        operands: "check [FILE] | show [FILE] | schema",
        about: "what is configured, and whether it could be",
        run: config::run,
    },
    Subcommand {
        name: "join-token",
        operands: "--node=NAME | --login-host=NAME",
        about: "lets a machine of one's own join, once",
        run: join::run,
    },
    Subcommand {
        name: "token",
        operands: "create | list | revoke ID",
        about: "lets you come from a machine elsewhere",
        run: token::run,
    },
    Subcommand {
        name: "export",
        operands: "slurm.conf",
        about: "the cluster as a file for tools that read Slurm's",
        run: export::run,
    },
    Subcommand { name: "compat", operands: "[COMMAND]", about: "which of Slurm's options act here", run: compat::run },
    Subcommand {
        name: "completion",
        operands: "bash | zsh | fish",
        about: "lets a shell complete the options of all commands",
        run: completion::run,
    },
    Subcommand { name: "man", operands: "COMMAND", about: "a manual page, for man -l -", run: man::run },
    Subcommand {
        name: "install-links",
        operands: "DIR",
        about: "sbatch, squeue and the others, as names of this program",
        run: links::run,
    },
];

/// # Errors
/// What the subcommand refuses, or that there is none of this name.
pub fn run(invocation: &mut Invocation<'_>, parsed: &Parsed) -> Result<i32, Failure> {
    if parsed.set.iter().any(|set| set.opt.long == "help") {
        invocation.out.write_all(help().as_bytes())?;
        return Ok(0);
    }
    let Some((name, rest)) = parsed.rest.split_first() else {
        invocation.err.write_all(help().as_bytes())?;
        return Ok(EXIT_ERROR);
    };
    if name == "help" {
        invocation.out.write_all(help().as_bytes())?;
        return Ok(0);
    }
    match SUBCOMMANDS.iter().find(|known| known.name == name) {
        Some(known) => (known.run)(invocation, rest),
        None => Err(unknown(name)),
    }
}

/// `squall --help`.
fn help() -> String {
    let mut text = "Usage: squall COMMAND [arguments...]\n\nCommands:\n".to_owned();
    for command in SUBCOMMANDS.iter().filter(|command| !command.about.is_empty()) {
        let call = format!("{} {}", command.name, command.operands);
        text.push_str(&format!("  {:<42} {}\n", call.trim_end(), command.about));
    }
    let linked: Vec<&str> = Command::LINKED.iter().map(|command| command.name()).collect();
    text.push_str(&format!("  {:<42} as under their own names\n", linked.join(" ")));
    text
}

fn unknown(name: &str) -> Failure {
    let failure = Failure::error("squall", format_args!("there is no command '{}'", escaped(name)));
    let linked = Command::LINKED.iter().map(|command| command.name());
    let known = SUBCOMMANDS.iter().map(|command| command.name).chain(linked);
    let failure = match did_you_mean::closest(name, known) {
        Some(meant) => failure.and_line(format!("squall: did you mean '{meant}'?")),
        None => failure,
    };
    failure.and_line("Try \"squall --help\" for more information")
}

/// The usage of one subcommand.
fn wrong_call(name: &str) -> Failure {
    let operands = SUBCOMMANDS.iter().find(|known| known.name == name).map_or("", |known| known.operands);
    Failure::plain(format!("Usage: squall {name} {operands}").trim_end())
}
