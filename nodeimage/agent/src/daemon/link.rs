//! The connection to the controller: joins, proves itself, carries reports and orders, and comes back when it is lost.

use super::membership::{Key, KeyError, Membership};
use super::options::Options;
use crate::clock;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use futures_util::{FutureExt, StreamExt};
use squall_proto::connect::{BadTarget, Target, Trust};
use squall_proto::node_client::NodeClient;
use squall_proto::{ClientError, VERSION};
use squall_types::NodeName;
use squall_types::agent::{AgentOrder, AgentReport, JoinAs, JoinRequest};
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;

/// Reports that wait for the connection to take them; with more, the connection is given up and made anew.
pub const REPORT_QUEUE: usize = 8192;
/// The shortest and the longest pause before connecting again.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// A connection that lasted so long was a good one: the next pause is short again.
const LASTED: Duration = Duration::from_secs(20);
/// Between two looks at whether the certificate is to be renewed.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// The largest file with a join secret, in bytes.
const MAX_SECRET: u64 = 4096;

/// What the connection says.
#[derive(Debug)]
pub enum LinkEvent {
    /// Reports go here from now on; the first one has to be the greeting.
    Connected(mpsc::Sender<AgentReport>),
    Order(AgentOrder),
    Disconnected,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error(transparent)]
    Target(#[from] BadTarget),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error("the join secret cannot be read")]
    Secret(#[source] io::Error),
    #[error("neither a certificate nor a join secret: `--join-secret-file` is needed to join")]
    NoSecret,
    #[error("the certificate cannot be kept")]
    Kept(#[source] io::Error),
    #[error("the controller calls this node {0}, and it was started as {1}")]
    OtherName(NodeName, NodeName),
    #[error("the agent has nothing to say")]
    Silent,
}

/// The agent's side of the connection.
pub struct Link {
    pub options: Arc<Options>,
    pub key: Arc<Key>,
    pub hostname: String,
    /// The certificate in use, for all who serve or connect with it.
    pub membership: watch::Sender<Membership>,
    /// For those who ask the controller something beside the conversation.
    pub client: watch::Sender<Option<NodeClient>>,
    pub events: mpsc::Sender<LinkEvent>,
}

/// Asks for a certificate with the join secret. Asked again with the same key, it is the same machine.
pub async fn join(options: &Options, key: &Key, hostname: &str) -> Result<Membership, LinkError> {
    let path = options.join_secret_file.as_ref().ok_or(LinkError::NoSecret)?;
    let secret = std::fs::File::open(path).and_then(|file| io::read_to_string(io::Read::take(file, MAX_SECRET)));
    let join_as = match (options.order, &options.node) {
        (Some(order), _) => JoinAs::Order(order),
        (None, Some(node)) => JoinAs::StaticNode(node.clone()),
        (None, None) => return Err(LinkError::NoSecret),
    };
    let request = JoinRequest {
        join_as,
        secret: secret.map_err(LinkError::Secret)?.trim().to_owned(),
        csr_pem: key.request()?,
        instance: options.instance.clone(),
        hostname: hostname.to_owned(),
        boot_id: clock::boot_id(),
        agent_version: VERSION.to_owned(),
    };
    let client = connect(Target::parse(&options.controller, options.ca_pin.clone())?).await?;
    let membership = Membership::new(ask(async move { client.join(request).await }).await?)?;
    if let Some(node) = options.node.as_ref().filter(|node| **node != membership.name) {
        return Err(LinkError::OtherName(membership.name, node.clone()));
    }
    membership.save(&options.state_dir).map_err(LinkError::Kept)?;
    Ok(membership)
}

/// Grows with each failure, and never in step with other agents.
#[derive(Debug)]
pub struct Pause(Duration);

impl Default for Pause {
    fn default() -> Self {
        Pause(FIRST_PAUSE)
    }
}

impl Pause {
    pub async fn wait(&mut self) {
        let mut random = [0u8; 1];
        // Without randomness all agents come at once, which is only unpleasant.
        let _ = getrandom::fill(&mut random);
        sleep(self.0.mul_f64(0.5 + f64::from(random[0]) / 256.0)).await;
        self.0 = (self.0 * 2).min(LONGEST_PAUSE);
    }
}

impl Link {
    /// Connects, again and again, until the agent ends.
    pub async fn run(self: Arc<Self>) {
        let mut pause = Pause::default();
        loop {
            let began = Instant::now();
            let error = match self.clone().converse().await {
                Ok(()) => "the controller ended the conversation".to_owned(),
                Err(error) => error.to_string(),
            };
            self.client.send_replace(None);
            if self.events.send(LinkEvent::Disconnected).await.is_err() {
                return;
            }
            if began.elapsed() > LASTED {
                pause = Pause::default();
            }
            tracing::info!(controller = %self.options.controller, reason = %error, "no contact");
            pause.wait().await;
        }
    }

    async fn converse(self: Arc<Self>) -> Result<(), LinkError> {
        if self.membership.borrow().is_expired(clock::now().wall) {
            // With an expired certificate no server talks to us; the same key and secret prove the same machine.
            self.replace(join(&self.options, &self.key, &self.hostname).await?);
        }
        let client = connect(self.target()?).await?;
        let (reports, mut queue) = mpsc::channel(REPORT_QUEUE);
        if self.events.send(LinkEvent::Connected(reports)).await.is_err() {
            return Ok(());
        }
        let hello = queue.recv().await.ok_or(LinkError::Silent)?;
        let (sender, orders) = {
            let client = client.clone();
            ask(async move { client.attach(hello).await }).await?
        };
        self.client.send_replace(Some(client));
        self.carry(queue, sender, orders).await
    }

    async fn carry(
        self: Arc<Self>,
        mut queue: mpsc::Receiver<AgentReport>,
        sender: mpsc::Sender<AgentReport>,
        mut orders: BoxStream<'static, Result<AgentOrder, ClientError>>,
    ) -> Result<(), LinkError> {
        // Sending waits for the connection, and must not keep orders from being read.
        let sending = async {
            while let Some(report) = queue.recv().await {
                if sender.send(report).await.is_err() {
                    return;
                }
            }
        };
        let reading = async {
            while let Some(order) = orders.next().await {
                if self.events.send(LinkEvent::Order(order?)).await.is_err() {
                    return Ok(());
                }
            }
            Ok(())
        };
        let renewing = async {
            loop {
                sleep(LOOK_AGAIN).await;
                if let Err(error) = self.clone().renew().await {
                    tracing::warn!(reason = %error, "the certificate could not be renewed yet");
                }
            }
        };
        tokio::select! {
            () = sending => Ok(()),
            ended = reading => ended,
            () = renewing => Ok(()),
        }
    }

    /// Renews the certificate when half of its life is over. The conversation goes on as it began.
    async fn renew(self: Arc<Self>) -> Result<(), LinkError> {
        if clock::now().wall < self.membership.borrow().renew_at() {
            return Ok(());
        }
        let Some(client) = self.client.borrow().clone() else { return Ok(()) };
        let renewed = Membership::new({
            let request = self.key.request()?;
            ask(async move { client.renew(request).await }).await?
        })?;
        renewed.save(&self.options.state_dir).map_err(LinkError::Kept)?;
        self.replace(renewed);
        // Questions from now on come with the new certificate: the old one is worth nothing soon.
        self.client.send_replace(Some(connect(self.target()?).await?));
        Ok(())
    }

    fn replace(&self, membership: Membership) {
        self.membership.send_replace(membership);
    }

    fn target(&self) -> Result<Target, LinkError> {
        target(&self.options, &self.key, &self.membership.borrow())
    }
}

/// A call that owns all it needs, so that whoever waits for it may run on any thread.
fn ask<T: Send + 'static>(
    call: impl Future<Output = Result<T, ClientError>> + Send + 'static,
) -> BoxFuture<'static, Result<T, ClientError>> {
    call.boxed()
}

fn connect(target: Target) -> BoxFuture<'static, Result<NodeClient, ClientError>> {
    ask(async move { NodeClient::connect(&target).await })
}

/// The controller, as this node.
pub fn target(options: &Options, key: &Key, membership: &Membership) -> Result<Target, LinkError> {
    let trust = Trust::Ca(membership.ca_pem.clone());
    Ok(Target::parse(&options.controller, Some(trust))?.with_identity(key.identity(membership)))
}
