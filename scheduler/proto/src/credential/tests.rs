use super::*;
use squall_types::{Attempt, JobId};

const NOW: Timestamp = Timestamp::from_secs(1_000_000);

/// Both ways to prove a frame, which have to refuse alike.
enum Key {
    ForAgents(SigningKey),
    ForController(TagKey),
}

impl Key {
    fn for_agents() -> Key {
        Key::ForAgents(SigningKey::from_pkcs8(&SigningKey::generate().unwrap()).unwrap())
    }

    fn for_controller() -> Key {
        Key::ForController(TagKey::new(&[3; 32]))
    }

    /// Each with a credential for who reads it.
    fn both() -> [(Key, Credential); 2] {
        [(Key::for_agents(), of_step()), (Key::for_controller(), of_job())]
    }

    fn sign(&self, credential: &Credential) -> Result<Vec<u8>, CredentialError> {
        match self {
            Key::ForAgents(key) => key.sign(credential),
            Key::ForController(key) => key.sign(credential),
        }
    }

    /// Bytes as they are, with the proof after them.
    fn prove(&self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Key::ForAgents(key) => [bytes, key.0.sign(bytes).as_ref()].concat(),
            Key::ForController(key) => [bytes, hmac::sign(&key.0, bytes).as_ref()].concat(),
        }
    }

    fn verify(&self, frame: &[u8], issuer: &str, at: Timestamp) -> Result<Credential, CredentialError> {
        match self {
            Key::ForAgents(key) => verify(&key.public(), frame, issuer, at),
            Key::ForController(key) => key.verify(frame, issuer, at),
        }
    }

    fn read(&self, frame: &[u8]) -> Result<Credential, CredentialError> {
        self.verify(frame, "squall", NOW)
    }
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
    let agents = Key::for_agents();
    for credential in [of_step(), of_visit()] {
        assert_eq!(agents.read(&agents.sign(&credential).unwrap()), Ok(credential));
    }
    let controller = Key::for_controller();
    assert_eq!(controller.read(&controller.sign(&of_job()).unwrap()), Ok(of_job()));
}

#[test]
fn every_flipped_bit_is_refused() {
    for (key, credential) in Key::both() {
        let frame = key.sign(&credential).unwrap();
        for at in 0..frame.len() * 8 {
            let mut changed = frame.clone();
            changed[at / 8] ^= 1 << (at % 8);
            assert_eq!(key.read(&changed), Err(CredentialError::Signature), "bit {at}");
        }
    }
}

#[test]
fn every_shorter_and_longer_frame_is_refused() {
    for (key, credential) in Key::both() {
        let frame = key.sign(&credential).unwrap();
        for length in 0..frame.len() {
            assert_eq!(key.read(&frame[..length]), Err(CredentialError::Signature), "{length} bytes");
        }
        for extra in [0u8, 1, 255] {
            assert_eq!(key.read(&[frame.as_slice(), &[extra]].concat()), Err(CredentialError::Signature));
            assert_eq!(key.read(&[&[extra], frame.as_slice()].concat()), Err(CredentialError::Signature));
        }
    }
}

#[test]
fn bytes_after_the_last_field_are_refused_even_when_signed() {
    for (key, credential) in Key::both() {
        let mut bytes = frame::encode(&credential).unwrap();
        bytes.push(0);
        assert_eq!(key.read(&key.prove(&bytes)), Err(CredentialError::Malformed("it goes on after its end")));
    }
}

#[test]
fn a_signed_frame_that_ends_early_or_is_of_another_kind_is_refused() {
    for (key, credential) in Key::both() {
        let whole = frame::encode(&credential).unwrap();
        for length in 0..whole.len() {
            let read = key.read(&key.prove(&whole[..length]));
            assert!(matches!(read, Err(CredentialError::Malformed(_))), "{length} bytes: {read:?}");
        }
        let mut unknown = frame::encode(&of_job()).unwrap();
        *unknown.last_mut().unwrap() = 9;
        let read = key.read(&key.prove(&unknown));
        assert!(matches!(read, Err(CredentialError::Malformed(_))), "{read:?}");
    }
}

#[test]
fn a_credential_for_one_service_is_none_for_the_other() {
    let (agents, controller) = (Key::for_agents(), Key::for_controller());
    assert_eq!(agents.read(&agents.sign(&of_job()).unwrap()), Err(CredentialError::Audience));
    for credential in [of_step(), of_visit()] {
        assert_eq!(controller.read(&controller.sign(&credential).unwrap()), Err(CredentialError::Audience));
    }
    // Nor is it, as it is sent, anything to who proves in the other way.
    assert_eq!(controller.read(&agents.sign(&of_step()).unwrap()), Err(CredentialError::Signature));
    assert_eq!(agents.read(&controller.sign(&of_job()).unwrap()), Err(CredentialError::Signature));
}

#[test]
fn another_cluster_another_key_and_another_time_are_refused() {
    let others = [Key::for_agents(), Key::ForController(TagKey::new(&[4; 32]))];
    for ((key, credential), other) in Key::both().into_iter().zip(others) {
        let frame = key.sign(&credential).unwrap();
        assert_eq!(key.verify(&frame, "drizzle", NOW), Err(CredentialError::Issuer));
        assert_eq!(other.read(&frame), Err(CredentialError::Signature));
        let late = Timestamp(NOW.0 + 60_000);
        assert!(matches!(key.verify(&frame, "squall", late), Err(CredentialError::Expired { .. })));
        let early = Timestamp(NOW.0 - 60_001);
        assert!(matches!(key.verify(&frame, "squall", early), Err(CredentialError::NotYet { .. })));
    }
    let frame = Key::for_agents().sign(&of_step()).unwrap();
    assert_eq!(verify(&[0; 31], &frame, "squall", NOW), Err(CredentialError::Signature));
}

#[test]
fn a_frame_that_is_too_long_is_neither_made_nor_read() {
    let Action::RunStep { step, tasks, mut nodes } = of_step().action else { unreachable!() };
    nodes[0].ranks = vec![0; MAX_FRAME / 4];
    let huge = Credential { action: Action::RunStep { step, tasks, nodes }, ..of_job() };
    for (key, _) in Key::both() {
        assert!(matches!(key.sign(&huge), Err(CredentialError::TooLong(_))));
        assert_eq!(key.read(&vec![0; MAX_FRAME + 1]), Err(CredentialError::TooLong(MAX_FRAME + 1)));
    }
}
