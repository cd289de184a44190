use crate::agent::{Agent, Machine, hello, joined};
use crate::stage::Stage;
use squall_proto::ClientError;
use squall_proto::connect::Identity;
use squall_proto::node_client::NodeClient;
use squall_types::agent::{AgentReport, JoinAs};
use squall_types::api::JoinTokenFor;
use squall_types::{Attempt, BlobDigest, NodeName, OrderId, Run};

fn n1() -> JoinAs {
    JoinAs::StaticNode(NodeName::new("n1"))
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_machine_with_its_token_joins() {
    let stage = Stage::start().await;
    let admin = stage.local().await;
    let token = admin.join_token(JoinTokenFor::StaticNode(NodeName::new("n1"))).await.unwrap().secret;
    let machine = Machine::new("n1");
    for (join_as, secret) in [
        (n1(), "guessed".to_owned()),
        (n1(), String::new()),
        (JoinAs::StaticNode(NodeName::new("n2")), token.clone()),
        (JoinAs::LoginHost("login1".to_owned()), token.clone()),
        (JoinAs::LoginHost("elsewhere".to_owned()), token.clone()),
        (JoinAs::Order(OrderId(1)), token.clone()),
        (JoinAs::Order(OrderId(1)), "00".repeat(32)),
    ] {
        let joined = machine.join(&stage, join_as.clone(), &secret).await;
        assert!(matches!(joined, Err(ClientError::Denied(_))), "{join_as:?}: {joined:?}");
    }
    let first = machine.join(&stage, n1(), &token).await.unwrap();
    assert_eq!(first.name.as_str(), "n1");
    // The answer was lost: the same machine asks again.
    machine.join(&stage, n1(), &token).await.unwrap();
    let thief = Machine::new("n1").join(&stage, n1(), &token).await;
    assert!(matches!(thief, Err(ClientError::Denied(_))), "{thief:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_machine_with_a_token_of_its_own_quarantines_both() {
    let stage = Stage::start().await;
    joined(&stage, "n1").await;
    let admin = stage.local().await;
    let token = admin.join_token(JoinTokenFor::StaticNode(NodeName::new("n1"))).await.unwrap().secret;
    let second = Machine::new("n1").join(&stage, n1(), &token).await;
    assert!(matches!(second, Err(ClientError::Refused(_))), "{second:?}");
    let nodes = admin.nodes().await.unwrap();
    let node = nodes.iter().find(|node| node.name.as_str() == "n1").unwrap();
    assert!(node.reason.contains("second agent"), "{}", node.reason);
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_made_for_configured_machines_alone() {
    let stage = Stage::start().await;
    let admin = stage.local().await;
    for joiner in [JoinTokenFor::StaticNode(NodeName::new("n9")), JoinTokenFor::LoginHost("login9".to_owned())] {
        let made = admin.join_token(joiner).await;
        assert!(matches!(made, Err(ClientError::Refused(_))), "{made:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_renewed_for_its_own_key_alone() {
    let stage = Stage::start().await;
    let (machine, reply) = joined(&stage, "n1").await;
    let client = NodeClient::connect(&machine.as_itself(&stage, &reply)).await.unwrap();
    let renewed = client.renew(machine.csr()).await.unwrap();
    assert_eq!(renewed.name.as_str(), "n1");
    assert_ne!(renewed.chain_pem, reply.chain_pem);
    let other = client.renew(Machine::new("n1").csr()).await;
    assert!(matches!(other, Err(ClientError::Denied(_))), "{other:?}");
    for wrong in ["", "garbage"] {
        assert!(matches!(client.renew(wrong.to_owned()).await, Err(ClientError::Denied(_))));
    }
    let nobody = NodeClient::connect(&stage.remote()).await.unwrap();
    assert!(matches!(nobody.renew(machine.csr()).await, Err(ClientError::Denied(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_another_ca_is_turned_away_by_the_handshake() {
    let stage = Stage::start().await;
    let other = Stage::start().await;
    let (machine, reply) = joined(&other, "n1").await;
    let identity = Identity { chain_pem: reply.chain_pem, key_pem: machine.key.serialize_pem() };
    let reached = NodeClient::connect(&stage.remote().with_identity(identity)).await;
    let denied = match reached {
        Err(_) => true,
        Ok(client) => client.renew(machine.csr()).await.is_err(),
    };
    assert!(denied);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_says_hello_first_and_learns_nothing_of_others() {
    let stage = Stage::start().await;
    let (machine, reply) = joined(&stage, "n1").await;
    let client = NodeClient::connect(&machine.as_itself(&stage, &reply)).await.unwrap();
    let rude = client.attach(AgentReport::Heartbeat).await;
    let refused = match rude {
        Err(ClientError::Denied(_)) => true,
        Ok((_, mut orders)) => {
            use futures_util::StreamExt;
            matches!(orders.next().await, Some(Err(ClientError::Denied(_))) | None)
        }
        Err(_) => false,
    };
    assert!(refused);
    let nobody = NodeClient::connect(&stage.remote()).await.unwrap();
    assert!(matches!(nobody.attach(hello("n1", Vec::new())).await, Err(ClientError::Denied(_))));
    let run = Run { job: squall_types::JobId(1), attempt: Attempt(1) };
    let blob = client.fetch_blob(BlobDigest([7; 32]), run).await;
    assert!(matches!(blob, Err(ClientError::Denied(_))), "{blob:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copied_machine_is_refused_while_the_first_is_connected() {
    use futures_util::StreamExt;
    let stage = Stage::start().await;
    let (machine, reply) = joined(&stage, "n1").await;
    let mut first = Agent::attach(&stage, &machine, &reply).await;
    first.order().await;
    let copy =
        Machine { key: rcgen::KeyPair::from_pem(&machine.key.serialize_pem()).unwrap(), hostname: "copy".to_owned() };
    let mut second = Agent::attach(&stage, &copy, &reply).await;
    let told = second.orders.next().await;
    assert!(matches!(&told, Some(Err(error)) if error.to_string().contains("another agent")), "{told:?}");
    // The same machine, whose connection was lost, replaces it.
    let mut again = Agent::attach(&stage, &machine, &reply).await;
    again.order().await;
    assert!(matches!(first.orders.next().await, Some(Err(_)) | None));
}
