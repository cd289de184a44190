//! `squall install-links DIR`: the names under which programs know the commands.

use super::wrong_call;
use crate::command::Command;
use crate::failure::{Advice, Failure};
use crate::invocation::Invocation;
use crate::links;
use crate::terminal::{escaped, plain};
use std::{fs, io};

pub fn run(invocation: &mut Invocation<'_>, words: &[String]) -> Result<i32, Failure> {
    let [folder] = words else { return Err(wrong_call("install-links")) };
    let failed = |error: io::Error| Failure::error("squall", format_args!("{}: {}", escaped(folder), plain(&error)));
    let squall = std::env::current_exe().map_err(failed)?;
    let program = links::commands_beside(&squall).unwrap_or(squall);
    let folder_path = invocation.directory.join(folder);
    fs::create_dir_all(&folder_path).map_err(failed)?;
    for command in Command::LINKED {
        let link = folder_path.join(command.name());
        links::place(&program, &link).map_err(|error| not_placed(&link.display().to_string(), &error))?;
        writeln!(invocation.out, "{} -> {}", link.display(), program.display())?;
    }
    Ok(0)
}

fn not_placed(link: &str, error: &io::Error) -> Failure {
    if error.kind() != io::ErrorKind::AlreadyExists {
        return Failure::error("squall", format_args!("{}: {}", escaped(link), plain(error)));
    }
    Failure::error("squall", format_args!("{} exists and is not a link to squall", escaped(link))).advising(Advice {
        limit: "nothing is overwritten that somebody else put there".to_owned(),
        try_this: "another folder, before the other one in PATH".to_owned(),
        code: "SQ0016",
        ..Advice::default()
    })
}
