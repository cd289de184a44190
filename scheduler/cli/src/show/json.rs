//! The parts that all JSON answers share, in the shape of Slurm's data parser v0.0.41.

use serde_json::{Value, json};
use squall_types::Timestamp;

/// The only version of the shape that is written; `--json=v0.0.41` asks for it by name.
pub const DATA_PARSER: &str = "v0.0.41";

/// What surrounds the records: `{"jobs": [...], "meta": {...}, "errors": [], "warnings": []}`.
pub fn answer(records: &str, values: Vec<Value>, command: &str) -> Value {
    json!({
        records: values,
        "meta": {
            "plugin": { "type": "", "name": "", "data_parser": format!("data_parser/{DATA_PARSER}"), "accounting_storage": "" },
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

/// # Errors
/// Another version of the shape than the one that is written.
pub fn version(asked: Option<&str>) -> Result<(), String> {
    match asked {
        None | Some("" | DATA_PARSER) => Ok(()),
        Some(other) => Err(format!("{other} is not written; --json={DATA_PARSER} is")),
    }
}
