//! `#SBATCH` lines.

use super::Script;
use super::words::words;
use crate::command::Command;
use crate::failure::{Advice, Failure};
use crate::options::{self, OptionError, Set};
use crate::terminal::escaped;

const MAGIC: &str = "#SBATCH";
const OTHER_SYSTEMS: [&str; 2] = ["#PBS", "#BSUB"];

/// What the lines of a script ask for, up to its first command.
#[derive(Debug, Default)]
pub struct Directives {
    pub set: Vec<Set>,
    /// The script has directives for another batch system and none for this one.
    pub foreign: Option<&'static str>,
}

/// Reads the directives of a script.
///
/// # Errors
/// A line that cannot be read or names no option of `sbatch`, or one that begins a heterogeneous job.
pub fn directives(script: &Script) -> Result<Directives, Failure> {
    let mut found = Vec::new();
    let mut foreign = None;
    for (at, line) in script.body.split(|byte| *byte == b'\n').enumerate() {
        let Some(rest) = line.strip_prefix(MAGIC.as_bytes()) else {
            if is_command(line) {
                break;
            }
            foreign = foreign.or_else(|| OTHER_SYSTEMS.into_iter().find(|magic| line.starts_with(magic.as_bytes())));
            continue;
        };
        found.extend(line_words(script, at + 1, rest)?);
    }
    if found.is_empty() {
        return Ok(Directives { set: Vec::new(), foreign });
    }
    let parsed = options::parse(Command::Sbatch, &found).map_err(|error| in_script(script, &error))?;
    match parsed.rest.first() {
        Some(stray) => {
            Err(Failure::error("sbatch", format_args!("Invalid directive found in batch script: {}", escaped(stray))))
        }
        None => Ok(Directives { set: parsed.set, foreign: None }),
    }
}

/// Anything but a comment and blanks.
fn is_command(line: &[u8]) -> bool {
    line.iter().find(|byte| !byte.is_ascii_whitespace()).is_some_and(|byte| *byte != b'#')
}

fn line_words(script: &Script, number: usize, rest: &[u8]) -> Result<Vec<String>, Failure> {
    let place = || format!("{}: line {number}", escaped(&script.label));
    let text = std::str::from_utf8(rest)
        .map_err(|_| Failure::plain(format!("sbatch: fatal: {}: the directive is not valid UTF-8", place())))?;
    let words = words(text).map_err(|error| Failure::plain(format!("sbatch: fatal: {}: {error}", place())))?;
    if let Some(het) = words.first().filter(|word| ["hetjob", "packjob"].contains(&word.as_str())) {
        return Err(Failure::error("sbatch", "heterogeneous jobs are not supported").advising(Advice {
            asked: format!("#SBATCH {het} in {}", place()),
            limit: "a job has one kind of node".to_owned(),
            try_this: "one job for each part, joined by --dependency=after".to_owned(),
            code: "SQ0003",
            ..Advice::default()
        }));
    }
    Ok(words)
}

fn in_script(script: &Script, error: &OptionError) -> Failure {
    let told = error.told_by(Command::Sbatch);
    told.advising(Advice { asked: format!("by a directive in {}", script.label), ..Advice::default() })
}
