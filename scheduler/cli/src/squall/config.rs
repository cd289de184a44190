//! `squall config`: a file is checked here, what holds is asked of the controller.

use super::wrong_call;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::terminal::escaped;
use squall_types::api::ConfigEntry;

/// A column is no wider for the longest value's sake.
const MAX_COLUMN: usize = 60;

pub fn run(invocation: &mut Invocation<'_>, words: &[String]) -> Result<i32, Failure> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["show"] => show(invocation),
        // Printed by the controller's own code, which alone knows what a file may say.
        ["check"] | ["check", _] | ["show", _] | ["schema"] => crate::embedded::config(invocation, &words),
        _ => Err(wrong_call("config")),
    }
}

fn show(invocation: &mut Invocation<'_>) -> Result<i32, Failure> {
    let entries = invocation.controller.configuration();
    let entries = entries.map_err(|error| Failure::load("slurm_load_ctl_conf", &error))?;
    invocation.out.write_all(entries_text(&entries).as_bytes())?;
    Ok(0)
}

/// Keys, values and where they were said, in columns.
pub fn entries_text(entries: &[ConfigEntry]) -> String {
    let widest = |text: fn(&ConfigEntry) -> &str| {
        entries.iter().map(|entry| text(entry).chars().count()).max().unwrap_or(0).min(MAX_COLUMN)
    };
    let (keys, values) = (widest(|entry| &entry.key), widest(|entry| &entry.value));
    let line = |entry: &ConfigEntry| {
        let (key, value, source) = (escaped(&entry.key), escaped(&entry.value), escaped(&entry.source));
        format!("{key:keys$}  {value:values$}  {source}\n")
    };
    entries.iter().map(line).collect()
}
