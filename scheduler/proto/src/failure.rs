//! Why a call gave no result, on both sides, and how that travels: the one place where `Status` is read or written.

use crate::limits::{MAX_FAILURE_TEXT, MAX_REFUSAL_TEXT};
use crate::pb;
use crate::version::VERSION;
use crate::wire::{Wire, WireError};
use prost::Message;
use squall_types::api::Refusal;
use std::time::Duration;
use tonic::metadata::MetadataValue;
use tonic::{Code, Status};

const REFUSAL: &str = "squall-refusal-bin";
const INCOMPATIBLE: &str = "squall-incompatible";

/// What a server says instead of a result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// It understood, and says no with a reason for people.
    #[error("{}", .0.slurm)]
    Refused(Refusal),
    /// Who asks is not proven, or may not.
    #[error("{0}")]
    Denied(String),
    /// A queue is full: the same request may be repeated.
    #[error("{0}")]
    Busy(String),
    /// This controller does not lead, or not yet: another may, or the same a little later.
    #[error("{0}")]
    Standby(String),
    /// Whom this server asked in turn did not answer: the request may have been carried out.
    #[error("{0}")]
    Unanswered(String),
    #[error("{0}")]
    Internal(String),
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Failure::Refused(refusal)
    }
}

/// What a client gets instead of a result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// Nobody answers there, or the connection broke before the answer. A request may have been carried out.
    #[error("cannot reach {target}: {cause}")]
    Unreachable { target: String, cause: String },
    /// A request may have been carried out.
    #[error("no answer within {} s", .after.as_secs())]
    TimedOut { after: Duration },
    #[error("{}", .0.slurm)]
    Refused(Refusal),
    #[error("{0}")]
    Denied(String),
    /// The same request may be repeated after a while.
    #[error("{0}")]
    Busy(String),
    #[error("version {ours} here and version {theirs} there do not understand each other")]
    Version { ours: String, theirs: String },
    #[error("{0}")]
    Other(String),
}

impl ClientError {
    /// The first line as Slurm's commands word it, for programs that match on it.
    pub fn slurm_text(&self) -> &str {
        match self {
            ClientError::Unreachable { .. } => "Unable to contact slurm controller (connect failure)",
            ClientError::TimedOut { .. } => "Socket timed out on send/recv operation",
            ClientError::Refused(refusal) => &refusal.slurm,
            ClientError::Denied(_) => "Access/permission denied",
            ClientError::Busy(_) => "Resource temporarily unavailable",
            ClientError::Version { .. } => "Incompatible versions of client and server code",
            ClientError::Other(_) => "Unexpected message received",
        }
    }
}

/// The far end of a stream went away or said something that is not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Broken(pub String);

impl From<Failure> for Status {
    fn from(failure: Failure) -> Status {
        let (code, mut text) = match failure {
            Failure::Refused(refusal) => return refused(refusal),
            Failure::Denied(text) => (Code::PermissionDenied, text),
            Failure::Busy(text) => (Code::ResourceExhausted, text),
            Failure::Standby(text) => (Code::Unavailable, text),
            Failure::Unanswered(text) => (Code::DeadlineExceeded, text),
            Failure::Internal(text) => (Code::Internal, text),
        };
        cut(&mut text, MAX_FAILURE_TEXT);
        Status::new(code, text)
    }
}

/// For a server that asked another one and passes on what it got.
impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Failure {
        match error {
            ClientError::Refused(refusal) => Failure::Refused(refusal),
            ClientError::Denied(text) => Failure::Denied(text),
            ClientError::Busy(text) => Failure::Busy(text),
            ClientError::Unreachable { .. } => Failure::Standby(error.to_string()),
            ClientError::TimedOut { .. } => Failure::Unanswered(error.to_string()),
            ClientError::Version { .. } | ClientError::Other(_) => Failure::Internal(error.to_string()),
        }
    }
}

impl From<WireError> for Status {
    fn from(error: WireError) -> Status {
        Status::invalid_argument(format!("request not understood: {error} (this is version {VERSION})"))
    }
}

/// Trailers are limited, so that a refusal with a very long text is cut rather than lost.
fn refused(mut refusal: Refusal) -> Status {
    let Refusal { code, slurm, asked, limit, try_this } = &mut refusal;
    [code, slurm, asked, limit, try_this].into_iter().for_each(|text| cut(text, MAX_REFUSAL_TEXT));
    let mut status = Status::failed_precondition(refusal.slurm.clone());
    let encoded = refusal.to_pb().encode_to_vec();
    status.metadata_mut().insert_bin(REFUSAL, MetadataValue::from_bytes(&encoded));
    status
}

fn cut(text: &mut String, most: usize) {
    if text.len() > most {
        let mut end = most - '…'.len_utf8();
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push('…');
    }
}

/// For a caller of another major version.
pub(crate) fn incompatible(theirs: &str) -> Status {
    let text = format!("version {theirs} does not understand version {VERSION}: install the same major version");
    let mut status = Status::failed_precondition(text);
    status.metadata_mut().insert(INCOMPATIBLE, MetadataValue::from_static(VERSION));
    status
}

/// What a status means to the client that called `target`.
pub(crate) fn client_error(status: &Status, target: &str) -> ClientError {
    if let Some(refusal) = refusal_of(status) {
        return ClientError::Refused(refusal);
    }
    let version = |theirs: &str| ClientError::Version { ours: VERSION.to_owned(), theirs: theirs.to_owned() };
    if let Some(theirs) = status.metadata().get(INCOMPATIBLE) {
        return version(theirs.to_str().unwrap_or("unknown"));
    }
    let text = status.message().to_owned();
    // A source means that the transport failed and no server spoke.
    let transport = std::error::Error::source(status).map(deepest);
    match (status.code(), transport) {
        (Code::Unavailable, cause) => {
            ClientError::Unreachable { target: target.to_owned(), cause: cause.unwrap_or(text) }
        }
        (Code::Unknown | Code::Internal | Code::Cancelled, Some(cause)) => {
            ClientError::Unreachable { target: target.to_owned(), cause }
        }
        (Code::DeadlineExceeded, _) => ClientError::TimedOut { after: crate::limits::CALL_TIMEOUT },
        (Code::PermissionDenied | Code::Unauthenticated, _) => ClientError::Denied(text),
        (Code::ResourceExhausted, _) => ClientError::Busy(text),
        (Code::Unimplemented, _) => version("older, without this call"),
        _ => ClientError::Other(text),
    }
}

fn refusal_of(status: &Status) -> Option<Refusal> {
    let bytes = status.metadata().get_bin(REFUSAL)?.to_bytes().ok()?;
    Refusal::from_pb(pb::Refusal::decode(bytes).ok()?).ok()
}

/// The innermost cause says what happened; those around it say "transport error".
pub(crate) fn deepest(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
