use super::*;
use squall_proto::connect::Identity;
use squall_proto::credential::{Action, CredentialError, verify};
use squall_types::api::JoinTokenFor;
use squall_types::ids::Run;
use squall_types::{Attempt, Gid, JobId, NodeId, NodeName, OrderId, Span, Timestamp, Uid};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

const NOW: Timestamp = Timestamp::from_secs(1_795_000_000);

fn authority(dir: &Path) -> Authority {
    Authority::open(dir, "c1", NOW).unwrap()
}

fn request() -> (rcgen::KeyPair, String) {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(vec!["controller.squall".to_owned()]).unwrap();
    params.distinguished_name.push(rcgen::DnType::CommonName, "controller");
    let pem = params.serialize_request(&key).unwrap().pem().unwrap();
    (key, pem)
}

fn der(chain_pem: &str) -> Vec<u8> {
    use rustls_pki_types::pem::PemObject;
    rustls_pki_types::CertificateDer::from_pem_slice(chain_pem.as_bytes()).unwrap().to_vec()
}

fn node() -> Machine {
    Machine::Node { node: NodeId(12), name: NodeName::new("gpu-3"), order: OrderId(7) }
}

#[test]
fn keys_are_made_once_and_stay() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("identity");
    let (first, again) = (authority(&path), authority(&path));
    assert_eq!(first.ca_pem(), again.ca_pem());
    assert_eq!(first.credential_key(), again.credential_key());
    assert_eq!(first.join_secret(OrderId(1)), again.join_secret(OrderId(1)));
    for entry in std::fs::read_dir(&path).unwrap() {
        assert_eq!(entry.unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn a_key_that_others_can_read_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("identity");
    drop(authority(&path));
    for name in ["ca.key", "controller.key", "credential.key"] {
        let file = path.join(name);
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
        let opened = Authority::open(&path, "c1", NOW).err();
        assert!(matches!(opened, Some(IdentityError::Exposed { mode: 0o640, .. })), "{name}: {opened:?}");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    assert!(matches!(Authority::open(&path, "c1", NOW).err(), Some(IdentityError::Exposed { .. })));
}

#[test]
fn a_damaged_key_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("identity");
    drop(authority(&path));
    std::fs::write(path.join("credential.key"), b"garbage").unwrap();
    let text = Authority::open(&path, "c1", NOW).err().unwrap().to_string();
    assert!(text.contains("credential.key"), "{text}");
}

#[test]
fn a_certificate_says_who_joined_and_nothing_of_what_the_request_claims() {
    let dir = tempfile::tempdir().unwrap();
    let authority = authority(&dir.path().join("identity"));
    let (_, csr) = request();
    let chain = authority.issue(&csr, &node(), Span::from_hours(1), NOW).unwrap();
    assert!(chain.ends_with(authority.ca_pem()), "the chain leads to the CA");
    let proven = Proven::read(&der(&chain), "c1").unwrap();
    assert_eq!(proven.machine, node());
    assert_eq!(proven.key, authority.key_of(&csr).unwrap());
    assert_eq!(proven.expires_at, NOW + Span::from_hours(1));
    let (_, certificate) = x509_parser::parse_x509_certificate(&der(&chain))
        .map(|(rest, c)| (rest.len(), c.subject().to_string()))
        .unwrap();
    assert_eq!(certificate, "O=c1, CN=node 12 order 7");
    let text = format!(
        "{:?}",
        x509_parser::parse_x509_certificate(&der(&chain)).unwrap().1.subject_alternative_name().unwrap()
    );
    assert!(!text.contains("controller"), "{text}");
    assert!(text.contains("gpu-3.node.squall"), "{text}");
    assert!(matches!(Proven::read(&der(&chain), "c2"), Err(IdentityError::Certificate(_))), "of another cluster");
}

#[test]
fn the_server_and_the_ca_are_no_machines() {
    let dir = tempfile::tempdir().unwrap();
    let authority = authority(&dir.path().join("identity"));
    let Identity { chain_pem, .. } = authority.server_identity(&["10.0.0.1".to_owned()], NOW).unwrap();
    assert!(Proven::read(&der(&chain_pem), "c1").is_err());
    assert!(Proven::read(&der(authority.ca_pem()), "c1").is_err());
    assert!(Proven::read(b"garbage", "c1").is_err());
}

#[test]
fn a_request_that_is_damaged_or_not_its_own_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let authority = authority(&dir.path().join("identity"));
    let issue = |csr: &str| authority.issue(csr, &node(), Span::from_hours(1), NOW);
    for text in ["", "garbage", "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n"] {
        assert!(matches!(issue(text), Err(IdentityError::Request(_))), "{text}");
    }
    // One bit of the signature: the request is then not of the holder of the key.
    let (_, csr) = request();
    let (_, pem) = x509_parser::pem::parse_x509_pem(csr.as_bytes()).unwrap();
    let mut der = pem.contents;
    *der.last_mut().unwrap() ^= 1;
    let forged = rustls_pki_types::CertificateSigningRequestDer::from(der);
    assert!(rcgen::CertificateSigningRequestParams::from_der(&forged).is_err());
}

#[test]
fn a_login_host_is_no_node() {
    let dir = tempfile::tempdir().unwrap();
    let authority = authority(&dir.path().join("identity"));
    let (_, csr) = request();
    let host = Machine::LoginHost("login1".to_owned());
    let chain = authority.issue(&csr, &host, Span::from_hours(1), NOW).unwrap();
    assert_eq!(Proven::read(&der(&chain), "c1").unwrap().machine, host);
}

#[test]
fn a_join_secret_is_of_one_order_and_one_controller() {
    let dir = tempfile::tempdir().unwrap();
    let ours = authority(&dir.path().join("ours"));
    let theirs = authority(&dir.path().join("theirs"));
    let secret = ours.join_secret(OrderId(7));
    assert!(ours.is_join_secret(OrderId(7), &secret));
    assert!(!ours.is_join_secret(OrderId(8), &secret));
    assert!(!theirs.is_join_secret(OrderId(7), &secret));
    for wrong in ["", "zz", &secret[2..], &format!("{secret}00"), &secret.replace(&secret[..1], "x")] {
        assert!(!ours.is_join_secret(OrderId(7), wrong), "{wrong}");
    }
}

#[test]
fn a_token_lets_one_machine_in_once() {
    let dir = tempfile::tempdir().unwrap();
    let authority = authority(&dir.path().join("identity"));
    let tokens = Tokens::open(&dir.path().join("identity/tokens")).unwrap();
    let n1 = NodeName::new("n1");
    let token = tokens.make(&authority, &JoinTokenFor::StaticNode(n1.clone()), NOW).unwrap();
    let used =
        |token: &str, node: &str, key: &str, at| tokens.use_for_node(&authority, token, &NodeName::new(node), key, at);
    assert!(matches!(used(&token, "n2", "key1", NOW), Err(TokenError::OtherMachine)));
    assert!(matches!(tokens.use_for_login_host(&authority, &token, "n1", "key1", NOW), Err(TokenError::OtherMachine)));
    used(&token, "n1", "key1", NOW).unwrap();
    used(&token, "n1", "key1", NOW).unwrap();
    assert!(matches!(used(&token, "n1", "key2", NOW), Err(TokenError::Used)));
    used(&token, "n1", "key1", NOW + Span::from_hours(1000)).unwrap();
    let late = tokens.make(&authority, &JoinTokenFor::StaticNode(n1.clone()), NOW).unwrap();
    assert!(matches!(used(&late, "n1", "key1", NOW + Span::from_hours(24)), Err(TokenError::Expired)));
    let forged = format!("{}{}", "../../../../../../../../etc/pass", &token[32..]);
    for wrong in ["", "x", &token[1..], &forged, &token.replace(&token[40..41], "_")] {
        assert!(matches!(used(wrong, "n1", "key1", NOW), Err(TokenError::Unknown)), "{wrong}");
    }
}

#[test]
fn an_expired_token_leaves_no_record() {
    let dir = tempfile::tempdir().unwrap();
    let authority = authority(&dir.path().join("identity"));
    let tokens = Tokens::open(&dir.path().join("tokens")).unwrap();
    let make = |at| tokens.make(&authority, &JoinTokenFor::LoginHost("l".to_owned()), at).unwrap();
    make(NOW);
    make(NOW + Span::from_hours(25));
    assert_eq!(std::fs::read_dir(dir.path().join("tokens")).unwrap().count(), 1);
}

#[test]
fn a_login_host_stays_enrolled_until_another_takes_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let hosts = LoginHosts::open(dir.path()).unwrap();
    hosts.enrol("login1", "k1").unwrap();
    let again = LoginHosts::open(dir.path()).unwrap();
    assert!(again.is_enrolled("login1", "k1") && !again.is_enrolled("login1", "k2") && !again.is_enrolled("l", "k1"));
    again.enrol("login1", "k2").unwrap();
    assert!(again.is_enrolled("login1", "k2") && !again.is_enrolled("login1", "k1"));
}

#[test]
fn a_job_credential_is_verified_by_this_controller_and_its_successors_alone() {
    let dir = tempfile::tempdir().unwrap();
    let authority = authority(&dir.path().join("identity"));
    let run = Run { job: JobId(5), attempt: Attempt(1) };
    let frame = authority.job_credential(Uid(1000), Gid(100), run, Span::from_hours(1), NOW).unwrap();
    let again = self::authority(&dir.path().join("identity"));
    for authority in [&authority, &again] {
        let read = authority.verify_job(&frame, NOW).unwrap();
        assert_eq!((read.uid, read.gid, read.run, read.action), (Uid(1000), Gid(100), run, Action::ActAsJob));
    }
    let endless = authority.job_credential(Uid(1000), Gid(100), run, Span::FOREVER, NOW).unwrap();
    authority.verify_job(&endless, NOW).unwrap();
    let other = authority.job_credential(Uid(1000), Gid(100), run, Span::from_hours(1), NOW).unwrap();
    assert_ne!(frame, other, "each has its own nonce");

    let stranger = self::authority(&dir.path().join("another"));
    assert_eq!(stranger.verify_job(&frame, NOW), Err(CredentialError::Signature));
    // What agents can verify, and know how to, is something else.
    assert_eq!(verify(&authority.credential_key(), &frame, "c1", NOW), Err(CredentialError::Signature));
}

#[test]
fn a_step_credential_is_verified_by_the_key_that_agents_get() {
    let dir = tempfile::tempdir().unwrap();
    let authority = authority(&dir.path().join("identity"));
    let run = Run { job: JobId(5), attempt: Attempt(1) };
    let action = Action::Visit { nodes: Vec::new() };
    let frame = authority.step_credential(Uid(1000), Gid(100), run, action.clone(), NOW).unwrap();
    let read = verify(&authority.credential_key(), &frame, "c1", NOW).unwrap();
    assert_eq!((read.uid, read.run, read.action), (Uid(1000), run, action));
    assert_eq!(authority.verify_job(&frame, NOW), Err(CredentialError::Signature));
}
