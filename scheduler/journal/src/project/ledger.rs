//! The rows of nodes, orders and charges: what was bought, for whom, and what it cost.

use super::Writer;
use super::rows::{NodeRow, OrderedRow};
use crate::seal::Seal;
use crate::{JournalError, table};
use rusqlite::{OptionalExtension, params};
use squall_core::event::{Charge, ChargeKind};
use squall_core::node::GoneWhy;
use squall_types::{
    HourlyPrice, InstanceId, JobId, LaunchOrder, MicroUsd, NodeId, NodeName, Offer, OrderId, PoolName, Seq, Timestamp,
};

/// What stands where a node is not gone: after every time.
pub(crate) const PRESENT: i64 = i64::MAX;

/// What the projection remembers of a node, so that events of jobs need not read its row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KnownNode {
    pub name: NodeName,
    pub ready: bool,
    pub used: bool,
}

impl NodeRow {
    pub fn new(name: NodeName, pool: PoolName, at: Timestamp) -> NodeRow {
        NodeRow {
            name,
            pool,
            order: 0,
            instance: String::new(),
            offer: String::new(),
            price: HourlyPrice(0),
            caused_by: None,
            ordered_at: at,
            launched_at: None,
            ready_at: None,
            first_job_at: None,
            gone_at: None,
            gone_why: String::new(),
            cost: MicroUsd::ZERO,
        }
    }

    pub fn bought(mut self, order: OrderId, offer: &Offer) -> NodeRow {
        self.order = order.0;
        self.offer = offer.name.to_string();
        self.price = offer.price;
        self
    }
}

impl Writer<'_> {
    pub(super) fn place_order(
        &mut self,
        request: &LaunchOrder,
        nodes: &[NodeId],
        for_job: Option<JobId>,
        at: Timestamp,
    ) -> Result<(), JournalError> {
        for (node, name) in nodes.iter().zip(&request.names) {
            let mut row = NodeRow::new(name.clone(), request.pool.clone(), at).bought(request.order, &request.offer);
            row.caused_by = for_job;
            self.add_node(*node, &row)?;
        }
        self.totals.orders_placed += 1;
        let row = OrderedRow {
            pool: request.pool.clone(),
            offer: request.offer.name.to_string(),
            price: request.offer.price,
            nodes: nodes.len() as u32,
            delivered: 0,
            for_job,
            launched_at: None,
            failed_at: None,
            failure: String::new(),
            token: request.token.to_string(),
        };
        self.put_order(request.order, at, &row)
    }

    pub(super) fn launch_order(
        &mut self,
        order: OrderId,
        instances: &[(NodeId, InstanceId)],
        at: Timestamp,
    ) -> Result<(), JournalError> {
        for (node, instance) in instances {
            self.edit_node(*node, |row| {
                row.instance = instance.to_string();
                row.launched_at.get_or_insert(at);
            })?;
        }
        self.edit_order(order, |row| {
            row.launched_at.get_or_insert(at);
            row.delivered = row.delivered.max(instances.len() as u32);
        })
    }

    pub(super) fn fail_order(&mut self, order: OrderId, failure: String, at: Timestamp) -> Result<(), JournalError> {
        self.totals.orders_failed += 1;
        self.edit_order(order, |row| {
            row.failed_at = Some(at);
            row.failure = failure;
        })
    }

    pub(super) fn add_node(&mut self, node: NodeId, row: &NodeRow) -> Result<(), JournalError> {
        self.totals.nodes_added += 1;
        let known = KnownNode { name: row.name.clone(), ready: row.ready_at.is_some(), used: false };
        self.nodes.insert(node, known);
        self.put_node(node, row)
    }

    pub(super) fn node_is_ready(&mut self, node: NodeId, at: Timestamp) -> Result<(), JournalError> {
        if self.known(node)?.is_none_or(|known| known.ready) {
            return Ok(());
        }
        self.edit_node(node, |row| {
            // A machine of one's own was never launched.
            if row.order != 0 {
                row.launched_at.get_or_insert(at);
            }
            row.ready_at.get_or_insert(at);
        })
    }

    /// A job was given it.
    pub(super) fn node_is_used(&mut self, node: NodeId, at: Timestamp) -> Result<(), JournalError> {
        if self.known(node)?.is_none_or(|known| known.used) {
            return Ok(());
        }
        self.edit_node(node, |row| {
            row.first_job_at.get_or_insert(at);
        })
    }

    pub(super) fn node_is_gone(
        &mut self,
        node: NodeId,
        why: GoneWhy,
        cost: MicroUsd,
        at: Timestamp,
    ) -> Result<(), JournalError> {
        self.totals.nodes_gone += 1;
        self.totals.spent += cost;
        self.edit_node(node, |row| {
            row.gone_at = Some(at);
            row.gone_why = gone_word(why).to_owned();
            row.cost = cost;
        })?;
        self.nodes.remove(&node);
        Ok(())
    }

    pub(super) fn node_names(
        &mut self,
        nodes: impl IntoIterator<Item = NodeId>,
    ) -> Result<Vec<NodeName>, JournalError> {
        nodes
            .into_iter()
            .map(|node| {
                let known = self.known(node)?;
                // A node that was purged from the ledger: its number says more than nothing.
                Ok(known.map_or_else(|| NodeName(format!("node-{node}")), |known| known.name.clone()))
            })
            .collect()
    }

    fn known(&mut self, node: NodeId) -> Result<Option<&KnownNode>, JournalError> {
        if !self.nodes.contains_key(&node)
            && let Some(row) = self.node(node)?
        {
            let (ready, used) = (row.ready_at.is_some(), row.first_job_at.is_some());
            self.nodes.insert(node, KnownNode { name: row.name, ready, used });
        }
        Ok(self.nodes.get(&node))
    }

    fn node(&self, node: NodeId) -> Result<Option<NodeRow>, JournalError> {
        let read = || {
            let mut statement = self.db.prepare_cached("SELECT gone_at, body, sum FROM nodes WHERE node = ?1")?;
            let row =
                |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?, row.get::<_, i64>(2)?));
            statement.query_row([node.0 as i64], row).optional()
        };
        let stored = read().map_err(self.failed("reading a node"))?;
        let open = |(gone_at, body, sum): (i64, Vec<u8>, i64)| {
            table::open(self.path, "nodes", node.0 as i64, &body, sum, seal_node(node, gone_at, &body))
        };
        stored.map(open).transpose()
    }

    pub(super) fn edit_node(&mut self, node: NodeId, change: impl FnOnce(&mut NodeRow)) -> Result<(), JournalError> {
        let Some(mut row) = self.node(node)? else { return Ok(()) };
        change(&mut row);
        if let Some(known) = self.nodes.get_mut(&node) {
            known.ready = row.ready_at.is_some();
            known.used = row.first_job_at.is_some();
        }
        self.put_node(node, &row)
    }

    fn put_node(&self, node: NodeId, row: &NodeRow) -> Result<(), JournalError> {
        let (body, gone_at) = (table::encode(row), row.gone_at.map_or(PRESENT, |at| at.0));
        let sql = "INSERT INTO nodes (node, gone_at, body, sum) VALUES (?1, ?2, ?3, ?4) \
                   ON CONFLICT DO UPDATE SET gone_at = excluded.gone_at, body = excluded.body, sum = excluded.sum";
        let values = params![node.0 as i64, gone_at, body, seal_node(node, gone_at, &body)];
        let put = || self.db.prepare_cached(sql)?.execute(values);
        put().map(|_| ()).map_err(self.failed("storing a node"))
    }

    fn edit_order(&mut self, order: OrderId, change: impl FnOnce(&mut OrderedRow)) -> Result<(), JournalError> {
        let read = || {
            let sql = "SELECT placed_at, body, sum FROM orders WHERE order_id = ?1";
            let mut statement = self.db.prepare_cached(sql)?;
            let row =
                |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?, row.get::<_, i64>(2)?));
            statement.query_row([order.0 as i64], row).optional()
        };
        let Some((placed_at, body, sum)) = read().map_err(self.failed("reading an order"))? else { return Ok(()) };
        let expected = seal_order(order, placed_at, &body);
        let mut row: OrderedRow = table::open(self.path, "orders", order.0 as i64, &body, sum, expected)?;
        change(&mut row);
        self.put_order(order, Timestamp(placed_at), &row)
    }

    fn put_order(&self, order: OrderId, placed_at: Timestamp, row: &OrderedRow) -> Result<(), JournalError> {
        let body = table::encode(row);
        let sql = "INSERT INTO orders (order_id, placed_at, body, sum) VALUES (?1, ?2, ?3, ?4) \
                   ON CONFLICT DO UPDATE SET body = excluded.body, sum = excluded.sum";
        let values = params![order.0 as i64, placed_at.0, body, seal_order(order, placed_at.0, &body)];
        let put = || self.db.prepare_cached(sql)?.execute(values);
        put().map(|_| ()).map_err(self.failed("storing an order"))
    }

    /// Notes what of nodes' costs a job bears; returns the sum.
    pub(super) fn charge(&mut self, seq: Seq, job: JobId, charges: &[Charge]) -> Result<MicroUsd, JournalError> {
        for (part, charge) in charges.iter().enumerate() {
            let stored = StoredCharge::new(job, seq, part as i64, charge);
            let sql = "INSERT INTO charges (job, seq, part, node, kind, amount, sum) \
                       VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
            let StoredCharge { job, seq, part, node, kind, amount } = stored;
            let insert =
                || self.db.prepare_cached(sql)?.execute(params![job, seq, part, node, kind, amount, stored.seal()]);
            insert().map_err(self.failed("storing a charge"))?;
        }
        let sum = charges.iter().map(|charge| charge.amount).sum();
        self.totals.charged += sum;
        Ok(sum)
    }
}

/// A row of `charges`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StoredCharge {
    pub job: i64,
    pub seq: i64,
    pub part: i64,
    pub node: i64,
    pub kind: i64,
    pub amount: i64,
}

impl StoredCharge {
    fn new(job: JobId, seq: Seq, part: i64, charge: &Charge) -> StoredCharge {
        let kind = match charge.what {
            ChargeKind::Run => 0,
            ChargeKind::Boot => 1,
        };
        let (node, amount) = (charge.node.0 as i64, charge.amount.0);
        StoredCharge { job: job.0.into(), seq: seq.0 as i64, part, node, kind, amount }
    }

    pub fn seal(&self) -> u32 {
        let StoredCharge { job, seq, part, node, kind, amount } = *self;
        Seal::of("charges").int(job).int(seq).int(part).int(node).int(kind).int(amount).end()
    }
}

pub(crate) fn seal_node(node: NodeId, gone_at: i64, body: &[u8]) -> u32 {
    Seal::of("nodes").int(node.0 as i64).int(gone_at).bytes(body).end()
}

pub(crate) fn seal_order(order: OrderId, placed_at: i64, body: &[u8]) -> u32 {
    Seal::of("orders").int(order.0 as i64).int(placed_at).bytes(body).end()
}

/// For people.
fn gone_word(why: GoneWhy) -> &'static str {
    match why {
        GoneWhy::Retired => "retired",
        GoneWhy::NeverLaunched => "never launched",
        GoneWhy::Lost => "lost",
        GoneWhy::Declared => "declared down",
        GoneWhy::DieAt => "past its bound",
        GoneWhy::Removed => "removed from the configuration",
    }
}
