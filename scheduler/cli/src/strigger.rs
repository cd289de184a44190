//! `strigger`: programs that the controller would run when something happens. There are none: the list is always empty,
//! and what cannot be kept is refused, so that nobody waits for a program that never runs.

use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::options::{Given, Parsed};
use crate::request::names_of_nodes;
use crate::select;
use crate::terminal::escaped;

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
    if let Some(text) = given.text("jobid") {
        let invalid = || Failure::error("strigger", format_args!("Invalid job_id: {}", escaped(text)));
        select::job(text).ok_or_else(invalid)?;
    }
    if let Some(text) = given.text("node") {
        names_of_nodes("strigger", "node", text)?;
    }
    if let Some(text) = given.text("user") {
        let invalid = || Failure::error("strigger", format_args!("Invalid user: {}", escaped(text)));
        select::user(text).ok_or_else(invalid)?;
    }
    invocation.controller.ping().map_err(|error| Failure::load("slurm_get_triggers", &error))?;
    Ok(0)
}
