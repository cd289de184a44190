//! The connections to the nodes of a step. A step outlives its agent, so that a lost connection is made again.

use crate::failure::Failure;
use futures_util::future::{BoxFuture, FutureExt, join_all};
use futures_util::stream::{BoxStream, FuturesUnordered, SelectAll, StreamExt, once};
use squall_proto::ClientError;
use squall_proto::connect::Target;
use squall_proto::step_client::StepClient;
use squall_types::api::{StepGrant, StepNode};
use squall_types::step::{StepCommand, StepNews, StepStart};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

/// How long an agent may be away before its tasks are given up, and how often it is looked for.
const AWAY: Duration = Duration::from_secs(120);
const AGAIN: Duration = Duration::from_secs(1);
/// Signals that are kept for an agent that is away.
const KEPT_SIGNALS: usize = 16;

type Sender = mpsc::Sender<StepCommand>;
type Received = BoxStream<'static, Result<StepNews, ClientError>>;
/// `None` is the end of a node's stream.
type Numbered = (usize, Option<Result<StepNews, ClientError>>);
type Reconnected = (usize, Result<(Sender, Received), ClientError>);

/// What comes from one of the nodes.
pub enum Heard {
    News(usize, StepNews),
    /// Its tasks are given up.
    Lost(usize, String),
}

enum Part {
    Connected(Sender),
    /// Signals that it has yet to hear.
    Away(Vec<i32>),
    Over,
}

/// How a node is reached.
#[derive(Clone)]
struct Ways {
    node: StepNode,
    ca_pem: String,
    /// Sockets of its agent, where that is on this machine.
    here: Vec<Target>,
}

struct Node {
    part: Part,
    ways: Ways,
    /// What its agent was asked for.
    start: StepStart,
    /// How much news it has told.
    heard: u64,
}

/// All nodes of a step.
pub struct Links {
    nodes: Vec<Node>,
    news: SelectAll<BoxStream<'static, Numbered>>,
    away: FuturesUnordered<BoxFuture<'static, Reconnected>>,
}

impl Links {
    /// Starts every node's part before anything that one of them says is heard.
    ///
    /// # Errors
    /// A node that cannot be reached or refuses.
    pub async fn connect<'a>(
        parts: impl Iterator<Item = (&'a StepStart, &'a StepGrant)>,
        here: &dyn Fn(&StepNode, &str) -> Vec<Target>,
    ) -> Result<Links, Failure> {
        let of_part = |(start, grant): (&'a StepStart, &'a StepGrant)| {
            let start = StepStart { credential: grant.credential.clone(), ..start.clone() };
            grant.nodes.iter().map(move |node| {
                let ways = Ways { here: here(node, &grant.ca_pem), node: node.clone(), ca_pem: grant.ca_pem.clone() };
                (ways, start.clone(), grant)
            })
        };
        let nodes: Vec<_> = parts.flat_map(of_part).collect();
        let reached = nodes.iter().map(|(ways, start, _)| ways.clone().reach(start.clone()));
        let reached = join_all(reached).await;
        let mut links = Links { nodes: Vec::new(), news: SelectAll::new(), away: FuturesUnordered::new() };
        for (at, (part, (ways, start, grant))) in reached.into_iter().zip(nodes).enumerate() {
            let (sender, news) = part.map_err(|error| {
                let (job, step) = (grant.run.job, grant.step);
                let what = format!("Task launch for StepId={job}.{step} failed on node {}", ways.node.name);
                Failure::call("srun", &what, &error)
            })?;
            links.nodes.push(Node { part: Part::Connected(sender), ways, start, heard: 0 });
            links.listen(at, news);
        }
        Ok(links)
    }

    /// Whether all nodes are through.
    pub fn over(&self) -> bool {
        self.nodes.iter().all(|node| matches!(node.part, Part::Over))
    }

    /// Whether everybody could hear now.
    pub fn complete(&self) -> bool {
        !self.nodes.iter().any(|node| matches!(node.part, Part::Away(_)))
    }

    /// A node's part is over.
    pub fn close(&mut self, node: usize) {
        self.nodes[node].part = Part::Over;
    }

    /// The next thing that a node says. Never ends while a part is not over.
    pub async fn next(&mut self) -> Heard {
        loop {
            tokio::select! {
                Some((at, item)) = self.news.next() => match item {
                    Some(Ok(news)) => {
                        self.nodes[at].heard += 1;
                        return Heard::News(at, news);
                    }
                    _ if matches!(self.nodes[at].part, Part::Over) => {}
                    None => self.look_for(at),
                    Some(Err(ClientError::Unreachable { .. } | ClientError::TimedOut { .. })) => self.look_for(at),
                    Some(Err(error)) => return self.give_up(at, &error),
                },
                Some((at, again)) = self.away.next() => match again {
                    Ok((sender, news)) => self.welcome(at, sender, news),
                    Err(error) => return self.give_up(at, &error),
                },
                else => std::future::pending().await,
            }
        }
    }

    fn give_up(&mut self, at: usize, error: &ClientError) -> Heard {
        self.close(at);
        Heard::Lost(at, format!("lost contact with node {}: {error}", self.nodes[at].ways.node.name))
    }

    fn listen(&mut self, at: usize, news: Received) {
        let numbered = news.map(move |item| (at, Some(item))).chain(once(async move { (at, None) }));
        self.news.push(numbered.boxed());
    }

    /// Takes the step up where this node's news broke off.
    fn look_for(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        if matches!(node.part, Part::Away(_)) {
            return;
        }
        node.part = Part::Away(Vec::new());
        let start = StepStart { resume_after: Some(node.heard), ..node.start.clone() };
        let ways = node.ways.clone();
        let again = async move {
            let given_up = Instant::now() + AWAY;
            loop {
                match ways.clone().reach(start.clone()).await {
                    Err(ClientError::Unreachable { .. } | ClientError::TimedOut { .. } | ClientError::Busy(_))
                        if Instant::now() < given_up =>
                    {
                        sleep(AGAIN).await;
                    }
                    answered => return (at, answered),
                }
            }
        };
        self.away.push(again.boxed());
    }

    fn welcome(&mut self, at: usize, sender: Sender, news: Received) {
        if let Part::Away(signals) = &self.nodes[at].part {
            for signal in signals {
                // The queue is new and longer than what was kept.
                let _ = sender.try_send(StepCommand::Signal { signal: *signal });
            }
        }
        self.nodes[at].part = Part::Connected(sender);
        self.listen(at, news);
    }

    /// To every node whose part is not over; one that is away hears of signals when it is back.
    pub async fn send(&mut self, command: &StepCommand) {
        for node in &mut self.nodes {
            match (&mut node.part, command) {
                // A connection that has just broken is noticed by its stream.
                (Part::Connected(sender), command) => drop(sender.send(command.clone()).await),
                (Part::Away(kept), StepCommand::Signal { signal }) if kept.len() < KEPT_SIGNALS => kept.push(*signal),
                (Part::Away(_) | Part::Over, _) => {}
            }
        }
    }
}

impl Ways {
    /// By a socket on this machine, where one leads there, else by the network.
    async fn reach(self, start: StepStart) -> Result<(Sender, Received), ClientError> {
        for target in &self.here {
            if let Ok(client) = StepClient::connect(target).await {
                return client.run_step(start).await;
            }
        }
        let target = Target::node(&self.node.address, &self.node.name, &self.ca_pem);
        let target = target.map_err(|error| ClientError::Other(error.to_string()))?;
        StepClient::connect(&target).await?.run_step(start).await
    }
}
