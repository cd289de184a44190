//! The parser, with the rules of GNU `getopt_long`.

use super::{Opt, Takes, named, of};
use crate::command::Command;
use crate::failure::{EXIT_OPTION, Failure};
use crate::terminal::escaped;
use squall_types::did_you_mean;
use std::iter::Peekable;
use std::slice::Iter;

/// One option as it was given.
#[derive(Clone, Debug)]
pub struct Set {
    pub opt: &'static Opt,
    /// `None` where the option takes none or was given without one.
    pub value: Option<String>,
}

/// Options in the order in which they were given, and the words that are none.
#[derive(Clone, Debug, Default)]
pub struct Parsed {
    pub set: Vec<Set>,
    pub rest: Vec<String>,
}

/// Why the options of a command cannot be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptionError {
    #[error("unrecognized option '{0}'")]
    Unknown(String),
    #[error("invalid option -- '{0}'")]
    UnknownShort(char),
    #[error("option '{given}' is ambiguous; possibilities:{}", .candidates.iter().map(|name| format!(" '--{name}'")).collect::<String>())]
    Ambiguous { given: String, candidates: Vec<&'static str> },
    #[error("option '--{0}' requires an argument")]
    Missing(&'static str),
    #[error("option requires an argument -- '{0}'")]
    MissingShort(char),
    #[error("option '--{0}' doesn't allow an argument")]
    Unexpected(&'static str),
}

impl OptionError {
    /// As Slurm says it: the error, what may have been meant, and where to read more.
    pub fn told_by(&self, command: Command) -> Failure {
        let failure = Failure::plain(format!("{command}: {}", escaped(&self.to_string())));
        let failure = match self.meant(command) {
            Some(long) => failure.and_line(format!("{command}: did you mean '--{long}'?")),
            None => failure,
        };
        let failure = match command {
            // As in Slurm, which says no more here.
            Command::Sacct => failure,
            _ => failure.and_line(format!("Try \"{command} --help\" for more information")),
        };
        if command.permutes() { failure } else { failure.with_code(EXIT_OPTION) }
    }

    fn meant(&self, command: Command) -> Option<&'static str> {
        let OptionError::Unknown(given) = self else { return None };
        did_you_mean::closest(given.trim_start_matches('-'), of(command).map(|opt| opt.long))
    }
}

/// Reads `arguments`, without the command's name. Where the command does not permute, the first word that is no
/// option ends the options.
///
/// # Errors
/// The first option that is unknown, ambiguous, or has too much or too little behind it.
pub fn parse(command: Command, arguments: &[String]) -> Result<Parsed, OptionError> {
    let mut parsed = Parsed::default();
    let mut words = arguments.iter().peekable();
    while let Some(word) = words.next() {
        if word == "--" {
            parsed.rest.extend(words.by_ref().cloned());
        } else if let Some(long) = word.strip_prefix("--") {
            parsed.set.push(long_option(command, long, &mut words)?);
        } else if word.len() > 1 && word.starts_with('-') {
            bundle(command, &word[1..], &mut words, &mut parsed.set)?;
        } else {
            parsed.rest.push(word.clone());
            if !command.permutes() {
                parsed.rest.extend(words.by_ref().cloned());
            }
        }
    }
    Ok(parsed)
}

/// What follows the word that is read.
type Words<'a> = Peekable<Iter<'a, String>>;

/// The next word, if it can only be a value.
fn loose_value(words: &mut Words<'_>) -> Option<String> {
    words.next_if(|word| !word.starts_with('-') || word.len() == 1).cloned()
}

fn long_option<'a>(command: Command, text: &str, words: &mut Words<'a>) -> Result<Set, OptionError> {
    let (name, attached) = match text.split_once('=') {
        Some((name, value)) => (name, Some(value.to_owned())),
        None => (text, None),
    };
    let opt = find_long(command, name)?;
    let value = match (opt.takes, attached) {
        (Takes::Nothing, Some(_)) => return Err(OptionError::Unexpected(opt.long)),
        (Takes::Value(_), None) => Some(words.next().ok_or(OptionError::Missing(opt.long))?.clone()),
        (Takes::Loose(_), None) => loose_value(words),
        (_, attached) => attached,
    };
    Ok(Set { opt, value })
}

/// An exact name, or the beginning of only one.
fn find_long(command: Command, name: &str) -> Result<&'static Opt, OptionError> {
    let mut candidates: Vec<&'static Opt> = of(command).filter(|opt| opt.long.starts_with(name)).collect();
    if let Some(exact) = candidates.iter().find(|opt| opt.long == name) {
        return Ok(exact.same_as.and_then(|long| named(command, long)).unwrap_or(exact));
    }
    // Another spelling is found by its whole name alone, so that it makes no abbreviation ambiguous.
    candidates.retain(|opt| opt.same_as.is_none());
    // `--` alone never comes here; `--=x` would begin every name.
    match candidates.len() {
        1 if !name.is_empty() => Ok(candidates[0]),
        0 => Err(OptionError::Unknown(format!("--{name}"))),
        _ if name.is_empty() => Err(OptionError::Unknown("--".to_owned())),
        _ => {
            candidates.sort_by_key(|opt| opt.long);
            let candidates = candidates.iter().map(|opt| opt.long).collect();
            Err(OptionError::Ambiguous { given: format!("--{name}"), candidates })
        }
    }
}

/// `-Hn4`: flags, then perhaps one option with its value attached or in the next word.
fn bundle<'a>(command: Command, text: &str, words: &mut Words<'a>, set: &mut Vec<Set>) -> Result<(), OptionError> {
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        let opt = of(command).find(|opt| opt.short == Some(letter)).ok_or(OptionError::UnknownShort(letter))?;
        let attached = letters.as_str();
        let value = match opt.takes {
            Takes::Nothing => {
                set.push(Set { opt, value: None });
                continue;
            }
            Takes::Loose(_) if attached.is_empty() => loose_value(words),
            Takes::Maybe(_) | Takes::Loose(_) => (!attached.is_empty()).then(|| attached.to_owned()),
            Takes::Value(_) if attached.is_empty() => {
                Some(words.next().ok_or(OptionError::MissingShort(letter))?.clone())
            }
            Takes::Value(_) => Some(attached.to_owned()),
        };
        set.push(Set { opt, value });
        return Ok(());
    }
    Ok(())
}
