//! M4, M7: the ledger's rows against the cloud's own bill.

use squall_core::node::GoneWhy;
use squall_core::{Event, What};
use squall_provisioner_sim::{Bill, BillLine};
use squall_types::{HourlyPrice, InstanceId, MicroUsd, NodeId, NodeName, PoolName, Span, Timestamp};
use std::collections::BTreeMap;

/// How far the clocks of a controller and the one that took over from it may be apart.
const CLOCK: Span = Span::from_secs(61);

/// One row, as the durable events tell it; kept when the ledger itself forgets it.
#[derive(Clone, Debug)]
struct Row {
    name: NodeName,
    pool: PoolName,
    price: HourlyPrice,
    minimum_billed: Span,
    instance: Option<InstanceId>,
    launched_at: Option<Timestamp>,
    gone: Option<(GoneWhy, MicroUsd, Timestamp)>,
}

#[derive(Clone, Debug, Default)]
pub struct Rows(BTreeMap<NodeId, Row>);

impl Rows {
    pub fn take(&mut self, event: &Event) {
        match &event.what {
            What::OrderPlaced { request, nodes, .. } => {
                for (node, name) in nodes.iter().zip(&request.names) {
                    let row = Row {
                        name: name.clone(),
                        pool: request.pool.clone(),
                        price: request.offer.price,
                        minimum_billed: request.offer.minimum_billed,
                        instance: None,
                        launched_at: None,
                        gone: None,
                    };
                    self.0.insert(*node, row);
                }
            }
            What::OrderLaunched { instances, .. } => {
                for (node, instance) in instances {
                    if let Some(row) = self.0.get_mut(node) {
                        row.instance = Some(instance.clone());
                        row.launched_at.get_or_insert(event.at);
                    }
                }
            }
            What::NodeJoined { node, instance: Some(instance), .. } => {
                if let Some(row) = self.0.get_mut(node) {
                    row.instance.get_or_insert(instance.clone());
                }
            }
            What::NodeRegistered { node, .. } => {
                if let Some(row) = self.0.get_mut(node) {
                    row.launched_at.get_or_insert(event.at);
                }
            }
            What::NodeGone { node, why, cost } => {
                if let Some(row) = self.0.get_mut(node) {
                    row.gone = Some((*why, *cost, event.at));
                }
            }
            _ => {}
        }
    }

    /// Everything in which the rows of a pool and its bill disagree.
    pub fn audit(&self, pool: &PoolName, bill: &Bill) -> Vec<String> {
        self.0.values().filter(|row| row.pool == *pool).filter_map(|row| row.audit(bill)).collect()
    }
}

impl Row {
    fn audit(&self, bill: &Bill) -> Option<String> {
        let (why, cost, gone_at) = self.gone?;
        let name = &self.name;
        let line = bill.lines.iter().find(|line| Some(&line.instance) == self.instance.as_ref());
        let Some(line) = line else {
            let unbought = why == GoneWhy::NeverLaunched || self.launched_at.is_none();
            return (!unbought || cost != MicroUsd::ZERO)
                .then(|| format!("M7: row {name} cost {cost}, and the cloud never sold it"));
        };
        let Some(launched_at) = self.launched_at else {
            return Some(format!("M7: {} was bought for row {name}, which never counted it", line.instance));
        };
        let counted = self.price.cost_of(gone_at.since(launched_at).max(self.minimum_billed));
        if counted != cost {
            return Some(format!("M7: row {name} is settled at {cost}, its time cost {counted}"));
        }
        if launched_at + CLOCK < line.started_at {
            return Some(format!("M7: row {name} counts from before its machine was bought"));
        }
        self.compare(line, cost)
    }

    /// Where the price stayed as it was ordered, the two differ by what was heard late, and by nothing else.
    fn compare(&self, line: &BillLine, cost: MicroUsd) -> Option<String> {
        let ((_, _, gone_at), launched_at) = (self.gone?, self.launched_at?);
        let ended_at = line.ended_at?;
        let same_price = line.prices.iter().all(|(_, price)| *price == self.price);
        let billed = line.cost(gone_at);
        let late_start = self.price.cost_of(launched_at.since(line.started_at));
        let late_end = self.price.cost_of(gone_at.since(ended_at));
        let early_end = self.price.cost_of(ended_at.since(gone_at));
        let clock = self.price.cost_of(CLOCK);
        let most = billed + late_end + clock;
        let least = billed - late_start - early_end - clock;
        let minimum = self.price.cost_of(self.minimum_billed);
        (same_price && (cost > most.max(minimum) || cost < least.min(minimum))).then(|| {
            format!(
                "M7: row {} cost {cost}, the bill says {billed}: between {least} and {most} are explained",
                self.name
            )
        })
    }
}
