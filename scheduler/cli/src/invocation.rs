//! Everything that surrounds one run of a command. Commands take the world from here and nowhere else, so that tests
//! can give them another one.

use crate::command::Command;
use crate::controller::Controller;
use jiff::tz::TimeZone;
use squall_types::{Gid, Timestamp, Uid};
use std::ffi::{OsStr, OsString};
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

/// Who runs the command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    pub uid: Uid,
    pub gid: Gid,
    pub name: String,
    pub home: PathBuf,
    pub shell: PathBuf,
    /// Of this machine, without its domain.
    pub host: String,
    pub umask: u32,
}

/// The environment. A command asks it a hundred times and lives for a millisecond, so that nothing is copied for that.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// By name, each once.
    variables: Vec<(OsString, OsString)>,
}

impl Environment {
    /// Of a name that comes more than once, the last value counts.
    pub fn new(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let mut variables: Vec<(OsString, OsString)> = variables.into_iter().collect();
        variables.sort_by(|(one, _), (other, _)| one.cmp(other));
        variables.dedup_by(|later, kept| {
            let again = later.0 == kept.0;
            if again {
                kept.1 = std::mem::take(&mut later.1);
            }
            again
        });
        Environment { variables }
    }

    /// A variable whose value is text.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.get_joined("", name)
    }

    /// The variable whose name is `prefix` and then `rest`.
    pub fn get_joined(&self, prefix: &str, rest: &str) -> Option<&str> {
        let order = |(name, _): &(OsString, OsString)| {
            let (front, back) = name.as_bytes().split_at(name.len().min(prefix.len()));
            front.cmp(prefix.as_bytes()).then_with(|| back.cmp(rest.as_bytes()))
        };
        self.variables.binary_search_by(order).ok().and_then(|at| self.variables[at].1.to_str())
    }

    /// A variable that is set and not empty.
    pub fn filled(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|value| !value.is_empty())
    }

    /// All of them by name; a value need not be text.
    pub fn all(&self) -> impl Iterator<Item = (&OsStr, &OsStr)> {
        self.variables.iter().map(|(name, value)| (name.as_os_str(), value.as_os_str()))
    }
}

/// One run of a command.
pub struct Invocation<'a> {
    pub command: Command,
    /// Without the command's name.
    pub arguments: Vec<String>,
    pub environment: Environment,
    pub directory: PathBuf,
    pub caller: Caller,
    pub zone: TimeZone,
    pub clock: fn() -> Timestamp,
    /// Lets time pass before something is tried again.
    pub pause: fn(Duration),
    pub input: &'a mut dyn Read,
    /// Whether the input has something to read, or has ended, within a time.
    pub heard_within: fn(Duration) -> bool,
    pub out: &'a mut dyn Write,
    pub err: &'a mut dyn Write,
    pub controller: &'a dyn Controller,
}

impl Invocation<'_> {
    pub fn now(&self) -> Timestamp {
        (self.clock)()
    }

    pub fn name(&self) -> &'static str {
        self.command.name()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_a_name_counts_and_names_are_found_in_parts() {
        let given = [("B", "1"), ("SLURM_A", "2"), ("B", "3"), ("SLURM_", "4"), ("SL", "5"), ("B", "6"), ("", "7")];
        let environment = Environment::new(given.map(|(name, value)| (name.into(), value.into())));
        assert_eq!(environment.all().count(), 5);
        assert_eq!(
            (environment.get("B"), environment.get("SL"), environment.get("")),
            (Some("6"), Some("5"), Some("7"))
        );
        assert_eq!((environment.get("SLURM"), environment.get("SLURM_B"), environment.get("C")), (None, None, None));
        for (name, value) in [("SLURM_A", "2"), ("SLURM_", "4"), ("SL", "5")] {
            for at in 0..=name.len() {
                assert_eq!(environment.get_joined(&name[..at], &name[at..]), Some(value), "{name} in two at {at}");
            }
        }
        assert_eq!(environment.get_joined("SLURM_A", "A"), None);
        assert_eq!(environment.get_joined("SLURM_AB", ""), None);
    }

    #[test]
    fn what_is_no_text_is_passed_on_and_not_read() {
        use std::os::unix::ffi::OsStringExt;
        let value = OsString::from_vec(vec![0xff]);
        let environment = Environment::new([("ODD".into(), value.clone())]);
        assert_eq!(environment.get("ODD"), None);
        assert_eq!(environment.all().next(), Some((OsStr::new("ODD"), value.as_os_str())));
    }
}
