//! Where a job may run: features and lists of nodes.

use super::value::invalid;
use super::what_failed;
use crate::failure::{Advice, Failure};
use crate::invocation::Invocation;
use crate::options::Given;
use squall_types::Constraint;
use squall_types::hostlist;
use std::fs::File;
use std::io::Read;

/// The longest file of `--nodefile`.
const MAX_NODE_FILE: u64 = 1024 * 1024;

#[derive(Debug, Default)]
pub struct Place {
    pub constraint: Option<Constraint>,
    pub prefer: Option<Constraint>,
    pub node_list: Vec<String>,
    pub exclude: Vec<String>,
}

/// # Errors
/// A constraint or list that cannot be read.
pub fn place(invocation: &Invocation<'_>, given: &Given) -> Result<Place, Failure> {
    let command = invocation.name();
    Ok(Place {
        constraint: features(command, given, "constraint", "Invalid feature specification")?,
        prefer: features(command, given, "prefer", "Invalid preferred feature specification")?,
        node_list: match given.text("nodelist") {
            // A list with a slash is the name of a file, as in Slurm.
            Some(path) if path.contains('/') => from_file(invocation, "nodelist", path)?,
            Some(text) => names(command, "nodelist", text)?,
            None => match given.text("nodefile") {
                Some(path) => from_file(invocation, "nodefile", path)?,
                None => Vec::new(),
            },
        },
        exclude: match given.text("exclude") {
            Some(path) if path.contains('/') => from_file(invocation, "exclude", path)?,
            Some(text) => names(command, "exclude", text)?,
            None => Vec::new(),
        },
    })
}

fn features(command: &str, given: &Given, long: &str, refusal: &str) -> Result<Option<Constraint>, Failure> {
    let Some(text) = given.text(long).filter(|text| !text.is_empty()) else { return Ok(None) };
    text.parse().map(Some).map_err(|why: squall_types::constraint::ConstraintError| {
        Failure::error(command, format_args!("{}: {refusal}", what_failed(command))).advising(Advice {
            asked: format!("--{long}={text}"),
            limit: why.to_string(),
            try_this: format!("--{long}=h100, --{long}='a&b' or --{long}='[rack1|rack2]'"),
            code: "SQ0007",
            ..Advice::default()
        })
    })
}

/// The names in a list of hosts.
///
/// # Errors
/// A text that is none.
pub fn names(command: &str, long: &str, text: &str) -> Result<Vec<String>, Failure> {
    hostlist::parse(text).map_err(|why| {
        // What is no option has no dashes.
        let option = if long.is_empty() { String::new() } else { format!("--{long}=") };
        Failure::error(command, "Invalid node name specified").advising(Advice {
            asked: format!("{option}{text}"),
            limit: why.to_string(),
            try_this: format!("{option}n1 or {option}'n[1-4,7]'"),
            code: "SQ0008",
            ..Advice::default()
        })
    })
}

fn from_file(invocation: &Invocation<'_>, long: &str, path: &str) -> Result<Vec<String>, Failure> {
    let command = invocation.name();
    let mut text = String::new();
    let opened = File::open(invocation.directory.join(path));
    opened
        .and_then(|file| file.take(MAX_NODE_FILE).read_to_string(&mut text))
        .map_err(|error| invalid(command, long, path, crate::terminal::plain(&error), "a file with names of hosts"))?;
    names(command, long, &text)
}
