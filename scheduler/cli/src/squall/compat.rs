//! `squall compat`: each option of Slurm's commands, and what becomes of it here.

use super::wrong_call;
use crate::command::Command;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::options::{self, Effect, Opt};

pub fn run(invocation: &mut Invocation<'_>, words: &[String]) -> Result<i32, Failure> {
    let commands = match words {
        [] => vec![Command::Sbatch, Command::Srun, Command::Salloc],
        [name] => vec![Command::linked(name).ok_or_else(|| wrong_call("compat"))?],
        _ => return Err(wrong_call("compat")),
    };
    for command in commands {
        let mut rows: Vec<&Opt> = options::of(command).filter(|opt| opt.same_as.is_none()).collect();
        rows.sort_by_key(|opt| opt.long.to_ascii_lowercase());
        for opt in rows {
            let (effect, why) = match opt.effect {
                Effect::Acts => ("acts", opt.help.lines().collect::<Vec<_>>().join(" ")),
                Effect::Ignored { why } => ("no effect", why.to_owned()),
                Effect::Refused { why, .. } => ("refused", why.to_owned()),
            };
            writeln!(invocation.out, "{:<8} {:<24} {effect:<10} {why}", command.name(), format!("--{}", opt.long))?;
        }
    }
    Ok(0)
}
