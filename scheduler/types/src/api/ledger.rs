//! The ledger of nodes, as it is told.

use crate::{HourlyPrice, JobId, MicroUsd, NodeName, PoolName, Timestamp};
use serde::{Deserialize, Serialize};

/// Node and order ledger rows for summaries and receipts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerRow {
    pub node: NodeName,
    pub pool: PoolName,
    pub order: u64,
    pub instance: String,
    pub offer: String,
    pub price: HourlyPrice,
    pub caused_by: Option<JobId>,
    pub ordered_at: Timestamp,
    pub launched_at: Option<Timestamp>,
    pub ready_at: Option<Timestamp>,
    pub first_job_at: Option<Timestamp>,
    pub gone_at: Option<Timestamp>,
    pub gone_why: String,
    pub cost: MicroUsd,
    /// What of the cost receipts of jobs bear; the rest is idle tail.
    pub charged: MicroUsd,
}

/// Paged query of the ledger of nodes, in the order in which they were ordered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LedgerQuery {
    /// Opaque; empty for the first page.
    pub after: String,
    /// At most so many rows; 0 takes the server's page.
    pub limit: u32,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LedgerPage {
    pub rows: Vec<LedgerRow>,
    /// Where the next page starts; empty after the last.
    pub next: String,
}
