//! `--constraint`: features that a node must have, with Slurm's operators.

mod text;

pub use text::{ConstraintError, MAX_DEPTH, MAX_FEATURES, MAX_TEXT};

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// A feature expression. `&` binds tighter than `|`, as in Slurm; parentheses group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize, Deserialize)]
pub enum Constraint {
    #[n(0)]
    Feature(#[n(0)] String),
    #[n(1)]
    All(#[n(0)] Vec<Constraint>),
    #[n(2)]
    Any(#[n(0)] Vec<Constraint>),
    /// `[a|b]`: all nodes of the job must match the same one of these.
    #[n(3)]
    Same(#[n(0)] Vec<Constraint>),
    /// `a*2&b*1`: so many nodes of each.
    #[n(4)]
    Counted(#[n(0)] Vec<CountedFeature>),
}

/// One part of a counted constraint.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize, Deserialize)]
pub struct CountedFeature {
    #[n(0)]
    pub feature: String,
    #[n(1)]
    pub nodes: u32,
}

impl Constraint {
    /// Whether a node with `features` may be used. For `Same` and `Counted` this is what any one node must satisfy.
    pub fn matches(&self, features: &BTreeSet<String>) -> bool {
        match self {
            Constraint::Feature(name) => features.contains(name),
            Constraint::All(parts) => parts.iter().all(|part| part.matches(features)),
            Constraint::Any(parts) | Constraint::Same(parts) => parts.iter().any(|part| part.matches(features)),
            Constraint::Counted(parts) => parts.iter().any(|part| features.contains(&part.feature)),
        }
    }

    /// The names of all features that it mentions, in their order, each as often as it does.
    pub fn names(&self) -> Vec<&str> {
        match self {
            Constraint::Feature(name) => vec![name],
            Constraint::All(parts) | Constraint::Any(parts) | Constraint::Same(parts) => {
                parts.iter().flat_map(Constraint::names).collect()
            }
            Constraint::Counted(parts) => parts.iter().map(|part| part.feature.as_str()).collect(),
        }
    }

    /// The alternatives of which one must hold on every node of a gang; a single one where there is no choice.
    pub fn alternatives(&self) -> Vec<Constraint> {
        match self {
            Constraint::Same(parts) => parts.clone(),
            other => vec![other.clone()],
        }
    }
}
