//! `squall man COMMAND`: a manual page from the one option table, as `man` reads it: `squall man sbatch | man -l -`.

use super::manual::chapters;
use super::wrong_call;
use crate::command::Command;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::options::{self, Effect, Opt, Takes};

pub fn run(invocation: &mut Invocation<'_>, words: &[String]) -> Result<i32, Failure> {
    let [name] = words else { return Err(wrong_call("man")) };
    let command = Command::linked(name).ok_or_else(|| wrong_call("man"))?;
    invocation.out.write_all(page(command).as_bytes())?;
    Ok(0)
}

/// What `-` and `\` at the wrong place would be taken for.
fn escaped(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    // A dot or a quote at the beginning of a line is a request.
    text.lines()
        .map(|line| if line.starts_with(['.', '\'']) { format!("\\&{line}") } else { line.to_owned() })
        .collect::<Vec<_>>()
        .join("\n")
}

fn page(command: Command) -> String {
    let (name, upper) = (command.name(), command.name().to_uppercase());
    let mut text = format!(
        ".TH {upper} 1 \"\" \"Squall {}\" \"User Commands\"\n.SH NAME\n{name} \\- {}\n.SH SYNOPSIS\n.B {name}\n{}\n",
        env!("CARGO_PKG_VERSION"),
        escaped(about(command)),
        escaped(
            options::help(command)
                .lines()
                .next()
                .unwrap_or_default()
                .trim_start_matches("Usage: ")
                .trim_start_matches(name)
                .trim_start()
        )
    );
    for section in options::sections(command) {
        let rows: Vec<&Opt> =
            section.rows.iter().filter(|opt| opt.belongs_to(command) && opt.same_as.is_none()).collect();
        if rows.is_empty() {
            continue;
        }
        let title = if section.title.is_empty() { "Options" } else { section.title };
        text.push_str(&format!(".SH {}\n", escaped(&title.to_uppercase())));
        rows.iter().for_each(|opt| text.push_str(&option(command, opt)));
    }
    for (heading, words) in chapters(command) {
        text.push_str(&format!(".SH {}\n", escaped(&heading.to_uppercase())));
        for (word, meaning) in *words {
            text.push_str(&format!(".TP\n\\fB{}\\fR\n{}.\n", escaped(word), escaped(meaning)));
        }
    }
    text.push_str(".SH SEE ALSO\n.BR squall (1)\n");
    text
}

fn option(command: Command, opt: &Opt) -> String {
    let value = match opt.takes {
        Takes::Nothing => String::new(),
        Takes::Value(name) => format!("=\\fI{}\\fR", escaped(name)),
        Takes::Maybe(name) | Takes::Loose(name) => format!("[=\\fI{}\\fR]", escaped(name)),
    };
    let short = opt.short.map(|letter| format!("\\fB\\-{letter}\\fR, ")).unwrap_or_default();
    let effect = match opt.effect {
        Effect::Acts => String::new(),
        Effect::Ignored { why } => format!("Accepted without effect: {}.\n", escaped(why)),
        Effect::Refused { why, try_this: "" } => format!("Refused: {}.\n", escaped(why)),
        Effect::Refused { why, try_this } => format!("Refused: {}. Instead: {}.\n", escaped(why), escaped(try_this)),
    };
    let variables = opt.variables(command);
    let variables = match variables.is_empty() {
        true => String::new(),
        false => format!("Also from the environment: {}.\n", escaped(&variables.join(", "))),
    };
    let help = opt.help.lines().map(escaped).collect::<Vec<_>>().join(" ");
    let help = if help.is_empty() { help } else { format!("{help}.\n") };
    format!(".TP\n{short}\\fB\\-\\-{}\\fR{value}\n{help}{effect}{variables}", escaped(opt.long))
}

fn about(command: Command) -> &'static str {
    match command {
        Command::Sbatch => "submit a script as a job",
        Command::Srun => "run tasks in a job, or in one made for them",
        Command::Salloc => "get nodes, and run a command that uses them",
        Command::Squeue => "the jobs that wait, run and have lately ended",
        Command::Sinfo => "partitions and nodes, those that exist and those that could be bought",
        Command::Scancel => "end jobs, or send them signals",
        Command::Sacct => "what jobs did and cost",
        Command::Scontrol => "show and change single jobs, nodes and partitions",
        Command::Sacctmgr => "accounts, the users in them, qualities of service, and their limits",
        Command::Sreport => "who used how much, over a stretch of time",
        Command::Sshare => "shares and usage of accounts and users",
        Command::Sprio => "the priorities of pending jobs",
        Command::Sdiag => "what the controller has to do",
        Command::Seff => "how much of what a job was given it used",
        Command::Sattach => "hear a step that runs, and speak to it",
        Command::Sbcast => "copy a file to all nodes of a job",
        Command::Scrontab => "jobs that are run again and again, as cron does",
        Command::Strigger => "the programs that would run when something happens, of which there are none",
        Command::Sstat => "what steps that run use now",
        Command::Squall => "what Slurm has no command for",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page_with_all_of_its_options() {
        for command in Command::LINKED {
            let page = page(command);
            for opt in options::of(command).filter(|opt| opt.same_as.is_none()) {
                assert!(page.contains(&escaped(&format!("--{}", opt.long))), "{command} --{}", opt.long);
            }
            let requests = [".TH", ".SH", ".B ", ".BR", ".TP"];
            for line in page.lines().filter(|line| line.starts_with(['.', '\''])) {
                assert!(requests.iter().any(|request| line.starts_with(request)), "{command}: {line}");
            }
        }
    }
}
