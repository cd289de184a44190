//! `#SBATCH` lines.

use super::Script;
use super::words::words;
use crate::command::Command;
use crate::failure::{Advice, Failure};
use crate::options::{self, OptionError, Set};
use crate::terminal::escaped;

const MAGIC: &str = "#SBATCH";
/// A line of such a word begins the next component.
const SEPARATORS: [&str; 2] = ["hetjob", OUTDATED];
const OUTDATED: &str = "packjob";
const OTHER_SYSTEMS: [&str; 2] = ["#PBS", "#BSUB"];

/// What the lines of a script ask for, up to its first command.
#[derive(Debug, Default)]
pub struct Directives {
    /// Of each component; a job that is not heterogeneous has one.
    pub components: Vec<Vec<Set>>,
    /// Components were separated by the word that Slurm had for it first.
    pub outdated: bool,
    /// The script has directives for another batch system and none for this one.
    pub foreign: Option<&'static str>,
}

/// Reads the directives of a script.
///
/// # Errors
/// A line that cannot be read or names no option of `sbatch`.
pub fn directives(script: &Script) -> Result<Directives, Failure> {
    let mut found: Vec<Vec<String>> = vec![Vec::new()];
    let (mut foreign, mut outdated) = (None, false);
    for (at, line) in script.body.split(|byte| *byte == b'\n').enumerate() {
        let Some(rest) = line.strip_prefix(MAGIC.as_bytes()) else {
            if is_command(line) {
                break;
            }
            foreign = foreign.or_else(|| OTHER_SYSTEMS.into_iter().find(|magic| line.starts_with(magic.as_bytes())));
            continue;
        };
        let words = line_words(script, at + 1, rest)?;
        if words.first().is_some_and(|word| SEPARATORS.contains(&word.as_str())) {
            outdated |= words[0] == OUTDATED;
            found.push(Vec::new());
        } else {
            found.last_mut().into_iter().for_each(|component| component.extend(words.iter().cloned()));
        }
    }
    if found.iter().all(Vec::is_empty) && found.len() == 1 {
        return Ok(Directives { components: Vec::new(), outdated, foreign });
    }
    let components = found.iter().map(|words| component(script, words)).collect::<Result<_, _>>()?;
    Ok(Directives { components, outdated, foreign: None })
}

fn component(script: &Script, words: &[String]) -> Result<Vec<Set>, Failure> {
    let parsed = options::parse(Command::Sbatch, words).map_err(|error| in_script(script, &error))?;
    match parsed.rest.first() {
        Some(stray) => {
            Err(Failure::error("sbatch", format_args!("Invalid directive found in batch script: {}", escaped(stray))))
        }
        None => Ok(parsed.set),
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
    words(text).map_err(|error| Failure::plain(format!("sbatch: fatal: {}: {error}", place())))
}

fn in_script(script: &Script, error: &OptionError) -> Failure {
    let told = error.told_by(Command::Sbatch);
    told.advising(Advice { asked: format!("by a directive in {}", script.label), ..Advice::default() })
}
