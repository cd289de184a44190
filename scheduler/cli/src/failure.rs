//! What a command says when it does not do what it was asked: Slurm's first line, then advice, and an exit code.

use crate::terminal;
use squall_proto::ClientError;
use squall_types::api::Refusal;
use std::fmt;
use std::io;

/// What shells and scripts see when a command refuses or fails.
pub const EXIT_ERROR: i32 = 1;
/// Where Slurm's commands that run jobs find an option that they cannot read.
pub const EXIT_OPTION: i32 = 255;

const INVALID_PARTITION: &str = "Invalid partition name specified";

/// The end of a command that did not do what it was asked. What it prints goes to standard error.
#[derive(Debug, PartialEq, Eq)]
pub struct Failure {
    pub code: i32,
    lines: Vec<String>,
}

/// The lines below Slurm's: each is left out where it is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Advice<'a> {
    pub asked: String,
    pub limit: String,
    /// What went wrong outside this program.
    pub cause: String,
    pub try_this: String,
    /// Stable code that `squall explain` knows.
    pub code: &'a str,
}

impl Failure {
    /// `sbatch: error: TEXT`, with exit code 1.
    pub fn error(command: &str, text: impl fmt::Display) -> Self {
        Self::plain(format!("{command}: error: {text}"))
    }

    /// A line as it is, with exit code 1.
    pub fn plain(line: impl Into<String>) -> Self {
        Failure { code: EXIT_ERROR, lines: vec![line.into()] }
    }

    /// Ends the process with `code` and says nothing.
    pub fn silent(code: i32) -> Self {
        Failure { code, lines: Vec::new() }
    }

    pub fn with_code(mut self, code: i32) -> Self {
        self.code = code;
        self
    }

    pub fn and_line(mut self, line: impl Into<String>) -> Self {
        self.lines.push(line.into());
        self
    }

    pub fn advising(mut self, advice: Advice<'_>) -> Self {
        self.lines.extend(advice_lines(&advice));
        self
    }

    /// A refusal of the controller: `sbatch: error: Batch job submission failed: TEXT`, and what would work.
    pub fn refused(command: &str, what_failed: &str, refusal: &Refusal) -> Self {
        // Some texts of the controller bring their beginning along: it is said once.
        let text = refusal.slurm.strip_prefix(what_failed).and_then(|rest| rest.strip_prefix(": "));
        let slurm = terminal::escaped(text.unwrap_or(&refusal.slurm));
        let first = match what_failed {
            "" => format!("{command}: error: {slurm}"),
            what => format!("{command}: error: {what}: {slurm}"),
        };
        let mut failure = Failure { code: EXIT_ERROR, lines: named_partition(command, refusal) };
        failure.lines.push(first);
        failure.lines.extend(refusal_lines(refusal));
        failure
    }

    /// A call that brought no result: `sbatch: error: Batch job submission failed: TEXT`.
    pub fn call(command: &str, what_failed: &str, error: &ClientError) -> Self {
        match error {
            ClientError::Refused(refusal) => Failure::refused(command, what_failed, refusal),
            other => Failure::error(command, format_args!("{what_failed}: {}", other.slurm_text())).because(other),
        }
    }

    /// The same with the text alone before the colon: `job script retrieval failed: TEXT`.
    pub fn said(what_failed: &str, error: &ClientError) -> Self {
        let load = Failure::load("", error);
        let text = terminal::escaped(error.slurm_text()).into_owned();
        let mut lines = vec![format!("{what_failed}: {text}")];
        lines.extend(load.lines.into_iter().skip(1));
        Failure { lines, ..load }
    }

    /// The same as Slurm's queries word it: `slurm_load_jobs error: TEXT`.
    pub fn load(call: &str, error: &ClientError) -> Self {
        let failure = Failure::plain(format!("{call} error: {}", terminal::escaped(error.slurm_text())));
        match error {
            ClientError::Refused(refusal) => {
                Failure { lines: [failure.lines, refusal_lines(refusal)].concat(), ..failure }
            }
            other => failure.because(other),
        }
    }

    fn because(self, error: &ClientError) -> Self {
        let try_this = match error {
            ClientError::Unreachable { .. } => {
                "squall doctor, which says what is wrong; squall up starts a cluster of your own"
            }
            ClientError::TimedOut { .. } | ClientError::Busy(_) => "the same again in a while",
            _ => "",
        };
        self.advising(Advice { cause: error.to_string(), try_this: try_this.to_owned(), ..Advice::default() })
    }

    pub fn lines(&self) -> &[String] {
        &self.lines
    }
}

/// `sbatch: error: invalid partition specified: X`, which Slurm says before that its name is invalid.
fn named_partition(command: &str, refusal: &Refusal) -> Vec<String> {
    let name = refusal.asked.strip_prefix("--partition=").filter(|_| refusal.slurm == INVALID_PARTITION);
    let line = |name| format!("{command}: error: invalid partition specified: {}", terminal::escaped(name));
    name.map(line).into_iter().collect()
}

/// The advice in a refusal, in the style of all messages.
pub fn refusal_lines(refusal: &Refusal) -> Vec<String> {
    advice_lines(&Advice {
        asked: refusal.asked.clone(),
        limit: refusal.limit.clone(),
        cause: String::new(),
        try_this: refusal.try_this.clone(),
        code: &refusal.code,
    })
}

fn advice_lines(advice: &Advice<'_>) -> Vec<String> {
    let more = if advice.code.is_empty() { String::new() } else { format!("squall explain {}", advice.code) };
    let rows = [
        ("asked:", &advice.asked),
        ("limit:", &advice.limit),
        ("cause:", &advice.cause),
        ("try:", &advice.try_this),
        ("more:", &more),
    ];
    let said = rows.into_iter().filter(|(_, text)| !text.is_empty());
    said.map(|(label, text)| format!("  {label:<7} {}", terminal::escaped(text))).collect()
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

/// Output that nobody reads any more (`squeue | head`) ends a command in silence, as a signal would.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::silent(EXIT_ERROR),
            _ => Failure::plain(format!("squall: error: output: {error}")),
        }
    }
}
