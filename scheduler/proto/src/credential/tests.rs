use super::*;
use squall_types::{Attempt, JobId};

const NOW: Timestamp = Timestamp::from_secs(1_000_000);

fn key() -> SigningKey {
    SigningKey::from_pkcs8(&SigningKey::generate().unwrap()).unwrap()
}

fn of_job() -> Credential {
    Credential {
        issuer: "squall".to_owned(),
        uid: Uid(1000),
        gid: Gid(100),
        run: Run { job: JobId(17), attempt: Attempt(2) },
        action: Action::ActAsJob,
        issued_at: NOW,
        expires_at: Timestamp(NOW.0 + 60_000),
        nonce: [7; 16],
    }
}

fn of_step() -> Credential {
    let node = |name: &str, ranks: &[u32]| StepNode {
        name: name.into(),
        address: format!("{name}:7000"),
        ranks: ranks.to_vec(),
        cpus: 4,
        gpus: vec![0, 3],
    };
    let nodes = vec![node("gpu1", &[0, 2]), node("gpu2", &[1])];
    Credential { action: Action::RunStep { step: StepId(0), tasks: 3, nodes }, ..of_job() }
}

fn of_visit() -> Credential {
    let Action::RunStep { nodes, .. } = of_step().action else { panic!("a step's credential is for a step") };
    Credential { action: Action::Visit { nodes }, ..of_job() }
}

#[test]
fn what_was_signed_is_what_is_read() {
    let key = key();
    let all = [(of_job(), Audience::Controller), (of_step(), Audience::Agent), (of_visit(), Audience::Agent)];
    for (credential, audience) in all {
        let frame = key.sign(&credential).unwrap();
        assert_eq!(verify(&key.public(), &frame, "squall", audience, NOW), Ok(credential));
    }
}

#[test]
fn every_flipped_bit_is_refused() {
    let key = key();
    let frame = key.sign(&of_step()).unwrap();
    for at in 0..frame.len() * 8 {
        let mut changed = frame.clone();
        changed[at / 8] ^= 1 << (at % 8);
        let read = verify(&key.public(), &changed, "squall", Audience::Agent, NOW);
        assert_eq!(read, Err(CredentialError::Signature), "bit {at}");
    }
}

#[test]
fn every_shorter_and_longer_frame_is_refused() {
    let key = key();
    let frame = key.sign(&of_job()).unwrap();
    for length in 0..frame.len() {
        let read = verify(&key.public(), &frame[..length], "squall", Audience::Controller, NOW);
        assert_eq!(read, Err(CredentialError::Signature), "{length} bytes");
    }
    for extra in [0u8, 1, 255] {
        let longer = [frame.as_slice(), &[extra]].concat();
        assert_eq!(
            verify(&key.public(), &longer, "squall", Audience::Controller, NOW),
            Err(CredentialError::Signature)
        );
        let before = [&[extra], frame.as_slice()].concat();
        assert_eq!(
            verify(&key.public(), &before, "squall", Audience::Controller, NOW),
            Err(CredentialError::Signature)
        );
    }
}

#[test]
fn bytes_after_the_last_field_are_refused_even_when_signed() {
    let key = key();
    let mut bytes = frame::encode(&of_job()).unwrap();
    bytes.push(0);
    let signature = key.0.sign(&bytes);
    bytes.extend_from_slice(signature.as_ref());
    let read = verify(&key.public(), &bytes, "squall", Audience::Controller, NOW);
    assert_eq!(read, Err(CredentialError::Malformed("it goes on after its end")));
}

#[test]
fn a_signed_frame_that_ends_early_or_is_of_another_kind_is_refused() {
    let key = key();
    let whole = frame::encode(&of_step()).unwrap();
    for length in 0..whole.len() {
        let mut bytes = whole[..length].to_vec();
        let signature = key.0.sign(&bytes);
        bytes.extend_from_slice(signature.as_ref());
        let read = verify(&key.public(), &bytes, "squall", Audience::Agent, NOW);
        assert!(matches!(read, Err(CredentialError::Malformed(_))), "{length} bytes: {read:?}");
    }
    let mut unknown = frame::encode(&of_job()).unwrap();
    *unknown.last_mut().unwrap() = 9;
    let signature = key.0.sign(&unknown);
    unknown.extend_from_slice(signature.as_ref());
    let read = verify(&key.public(), &unknown, "squall", Audience::Controller, NOW);
    assert!(matches!(read, Err(CredentialError::Malformed(_))), "{read:?}");
}

#[test]
fn a_credential_for_one_service_is_none_for_the_other() {
    let key = key();
    let job = key.sign(&of_job()).unwrap();
    assert_eq!(verify(&key.public(), &job, "squall", Audience::Agent, NOW), Err(CredentialError::Audience));
    let step = key.sign(&of_step()).unwrap();
    assert_eq!(verify(&key.public(), &step, "squall", Audience::Controller, NOW), Err(CredentialError::Audience));
}

#[test]
fn another_cluster_another_key_and_another_time_are_refused() {
    let key = key();
    let frame = key.sign(&of_job()).unwrap();
    let verified = |public: &[u8], issuer, at| verify(public, &frame, issuer, Audience::Controller, at);
    assert_eq!(verified(&key.public(), "drizzle", NOW), Err(CredentialError::Issuer));
    assert_eq!(verified(&self::key().public(), "squall", NOW), Err(CredentialError::Signature));
    assert_eq!(verified(&[0; 31], "squall", NOW), Err(CredentialError::Signature));
    let late = Timestamp(NOW.0 + 60_000);
    assert!(matches!(verified(&key.public(), "squall", late), Err(CredentialError::Expired { .. })));
    let early = Timestamp(NOW.0 - 60_001);
    assert!(matches!(verified(&key.public(), "squall", early), Err(CredentialError::NotYet { .. })));
}

#[test]
fn a_frame_that_is_too_long_is_neither_made_nor_read() {
    let key = key();
    let Action::RunStep { step, tasks, mut nodes } = of_step().action else { unreachable!() };
    nodes[0].ranks = vec![0; MAX_FRAME / 4];
    let huge = Credential { action: Action::RunStep { step, tasks, nodes }, ..of_job() };
    assert!(matches!(key.sign(&huge), Err(CredentialError::TooLong(_))));
    let read = verify(&key.public(), &vec![0; MAX_FRAME + 1], "squall", Audience::Controller, NOW);
    assert_eq!(read, Err(CredentialError::TooLong(MAX_FRAME + 1)));
}
