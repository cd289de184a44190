//! Who is let in over TLS, and whom clients take for the controller.
#![allow(clippy::unwrap_used, reason = "what cannot be set up fails the test")]

mod servers;

use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use servers::Answers;
use squall_proto::ClientError;
use squall_proto::client::Client;
use squall_proto::connect::{CONTROLLER_NAME, Identity, Target, Trust, node_server_name};
use squall_proto::node_client::NodeClient;
use squall_proto::server::{ServerTls, accept_tls, builder, client_service, node_service, step_service};
use squall_proto::step_client::StepClient;
use squall_types::agent::{JoinAs, JoinRequest};
use squall_types::{NodeName, OrderId};
use std::sync::Arc;
use tokio::net::TcpListener;

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    pin: [u8; 32],
}

impl Authority {
    fn new() -> Authority {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let digest = ring::digest::digest(&ring::digest::SHA256, certificate.der());
        let pin = digest.as_ref().try_into().unwrap();
        Authority { issuer: Issuer::new(params, key), pem: certificate.pem(), pin }
    }

    fn certify(&self, name: &str) -> Identity {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Identity { chain_pem: format!("{}{}", certificate.pem(), self.pem), key_pem: key.serialize_pem() }
    }
}

/// A server with this certificate; its address.
async fn serve(tls: ServerTls) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let answers = Arc::new(Answers { jobs: 1 });
    let router = builder()
        .add_service(client_service(answers.clone()))
        .add_service(node_service(answers.clone()))
        .add_service(step_service(answers));
    tokio::spawn(router.serve_with_incoming(accept_tls(listener, tls)));
    address
}

async fn controller(ca: &Authority) -> String {
    serve(ServerTls::new(&ca.certify(CONTROLLER_NAME), &ca.pem).unwrap()).await
}

fn target(address: &str, trust: Trust) -> Target {
    Target::parse(&format!("https://{address}"), Some(trust)).unwrap()
}

fn join(secret: &str) -> JoinRequest {
    JoinRequest {
        join_as: JoinAs::Order(OrderId(1)),
        secret: secret.into(),
        csr_pem: String::new(),
        instance: "i-1".into(),
        hostname: "gpu-1".into(),
        boot_id: String::new(),
        agent_version: String::new(),
    }
}

#[tokio::test]
async fn a_machine_that_knows_only_the_pin_joins() {
    let ca = Authority::new();
    let client = NodeClient::connect(&target(&controller(&ca).await, Trust::Pin(ca.pin))).await.unwrap();
    let reply = client.join(join("right")).await.unwrap();
    assert_eq!((reply.name, reply.ca_pem.as_str()), ("gpu-1".into(), "None"));
    assert!(matches!(client.join(join("wrong")).await, Err(ClientError::Denied(_))));
}

#[tokio::test]
async fn another_ca_is_not_taken_for_the_clusters() {
    let (ca, other) = (Authority::new(), Authority::new());
    let address = controller(&ca).await;
    for trust in [Trust::Pin(other.pin), Trust::Ca(other.pem.clone())] {
        let error = NodeClient::connect(&target(&address, trust)).await.unwrap_err();
        assert!(matches!(error, ClientError::Unreachable { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_chain_that_only_mentions_the_pinned_ca_is_not_enough() {
    let (ca, other) = (Authority::new(), Authority::new());
    // Signed by another CA, with the right one's certificate put beside it.
    let mut forged = other.certify(CONTROLLER_NAME);
    forged.chain_pem.push_str(&ca.pem);
    let address = serve(ServerTls::new(&forged, &other.pem).unwrap()).await;
    assert!(NodeClient::connect(&target(&address, Trust::Pin(ca.pin))).await.is_err());
}

#[tokio::test]
async fn a_node_does_not_pass_for_the_controller_nor_for_another_node() {
    let ca = Authority::new();
    let node = NodeName::from("gpu-7");
    let address = serve(ServerTls::new(&ca.certify(&node_server_name(&node)), &ca.pem).unwrap()).await;
    assert!(Client::connect(&target(&address, Trust::Ca(ca.pem.clone()))).await.is_err());
    assert!(Client::connect(&target(&address, Trust::Pin(ca.pin))).await.is_err());
    assert!(StepClient::connect(&Target::node(&address, &"gpu-8".into(), &ca.pem).unwrap()).await.is_err());
    assert!(StepClient::connect(&Target::node(&address, &node, &ca.pem).unwrap()).await.is_ok());
}

#[tokio::test]
async fn the_certificate_of_a_caller_reaches_the_server() {
    let ca = Authority::new();
    let address = controller(&ca).await;
    let own = ca.certify(&node_server_name(&"gpu-1".into()));
    let known = target(&address, Trust::Ca(ca.pem.clone())).with_identity(own.clone());
    let seen = NodeClient::connect(&known).await.unwrap().renew(String::new()).await.unwrap().credential_key;
    let pem = own.chain_pem.split_inclusive("-----END CERTIFICATE-----").next().unwrap();
    let der = rustls_pki_types::pem::PemObject::from_pem_slice(pem.as_bytes());
    assert_eq!(Ok(rustls_pki_types::CertificateDer::from(seen)), der.map_err(|_| ()));
    let ping = Client::connect(&known).await.unwrap().ping().await.unwrap();
    assert!(ping.hostname.contains("remote: Some(127.0.0.1:"), "{}", ping.hostname);
}

#[tokio::test]
async fn a_certificate_of_another_ca_opens_nothing() {
    let (ca, other) = (Authority::new(), Authority::new());
    let address = controller(&ca).await;
    let stranger = target(&address, Trust::Ca(ca.pem.clone())).with_identity(other.certify("admin"));
    // With TLS 1.3 the client learns of it with its first call.
    let error = match NodeClient::connect(&stranger).await {
        Ok(client) => client.renew(String::new()).await.unwrap_err(),
        Err(error) => error,
    };
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error:?}");
}

#[tokio::test]
async fn who_presents_nothing_is_heard_by_no_client_call() {
    let ca = Authority::new();
    let stranger = Client::connect(&target(&controller(&ca).await, Trust::Pin(ca.pin))).await.unwrap();
    assert!(matches!(stranger.ping().await, Err(ClientError::Denied(_))));
    assert!(matches!(stranger.jobs(Default::default()).await, Err(ClientError::Denied(_))));
    assert!(stranger.clone().for_job(b"signed".to_vec()).ping().await.is_ok());
    let known = target(&controller(&ca).await, Trust::Pin(ca.pin)).with_bearer("token");
    let seen = Client::connect(&known).await.unwrap().ping().await.unwrap().hostname;
    assert!(seen.ends_with("with Some(\"token\")") && seen.matches("token").count() == 1, "{seen}");
}

#[tokio::test]
async fn certificates_are_exchanged_without_a_restart() {
    let (first, second) = (Authority::new(), Authority::new());
    let tls = ServerTls::new(&first.certify(CONTROLLER_NAME), &first.pem).unwrap();
    let address = serve(tls.clone()).await;
    assert!(NodeClient::connect(&target(&address, Trust::Pin(first.pin))).await.is_ok());
    tls.replace(&second.certify(CONTROLLER_NAME), &second.pem).unwrap();
    assert!(NodeClient::connect(&target(&address, Trust::Pin(first.pin))).await.is_err());
    assert!(NodeClient::connect(&target(&address, Trust::Pin(second.pin))).await.is_ok());
    let bad = tls.replace(&Identity { chain_pem: "nonsense".into(), key_pem: String::new() }, &second.pem);
    assert_eq!(bad.unwrap_err().to_string(), "certificate chain: no certificate in it");
    assert!(NodeClient::connect(&target(&address, Trust::Pin(second.pin))).await.is_ok());
}

#[tokio::test]
async fn a_peer_that_says_nothing_delays_nobody() {
    let ca = Authority::new();
    let address = controller(&ca).await;
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(tokio::net::TcpStream::connect(&address).await.unwrap());
    }
    assert!(NodeClient::connect(&target(&address, Trust::Pin(ca.pin))).await.is_ok());
}

#[test]
fn what_is_no_address_is_said_so() {
    let trust = || Some(Trust::Pin([0; 32]));
    for bad in ["", "unix:", "unix:relative", "http://host:1", "https://", "https://host", "https://u@h:1", "host:1"] {
        assert!(Target::parse(bad, trust()).is_err(), "{bad}");
    }
    for good in ["unix:/run/squall.sock", "https://host:6817", "https://host:6817/", "https://[::1]:6817"] {
        assert!(Target::parse(good, trust()).is_ok(), "{good}");
    }
    let untrusted = Target::parse("https://host:1", None).unwrap_err();
    assert_eq!(untrusted.to_string(), "`https://host:1` needs the cluster CA's certificate or its pin");
    assert!(Trust::pin(&"ab".repeat(32)).is_ok() && Trust::pin("ab").is_err());
}
