//! `strigger`: programs that the controller would run when something happens. There are none: the list is always empty,
//! and what cannot be kept is refused, so that nobody waits for a program that never runs.

use crate::failure::{Advice, Failure};
use crate::invocation::Invocation;
use crate::options::{Given, Parsed};
use crate::request::names_of_nodes;
use crate::select;
use crate::terminal::escaped;
use std::fmt;

/// # Errors
/// Whatever is not a question for triggers.
pub fn run(invocation: &mut Invocation<'_>, parsed: Parsed) -> Result<i32, Failure> {
    let given = Given::on_command_line(invocation.command, &parsed);
    let asked = ["set", "get", "clear"].into_iter().filter(|long| given.has(long)).count();
    if asked != 1 {
        let first = "You must use exactly one of the following options: --set, --get or --clear";
        return Err(Failure::error("strigger", first));
    }
    given.refuse_what_cannot_be_kept()?;
    // What a list is to be about is read as if there were something to choose from.
    let error = |text: fmt::Arguments<'_>| Failure::error("strigger", text);
    if let Some(text) = given.text("jobid") {
        select::job(text).ok_or_else(|| error(format_args!("Invalid jobid {}", escaped(text))))?;
    }
    if let Some(text) = given.text("node") {
        names_of_nodes("strigger", "node", text)?;
    }
    if let Some(text) = given.text("user") {
        select::user(text).ok_or_else(|| error(format_args!("Invalid user {}", escaped(text))))?;
    }
    if let Some(text) = given.text("flags").filter(|text| !text.eq_ignore_ascii_case("perm")) {
        return Err(error(format_args!("Invalid flags {}", escaped(text))));
    }
    if given.has("clear") {
        if !["id", "jobid", "user"].into_iter().any(|long| given.has(long)) {
            return Err(error(format_args!("You must specify a --id, --jobid, or --user to clear")));
        }
        return Err(Failure::plain("slurm_clear_trigger: No such process").advising(Advice {
            limit: "there are no triggers to be cleared".to_owned(),
            try_this: "strigger --get, which lists none".to_owned(),
            ..Advice::default()
        }));
    }
    if ["time", "fini"].into_iter().any(|long| given.has(long)) && !given.has("jobid") {
        return Err(error(format_args!("You must specify a --jobid value")));
    }
    invocation.controller.ping().map_err(|error| Failure::load("slurm_get_triggers", &error))?;
    if given.has("verbose") {
        writeln!(invocation.err, "strigger: Read 0 trigger records")?;
    }
    Ok(0)
}
