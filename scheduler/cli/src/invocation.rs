//! Everything that surrounds one run of a command. Commands take the world from here and nowhere else, so that tests
//! can give them another one.

use crate::command::Command;
use crate::controller::Controller;
use jiff::tz::TimeZone;
use squall_types::{Gid, Timestamp, Uid};
use std::collections::BTreeMap;
use std::ffi::OsString;
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

/// The environment: as the kernel gave it, and as text where it is text.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    raw: Vec<(OsString, OsString)>,
    text: BTreeMap<String, String>,
}

impl Environment {
    pub fn new(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let raw: Vec<(OsString, OsString)> = variables.into_iter().collect();
        let as_text =
            |(name, value): &(OsString, OsString)| Some((name.to_str()?.to_owned(), value.to_str()?.to_owned()));
        Environment { text: raw.iter().filter_map(as_text).collect(), raw }
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.text.get(name).map(String::as_str)
    }

    /// A variable that is set and not empty.
    pub fn filled(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|value| !value.is_empty())
    }

    pub fn text(&self) -> &BTreeMap<String, String> {
        &self.text
    }

    /// Names and values as bytes; a value need not be text.
    pub fn bytes(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.raw.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()))
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
