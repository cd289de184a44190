//! Where the streams of a step lead: to this terminal, to files here, or to files on the nodes.

use crate::failure::{Advice, Failure};
use crate::invocation::Invocation;
use crate::options::Given;
use crate::terminal::{escaped, plain};
use squall_types::pattern::{self, PatternValues};
use squall_types::step::StepStdio;
use squall_types::{JobId, OpenMode, StepId};
use std::path::PathBuf;

/// The streams of a step.
#[derive(Clone, Debug)]
pub struct Streams {
    pub input: Input,
    pub output: Output,
    /// `None` joins standard output.
    pub error: Option<Output>,
    pub open_mode: OpenMode,
    values: Values,
}

/// Where the tasks read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// This process's standard input, for all tasks or for one.
    Here(Option<u32>),
    /// A file that this process reads for all tasks.
    File(PathBuf),
    /// A file of its own for each task.
    Remote(String),
    Nothing,
}

/// Where the tasks write to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// This process's own stream; of all tasks or of one.
    Here(Option<u32>),
    /// One file that this process writes.
    File(String),
    /// A file of its own for each task or node, written there.
    Remote(String),
    Nothing,
}

/// What patterns of files here stand for.
#[derive(Clone, Debug)]
struct Values {
    job: JobId,
    array: Option<(JobId, u32)>,
    user: String,
    name: String,
    host: String,
}

/// Whether a pattern names the task or node, so that every one has a file of its own.
fn is_per_task(pattern: &str) -> bool {
    let mut letters = pattern.chars().peekable();
    while let Some(letter) = letters.next() {
        if letter != '%' {
            continue;
        }
        while letters.next_if(char::is_ascii_digit).is_some() {}
        match letters.next() {
            Some('t' | 'n' | 'N') => return true,
            _ => continue,
        }
    }
    false
}

impl Streams {
    /// # Errors
    /// A file for input that cannot be read.
    pub fn read(invocation: &Invocation<'_>, given: &Given, job: JobId) -> Result<Self, Failure> {
        let environment = &invocation.environment;
        let element = || {
            let array = environment.filled("SLURM_ARRAY_JOB_ID")?.parse().ok().map(JobId)?;
            Some((array, environment.filled("SLURM_ARRAY_TASK_ID")?.parse().ok()?))
        };
        let values = Values {
            job,
            array: element(),
            user: invocation.caller.name.clone(),
            name: environment.filled("SLURM_JOB_NAME").unwrap_or_default().to_owned(),
            host: invocation.caller.host.clone(),
        };
        let pty = given.has("pty");
        let output = output(given.text("output").filter(|_| !pty));
        let error = match given.text("error") {
            _ if pty => None,
            Some(text) => Some(self::output(Some(text))),
            // What goes to a file takes the errors along.
            None if matches!(output, Output::File(_) | Output::Remote(_)) => None,
            None => Some(Output::Here(None)),
        };
        let open_mode = crate::request::open_mode(invocation, given)?;
        let mut streams = Streams { input: Input::Nothing, output, error, open_mode, values };
        streams.input = match given.text("input") {
            _ if pty => Input::Here(Some(0)),
            None | Some("all" | "") => Input::Here(None),
            Some("none") => Input::Nothing,
            Some(text) if text.parse::<u32>().is_ok() => Input::Here(text.parse().ok()),
            Some(text) if is_per_task(text) => Input::Remote(text.to_owned()),
            Some(text) => Input::File(readable(invocation.directory.join(streams.expanded(text, StepId::BATCH)))?),
        };
        Ok(streams)
    }

    pub fn remote_stdin(&self) -> StepStdio {
        match &self.input {
            Input::Here(None) | Input::File(_) => StepStdio::Client,
            Input::Here(Some(rank)) => StepStdio::OneTask(*rank),
            Input::Remote(pattern) => StepStdio::File(pattern.clone()),
            Input::Nothing => StepStdio::Nothing,
        }
    }

    pub fn remote_stdout(&self) -> StepStdio {
        remote(&self.output)
    }

    pub fn remote_stderr(&self) -> Option<StepStdio> {
        self.error.as_ref().map(remote)
    }

    /// The path of a file here, with its patterns filled in.
    pub fn expanded(&self, given: &str, step: StepId) -> String {
        let values = &self.values;
        let filled = PatternValues {
            job: values.job,
            array: values.array,
            step,
            task: 0,
            node_rank: 0,
            node: &values.host,
            user: &values.user,
            name: &values.name,
        };
        pattern::expand(given, &filled).unwrap_or_else(|_| given.to_owned())
    }
}

fn output(given: Option<&str>) -> Output {
    match given {
        None | Some("all" | "") => Output::Here(None),
        Some("none" | "/dev/null") => Output::Nothing,
        Some(text) if text.parse::<u32>().is_ok() => Output::Here(text.parse().ok()),
        Some(text) if is_per_task(text) => Output::Remote(text.to_owned()),
        Some(text) => Output::File(text.to_owned()),
    }
}

fn remote(output: &Output) -> StepStdio {
    match output {
        Output::Here(None) | Output::File(_) => StepStdio::Client,
        Output::Here(Some(rank)) => StepStdio::OneTask(*rank),
        Output::Remote(pattern) => StepStdio::File(pattern.clone()),
        Output::Nothing => StepStdio::Nothing,
    }
}

fn readable(path: PathBuf) -> Result<PathBuf, Failure> {
    match std::fs::File::open(&path) {
        Ok(_) => Ok(path),
        Err(error) => Err(no_file("stdin", &path.display().to_string(), &error)),
    }
}

/// `Could not open stdout file: No such file or directory`.
pub fn no_file(stream: &str, path: &str, error: &std::io::Error) -> Failure {
    let first = format!("Could not open {stream} file: {}", plain(error));
    Failure::error("srun", first).advising(Advice { asked: escaped(path).into_owned(), ..Advice::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_single_tasks_are_written_where_the_tasks_are() {
        assert_eq!(output(None), Output::Here(None));
        assert_eq!(output(Some("none")), Output::Nothing);
        assert_eq!(output(Some("3")), Output::Here(Some(3)));
        assert_eq!(output(Some("out_%j.txt")), Output::File("out_%j.txt".into()));
        assert_eq!(output(Some("out_%j_%t.txt")), Output::Remote("out_%j_%t.txt".into()));
        assert_eq!(output(Some("out_%3N")), Output::Remote("out_%3N".into()));
        assert_eq!(output(Some("50%")), Output::File("50%".into()));
    }
}
