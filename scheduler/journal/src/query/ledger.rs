//! Pages of nodes and orders, and the receipts of jobs.

use super::{behind, page_size};
use crate::project::rows::{NodeRow, OrderedRow};
use crate::project::{StoredCharge, seal_node, seal_order};
use crate::{JournalError, table};
use rusqlite::{Connection, OptionalExtension, Row, params};
use squall_core::event::ChargeKind;
use squall_types::api::{LedgerPage, LedgerQuery, LedgerRow};
use squall_types::{HourlyPrice, JobId, MicroUsd, NodeId, NodeName, OrderId, PoolName, Timestamp};
use std::collections::BTreeMap;
use std::path::Path;

/// An order as accounting tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderView {
    pub order: OrderId,
    pub pool: PoolName,
    pub offer: String,
    /// List price of one node.
    pub price: HourlyPrice,
    /// How many were asked for, and how many were delivered.
    pub nodes: u32,
    pub delivered: u32,
    pub for_job: Option<JobId>,
    pub placed_at: Timestamp,
    pub launched_at: Option<Timestamp>,
    pub failed_at: Option<Timestamp>,
    /// Why it failed; empty where it did not.
    pub failure: String,
    pub token: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OrderPage {
    pub rows: Vec<OrderView>,
    /// Where the next page starts; empty after the last.
    pub next: String,
}

/// A part of a node's cost that a job bears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiptLine {
    pub node: NodeName,
    pub what: ChargeKind,
    pub amount: MicroUsd,
}

struct Stored {
    key: i64,
    column: i64,
    body: Vec<u8>,
    sum: i64,
}

impl Stored {
    fn read(row: &Row<'_>) -> rusqlite::Result<Stored> {
        Ok(Stored { key: row.get(0)?, column: row.get(1)?, body: row.get(2)?, sum: row.get(3)? })
    }

    fn open_node(&self, db: &Path) -> Result<NodeRow, JournalError> {
        let seal = seal_node(NodeId(self.key as u64), self.column, &self.body);
        table::open(db, "nodes", self.key, &self.body, self.sum, seal)
    }

    fn open_order(&self, db: &Path) -> Result<OrderedRow, JournalError> {
        let seal = seal_order(OrderId(self.key as u64), self.column, &self.body);
        table::open(db, "orders", self.key, &self.body, self.sum, seal)
    }
}

/// One page and the key behind it, where there is more.
fn page(
    connection: &Connection,
    db: &Path,
    sql: &'static str,
    query: &LedgerQuery,
) -> Result<(Vec<Stored>, String), JournalError> {
    let (after, size) = (behind(&query.after)?, page_size(query.limit));
    let read = || -> rusqlite::Result<Vec<Stored>> {
        let mut statement = connection.prepare_cached(sql)?;
        statement.query_map(params![after, size], Stored::read)?.collect()
    };
    let rows = read().map_err(JournalError::sql("reading the ledger", db))?;
    let full = rows.len() == size as usize;
    let next = rows.last().filter(|_| full).map(|row| row.key.to_string()).unwrap_or_default();
    Ok((rows, next))
}

pub(crate) fn ledger(connection: &Connection, db: &Path, query: &LedgerQuery) -> Result<LedgerPage, JournalError> {
    let sql = "SELECT node, gone_at, body, sum FROM nodes WHERE node > ?1 ORDER BY node LIMIT ?2";
    let (stored, next) = page(connection, db, sql, query)?;
    let charged = charged(connection, db, &stored)?;
    let view = |stored: &Stored| {
        let charged = charged.get(&stored.key).copied().unwrap_or(MicroUsd::ZERO);
        stored.open_node(db).map(|row| view(row, charged))
    };
    Ok(LedgerPage { rows: stored.iter().map(view).collect::<Result<_, _>>()?, next })
}

/// What receipts bear of each node of a page.
fn charged(connection: &Connection, db: &Path, page: &[Stored]) -> Result<BTreeMap<i64, MicroUsd>, JournalError> {
    let mut charged: BTreeMap<i64, MicroUsd> = BTreeMap::new();
    let (Some(first), Some(last)) = (page.first(), page.last()) else { return Ok(charged) };
    let read = || -> rusqlite::Result<Vec<(StoredCharge, i64)>> {
        let sql = "SELECT job, seq, part, node, kind, amount, sum FROM charges WHERE node BETWEEN ?1 AND ?2";
        let mut statement = connection.prepare_cached(sql)?;
        statement.query_map([first.key, last.key], read_charge)?.collect()
    };
    for (charge, sum) in read().map_err(JournalError::sql("reading charges", db))? {
        check_charge(db, &charge, sum)?;
        *charged.entry(charge.node).or_default() += MicroUsd(charge.amount);
    }
    Ok(charged)
}

fn read_charge(row: &Row<'_>) -> rusqlite::Result<(StoredCharge, i64)> {
    let charge = StoredCharge {
        job: row.get(0)?,
        seq: row.get(1)?,
        part: row.get(2)?,
        node: row.get(3)?,
        kind: row.get(4)?,
        amount: row.get(5)?,
    };
    Ok((charge, row.get(6)?))
}

fn check_charge(db: &Path, charge: &StoredCharge, sum: i64) -> Result<(), JournalError> {
    if sum == i64::from(charge.seal()) {
        return Ok(());
    }
    Err(JournalError::damaged(db, format!("a charge of job {} is not what was written", charge.job)))
}

fn view(row: NodeRow, charged: MicroUsd) -> LedgerRow {
    LedgerRow {
        node: row.name,
        pool: row.pool,
        order: row.order,
        instance: row.instance,
        offer: row.offer,
        price: row.price,
        caused_by: row.caused_by,
        ordered_at: row.ordered_at,
        launched_at: row.launched_at,
        ready_at: row.ready_at,
        first_job_at: row.first_job_at,
        gone_at: row.gone_at,
        gone_why: row.gone_why,
        cost: row.cost,
        charged,
    }
}

pub(crate) fn orders(connection: &Connection, db: &Path, query: &LedgerQuery) -> Result<OrderPage, JournalError> {
    let sql = "SELECT order_id, placed_at, body, sum FROM orders WHERE order_id > ?1 ORDER BY order_id LIMIT ?2";
    let (stored, next) = page(connection, db, sql, query)?;
    let open = |stored: &Stored| {
        let row = stored.open_order(db)?;
        Ok(OrderView {
            order: OrderId(stored.key as u64),
            pool: row.pool,
            offer: row.offer,
            price: row.price,
            nodes: row.nodes,
            delivered: row.delivered,
            for_job: row.for_job,
            placed_at: Timestamp(stored.column),
            launched_at: row.launched_at,
            failed_at: row.failed_at,
            failure: row.failure,
            token: row.token,
        })
    };
    Ok(OrderPage { rows: stored.iter().map(open).collect::<Result<_, JournalError>>()?, next })
}

pub(crate) fn receipt(connection: &Connection, db: &Path, job: JobId) -> Result<Vec<ReceiptLine>, JournalError> {
    let read = || -> rusqlite::Result<Vec<(StoredCharge, i64)>> {
        let sql = "SELECT job, seq, part, node, kind, amount, sum FROM charges WHERE job = ?1 ORDER BY seq, part";
        let mut statement = connection.prepare_cached(sql)?;
        statement.query_map([job.0], read_charge)?.collect()
    };
    let charges = read().map_err(JournalError::sql("reading a receipt", db))?;
    charges.into_iter().map(|(charge, sum)| line(connection, db, charge, sum)).collect()
}

fn line(connection: &Connection, db: &Path, charge: StoredCharge, sum: i64) -> Result<ReceiptLine, JournalError> {
    check_charge(db, &charge, sum)?;
    let find = || {
        let sql = "SELECT node, gone_at, body, sum FROM nodes WHERE node = ?1";
        connection.prepare_cached(sql)?.query_row([charge.node], Stored::read).optional()
    };
    let stored = find().map_err(JournalError::sql("reading a node", db))?;
    let node = match stored {
        Some(stored) => stored.open_node(db)?.name,
        None => NodeName(format!("node-{}", charge.node)),
    };
    let what = if charge.kind == 1 { ChargeKind::Boot } else { ChargeKind::Run };
    Ok(ReceiptLine { node, what, amount: MicroUsd(charge.amount) })
}
