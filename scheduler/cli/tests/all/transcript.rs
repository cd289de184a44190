//! Runs a command line against a canned controller and writes down what a terminal would have shown.

use crate::canned::Canned;
use squall::command::Command;
use squall::invocation::{Caller, Environment, Invocation};
use squall::{dispatch, options};
use squall_types::{Gid, Timestamp, Uid};
use std::ffi::OsString;
use std::path::PathBuf;

/// 2026-11-25T10:30:00 UTC, a Wednesday.
pub const NOW: Timestamp = Timestamp::from_secs(1_795_602_600);

/// Where and by whom commands are run.
pub struct Desk {
    pub controller: Canned,
    pub directory: tempfile::TempDir,
    pub variables: Vec<(&'static str, String)>,
    pub input: Vec<u8>,
    /// Nobody types anything, and the input does not end.
    pub silent: bool,
}

/// What came of a command.
#[derive(Debug)]
pub struct Outcome {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Desk {
    pub fn new(controller: Canned) -> Self {
        let directory = tempfile::tempdir().expect("a folder for scripts");
        Desk {
            controller,
            directory,
            variables: vec![("PATH", "/usr/bin:/bin".to_owned())],
            input: Vec::new(),
            silent: false,
        }
    }

    pub fn file(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        std::fs::write(self.directory.path().join(name), content).expect("a file in the folder");
        self
    }

    pub fn set(mut self, name: &'static str, value: &str) -> Self {
        self.variables.push((name, value.to_owned()));
        self
    }

    pub fn typing(mut self, input: &str) -> Self {
        self.input = input.into();
        self
    }

    /// Runs a line of words; quotes hold words together as in a shell.
    pub fn run(&self, line: &str) -> Outcome {
        self.run_words(&words(line))
    }

    pub fn run_words(&self, line: &[String]) -> Outcome {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let called = dispatch::command(line.iter().map(OsString::from).collect());
        let code = match called.and_then(|(command, arguments)| self.invoke(command, arguments, &mut out, &mut err)) {
            Ok(code) => code,
            Err(failure) => {
                err.extend(failure.to_string().into_bytes());
                failure.code
            }
        };
        let folder = self.directory.path().to_str().expect("a folder with a plain name");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text").replace(folder, "/home/ann/work");
        Outcome { code, out: text(out), err: text(err) }
    }

    fn invoke(
        &self,
        command: Command,
        arguments: Vec<String>,
        out: &mut Vec<u8>,
        err: &mut Vec<u8>,
    ) -> Result<i32, squall::failure::Failure> {
        let parsed = options::parse(command, &arguments).map_err(|error| error.told_by(command))?;
        if dispatch::answered_at_once(command, &parsed, out)? {
            return Ok(0);
        }
        let variables = self.variables.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
        let mut invocation = Invocation {
            command,
            arguments,
            environment: Environment::new(variables),
            directory: self.directory.path().to_owned(),
            caller: Caller {
                uid: Uid(1000),
                gid: Gid(1000),
                name: "ann".to_owned(),
                home: PathBuf::from("/home/ann"),
                shell: PathBuf::from("/bin/sh"),
                host: "login".to_owned(),
                umask: 0o022,
            },
            zone: jiff::tz::TimeZone::UTC,
            clock: || NOW,
            pause: |_| {},
            heard_within: if self.silent { |_| false } else { |_| true },
            input: &mut self.input.as_slice(),
            out,
            err,
            controller: &self.controller,
        };
        dispatch::run(&mut invocation, parsed)
    }

    /// The line, what it printed, and its exit code where that is not 0.
    pub fn transcript(&self, line: &str) -> String {
        let outcome = self.run(line);
        let code = if outcome.code == 0 { String::new() } else { format!("[exit {}]\n", outcome.code) };
        format!("$ {line}\n{}{}{code}", outcome.out, outcome.err)
    }

    pub fn transcripts(&self, lines: &[&str]) -> String {
        lines.iter().map(|line| self.transcript(line)).collect()
    }
}

/// Words of a line, with single and double quotes.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for letter in line.chars() {
        match (letter, quote) {
            (letter, Some(open)) if letter == open => quote = None,
            ('"' | '\'', None) => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (' ', None) => words.extend(word.take()),
            (letter, _) => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    words
}
