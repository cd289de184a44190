//! A machine that a test plays by hand: its key, its certificate, its side of the conversation.

use crate::stage::Stage;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use rcgen::{CertificateParams, KeyPair};
use squall_proto::ClientError;
use squall_proto::client::Client;
use squall_proto::connect::{Identity, Target};
use squall_proto::node_client::NodeClient;
use squall_types::agent::*;
use squall_types::api::JoinTokenFor;
use squall_types::ids::Run;
use squall_types::{Assignment, Epoch, Generation, InstanceId, NodeName, Shape, Timestamp};
use std::time::Duration;
use tokio::sync::mpsc;

pub struct Machine {
    pub key: KeyPair,
    pub hostname: String,
}

impl Machine {
    pub fn new(hostname: &str) -> Machine {
        Machine { key: KeyPair::generate().unwrap(), hostname: hostname.to_owned() }
    }

    pub fn csr(&self) -> String {
        CertificateParams::default().serialize_request(&self.key).unwrap().pem().unwrap()
    }

    pub async fn join(&self, stage: &Stage, join_as: JoinAs, secret: &str) -> Result<JoinReply, ClientError> {
        let client = NodeClient::connect(&stage.remote()).await?;
        client
            .join(JoinRequest {
                join_as,
                secret: secret.to_owned(),
                csr_pem: self.csr(),
                instance: InstanceId::default(),
                hostname: self.hostname.clone(),
                boot_id: "boot-1".to_owned(),
                agent_version: squall_proto::VERSION.to_owned(),
            })
            .await
    }

    /// The controller, with this machine's certificate.
    pub fn as_itself(&self, stage: &Stage, reply: &JoinReply) -> Target {
        let identity = Identity { chain_pem: reply.chain_pem.clone(), key_pem: self.key.serialize_pem() };
        stage.remote().with_identity(identity)
    }
}

/// A machine that has joined as a static node.
pub async fn joined(stage: &Stage, name: &str) -> (Machine, JoinReply) {
    let admin = stage.local().await;
    let token = admin.join_token(JoinTokenFor::StaticNode(NodeName::new(name))).await.unwrap().secret;
    let machine = Machine::new(name);
    let reply = machine.join(stage, JoinAs::StaticNode(NodeName::new(name)), &token).await.unwrap();
    (machine, reply)
}

/// A machine that has enrolled as a login host.
pub async fn login_host(stage: &Stage) -> (Machine, JoinReply) {
    let admin = stage.local().await;
    let token = admin.join_token(JoinTokenFor::LoginHost("login1".to_owned())).await.unwrap().secret;
    let machine = Machine::new("login1");
    let reply = machine.join(stage, JoinAs::LoginHost("login1".to_owned()), &token).await.unwrap();
    (machine, reply)
}

pub async fn client_of(machine: &Machine, stage: &Stage, reply: &JoinReply) -> Client {
    Client::connect(&machine.as_itself(stage, reply)).await.unwrap()
}

pub fn hello(hostname: &str, attempts: Vec<(Run, AttemptState)>) -> AgentReport {
    let shape = Shape { cpus: 4, cores: 4, memory_mib: 8192, ..Shape::default() };
    AgentReport::Hello {
        epoch: Epoch(0),
        generation: Generation(0),
        measured: MeasuredNode {
            shape,
            hostname: hostname.to_owned(),
            address: "127.0.0.1:1".to_owned(),
            agent_version: squall_proto::VERSION.to_owned(),
            boot_id: "boot-1".to_owned(),
            ..MeasuredNode::default()
        },
        attempts,
        steps: Vec::new(),
    }
}

/// An agent that is connected.
pub struct Agent {
    pub client: NodeClient,
    pub reports: mpsc::Sender<AgentReport>,
    pub orders: BoxStream<'static, Result<AgentOrder, ClientError>>,
}

impl Agent {
    pub async fn attach(stage: &Stage, machine: &Machine, reply: &JoinReply) -> Agent {
        Agent::attach_with(stage, machine, reply, Vec::new()).await
    }

    pub async fn attach_with(
        stage: &Stage,
        machine: &Machine,
        reply: &JoinReply,
        attempts: Vec<(Run, AttemptState)>,
    ) -> Agent {
        let client = NodeClient::connect(&machine.as_itself(stage, reply)).await.unwrap();
        let (reports, orders) = client.attach(hello(&machine.hostname, attempts)).await.unwrap();
        Agent { client, reports, orders }
    }

    pub async fn order(&mut self) -> AgentOrder {
        let next = tokio::time::timeout(Duration::from_secs(10), self.orders.next()).await;
        next.expect("an order comes").expect("the connection lasts").unwrap()
    }

    /// The assignment that comes next, in a full set or a delta.
    pub async fn assignment(&mut self) -> Assignment {
        loop {
            let duties = match self.order().await {
                AgentOrder::FullSet { assignments, .. } => assignments,
                AgentOrder::Delta { changed, .. } => changed,
                _ => continue,
            };
            if let Some(duty) = duties.into_iter().next() {
                return duty;
            }
        }
    }

    pub async fn report(&self, run: Run, state: AttemptState) {
        self.reports.send(AgentReport::Attempt { run, state }).await.unwrap();
    }

    pub async fn acknowledged(&mut self, run: Run) {
        loop {
            if let AgentOrder::Acknowledged { runs, .. } = self.order().await
                && runs.contains(&run)
            {
                return;
            }
        }
    }
}

pub fn ended(code: i32) -> AttemptState {
    AttemptState::Ended(AttemptEnd {
        cause: EndCause::Exited,
        exit: ExitStatus { code, signal: 0 },
        ended_at: Timestamp(1),
        usage: Usage::default(),
        detail: String::new(),
    })
}
