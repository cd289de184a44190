//! The parts that all answers in JSON or YAML share, in the shape of Slurm's data parser v0.0.41.

use crate::command::Command;
use crate::failure::{Advice, Failure};
use crate::options::Given;
use serde_json::{Value, json};
use squall_types::Timestamp;
use std::io::{self, Write};

/// The only version of the shape that is written; `--json=v0.0.41` asks for it by name.
pub const DATA_PARSER: &str = "v0.0.41";
/// The same as `--json=list` names it.
pub const FULL_NAME: &str = "data_parser/v0.0.41";

/// What surrounds the records: `{"jobs": [...], "meta": {...}, "errors": [], "warnings": []}`.
pub fn answer(records: &str, values: Vec<Value>, command: &str) -> Value {
    json!({
        records: values,
        "meta": {
            "plugin": { "type": "", "name": "", "data_parser": FULL_NAME, "accounting_storage": "" },
            "client": { "source": command, "user": "", "group": "" },
            "command": [command],
            "slurm": { "version": { "major": "24", "micro": "4", "minor": "05" }, "release": "24.05.4", "cluster": "" },
        },
        "errors": [],
        "warnings": [],
    })
}

/// A number that may be missing.
pub fn number(value: Option<u64>) -> Value {
    json!({ "set": value.is_some(), "infinite": false, "number": value.unwrap_or(0) })
}

/// A number that may be without bound.
pub fn limit(value: Option<u64>) -> Value {
    json!({ "set": value.is_some(), "infinite": value.is_none(), "number": value.unwrap_or(0) })
}

/// Seconds since the epoch.
pub fn moment(at: Option<Timestamp>) -> Value {
    number(at.map(|at| at.as_secs().max(0) as u64))
}

/// How a process ended.
pub fn exit(code: i32, signal: i32) -> Value {
    let status = match (code, signal) {
        (0, 0) => "SUCCESS",
        (_, 0) => "ERROR",
        _ => "SIGNALED",
    };
    let name = squall_types::signal::signal_name(signal).unwrap_or_default();
    let id = number((signal > 0).then_some(signal as u64));
    json!({
        "status": [status],
        "return_code": number(Some(code.max(0) as u64)),
        "signal": { "id": id, "name": name },
    })
}

/// How records are written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notation {
    Json,
    Yaml,
}

/// The notation that `--json` or `--yaml` asks for; `None` where tables and text are wanted.
///
/// # Errors
/// Another version of the shape than the one that is written.
pub fn asked(given: &Given, command: Command) -> Result<Option<Notation>, Failure> {
    let Some(long) = given.later_of(&["json", "yaml"]) else { return Ok(None) };
    match given.text(long) {
        None | Some("" | DATA_PARSER | FULL_NAME) => {}
        Some(other) => {
            let failure = Failure::error(command.name(), format_args!("Invalid --{long} specification"));
            return Err(failure.advising(Advice {
                limit: format!("{other} is not written; --{long}={DATA_PARSER} is"),
                code: "SQ0001",
                ..Advice::default()
            }));
        }
    }
    Ok(Some(if long == "json" { Notation::Json } else { Notation::Yaml }))
}

impl Notation {
    /// # Errors
    /// Where nobody reads any more.
    pub fn write(self, out: &mut dyn Write, value: &Value) -> Result<(), Failure> {
        match self {
            Notation::Json => writeln!(out, "{value:#}")?,
            Notation::Yaml => {
                let text = yaml_serde::to_string(value).map_err(io::Error::other)?;
                write!(out, "---\n{text}...\n")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_looks_like_something_else_stays_text_in_yaml() {
        let value =
            json!({ "name": "no", "id": "0x1f", "note": "a: b # c\n- d", "time": "12:30:45", "empty": "", "n": 5 });
        let mut text = Vec::new();
        Notation::Yaml.write(&mut text, &value).unwrap();
        let read: Value = yaml_serde::from_slice(&text).unwrap();
        assert_eq!(read, value, "{}", String::from_utf8_lossy(&text));
    }
}
