//! Why a provisioner did not do what it was asked.

use squall_types::{LaunchFailure, Span};
use std::error::Error;

pub type BoxError = Box<dyn Error + Send + Sync>;

/// Causes longer than this are cut: they are a provider's words, and they end in the journal.
const MAX_CAUSE_CHARS: usize = 1_000;

/// Why a provisioner did not do what it was asked: one variant for each thing that the scheduler does
/// differently. The set is closed; what a provider says beyond it stays in the text or the source.
#[derive(Debug, thiserror::Error)]
pub enum ProvisionError {
    /// Another offer, or wait: this one is dry.
    #[error("no capacity in {scope}")]
    NoCapacity {
        /// The narrowest thing known to be dry: a zone, a type in a zone, a region.
        scope: String,
    },
    /// Hold until usage drops or the quota is raised; not repeated on a timer.
    #[error("quota `{name}` allows {limit}, {used} are in use")]
    Quota { name: String, limit: u64, used: u64 },
    /// Repeat the identical request, not before `retry_after` has passed.
    #[error("throttled, may be repeated after {} ms", retry_after.as_millis())]
    Throttled { retry_after: Span },
    /// The request itself is wrong: the pool's configuration has to change.
    #[error("rejected: {why}")]
    Rejected { why: String },
    /// The credentials do not allow it.
    #[error("denied: {why}")]
    Denied { why: String },
    /// The token is taken by a different request.
    #[error("conflict: {why}")]
    Conflict { why: String },
    /// It may have happened. Repeat the identical request while its token lives, after that list;
    /// never counted as lack of capacity.
    #[error("the outcome is unknown")]
    Unknown {
        #[source]
        source: BoxError,
    },
}

impl ProvisionError {
    /// The outcome is not known, because of `source`.
    pub fn unknown(source: impl Into<BoxError>) -> Self {
        Self::Unknown { source: source.into() }
    }

    pub fn rejected(why: impl Into<String>) -> Self {
        Self::Rejected { why: why.into() }
    }
}

/// What the pure core keeps of it: the same variant, with the causes as one line of text.
impl From<&ProvisionError> for LaunchFailure {
    fn from(error: &ProvisionError) -> Self {
        match error {
            ProvisionError::NoCapacity { scope } => Self::NoCapacity { scope: cut(scope) },
            ProvisionError::Quota { name, limit, used } => Self::Quota { name: cut(name), limit: *limit, used: *used },
            ProvisionError::Throttled { retry_after } => Self::Throttled { retry_after: *retry_after },
            ProvisionError::Rejected { why } => Self::Rejected { why: cut(why) },
            ProvisionError::Denied { why } => Self::Denied { why: cut(why) },
            ProvisionError::Conflict { why } => Self::Conflict { why: cut(why) },
            ProvisionError::Unknown { source } => Self::Unknown { why: causes(source.as_ref()) },
        }
    }
}

impl From<ProvisionError> for LaunchFailure {
    fn from(error: ProvisionError) -> Self {
        (&error).into()
    }
}

impl From<LaunchFailure> for ProvisionError {
    fn from(failure: LaunchFailure) -> Self {
        match failure {
            LaunchFailure::NoCapacity { scope } => Self::NoCapacity { scope },
            LaunchFailure::Quota { name, limit, used } => Self::Quota { name, limit, used },
            LaunchFailure::Throttled { retry_after } => Self::Throttled { retry_after },
            LaunchFailure::Rejected { why } => Self::Rejected { why },
            LaunchFailure::Denied { why } => Self::Denied { why },
            LaunchFailure::Conflict { why } => Self::Conflict { why },
            LaunchFailure::Unknown { why } => Self::unknown(why),
        }
    }
}

fn cut(text: &str) -> String {
    text.chars().take(MAX_CAUSE_CHARS).collect()
}

/// The error and its sources in one line.
fn causes(error: &(dyn Error + 'static)) -> String {
    let mut line = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next.filter(|_| line.len() < MAX_CAUSE_CHARS) {
        line.push_str(": ");
        line.push_str(&cause.to_string());
        next = cause.source();
    }
    cut(&line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("no answer from the zone")]
    struct NoAnswer(#[source] std::io::Error);

    #[test]
    fn what_is_stored_of_an_unknown_outcome_names_every_cause() {
        let error = ProvisionError::unknown(NoAnswer(std::io::Error::other("connection reset")));
        assert_eq!(
            LaunchFailure::from(error),
            LaunchFailure::Unknown { why: "no answer from the zone: connection reset".into() }
        );
    }

    #[test]
    fn a_failure_survives_the_way_there_and_back() {
        let failures = [
            LaunchFailure::NoCapacity { scope: "us-east-1a".into() },
            LaunchFailure::Quota { name: "gpus".into(), limit: 8, used: 7 },
            LaunchFailure::Throttled { retry_after: Span::from_secs(3) },
            LaunchFailure::Rejected { why: "no such image".into() },
            LaunchFailure::Denied { why: "role revoked".into() },
            LaunchFailure::Conflict { why: "token used".into() },
            LaunchFailure::Unknown { why: "timed out".into() },
        ];
        for failure in failures {
            let error = ProvisionError::from(failure.clone());
            let shown = failure.to_string();
            assert!(shown.starts_with(&error.to_string()), "{shown} against {error}");
            assert_eq!(LaunchFailure::from(error), failure);
        }
    }

    #[test]
    fn a_flood_of_words_is_cut() {
        let LaunchFailure::Denied { why } = ProvisionError::Denied { why: "é".repeat(1_000_000) }.into() else {
            panic!("the variant changed");
        };
        assert_eq!(why.chars().count(), MAX_CAUSE_CHARS);
    }
}
