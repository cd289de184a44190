//! Answers that are no result mean the same on both sides.

use crate::channel::{Channel, Introduction, UnixPeer};
use crate::failure::{ClientError, Failure, client_error};
use crate::limits::MAX_REFUSAL_TEXT;
use crate::version::VERSION;
use squall_types::api::Refusal;
use squall_types::{Gid, Uid};
use tonic::{Request, Status};

fn refusal() -> Refusal {
    Refusal {
        code: "SQ1042".into(),
        slurm: "Requested node configuration is not available".into(),
        asked: "--gpus-per-node=16 in partition \"a100\"".into(),
        limit: "the largest node type there has 8 GPUs".into(),
        try_this: "--nodes=2 --gpus-per-node=8     (≈ 4 min)".into(),
    }
}

/// What the client makes of what the server says.
fn told(failure: Failure) -> ClientError {
    client_error(&Status::from(failure), "unix:/run/squall.sock")
}

#[test]
fn a_refusal_survives_the_way() {
    assert_eq!(told(refusal().into()), ClientError::Refused(refusal()));
    assert_eq!(told(refusal().into()).slurm_text(), "Requested node configuration is not available");
}

#[test]
fn a_refusal_that_is_too_long_for_a_trailer_is_cut() {
    let long = Refusal { limit: "☃".repeat(MAX_REFUSAL_TEXT), ..refusal() };
    let ClientError::Refused(cut) = told(long.into()) else { panic!("not a refusal") };
    assert!(cut.limit.len() <= MAX_REFUSAL_TEXT && cut.limit.ends_with('…'), "{}", cut.limit.len());
    assert_eq!(cut.try_this, refusal().try_this);
}

#[test]
fn each_failure_is_told_from_the_others() {
    let text = || "because".to_owned();
    assert_eq!(told(Failure::Denied(text())), ClientError::Denied(text()));
    assert_eq!(told(Failure::Busy(text())), ClientError::Busy(text()));
    assert_eq!(told(Failure::Internal(text())), ClientError::Other(text()));
    let standby = told(Failure::Standby(text()));
    assert_eq!(standby.to_string(), "cannot reach unix:/run/squall.sock: because");
    assert_eq!(standby.slurm_text(), "Unable to contact slurm controller (connect failure)");
    assert!(matches!(told(Failure::Unanswered(text())), ClientError::TimedOut { .. }));
}

#[test]
fn a_failure_that_is_passed_on_stays_what_it_is() {
    for failure in [refusal().into(), Failure::Denied("d".into()), Failure::Busy("b".into())] {
        let first = told(failure);
        assert_eq!(told(first.clone().into()), first);
    }
}

#[test]
fn a_damaged_refusal_is_still_an_error() {
    let mut status = Status::failed_precondition("no");
    status.metadata_mut().insert_bin("squall-refusal-bin", tonic::metadata::MetadataValue::from_bytes(&[0xff; 9]));
    assert_eq!(client_error(&status, "x"), ClientError::Other("no".into()));
}

#[test]
fn a_channel_carries_what_the_client_says_of_itself() {
    let introduction = Introduction {
        job_credential: Some(vec![0, 255, 7]),
        vouched: Some(UnixPeer { uid: Uid(1000), gid: Gid(100), pid: Some(4711) }),
        bearer: Some("token".into()),
        traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into()),
    };
    let channel = Channel::of(&introduction.request(())).unwrap();
    assert_eq!(channel.job_credential, introduction.job_credential);
    assert_eq!(channel.vouched, Some(UnixPeer { uid: Uid(1000), gid: Gid(100), pid: None }));
    assert_eq!((channel.bearer, channel.traceparent), (introduction.bearer, introduction.traceparent));
    assert_eq!(channel.version, VERSION);
    // Only a connection proves these.
    assert_eq!((channel.peer, channel.cert_der, channel.remote), (None, None, None));
}

#[test]
fn another_major_version_is_turned_away_in_words() {
    let mut request = Request::new(());
    request.metadata_mut().insert("squall-version", "99.1.0".parse().unwrap());
    let status = Channel::of(&request).unwrap_err();
    let error = client_error(&status, "x");
    assert_eq!(error, ClientError::Version { ours: VERSION.into(), theirs: VERSION.into() });
    assert!(status.message().contains("99.1.0"), "{}", status.message());
    assert_eq!(error.slurm_text(), "Incompatible versions of client and server code");
}

#[test]
fn what_is_no_identity_is_refused_rather_than_passed_over() {
    for (key, value) in [("squall-vouched", "root"), ("squall-vouched", "1:-1"), ("squall-vouched", "1")] {
        let mut request = Request::new(());
        request.metadata_mut().insert(key, value.parse().unwrap());
        assert!(Channel::of(&request).is_err(), "{value}");
    }
    let long = Introduction { job_credential: Some(vec![1; 5000]), ..Introduction::default() };
    assert!(Channel::of(&long.request(())).is_err());
}
