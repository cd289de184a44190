//! W3C trace context: which trace a job belongs to, the same from its submission to its end and across restarts.

use sha2::{Digest, Sha256};
use squall_types::SubmitToken;
use std::fmt;

/// A position in a trace, as the header `traceparent` carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceParent {
    pub trace: [u8; 16],
    pub span: [u8; 8],
    pub sampled: bool,
}

impl TraceParent {
    /// `00-TRACE-SPAN-FLAGS`; `None` for anything else, which is then as good as absent.
    pub fn parse(text: &str) -> Option<TraceParent> {
        let mut parts = text.trim().split('-');
        let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        // Later versions may append, and begin in the same way; ff is not allowed.
        if version.len() != 2 || version == "ff" || (version == "00" && parts.next().is_some()) || flags.len() != 2 {
            return None;
        }
        let (mut read_trace, mut read_span, mut read_flags) = ([0; 16], [0; 8], [0; 1]);
        hex::decode_to_slice(version, &mut [0; 1]).ok()?;
        hex::decode_to_slice(trace, &mut read_trace).ok()?;
        hex::decode_to_slice(span, &mut read_span).ok()?;
        hex::decode_to_slice(flags, &mut read_flags).ok()?;
        if read_trace == [0; 16] || read_span == [0; 8] {
            return None;
        }
        Some(TraceParent { trace: read_trace, span: read_span, sampled: read_flags[0] & 1 == 1 })
    }

    /// Of a job: in the trace that its submission belongs to, or in one of its own. A repeated submission is in the same.
    pub fn of_job(given: Option<TraceParent>, cluster: &str, token: &SubmitToken) -> TraceParent {
        let trace = given.map_or_else(|| first(&["squall trace", cluster, token.as_str()]), |given| given.trace);
        TraceParent {
            trace,
            span: first(&["squall span of a job", cluster, token.as_str()]),
            sampled: given.is_none_or(|given| given.sampled),
        }
    }
}

/// The first bytes of a digest; never all zero, which would mean that there is none.
fn first<const N: usize>(parts: &[&str]) -> [u8; N] {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part.as_bytes());
    }
    let mut bytes: [u8; N] = digest.finalize()[..N].try_into().expect("a digest is longer");
    bytes[N - 1] |= 1;
    bytes
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags = u8::from(self.sampled);
        write!(f, "00-{}-{}-{flags:02x}", hex::encode(self.trace), hex::encode(self.span))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIVEN: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn what_is_written_is_read() {
        let given = TraceParent::parse(GIVEN).unwrap();
        assert_eq!(given.to_string(), GIVEN);
        assert!(given.sampled);
        assert!(TraceParent::parse("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00-more").is_some());
    }

    #[test]
    fn what_is_none_counts_as_absent() {
        for wrong in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473x-00f067aa0ba902b7-01",
        ] {
            assert_eq!(TraceParent::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_job_stays_in_the_trace_of_its_submission() {
        let token: SubmitToken = "t1".into();
        let given = TraceParent::parse(GIVEN);
        let job = TraceParent::of_job(given, "c1", &token);
        assert_eq!(job.trace, given.unwrap().trace);
        assert_ne!(job.span, given.unwrap().span);
        assert_eq!(TraceParent::of_job(None, "c1", &token), TraceParent::of_job(None, "c1", &token));
        assert_ne!(TraceParent::of_job(None, "c1", &token).trace, TraceParent::of_job(None, "c2", &token).trace);
    }
}
