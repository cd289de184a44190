//! Answers in JSON or YAML, in the shape of Slurm's data parser: a record is made once for all versions of the shape,
//! of values that know how each version writes them.

mod answer;
mod job;
mod job_resources;
pub mod node;
pub mod partition;
mod shape;
pub mod step;
mod value;
mod version;

pub use answer::{Answer, Surroundings};
pub use job::write_jobs;
pub use shape::{minutes, seconds};
pub use step::write_steps;
pub use value::{Member, Value};
pub use version::{Shape, Version, list};

use crate::command::Command;
use crate::failure::{Advice, Failure};
use crate::options::Given;
use serde::Serialize;
use std::io::{self, BufWriter, Write};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Language {
    Json,
    Yaml,
}

/// How records are written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Notation {
    language: Language,
    pub shape: Shape,
}

/// The notation that `--json` or `--yaml` asks for; `None` where tables and text are wanted.
///
/// # Errors
/// A version or flag that is not known.
pub fn asked(given: &Given, command: Command) -> Result<Option<Notation>, Failure> {
    let Some(long) = given.later_of(&["json", "yaml"]) else { return Ok(None) };
    let shape = Shape::parse(given.text(long).unwrap_or_default()).map_err(|limit| {
        let failure = Failure::error(command.name(), format_args!("Invalid --{long} specification"));
        failure.advising(Advice { limit, code: "SQ0001", ..Advice::default() })
    })?;
    let language = if long == "json" { Language::Json } else { Language::Yaml };
    Ok(Some(Notation { language, shape }))
}

impl Notation {
    /// # Errors
    /// Where nobody reads any more.
    pub fn write(self, out: &mut dyn Write, value: &impl Serialize) -> Result<(), Failure> {
        let mut out = BufWriter::new(out);
        match self.language {
            Language::Json => {
                serde_json::to_writer_pretty(&mut out, value).map_err(io::Error::from)?;
                writeln!(out)?;
            }
            Language::Yaml => {
                writeln!(out, "---")?;
                yaml_serde::to_writer(&mut out, value).map_err(io::Error::other)?;
                writeln!(out, "...")?;
            }
        }
        Ok(out.flush()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn text_that_looks_like_something_else_stays_text_in_yaml() {
        let value =
            json!({ "name": "no", "id": "0x1f", "note": "a: b # c\n- d", "time": "12:30:45", "empty": "", "n": 5 });
        let mut text = Vec::new();
        let yaml = Notation { language: Language::Yaml, shape: Shape::DEFAULT };
        yaml.write(&mut text, &value).unwrap();
        let read: serde_json::Value = yaml_serde::from_slice(&text).unwrap();
        assert_eq!(read, value, "{}", String::from_utf8_lossy(&text));
    }
}
