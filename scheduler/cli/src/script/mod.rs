//! Batch scripts: where they come from, and what makes a text one.

mod directives;
mod words;

pub use directives::directives;
pub use words::words;

use crate::failure::{Advice, Failure};
use crate::invocation::Invocation;
use crate::terminal::{self, escaped};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// The longest script, as in Slurm.
pub const MAX_SCRIPT: usize = 4 * 1024 * 1024;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A script as it will be stored, and what it is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// What messages call it: the file as it was given.
    pub label: String,
    /// The file with its whole path; empty where there is none.
    pub path: String,
    /// What the job is called unless it says otherwise.
    pub name: String,
    pub body: Vec<u8>,
}

/// `--wrap`: a script of one line.
///
/// # Errors
/// A text that no shell line can hold, or that is too long.
pub fn wrapped(command: &str, line: &str) -> Result<Script, Failure> {
    let body = format!("#!/bin/sh\n# This script was created by sbatch --wrap.\n\n{line}\n").into_bytes();
    check(command, &body)?;
    Ok(Script { label: "--wrap".to_owned(), path: String::new(), name: "wrap".to_owned(), body })
}

/// Reads the script in the file of this name, or on standard input where there is none.
///
/// # Errors
/// A file that cannot be read, or what is in it is no batch script.
pub fn read(invocation: &mut Invocation<'_>, name: Option<&str>) -> Result<Script, Failure> {
    let command = invocation.name();
    let script = match name {
        None => Script {
            label: "standard input".to_owned(),
            path: String::new(),
            name: command.to_owned(),
            body: limited(&mut *invocation.input).map_err(|error| unreadable(command, "standard input", &error))?,
        },
        Some(name) => {
            let path = find(invocation, name);
            let opened = File::open(&path).map_err(|error| {
                let failure = Failure::error(command, format_args!("Unable to open file {}", escaped(name)));
                failure.advising(Advice { cause: terminal::plain(&error), ..Advice::default() })
            })?;
            let body = limited(opened).map_err(|error| unreadable(command, name, &error))?;
            let base = path.file_name().map(|base| base.to_string_lossy().into_owned());
            Script {
                label: name.to_owned(),
                path: path.display().to_string(),
                name: base.unwrap_or_else(|| command.to_owned()),
                body,
            }
        }
    };
    check(command, &script.body)?;
    Ok(script)
}

/// As Slurm: where the command runs, then along PATH.
fn find(invocation: &Invocation<'_>, name: &str) -> PathBuf {
    let here = invocation.directory.join(name);
    if name.contains('/') || here.exists() {
        return here;
    }
    let path = invocation.environment.get("PATH").unwrap_or_default();
    let elsewhere = path.split(':').filter(|folder| !folder.is_empty()).map(|folder| Path::new(folder).join(name));
    elsewhere.into_iter().find(|candidate| candidate.is_file()).unwrap_or(here)
}

/// One byte more than may be there, so that too much can be told from just enough.
fn limited(from: impl Read) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    from.take(MAX_SCRIPT as u64 + 1).read_to_end(&mut body)?;
    Ok(body)
}

fn unreadable(command: &str, name: &str, error: &io::Error) -> Failure {
    Failure::error(command, format_args!("Unable to read {}: {}", escaped(name), terminal::plain(error)))
}

/// # Errors
/// What makes `body` no batch script, in Slurm's words.
pub fn check(command: &str, body: &[u8]) -> Result<(), Failure> {
    let advice = |limit: &str, try_this: &str, code| Advice {
        asked: String::new(),
        limit: limit.to_owned(),
        try_this: try_this.to_owned(),
        code,
        ..Advice::default()
    };
    if body.is_empty() {
        return Err(Failure::error(command, "Batch script is empty!"));
    }
    if body.len() > MAX_SCRIPT {
        return Err(Failure::error(command, "Batch script is too large").advising(advice(
            &format!("a script has at most {} MB", MAX_SCRIPT / 1024 / 1024),
            "a file beside the script for what is data",
            "SQ0010",
        )));
    }
    if body.iter().all(u8::is_ascii_whitespace) {
        return Err(Failure::error(command, "Batch script contains only whitespace!"));
    }
    if !body.starts_with(b"#!") {
        let failure = Failure::error(command, "This does not look like a batch script.  The first")
            .and_line(format!("{command}: error: line must start with #! followed by the path to an interpreter."))
            .and_line(format!("{command}: error: For instance: #!/bin/sh"));
        return Err(match body.strip_prefix(BYTE_ORDER_MARK) {
            Some(_) => failure.advising(advice(
                "the file begins with a byte order mark, which the kernel takes for text",
                "sed -i '1s/^\\xef\\xbb\\xbf//' FILE",
                "SQ0011",
            )),
            None => failure,
        });
    }
    if body.contains(&0) {
        let line = 1 + body.iter().take_while(|byte| **byte != 0).filter(|byte| **byte == b'\n').count();
        return Err(Failure::error(command, "The Slurm controller does not allow scripts that")
            .and_line(format!("{command}: error: contain a NULL character '\\0'."))
            .advising(advice(&format!("there is one in line {line}"), "", "SQ0012")));
    }
    if body.windows(2).any(|pair| pair == b"\r\n") {
        return Err(Failure::error(command, "Batch script contains DOS line breaks (\\r\\n)")
            .and_line(format!("{command}: error: instead of expected UNIX line breaks (\\n)."))
            .advising(advice("", "dos2unix FILE, or sed -i 's/\\r$//' FILE", "SQ0013")));
    }
    Ok(())
}
