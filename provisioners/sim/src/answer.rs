//! What callers of the cloud hear, and what they never hear of.

use squall_provisioner::Verb;
use squall_types::{LaunchFailure, LaunchToken, OfferName, Timestamp};

/// What a caller hears, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer<T> {
    /// Not before the call. The effect, if any, happened at the time of the call (or comes later, by a fault).
    pub heard_at: Timestamp,
    pub result: Result<T, LaunchFailure>,
}

/// A call without the effect or the answer that it was made for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unserved {
    Refused(LaunchFailure),
    /// The caller waits until it loses patience.
    Silence,
}

impl From<LaunchFailure> for Unserved {
    fn from(failure: LaunchFailure) -> Self {
        Self::Refused(failure)
    }
}

/// One call that reached the cloud.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallRecord {
    pub at: Timestamp,
    pub verb: Verb,
    /// Of a launch.
    pub offer: Option<OfferName>,
    pub token: Option<LaunchToken>,
    /// What the caller hears; `None` for success.
    pub failure: Option<LaunchFailure>,
}
