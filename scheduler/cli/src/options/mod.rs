//! The one option table, from which parser, help, usage and the answer to "does this option act?" are generated.
//!
//! A row says everything about an option: its names, what it takes, the input variable that sets it, its help, and
//! its effect. Nothing else in this crate knows how an option is spelled.

mod crontab;
mod files;
mod given;
mod help;
mod ignored;
mod job;
mod parse;
mod query;
mod refused;
mod running;
mod site;
mod size;
mod step;
mod trigger;

pub use given::{Given, Source};
pub use help::{help, usage};
pub use parse::{OptionError, Parsed, Set, parse};

use crate::command::Command;
use crate::invocation::Environment;

/// What follows an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    Nothing,
    /// One value; the word is its name in the help.
    Value(&'static str),
    /// A value only with `=` (long) or attached (short).
    Maybe(&'static str),
    /// A value in any form, or none where the next word is an option or there is none.
    Loose(&'static str),
}

/// What an option does to the meaning of the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    Acts,
    /// Read and checked where that is cheap, but nothing follows from it; `why` says what happens instead.
    Ignored {
        why: &'static str,
    },
    /// Ignoring it would change what the job means.
    Refused {
        why: &'static str,
        try_this: &'static str,
    },
}

/// From which variables of the environment an option can come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variable {
    None,
    /// `SBATCH_…`, `SALLOC_…`; for `srun` `SLURM_…`.
    Prefixed(&'static str),
    /// Each command by its own name.
    Named(&'static [(Command, &'static str)]),
}

/// One row of the table.
#[derive(Debug)]
pub struct Opt {
    pub long: &'static str,
    pub short: Option<char>,
    pub takes: Takes,
    pub on: &'static [Command],
    pub variable: Variable,
    /// Lines of help; an option without is not listed.
    pub help: &'static str,
    /// Only another spelling of the option of this name.
    pub same_as: Option<&'static str>,
    pub effect: Effect,
}

/// Rows under one heading of the help.
pub struct Section {
    pub title: &'static str,
    pub rows: &'static [Opt],
}

impl Opt {
    pub fn belongs_to(&self, command: Command) -> bool {
        self.on.contains(&command)
    }

    /// The input variables of this option for `command`.
    pub fn variables(&self, command: Command) -> Vec<String> {
        match self.variable {
            Variable::None => Vec::new(),
            Variable::Prefixed(name) => vec![format!("{}{name}", prefix(command))],
            Variable::Named(names) => {
                names.iter().filter(|(on, _)| *on == command).map(|(_, name)| (*name).to_owned()).collect()
            }
        }
    }

    /// What the environment says to this option: the first of its variables that is set.
    fn value_in<'e>(&self, environment: &'e Environment, command: Command) -> Option<&'e str> {
        match self.variable {
            Variable::None => None,
            Variable::Prefixed(name) => environment.get_joined(prefix(command), name),
            Variable::Named(names) => {
                names.iter().filter(|(on, _)| *on == command).find_map(|(_, name)| environment.get(name))
            }
        }
    }
}

fn prefix(command: Command) -> &'static str {
    match command {
        Command::Sbatch => "SBATCH_",
        Command::Salloc => "SALLOC_",
        _ => "SLURM_",
    }
}

/// The sections of `command`, in the order of its help.
pub fn sections(command: Command) -> &'static [Section] {
    match command {
        Command::Sbatch | Command::Srun | Command::Salloc => REQUEST,
        Command::Squeue => query::SQUEUE,
        Command::Sinfo => query::SINFO,
        Command::Scancel => query::SCANCEL,
        Command::Sacct => query::SACCT,
        Command::Scontrol => query::SCONTROL,
        Command::Sacctmgr | Command::Sreport | Command::Sshare | Command::Sprio | Command::Sdiag | Command::Seff => {
            site::SECTIONS
        }
        Command::Sattach | Command::Sbcast | Command::Sstat => running::SECTIONS,
        Command::Strigger => trigger::SECTIONS,
        Command::Scrontab => crontab::SECTIONS,
        Command::Squall => query::SQUALL,
    }
}

/// What `sbatch`, `srun` and `salloc` take.
static REQUEST: &[Section] = &[
    Section { title: "Job", rows: job::ROWS },
    Section { title: "Size", rows: size::ROWS },
    Section { title: "Where it runs", rows: size::PLACE },
    Section { title: "Money", rows: job::MONEY },
    Section { title: "Files and environment", rows: files::ROWS },
    Section { title: "Steps", rows: step::ROWS },
    Section { title: "Other", rows: job::OTHER },
    Section { title: "Accepted without effect", rows: ignored::ROWS },
    Section { title: "Refused, since ignoring them would change what the job means", rows: refused::ROWS },
];

const SBATCH: &[Command] = &[Command::Sbatch];
const SRUN: &[Command] = &[Command::Srun];
const SALLOC: &[Command] = &[Command::Salloc];
const ALLOCATES: &[Command] = &[Command::Sbatch, Command::Srun, Command::Salloc];
const RUNS: &[Command] = &[Command::Sbatch, Command::Srun];
const WAITS: &[Command] = &[Command::Srun, Command::Salloc];

/// All options of `command`.
pub fn of(command: Command) -> impl Iterator<Item = &'static Opt> {
    sections(command).iter().flat_map(|section| section.rows).filter(move |opt| opt.belongs_to(command))
}

/// The option of `command` with exactly this long name.
pub fn named(command: Command, long: &str) -> Option<&'static Opt> {
    of(command).find(|opt| opt.long == long)
}

// How rows are written: `opt("array").short('a').value("indexes").on(SBATCH).help("job array index values")`.

const fn opt(long: &'static str) -> Opt {
    Opt {
        long,
        short: None,
        takes: Takes::Nothing,
        on: &[],
        variable: Variable::None,
        help: "",
        same_as: None,
        effect: Effect::Acts,
    }
}

impl Opt {
    const fn short(mut self, letter: char) -> Self {
        self.short = Some(letter);
        self
    }
    const fn value(mut self, name: &'static str) -> Self {
        self.takes = Takes::Value(name);
        self
    }
    const fn maybe(mut self, name: &'static str) -> Self {
        self.takes = Takes::Maybe(name);
        self
    }
    const fn loose(mut self, name: &'static str) -> Self {
        self.takes = Takes::Loose(name);
        self
    }
    const fn on(mut self, commands: &'static [Command]) -> Self {
        self.on = commands;
        self
    }
    const fn env(mut self, suffix: &'static str) -> Self {
        self.variable = Variable::Prefixed(suffix);
        self
    }
    const fn env_named(mut self, names: &'static [(Command, &'static str)]) -> Self {
        self.variable = Variable::Named(names);
        self
    }
    const fn help(mut self, text: &'static str) -> Self {
        self.help = text;
        self
    }
    const fn same_as(mut self, long: &'static str) -> Self {
        self.same_as = Some(long);
        self
    }
    const fn ignored(mut self, why: &'static str) -> Self {
        self.effect = Effect::Ignored { why };
        self
    }
    const fn refused(mut self, why: &'static str, try_this: &'static str) -> Self {
        self.effect = Effect::Refused { why, try_this };
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_command_has_two_options_of_one_name() {
        for command in Command::LINKED {
            let (mut long, mut short) = (BTreeSet::new(), BTreeSet::new());
            for opt in of(command) {
                assert!(long.insert(opt.long), "{command} has --{} twice", opt.long);
                if let Some(letter) = opt.short {
                    assert!(short.insert(letter), "{command} has -{letter} twice");
                }
            }
        }
    }

    #[test]
    fn every_option_that_does_not_act_says_why() {
        for command in Command::LINKED {
            for opt in of(command) {
                match opt.effect {
                    Effect::Acts => {}
                    Effect::Ignored { why } => assert!(why.len() > 10, "--{}", opt.long),
                    Effect::Refused { why, .. } => assert!(why.len() > 10, "--{}", opt.long),
                }
            }
        }
    }
}
