//! Clients and agents of another version: turned away with both versions, whatever they ask.

use super::Scene;
use bytes::{Buf, BufMut};
use squall_proto::VERSION;
use std::path::PathBuf;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::metadata::MetadataValue;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Code, Request, Status};

/// Messages as bytes: another version may have other messages.
#[derive(Clone, Copy, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Raw;
    type Decoder = Raw;

    fn encoder(&mut self) -> Raw {
        Raw
    }

    fn decoder(&mut self) -> Raw {
        Raw
    }
}

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        into.put_slice(&item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        let mut bytes = vec![0; from.remaining()];
        from.copy_to_slice(&mut bytes);
        Ok(Some(bytes))
    }
}

/// Calls a method with an empty message, as a peer of that version.
async fn call(channel: Channel, method: &'static str, version: &str) -> Result<Vec<u8>, Status> {
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await.expect("the server is there");
    let mut request = Request::new(Vec::new());
    request.metadata_mut().insert("squall-version", MetadataValue::try_from(version).expect("a version"));
    client.unary(request, method.parse().expect("a path"), Raw).await.map(tonic::Response::into_inner)
}

async fn over_the_socket(socket: PathBuf) -> Channel {
    Endpoint::from_shared(format!("unix:{}", socket.display()))
        .expect("an address")
        .connect()
        .await
        .expect("it answers")
}

async fn over_tls(address: &str, ca: &str) -> Channel {
    let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(ca));
    let endpoint = Endpoint::from_shared(format!("https://{address}")).expect("an address");
    endpoint.tls_config(tls).expect("a certificate").connect().await.expect("it answers")
}

#[test]
fn clients_and_agents_of_another_version_are_turned_away_with_both_versions() {
    let scene = Scene::set();
    let agent = scene.stage.agents().pop().expect("an agent runs");
    let address = agent.option("--controller").and_then(|url| url.strip_prefix("https://")).expect("its controller");
    let ca = std::fs::read_to_string(scene.stage.path("state/identity/ca.pem")).expect("the cluster's certificate");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let client = over_the_socket(scene.stage.path("ctld.sock")).await;
        let machine = over_tls(address, &ca).await;
        call(client.clone(), "/squall.v1.Squall/Ping", VERSION).await.expect("this version is understood");
        for version in ["99.0.0", "oldest", "-1"] {
            for (channel, method) in [
                (&client, "/squall.v1.Squall/Ping"),
                (&client, "/squall.v1.Squall/Submit"),
                (&machine, "/squall.v1.Nodes/Join"),
                (&machine, "/squall.v1.Nodes/Renew"),
            ] {
                let refused = call(channel.clone(), method, version).await.expect_err("another version");
                assert_eq!(refused.code(), Code::FailedPrecondition, "{method} of {version}: {refused:?}");
                let text = refused.message();
                assert!(text.contains(version) && text.contains(VERSION), "{text}");
            }
        }
    });
    scene.nothing_was_lost();
}
