//! What one process of a job is to be, written down for the process that becomes it.

use super::identity::Identity;
use crate::cell::Cell;
use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};

/// Everything about one process: read by the stage that gives up the agent's rights and executes it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct TaskPlan {
    /// Where it, and all that it will start, is kept.
    #[n(0)]
    pub cell: Cell,
    #[n(1)]
    pub identity: Identity,
    #[n(2)]
    pub act: Act,
    /// `NAME=value`, each ended by NUL: exactly this, and nothing of the agent's own.
    #[n(3)]
    pub environment: ByteVec,
    #[n(4)]
    pub work_dir: String,
    #[n(5)]
    pub umask: u32,
    #[n(6)]
    pub stdin: Stdin,
    #[n(7)]
    pub stdout: Output,
    #[n(8)]
    pub stderr: Output,
    /// CPUs that it may use; empty is all.
    #[n(9)]
    pub cpus: Vec<u32>,
    /// Standard output is at first a pipe that takes the reason if it cannot be executed.
    #[n(10)]
    pub reports: bool,
    /// Standard input is a terminal, which the process is to control.
    #[n(11)]
    pub terminal: bool,
}

/// What the process does once it is the user's.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Act {
    /// Executes a file by its path.
    #[n(0)]
    Execute {
        #[n(0)]
        path: String,
        #[n(1)]
        arguments: Vec<String>,
    },
    /// Executes a command, looked for in the `PATH` of its own environment.
    #[n(1)]
    Command(#[n(0)] Vec<String>),
    /// Says something on standard error, and ends.
    #[n(2)]
    Say(#[n(0)] String),
}

#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Stdin {
    #[n(0)]
    Nothing,
    /// As it was given by the parent.
    #[n(1)]
    Given,
    #[n(2)]
    File(#[n(0)] String),
}

#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Output {
    #[n(0)]
    Nothing,
    #[n(1)]
    Given,
    #[n(2)]
    File {
        #[n(0)]
        path: String,
        #[n(1)]
        append: bool,
    },
    /// Standard error only: where standard output goes.
    #[n(3)]
    Joined,
}

/// Splits `NAME=value` strings, each ended by NUL.
pub fn entries(environment: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    environment.split(|byte| *byte == 0).filter_map(|entry| {
        let at = entry.iter().position(|byte| *byte == b'=')?;
        (at > 0).then(|| (&entry[..at], &entry[at + 1..]))
    })
}
