//! What jobs used in a stretch of time, and what there was to be used, from accounting and the ledger of nodes.

use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::sacct::every_page;
use squall_types::api::{AccountedJob, AccountingQuery, LedgerQuery, LedgerRow, NodeView};
use squall_types::{Shape, Span, Timestamp};
use std::collections::BTreeMap;

/// Pages of the ledger that are read; more is a server that never ends.
const MAX_PAGES: usize = 10_000;

/// From when to when, the end not included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    pub from: Timestamp,
    pub to: Timestamp,
}

impl Window {
    pub fn length(self) -> Span {
        self.to.since(self.from)
    }

    /// How much of a stretch lies in it; one without an end goes on.
    fn part(self, from: Timestamp, to: Option<Timestamp>) -> Span {
        let to = to.unwrap_or(self.to).min(self.to);
        to.since(from.max(self.from)).max(Span::ZERO)
    }
}

/// A kind of resource whose use is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tres {
    Cpu,
    Memory,
    Node,
    Billing,
    Gpu,
}

impl Tres {
    /// By Slurm's name.
    pub fn parse(name: &str) -> Option<Tres> {
        match name.to_ascii_lowercase().as_str() {
            "cpu" => Some(Tres::Cpu),
            "mem" => Some(Tres::Memory),
            "node" => Some(Tres::Node),
            "billing" => Some(Tres::Billing),
            "gres/gpu" => Some(Tres::Gpu),
            _ => None,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Tres::Cpu => "cpu",
            Tres::Memory => "mem",
            Tres::Node => "node",
            Tres::Billing => "billing",
            Tres::Gpu => "gres/gpu",
        }
    }

    fn of_job(self, job: &AccountedJob) -> u64 {
        match self {
            Tres::Cpu | Tres::Billing => job.cpus.into(),
            Tres::Memory => job.memory_mib,
            Tres::Node => job.node_count.into(),
            Tres::Gpu => job.gpus.into(),
        }
    }

    fn of_shape(self, shape: &Shape) -> u64 {
        match self {
            Tres::Cpu | Tres::Billing => shape.cpus.into(),
            Tres::Memory => shape.memory_mib,
            Tres::Node => 1,
            Tres::Gpu => shape.gpus.count().into(),
        }
    }
}

/// One attempt of a job, as far as it ran in the window.
#[derive(Clone, Debug)]
pub struct Ran {
    pub account: String,
    pub user: String,
    pub cpus: u32,
    job: AccountedJob,
    time: Span,
}

impl Ran {
    /// Amount times milliseconds.
    pub fn used(&self, tres: Tres) -> u128 {
        u128::from(tres.of_job(&self.job)) * self.time.0.max(0) as u128
    }
}

/// # Errors
/// The controller's silence.
pub fn ran(invocation: &Invocation<'_>, window: Window) -> Result<Vec<Ran>, Failure> {
    let query = AccountingQuery { from: Some(window.from), to: Some(window.to), ..AccountingQuery::default() };
    let jobs = every_page(invocation.controller, query)
        .map_err(|error| Failure::call("sreport", "Problem with job query", &error))?;
    let part = |job: AccountedJob| {
        let time = window.part(job.started_at?, job.ended_at.or(Some(invocation.now())));
        let (account, user) = (job.account.to_string(), job.user.clone());
        (time > Span::ZERO).then_some(Ran { account, user, cpus: job.cpus, time, job })
    };
    Ok(jobs.into_iter().filter_map(part).collect())
}

/// What there was in a window.
#[derive(Clone, Debug, Default)]
pub struct Capacity {
    nodes: Vec<(Shape, Span)>,
    /// Nodes that are gone and whose shape nobody offers any more.
    pub unknown: usize,
}

impl Capacity {
    /// Amount times milliseconds.
    pub fn reported(&self, tres: Tres) -> u128 {
        let each = |(shape, time): &(Shape, Span)| u128::from(tres.of_shape(shape)) * time.0.max(0) as u128;
        self.nodes.iter().map(each).sum()
    }
}

/// # Errors
/// The controller's silence.
pub fn capacity(invocation: &Invocation<'_>, window: Window) -> Result<Capacity, Failure> {
    let failed = |error| Failure::call("sreport", "Problem with cluster query", &error);
    let nodes = invocation.controller.nodes().map_err(failed)?;
    let shapes: BTreeMap<(&str, &str), &Shape> =
        nodes.iter().map(|node| ((node.pool.as_str(), node.offer.as_str()), &node.shape)).collect();
    let mut capacity = Capacity::default();
    let exists = |node: &&NodeView| node.count <= 1 && node.ready_at.is_some();
    for node in nodes.iter().filter(exists) {
        let time = window.part(node.ready_at.unwrap_or(node.created_at), Some(invocation.now()));
        capacity.nodes.push((node.shape.clone(), time));
    }
    let mut query = LedgerQuery::default();
    for _ in 0..MAX_PAGES {
        let page = invocation.controller.ledger(&query).map_err(failed)?;
        for row in page.rows.iter().filter(|row| row.gone_at.is_some()) {
            let Some(time) = lived(row, window) else { continue };
            match shapes.get(&(row.pool.as_str(), row.offer.as_str())) {
                Some(shape) => capacity.nodes.push(((*shape).clone(), time)),
                None => capacity.unknown += 1,
            }
        }
        if page.next.is_empty() || page.next == query.after {
            break;
        }
        query.after = page.next;
    }
    Ok(capacity)
}

/// For how long a node that is gone could be used.
fn lived(row: &LedgerRow, window: Window) -> Option<Span> {
    let time = window.part(row.ready_at?, row.gone_at);
    (time > Span::ZERO).then_some(time)
}
