//! One look at the cluster through its own answers, and what has changed since the look before.

use crate::books::seconds;
use squall_proto::ClientError;
use squall_proto::client::Client;
use squall_types::api::{ArrayView, ClusterSummary, JobFilter, JobState, JobView, NodeCondition, NodeView};
use squall_types::{EndState, JobId, NodeName, Span, Timestamp};
use std::collections::BTreeMap;

/// What is seen at one moment.
#[derive(Clone, Debug, Default)]
pub struct Look {
    pub jobs: Vec<JobView>,
    /// Ordered and not yet gone.
    pub nodes: Vec<NodeView>,
    pub summary: ClusterSummary,
}

impl Look {
    /// # Errors
    /// As a client's.
    pub async fn take(client: &Client) -> Result<Look, ClientError> {
        let filter = JobFilter { all_states: true, ..JobFilter::default() };
        let jobs = client.jobs(filter).await?;
        let mut nodes = client.nodes().await?;
        nodes.retain(|node| node.condition != NodeCondition::PoweredDown);
        let summary = client.summary().await?;
        Ok(Look { jobs, nodes, summary })
    }

    /// Every job has ended, and nothing that was bought is left.
    pub fn is_over(&self) -> bool {
        let ended = |job: &JobView| matches!(job.state, JobState::Ended(_));
        !self.jobs.is_empty() && self.jobs.iter().all(ended) && self.nodes.is_empty() && self.summary.orders_open == 0
    }

    /// Nodes by what they are at.
    pub fn count(&self, stage: Stage) -> usize {
        self.nodes.iter().filter(|node| Stage::of(node) == stage).count()
    }
}

/// What a node is at, for somebody who watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    Ordered,
    Booting,
    Ready,
    Leaving,
}

impl Stage {
    pub fn of(node: &NodeView) -> Stage {
        match node.condition {
            NodeCondition::PoweringUp if node.instance.is_empty() => Stage::Ordered,
            NodeCondition::PoweringUp => Stage::Booting,
            NodeCondition::PoweringDown => Stage::Leaving,
            _ => Stage::Ready,
        }
    }

    pub fn word(self) -> &'static str {
        match self {
            Stage::Ordered => "ordered",
            Stage::Booting => "booting",
            Stage::Ready => "ready",
            Stage::Leaving => "leaving",
        }
    }
}

/// Jobs of one submission in one line: how many elements are at what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group {
    pub name: String,
    pub waiting: u64,
    pub starting: u64,
    pub running: u64,
    pub completed: u64,
    pub failed: u64,
    /// Why those wait that do.
    pub reason: String,
}

/// The jobs by what they were submitted as.
pub fn groups(jobs: &[JobView]) -> BTreeMap<JobId, Group> {
    let mut groups: BTreeMap<JobId, Group> = BTreeMap::new();
    for job in jobs {
        let (id, count) = match &job.array {
            Some(ArrayView::Pending { array, indices, .. }) => (*array, indices.len()),
            Some(ArrayView::Element { array, .. }) => (*array, 1),
            None => (job.job, 1),
        };
        let group = groups.entry(id).or_default();
        group.name.clone_from(&job.name);
        match job.state {
            JobState::Pending => {
                group.waiting += count;
                job.reason.word().clone_into(&mut group.reason);
            }
            JobState::Configuring => group.starting += count,
            JobState::Running | JobState::Completing | JobState::Suspended => group.running += count,
            JobState::Ended(EndState::Completed) => group.completed += count,
            JobState::Ended(_) => group.failed += count,
        }
    }
    groups
}

/// `7_3` for an element, `7` for a job.
pub fn shown_id(job: &JobView) -> String {
    match &job.array {
        Some(ArrayView::Element { array, index }) => format!("{array}_{index}"),
        Some(ArrayView::Pending { array, .. }) => array.to_string(),
        None => job.job.to_string(),
    }
}

/// Lines about what is new, for a log.
#[derive(Debug, Default)]
pub struct Changes {
    nodes: BTreeMap<NodeName, (Stage, Timestamp)>,
    jobs: BTreeMap<String, JobState>,
}

impl Changes {
    pub fn since_last(&mut self, look: &Look) -> Vec<String> {
        let mut lines = Vec::new();
        for job in look.jobs.iter().filter(|job| !matches!(job.array, Some(ArrayView::Pending { .. }))) {
            let id = shown_id(job);
            // That it waits is said by its submission.
            if self.jobs.insert(id.clone(), job.state) != Some(job.state) && job.state != JobState::Pending {
                lines.push(job_line(&id, job));
            }
        }
        let mut gone = std::mem::take(&mut self.nodes);
        for node in &look.nodes {
            let stage = Stage::of(node);
            let before = gone.remove(&node.name);
            self.nodes.insert(node.name.clone(), (stage, node.created_at));
            if before.map(|(stage, _)| stage) != Some(stage) {
                lines.push(node_line(node, stage));
            }
        }
        for (name, (_, created_at)) in gone {
            lines.push(format!("node {name} gone, {} after its order", seconds(look.summary.now.since(created_at))));
        }
        lines
    }
}

fn job_line(id: &str, job: &JobView) -> String {
    let nodes = job.nodes.iter().map(NodeName::as_str).collect::<Vec<_>>().join(",");
    let name = crate::terminal::escaped(&job.name).into_owned();
    let word = job.state.word().to_lowercase();
    match (job.state, job.start_at) {
        (JobState::Running, Some(start_at)) => {
            let waited = start_at.since(job.eligible_at.unwrap_or(job.submitted_at));
            format!("job {id} ({name}) {word} on {nodes}, waited {}", seconds(waited))
        }
        (JobState::Configuring, _) => format!("job {id} ({name}) {word}: it gets {nodes}"),
        (JobState::Ended(_), Some(start_at)) => {
            let ran = job.end_at.map_or(Span::ZERO, |end_at| end_at.since(start_at));
            format!("job {id} ({name}) {word} with {}:{} after {}", job.exit.code, job.exit.signal, seconds(ran))
        }
        _ => format!("job {id} ({name}) {word}"),
    }
}

fn node_line(node: &NodeView, stage: Stage) -> String {
    match (stage, node.ready_at) {
        (Stage::Ready, Some(ready_at)) => {
            format!("node {} ready, {} after its order", node.name, seconds(ready_at.since(node.created_at)))
        }
        (Stage::Ordered, _) => format!("node {} ordered at {}", node.name, node.price),
        _ => format!("node {} {}", node.name, stage.word()),
    }
}
