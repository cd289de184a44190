//! The cloud's own account, to compare with the ledger's.

use squall_types::{CapacityKind, HourlyPrice, InstanceId, MicroUsd, OfferName, OrderId, Span, Timestamp};

/// What one machine costs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BillLine {
    pub instance: InstanceId,
    /// The order that bought it, whatever its tags say now; `None` for machines that were planted.
    pub order: Option<OrderId>,
    pub offer: OfferName,
    pub kind: CapacityKind,
    /// The launch was accepted.
    pub started_at: Timestamp,
    /// The machine was gone; `None` while it is billed.
    pub ended_at: Option<Timestamp>,
    pub minimum_billed: Span,
    /// Prices in force, each from its time on; the first from `started_at`.
    pub prices: Vec<(Timestamp, HourlyPrice)>,
}

impl BillLine {
    /// What it has cost by `now`, to the millisecond, its minimum included.
    pub fn cost(&self, now: Timestamp) -> MicroUsd {
        let end = self.ended_at.unwrap_or(now).max(self.started_at + self.minimum_billed);
        let ends = self.prices.iter().skip(1).map(|(from, _)| *from).chain([end]);
        self.prices.iter().zip(ends).map(|((from, price), until)| price.cost_of(until.since(*from))).sum()
    }

    pub(crate) fn price_now(&self) -> HourlyPrice {
        self.prices.last().map_or(HourlyPrice(0), |(_, price)| *price)
    }
}

/// The cloud's own account of every machine that ever was, in the order of their launches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bill {
    pub lines: Vec<BillLine>,
}

impl Bill {
    pub fn total(&self, now: Timestamp) -> MicroUsd {
        self.lines.iter().map(|line| line.cost(now)).sum()
    }

    /// Lines that are still billed.
    pub fn open(&self) -> impl Iterator<Item = &BillLine> {
        self.lines.iter().filter(|line| line.ended_at.is_none())
    }

    pub fn of_order(&self, order: OrderId) -> impl Iterator<Item = &BillLine> {
        self.lines.iter().filter(move |line| line.order == Some(order))
    }
}
