//! Where a job stands in a trace: W3C `traceparent`, and ids that follow from what is stored.
//!
//! Nothing here is drawn at random. The ids of a job's spans are hashes of its submission, its id and its attempts, so
//! that a controller that was restarted goes on in the same trace, a repeated submission is the same trace, and the
//! `TRACEPARENT` in a job's environment names the very span that its run will be reported as.

use opentelemetry::trace::{SpanId, TraceId};
use sha2::{Digest, Sha256};
use squall_types::ids::Run;
use squall_types::{Assignment, SubmitToken};
use std::fmt;

/// A position in a trace, as `traceparent` carries it (version 00).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceParent {
    pub trace: TraceId,
    pub span: SpanId,
    /// Whether whoever began the trace records it. A job of a trace that nobody records has no spans.
    pub sampled: bool,
}

/// What a submission stores as its trace context: the client's own where it sent one that can be read, else one that
/// follows from the cluster and the submission's token.
pub fn trace_parent_for(given: Option<&str>, cluster: &str, token: &SubmitToken) -> String {
    TraceParent::of_job(given.and_then(TraceParent::parse), cluster, token).to_string()
}

impl TraceParent {
    /// `None` where the text is none that W3C's rules let through; versions to come are read as far as they are known.
    pub fn parse(text: &str) -> Option<TraceParent> {
        let mut parts = text.trim().split('-');
        let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let version = digits::<1>(version)?[0];
        if version == 0xff || (version == 0 && parts.next().is_some()) {
            return None;
        }
        let (trace, span) = (TraceId::from_bytes(digits(trace)?), SpanId::from_bytes(digits(span)?));
        let sampled = digits::<1>(flags)?[0] & 1 == 1;
        (trace != TraceId::INVALID && span != SpanId::INVALID).then_some(TraceParent { trace, span, sampled })
    }

    /// Where a submission stands: what the client `given`, or the root span of a trace of its own.
    pub fn of_job(given: Option<TraceParent>, cluster: &str, token: &SubmitToken) -> TraceParent {
        given.unwrap_or_else(|| {
            let trace = TraceId::from_bytes(hash(&[b"trace", cluster.as_bytes(), token.as_str().as_bytes()]));
            TraceParent { trace, span: root_span(trace, token), sampled: true }
        })
    }

    /// Where one attempt of a job runs, for its environment; `origin` is what its submission stored.
    pub fn of_run(origin: TraceParent, element: Option<u32>, run: Run) -> TraceParent {
        let trace = trace_of(origin, element);
        TraceParent { trace, span: span_id(trace, "run", run.job.0, u64::from(run.attempt.0)), ..origin }
    }

    /// The same for what an agent is told, where the submission stored something that can be read.
    pub fn of_assignment(duty: &Assignment) -> Option<TraceParent> {
        let origin = TraceParent::parse(duty.detail.spec.trace_parent.as_deref()?)?;
        Some(Self::of_run(origin, duty.detail.array.as_ref().map(|place| place.index), duty.run))
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{}-{:02x}", self.trace, self.span, u8::from(self.sampled))
    }
}

/// The trace of a job. An element of an array has one of its own, so that no trace grows with the array.
pub(super) fn trace_of(origin: TraceParent, element: Option<u32>) -> TraceId {
    match element {
        None => origin.trace,
        Some(index) => {
            let parts: [&[u8]; 4] =
                [b"element", &origin.trace.to_bytes(), &origin.span.to_bytes(), &index.to_be_bytes()];
            TraceId::from_bytes(hash(&parts))
        }
    }
}

/// The span of a whole job. Two submissions within one trace of a client differ by their tokens.
pub(super) fn root_span(trace: TraceId, token: &SubmitToken) -> SpanId {
    SpanId::from_bytes(hash(&[b"job", &trace.to_bytes(), token.as_str().as_bytes()]))
}

/// The span of one part of a job's way: `number` tells it from others of its kind in the same job.
pub(super) fn span_id(trace: TraceId, kind: &'static str, job: u32, number: u64) -> SpanId {
    SpanId::from_bytes(hash(&[kind.as_bytes(), &trace.to_bytes(), &job.to_be_bytes(), &number.to_be_bytes()]))
}

/// Each part goes in with its length, so that no two lists of parts are the same bytes.
fn hash<const N: usize>(parts: &[&[u8]]) -> [u8; N] {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    let digest = hasher.finalize();
    let mut id = [0; N];
    id.copy_from_slice(&digest[..N]);
    // All zeros means "none"; nothing else may.
    if id == [0; N] {
        id[N - 1] = 1;
    }
    id
}

/// Lower-case hexadecimal digits, as the standard has them, and neither more nor fewer.
fn digits<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != 2 * N || text.bytes().any(|digit| !matches!(digit, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    let mut bytes = [0; N];
    hex::decode_to_slice(text, &mut bytes).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use squall_types::{Attempt, JobId};

    const GIVEN: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn what_the_standard_allows_is_read_and_nothing_else() {
        let parent = TraceParent::parse(GIVEN).expect("the example of the standard");
        assert_eq!(parent.to_string(), GIVEN);
        assert!(parent.sampled);
        assert!(!TraceParent::parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00").expect("valid").sampled);
        assert!(TraceParent::parse("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-later").is_some());
        for wrong in [
            "",
            "00",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319-b7ad6b71692033311-01",
            "00-0af7651916cd43dd8448eb211c8031é-b7ad6b7169203331-01",
        ] {
            assert_eq!(TraceParent::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_clients_own_context_is_kept_and_any_other_submission_begins_a_trace() {
        let token = SubmitToken::new("t1");
        assert_eq!(trace_parent_for(Some(GIVEN), "demo", &token), GIVEN);
        let own = trace_parent_for(None, "demo", &token);
        assert_eq!(own, trace_parent_for(Some("nonsense"), "demo", &token), "a repeated submission is the same trace");
        assert_ne!(own, trace_parent_for(None, "other", &token));
        assert_ne!(own, trace_parent_for(None, "demo", &SubmitToken::new("t2")));
        let own = TraceParent::parse(&own).expect("what is written can be read");
        assert_eq!(own.span, root_span(own.trace, &token));
    }

    #[test]
    fn each_attempt_and_each_element_has_a_place_of_its_own() {
        let origin = TraceParent::parse(GIVEN).expect("valid");
        let run = |job, attempt| Run { job: JobId(job), attempt: Attempt(attempt) };
        let first = TraceParent::of_run(origin, None, run(7, 1));
        assert_eq!(first.trace, origin.trace);
        assert_ne!(first.span, TraceParent::of_run(origin, None, run(7, 2)).span);
        let element = TraceParent::of_run(origin, Some(3), run(8, 1));
        assert_ne!(element.trace, origin.trace);
        assert_ne!(element.trace, TraceParent::of_run(origin, Some(4), run(9, 1)).trace);
    }
}
