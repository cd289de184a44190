//! What the nodes of this machine are, and how their agent is started.

use squall_types::{Offer, Span};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// How the agent is started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentCommand {
    /// A path, or a name to look up in `PATH`.
    pub program: PathBuf,
    /// What stands before `run --node …`.
    pub args: Vec<String>,
    /// Added to the environment that it inherits, from which the variables of Squall and Slurm are taken out.
    pub env: BTreeMap<String, String>,
}

impl AgentCommand {
    pub fn new(program: impl Into<PathBuf>, args: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { program: program.into(), args: args.into_iter().map(Into::into).collect(), env: BTreeMap::new() }
    }
}

/// Nodes that this machine plays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalConfig {
    /// Everything is kept below; made where it is missing.
    pub root: PathBuf,
    pub agent: AgentCommand,
    /// The declared shapes and their prices.
    pub offers: Vec<Offer>,
    /// Instances that may exist at once.
    pub max_instances: u32,
    /// From `SIGTERM` to `SIGKILL` for an agent whose instance is retired.
    pub stop_grace: Span,
    /// An instance whose agent has been dead for longer, and that runs nothing any more, has ended.
    pub revive_within: Span,
}

impl LocalConfig {
    pub fn new(root: impl Into<PathBuf>, agent: AgentCommand, offers: Vec<Offer>) -> Self {
        Self {
            root: root.into(),
            agent,
            offers,
            max_instances: 64,
            stop_grace: Span::from_secs(5),
            revive_within: Span::from_secs(30),
        }
    }
}
