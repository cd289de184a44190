//! What machines ask: to join, to be certified anew, to be told what to do, and what it is that they are to run.

use super::caller::{agent_of, denied};
use super::{Service, done, refused, unexpected, unread};
use crate::identity::{IdentityError, Machine, TokenError};
use crate::limits::{HELLO_WITHIN, JOIN_WAITS, REPORTS_PER_SECOND};
use crate::shell::{Handle, LinkEvent};
use async_trait::async_trait;
use futures_util::StreamExt;
use squall_core::authz::{Object, Verb, allow};
use squall_core::order::OrderState;
use squall_core::{Caller, Cluster, Command, Reply};
use squall_engine::{Ask, SessionId};
use squall_proto::server::{Channel, Failure, Incoming, NodeApi, Outgoing};
use squall_types::agent::{AgentOrder, AgentReport, JoinAs, JoinReply, JoinRequest};
use squall_types::ids::Run;
use squall_types::{BlobDigest, InstanceId, NodeId, NodeName, OrderId};
use std::time::{Duration, Instant};
use tokio::time::{sleep_until, timeout};

#[async_trait]
impl NodeApi for Service {
    async fn join(&self, channel: Channel, request: JoinRequest) -> Result<JoinReply, Failure> {
        self.meters.call(Verb::Join);
        let _turn = self.joins.try_acquire().map_err(|_| Failure::Busy("too many machines join at once".to_owned()))?;
        let key = self.authority.key_of(&request.csr_pem).map_err(|error| unissued(&error))?;
        let joined = self.admit(&request, &key).await;
        let machine = joined.inspect_err(|failure| {
            self.meters.refused_join();
            tracing::warn!(
                reason = %failure, asked = ?request.join_as, instance = %request.instance, hostname = %request.hostname,
                remote = ?channel.remote, "a machine was not let in"
            );
        })?;
        tracing::info!(
            machine = %machine.subject(), instance = %request.instance, hostname = %request.hostname,
            version = %request.agent_version, "joined"
        );
        self.certify(&request.csr_pem, &machine)
    }

    async fn renew(&self, channel: Channel, csr_pem: String) -> Result<JoinReply, Failure> {
        self.meters.call(Verb::RenewCertificate);
        let _turn =
            self.joins.try_acquire().map_err(|_| Failure::Busy("too many machines renew at once".to_owned()))?;
        let proven = self.certificate(&channel)?;
        let key = self.authority.key_of(&csr_pem).map_err(|error| unissued(&error))?;
        if key != proven.key {
            return Err(denied("a certificate is renewed for the key that it was issued for"));
        }
        match &proven.machine {
            Machine::Node { .. } => {
                let node = agent_of(&self.published().cluster, &proven)?;
                allow(&Caller::Node(node), Verb::RenewCertificate, Object::Node(node)).map_err(refused)?;
            }
            Machine::LoginHost(name) => {
                let configured = self.settings().settings.login_hosts.contains_key(name);
                if !configured || !self.login_hosts.is_enrolled(name, &key) {
                    return Err(denied(format!("{name} is no login host of this cluster any more")));
                }
            }
        }
        self.certify(&csr_pem, &proven.machine)
    }

    async fn attach(
        &self,
        channel: Channel,
        mut reports: Incoming<AgentReport>,
    ) -> Result<Outgoing<AgentOrder>, Failure> {
        self.meters.call(Verb::AgentNews);
        let node = self.node(&channel)?;
        allow(&Caller::Node(node), Verb::AgentNews, Object::Node(node)).map_err(refused)?;
        let first = timeout(HELLO_WITHIN, reports.next()).await;
        let hello = match first {
            Ok(Some(Ok(hello @ AgentReport::Hello { .. }))) => hello,
            Ok(Some(Ok(_))) => return Err(denied("an agent says hello first")),
            Ok(Some(Err(broken))) => return Err(Failure::Denied(broken.to_string())),
            Ok(None) | Err(_) => return Err(denied("an agent says hello first, and soon")),
        };
        // Two agents with one certificate differ by the machine that they run on: one of them is a cloned image.
        let AgentReport::Hello { measured, .. } = &hello else { return Err(unexpected()) };
        let incarnation = format!("{} {}", measured.hostname, measured.boot_id);
        let stopping = |_| Failure::Standby("the controller is stopping".to_owned());
        let link = self.handle.agent_opened(node, incarnation).await.map_err(stopping)?;
        let closed = Closed { handle: self.handle.clone(), session: link.session };
        self.handle.agent_said(link.session, hello).await.map_err(stopping)?;
        let (handle, session) = (self.handle.clone(), link.session);
        tracing::info!(node = node.0, session = session.0, remote = ?channel.remote, "agent connected");
        let hearing = tokio::spawn(hear(handle, session, node, reports));
        // The orders end when either direction does, and with them the session.
        let orders = futures_util::stream::unfold(
            (link.orders, hearing, Some(closed)),
            |(mut orders, mut hearing, closed)| async move {
                closed.as_ref()?;
                let next = tokio::select! {
                    next = orders.recv() => next,
                    _ = &mut hearing => None,
                };
                match next {
                    Some(LinkEvent::Order(order)) => Some((Ok(order), (orders, hearing, closed))),
                    Some(LinkEvent::Close(why)) => {
                        hearing.abort();
                        Some((Err(Failure::Standby(why)), (orders, hearing, None)))
                    }
                    None => {
                        hearing.abort();
                        None
                    }
                }
            },
        );
        Ok(orders.boxed())
    }

    async fn fetch_blob(&self, channel: Channel, digest: BlobDigest, run: Run) -> Result<Vec<u8>, Failure> {
        self.meters.call(Verb::FetchBlob);
        let node = self.node(&channel)?;
        allow(&Caller::Node(node), Verb::FetchBlob, Object::Node(node)).map_err(refused)?;
        if !names_blob(&self.published().cluster, node, run, digest) {
            return Err(denied(format!("job {run} has nothing on this node that names {digest}")));
        }
        let journal = self.journal.clone();
        let found = self.look_up(move || journal.blob(digest).map_err(|error| unread(&error))).await?;
        found.ok_or_else(|| Failure::Internal(format!("{digest} is not in the journal")))
    }
}

/// Passes on what an agent says, no faster than any agent has reason to speak.
async fn hear(handle: Handle, session: SessionId, node: NodeId, mut reports: Incoming<AgentReport>) {
    let (mut since, mut heard) = (Instant::now(), 0);
    while let Some(report) = reports.next().await {
        let report = match report {
            Ok(report) => report,
            Err(broken) => {
                tracing::info!(node = node.0, session = session.0, reason = %broken, "agent connection broke");
                return;
            }
        };
        heard += 1;
        if heard > REPORTS_PER_SECOND {
            sleep_until((since + Duration::from_secs(1)).into()).await;
        }
        if since.elapsed() >= Duration::from_secs(1) {
            (since, heard) = (Instant::now(), 0);
        }
        if handle.agent_said(session, report).await.is_err() {
            return;
        }
    }
}

/// Whether the run has a part on the node, and its job this script or environment.
fn names_blob(cluster: &Cluster, node: NodeId, run: Run, digest: BlobDigest) -> bool {
    let Some(job) = cluster.jobs.get(&run.job).filter(|job| job.attempt == run.attempt) else { return false };
    let placed = job.placement().is_some_and(|placement| placement.allocations.iter().any(|held| held.node == node));
    placed && (job.spec.script == Some(digest) || job.spec.environment == Some(digest))
}

/// Says that the connection is over, however it ended.
struct Closed {
    handle: Handle,
    session: SessionId,
}

impl Drop for Closed {
    fn drop(&mut self) {
        self.handle.agent_closed(self.session);
    }
}

impl Service {
    /// Checks what a machine proves itself with, and lets the ledger decide.
    async fn admit(&self, request: &JoinRequest, key: &str) -> Result<Machine, Failure> {
        let now = self.handle.now();
        let instance = (!request.instance.as_str().is_empty()).then(|| request.instance.clone());
        match &request.join_as {
            JoinAs::Order(order) => {
                if !self.authority.is_join_secret(*order, &request.secret) {
                    return Err(denied("the join secret is not that of the order"));
                }
                self.join_order(*order, instance, &NodeName::new(request.hostname.clone()), key).await
            }
            JoinAs::StaticNode(name) => {
                self.tokens
                    .use_for_node(&self.authority, &request.secret, name, key, now)
                    .map_err(|error| not_admitted(&error))?;
                let command = Command::Join { order: None, name: Some(name.clone()), instance, key: key.to_owned() };
                self.joined(command, OrderId(0)).await
            }
            JoinAs::LoginHost(name) => {
                if !self.settings().settings.login_hosts.contains_key(name) {
                    return Err(denied(format!("{name} is not configured as a login host")));
                }
                self.tokens
                    .use_for_login_host(&self.authority, &request.secret, name, key, now)
                    .map_err(|error| not_admitted(&error))?;
                self.login_hosts.enrol(name, key).map_err(|error| unissued(&error))?;
                Ok(Machine::LoginHost(name.clone()))
            }
        }
    }

    async fn join_order(
        &self,
        order: OrderId,
        instance: Option<InstanceId>,
        hostname: &NodeName,
        key: &str,
    ) -> Result<Machine, Failure> {
        let command = Command::Join { order: Some(order), name: Some(hostname.clone()), instance, key: key.to_owned() };
        match self.joined(command.clone(), order).await {
            // A machine can be faster than the provider's answer that says which instance it is.
            Err(Failure::Refused(_)) if self.is_unanswered(order) => {
                self.answer_about(order).await;
                self.joined(command, order).await
            }
            joined => joined,
        }
    }

    async fn joined(&self, command: Command, order: OrderId) -> Result<Machine, Failure> {
        match done(self.ask(Caller::System, Ask::One(command)).await?)? {
            Reply::Joined { node, name } => Ok(Machine::Node { node, name, order }),
            _ => Err(unexpected()),
        }
    }

    fn is_unanswered(&self, order: OrderId) -> bool {
        let published = self.published();
        published.cluster.orders.get(&order).is_some_and(|order| matches!(order.state, OrderState::Placed))
    }

    async fn answer_about(&self, order: OrderId) {
        let mut changes = self.handle.watch();
        let answered = async { while self.is_unanswered(order) && changes.changed().await.is_ok() {} };
        // Without an answer the machine is refused, and comes again.
        let _ = timeout(JOIN_WAITS, answered).await;
    }

    fn certify(&self, csr_pem: &str, machine: &Machine) -> Result<JoinReply, Failure> {
        let settings = self.settings();
        let controller = &settings.settings.controller;
        let chain = self.authority.issue(csr_pem, machine, controller.certificate_lifetime.0, self.handle.now());
        let name = match machine {
            Machine::Node { name, .. } => name.clone(),
            Machine::LoginHost(name) => NodeName::new(name.clone()),
        };
        Ok(JoinReply {
            chain_pem: chain.map_err(|error| unissued(&error))?,
            ca_pem: self.authority.ca_pem().to_owned(),
            name,
            credential_key: self.authority.credential_key(),
            heartbeat: controller.heartbeat.0,
        })
    }
}

fn unissued(error: &IdentityError) -> Failure {
    match error {
        IdentityError::Request(_) => denied(error.to_string()),
        _ => {
            tracing::error!(%error, "no certificate was issued");
            Failure::Internal(error.to_string())
        }
    }
}

fn not_admitted(error: &TokenError) -> Failure {
    match error {
        TokenError::Identity(inner) => unissued(inner),
        _ => denied(error.to_string()),
    }
}
