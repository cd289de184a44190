//! How the rest of the controller talks to the engine.

use super::answers::Asker;
use super::mailbox::{Lane, Mailbox, Message};
use super::{Clock, Published};
use crate::limits::ORDERS_PER_AGENT;
use squall_core::{Caller, Command};
use squall_engine::{Answer, Ask, Input, RequestId, SessionId};
use squall_journal::PreparedBlob;
use squall_types::agent::{AgentOrder, AgentReport};
use squall_types::api::JobAction;
use squall_types::{NodeId, Timestamp};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::{mpsc, watch};

/// The controller is stopping: the request was not accepted, or its answer will never be known here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the controller is stopping")]
pub struct Stopped;

/// A cheap clone for every task.
#[derive(Clone)]
pub struct Handle {
    mailbox: Arc<Mailbox>,
    published: watch::Receiver<Arc<Published>>,
    clock: Arc<Clock>,
    last: Arc<AtomicU64>,
}

/// The controller's end of a connection to an agent.
pub struct AgentLink {
    pub session: SessionId,
    pub orders: mpsc::Receiver<LinkEvent>,
}

#[derive(Debug)]
pub enum LinkEvent {
    Order(AgentOrder),
    /// The connection has to be ended, for this reason.
    Close(String),
}

impl Handle {
    pub(super) fn new(mailbox: Arc<Mailbox>, published: watch::Receiver<Arc<Published>>, clock: Arc<Clock>) -> Self {
        Handle { mailbox, published, clock, last: Arc::default() }
    }

    /// Asks for something to be done; answered when it is on disk.
    ///
    /// # Errors
    /// Where the controller stops before that is known.
    pub async fn ask(&self, caller: Caller, ask: Ask) -> Result<Answer, Stopped> {
        let urgent = match &ask {
            Ask::One(command) => matches!(
                command,
                Command::Cancel { .. }
                    | Command::FinishAllocation { .. }
                    | Command::Join { .. }
                    | Command::StartStep { .. }
            ),
            Ask::WithStep { .. } => false,
            Ask::Many { action, .. } => matches!(action, JobAction::Cancel | JobAction::Signal { .. }),
        };
        self.request(if urgent { Lane::Urgent } else { Lane::Normal }, caller, ask, Vec::new()).await
    }

    /// A submission with the script and environment that it names, which become durable with it.
    ///
    /// # Errors
    /// Where the controller stops before the answer is known: the same token may be submitted again.
    pub async fn submit(&self, caller: Caller, ask: Ask, blobs: Vec<PreparedBlob>) -> Result<Answer, Stopped> {
        self.request(Lane::Normal, caller, ask, blobs).await
    }

    async fn request(&self, lane: Lane, caller: Caller, ask: Ask, blobs: Vec<PreparedBlob>) -> Result<Answer, Stopped> {
        let id = RequestId(self.next());
        let (asker, answered) = Asker::new();
        let message = Message::Request { input: Input::Request { id, caller, ask }, asker, blobs };
        let bell = self.mailbox.leave(lane, message).await.ok_or(Stopped)?;
        // Requests that this thread has heard of already come with it.
        tokio::task::yield_now().await;
        drop(bell);
        answered.await.map_err(|_| Stopped)
    }

    /// The state that is on disk, for queries.
    pub fn published(&self) -> Arc<Published> {
        self.published.borrow().clone()
    }

    /// Told whenever that moves.
    pub fn watch(&self) -> watch::Receiver<Arc<Published>> {
        self.published.clone()
    }

    /// The cluster's clock.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// An agent whose certificate names `node` opened a stream. `incarnation` differs between processes.
    ///
    /// # Errors
    /// Where the controller is stopping.
    pub async fn agent_opened(&self, node: NodeId, incarnation: String) -> Result<AgentLink, Stopped> {
        let session = SessionId(self.next());
        let (sender, orders) = mpsc::channel(ORDERS_PER_AGENT);
        let input = Input::AgentOpened { session, node, incarnation };
        let left = self.mailbox.put(Lane::Urgent, Message::AgentOpened { input, orders: sender }).await;
        if left { Ok(AgentLink { session, orders }) } else { Err(Stopped) }
    }

    /// # Errors
    /// Where the controller is stopping.
    pub async fn agent_said(&self, session: SessionId, report: AgentReport) -> Result<(), Stopped> {
        let left = self.mailbox.put(Lane::Urgent, Message::Input(Input::AgentSaid { session, report })).await;
        if left { Ok(()) } else { Err(Stopped) }
    }

    pub fn agent_closed(&self, session: SessionId) {
        self.mailbox.put_now(Message::Input(Input::AgentClosed { session }));
    }

    /// Ends the engine when everything that was accepted is on disk. Jobs go on.
    pub fn stop(&self) {
        self.mailbox.put_now(Message::Stop);
    }

    fn next(&self) -> u64 {
        self.last.fetch_add(1, Ordering::Relaxed) + 1
    }
}
