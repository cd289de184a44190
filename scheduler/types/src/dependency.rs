//! `--dependency`: what must have happened before a job may start.

mod text;

pub use text::{DependencyError, MAX_TERMS, MAX_TEXT};

use crate::{JobId, Span};
use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize, Deserialize)]
pub enum DependencyKind {
    /// `after[:+minutes]`: the other has started (or was cancelled), so long ago.
    #[n(0)]
    After(#[n(0)] Span),
    /// Ended, however.
    #[n(1)]
    AfterAny,
    /// Ended with exit code 0.
    #[n(2)]
    AfterOk,
    /// Ended otherwise.
    #[n(3)]
    AfterNotOk,
    /// The element of the other array with the same index ended with exit code 0.
    #[n(4)]
    AfterCorr,
    /// Its burst buffer has been staged out; the same as `AfterAny` where there is none.
    #[n(5)]
    AfterBurstBuffer,
    /// No other job of this user and name is before it.
    #[n(6)]
    Singleton,
}

/// `123`, `123_4`: a job, a whole array, or one element of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize, Deserialize)]
pub struct TargetJob {
    #[n(0)]
    pub job: JobId,
    #[n(1)]
    pub index: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize, Deserialize)]
pub struct DependencyTerm {
    #[n(0)]
    pub kind: DependencyKind,
    /// `None` for singleton.
    #[n(1)]
    pub target: Option<TargetJob>,
}

/// Terms joined by `,` (all) or `?` (any).
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize, Deserialize)]
pub struct Dependency {
    #[n(0)]
    pub terms: Vec<DependencyTerm>,
    /// `?`: one term is enough.
    #[n(1)]
    pub any: bool,
}

impl Dependency {
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }
}
