//! `--help` and `--usage`, from the table.

use super::{Effect, Opt, Section, Takes, sections};
use crate::command::Command;

/// Where the explanations begin, as in Slurm's own help.
const COLUMN: usize = 30;
/// Lists of names are broken before this.
const WIDTH: usize = 78;

/// `--help`: every option that acts with its explanation, the others by name.
pub fn help(command: Command) -> String {
    let mut text = format!("Usage: {}\n", synopsis(command));
    for section in sections(command) {
        let rows: Vec<&Opt> =
            section.rows.iter().filter(|opt| opt.belongs_to(command) && opt.same_as.is_none()).collect();
        let told: Vec<&&Opt> = rows.iter().filter(|opt| !opt.help.is_empty()).collect();
        if !told.is_empty() {
            text.push_str(&heading(section, "Options"));
            told.iter().for_each(|opt| text.push_str(&row(opt)));
        }
    }
    text.push_str(&by_name(command, "Accepted without effect", |effect| matches!(effect, Effect::Ignored { .. })));
    text.push_str(&by_name(command, "Refused, since ignoring them would change what is meant", |effect| {
        matches!(effect, Effect::Refused { .. })
    }));
    text
}

/// `--usage`: the synopsis and the names.
pub fn usage(command: Command) -> String {
    let mut text = format!("Usage: {}", command.name());
    let indent = text.len() + 1;
    let mut column = text.len();
    let options = sections(command).iter().flat_map(|section| section.rows);
    let acting = options.filter(|opt| opt.belongs_to(command) && !opt.help.is_empty());
    let words = acting.map(|opt| format!("[{}]", spelled(opt))).chain([operands(command).to_owned()]);
    for word in words.filter(|word| !word.is_empty()) {
        if column + 1 + word.len() > WIDTH {
            text.push_str(&format!("\n{:indent$}{word}", ""));
            column = indent + word.len();
        } else {
            text.push_str(&format!(" {word}"));
            column += 1 + word.len();
        }
    }
    text + "\n"
}

fn synopsis(command: Command) -> String {
    format!("{} [OPTIONS] {}", command.name(), operands(command)).trim_end().to_owned()
}

fn operands(command: Command) -> &'static str {
    match command {
        Command::Sbatch => "script [args...]",
        Command::Srun => "executable [args...]",
        Command::Salloc => "[command [args...]]",
        Command::Scancel => "[job_id[_array_id][.step_id]...]",
        Command::Scontrol => "[COMMAND [arguments...]]",
        Command::Squall => "COMMAND [arguments...]",
        Command::Sacctmgr => {
            "list|add|modify|delete ENTITY [where CONDITIONS] [set SETTINGS] [format=FIELDS] | dump CLUSTER | load FILE"
        }
        Command::Sreport => "REPORT [start=TIME] [end=TIME] [conditions...]",
        Command::Seff => "job_id",
        Command::Sattach => "jobid.stepid",
        Command::Sbcast => "SOURCE DEST",
        Command::Sstat => "-j job[.stepid]",
        Command::Strigger => "--get",
        Command::Scrontab => "[-u USER] [-e | -l | -r | FILE | -]",
        Command::Squeue | Command::Sinfo | Command::Sacct => "",
        Command::Sshare | Command::Sprio | Command::Sdiag => "",
    }
}

fn heading(section: &Section, untitled: &str) -> String {
    let title = if section.title.is_empty() { untitled } else { section.title };
    format!("\n{title}:\n")
}

fn row(opt: &Opt) -> String {
    let short = opt.short.map_or_else(|| "    ".to_owned(), |letter| format!("-{letter}, "));
    let left = format!("  {short}--{}{}", opt.long, value_of(opt));
    let mut lines = opt.help.lines();
    let first = lines.next().unwrap_or_default();
    let mut text = if left.len() < COLUMN { format!("{left:<COLUMN$}{first}\n") } else { format!("{left} {first}\n") };
    lines.for_each(|line| text.push_str(&format!("{:COLUMN$}{line}\n", "")));
    text
}

fn value_of(opt: &Opt) -> String {
    match opt.takes {
        Takes::Nothing => String::new(),
        Takes::Value(name) => format!("={name}"),
        Takes::Maybe(name) | Takes::Loose(name) => format!("[={name}]"),
    }
}

fn spelled(opt: &Opt) -> String {
    match (opt.short, opt.takes) {
        (Some(letter), Takes::Nothing) => format!("-{letter}"),
        (Some(letter), Takes::Value(name)) => format!("-{letter} {name}"),
        _ => format!("--{}{}", opt.long, value_of(opt)),
    }
}

fn by_name(command: Command, title: &str, wanted: impl Fn(Effect) -> bool) -> String {
    let options = sections(command).iter().flat_map(|section| section.rows);
    let names = options.filter(|opt| opt.belongs_to(command) && opt.same_as.is_none() && wanted(opt.effect));
    let mut lines: Vec<String> = Vec::new();
    for name in names.map(|opt| format!("--{}", opt.long)) {
        match lines.last_mut() {
            Some(line) if line.len() + 1 + name.len() <= WIDTH => *line = format!("{line} {name}"),
            _ => lines.push(format!("  {name}")),
        }
    }
    if lines.is_empty() { String::new() } else { format!("\n{title}:\n{}\n", lines.join("\n")) }
}
