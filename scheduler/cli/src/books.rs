//! What a stretch of work cost and how long it waited: read from the cluster's own ledger and accounting.

use squall_proto::ClientError;
use squall_proto::client::Client;
use squall_types::api::{AccountedJob, AccountingQuery, ClusterSummary, LedgerQuery, LedgerRow};
use squall_types::{JobId, MicroUsd, Span, Timestamp};
use std::collections::BTreeSet;

/// Pages that are read of one list; more is a server that never ends.
const MAX_PAGES: usize = 10_000;

/// How lengths of time are spread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spread {
    pub count: usize,
    pub min: Span,
    pub mean: Span,
    pub p50: Span,
    pub p99: Span,
    pub max: Span,
}

impl Spread {
    /// Of any lengths; nearest ranks, so that each figure but the mean is one that happened.
    pub fn of(lengths: impl IntoIterator<Item = Span>) -> Spread {
        let mut lengths: Vec<Span> = lengths.into_iter().collect();
        lengths.sort_unstable();
        let (Some(min), Some(max)) = (lengths.first().copied(), lengths.last().copied()) else {
            return Spread::default();
        };
        let rank = |percent: usize| lengths[(lengths.len() * percent).div_ceil(100).max(1) - 1];
        let sum: i128 = lengths.iter().map(|length| i128::from(length.0)).sum();
        let mean = Span((sum / lengths.len() as i128) as i64);
        Spread { count: lengths.len(), min, mean, p50: rank(50), p99: rank(99), max }
    }
}

/// The ledger of nodes, all of it.
///
/// # Errors
/// As a client's.
pub async fn ledger(client: &Client) -> Result<Vec<LedgerRow>, ClientError> {
    let mut query = LedgerQuery::default();
    let mut rows = Vec::new();
    for _ in 0..MAX_PAGES {
        let page = client.ledger(query.clone()).await?;
        rows.extend(page.rows);
        if page.next.is_empty() {
            return Ok(rows);
        }
        query.after = page.next;
    }
    Err(ClientError::Other(format!("the ledger has more than {MAX_PAGES} pages")))
}

/// Every attempt of every job that was submitted at or after `from`.
///
/// # Errors
/// As a client's.
pub async fn accounted(client: &Client, from: Timestamp) -> Result<Vec<AccountedJob>, ClientError> {
    let mut query = AccountingQuery { from: Some(from), ..AccountingQuery::default() };
    let mut jobs = Vec::new();
    for _ in 0..MAX_PAGES {
        let page = client.accounting(query.clone()).await?;
        jobs.extend(page.jobs);
        if page.next.is_empty() {
            return Ok(jobs);
        }
        query.after = page.next;
    }
    Err(ClientError::Other(format!("accounting has more than {MAX_PAGES} pages")))
}

/// Nodes and money of a stretch of work.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Books {
    pub nodes: usize,
    pub orders: usize,
    /// Nodes that existed at once, at most.
    pub peak_nodes: usize,
    /// Paid for, from accepted launch to gone.
    pub bought: Span,
    /// Of that, held by jobs, weighted by their shares of the node.
    pub used: Span,
    pub ledger: MicroUsd,
    pub receipts: MicroUsd,
    /// Paid for while no job held it.
    pub idle_tail: MicroUsd,
    /// From order to registered agent.
    pub boot: Spread,
    /// What does not add up, in words.
    pub faults: Vec<String>,
}

impl Books {
    /// Closes the books of a cluster that has done nothing else: every node gone, and receipts and idle tails add up
    /// to the ledger. What does not hold is among the faults.
    pub fn close(rows: &[LedgerRow], receipts: &[MicroUsd], summary: &ClusterSummary) -> Books {
        let mut books = Books::of(rows, receipts);
        books.used = Span(summary.node_millis_used);
        let mut wrong = |text: String| books.faults.push(text);
        for row in rows.iter().filter(|row| row.gone_at.is_none()) {
            wrong(format!("node {} of order {} is not gone", row.node, row.order));
        }
        let live = summary.nodes_ordered
            + summary.nodes_booting
            + summary.nodes_ready
            + summary.nodes_draining
            + summary.nodes_retiring;
        if live + summary.orders_open > 0 {
            wrong(format!("{live} nodes live and {} orders are open", summary.orders_open));
        }
        if summary.spent != books.ledger {
            wrong(format!("{} were spent, the rows of the ledger are {}", summary.spent, books.ledger));
        }
        if summary.node_millis_bought != books.bought.0 {
            let bought = books.bought.0;
            wrong(format!("{} node-ms were bought, the rows make {bought}", summary.node_millis_bought));
        }
        for row in rows {
            let Some((launched_at, gone_at)) = row.launched_at.zip(row.gone_at) else { continue };
            let owed = row.price.cost_of(gone_at.since(launched_at));
            // A provider bills at least a minimum; never less than the time.
            if row.cost < owed {
                wrong(format!("node {} lived for {owed} and is in the ledger with {}", row.node, row.cost));
            }
        }
        for row in rows.iter().filter(|row| row.charged > row.cost) {
            wrong(format!("node {} cost {}, receipts bear {} of it", row.node, row.cost, row.charged));
        }
        // Jobs and nodes keep their own accounts of what was charged.
        books.idle_tail = rows.iter().map(|row| row.cost - row.charged).sum();
        if books.receipts + books.idle_tail != books.ledger {
            let (receipts, tail, ledger) = (books.receipts, books.idle_tail, books.ledger);
            wrong(format!("receipts of {receipts} and idle tails of {tail} are not the ledger's {ledger}"));
        }
        if books.used > books.bought {
            wrong(format!("{} were used of {} bought", seconds(books.used), seconds(books.bought)));
        }
        books
    }

    /// The figures alone.
    pub fn of(rows: &[LedgerRow], receipts: &[MicroUsd]) -> Books {
        let lives = rows.iter().filter_map(|row| row.launched_at.zip(row.gone_at));
        let bought = Span(lives.map(|(from, to)| to.since(from).0).sum());
        let boots = rows.iter().filter_map(|row| Some(row.ready_at?.since(row.ordered_at)));
        let orders: BTreeSet<u64> = rows.iter().map(|row| row.order).collect();
        Books {
            nodes: rows.len(),
            orders: orders.len(),
            peak_nodes: peak(rows),
            bought,
            ledger: rows.iter().map(|row| row.cost).sum(),
            receipts: receipts.iter().copied().sum(),
            boot: Spread::of(boots),
            ..Books::default()
        }
    }

    /// The rows that were ordered for `jobs`.
    pub fn caused(rows: &[LedgerRow], jobs: &BTreeSet<JobId>) -> Vec<LedgerRow> {
        rows.iter().filter(|row| row.caused_by.is_some_and(|job| jobs.contains(&job))).cloned().collect()
    }
}

/// Nodes at once, at most; one that is not gone counts to the end.
fn peak(rows: &[LedgerRow]) -> usize {
    let mut changes: Vec<(Timestamp, i64)> = Vec::new();
    for row in rows {
        let Some(launched_at) = row.launched_at else { continue };
        changes.push((launched_at, 1));
        changes.extend(row.gone_at.map(|gone_at| (gone_at, -1)));
    }
    // What goes at an instant makes room for what comes then.
    changes.sort_unstable();
    let (mut now, mut most) = (0, 0);
    for (_, change) in changes {
        now += change;
        most = most.max(now);
    }
    most as usize
}

/// `12.3 s`, as figures are shown.
pub fn seconds(span: Span) -> String {
    let tenths = (span.0 + 50).div_euclid(100);
    format!("{}.{} s", tenths.div_euclid(10), tenths.rem_euclid(10))
}

#[cfg(test)]
mod tests {
    use super::*;

    use squall_types::HourlyPrice;

    const PRICE: HourlyPrice = HourlyPrice(36_000_000);

    fn row(node: &str, from: i64, to: i64, charged: i64) -> LedgerRow {
        LedgerRow {
            node: node.into(),
            pool: "gpu".into(),
            order: 1,
            instance: String::new(),
            offer: String::new(),
            price: PRICE,
            caused_by: None,
            ordered_at: Timestamp(from - 500),
            launched_at: Some(Timestamp(from)),
            ready_at: Some(Timestamp(from + 500)),
            first_job_at: None,
            gone_at: Some(Timestamp(to)),
            gone_why: "retired".to_owned(),
            cost: PRICE.cost_of(Span(to - from)),
            charged: MicroUsd(charged),
        }
    }

    fn summary(spent: i64, bought: i64, used: i64) -> ClusterSummary {
        ClusterSummary {
            spent: MicroUsd(spent),
            node_millis_bought: bought,
            node_millis_used: used,
            ..ClusterSummary::default()
        }
    }

    #[test]
    fn receipts_and_idle_tails_add_up_to_the_ledger() {
        // One cent a second; 30 node-seconds bought, 12 of them held.
        let rows = [row("a", 1_000, 11_000, 90_000), row("b", 5_000, 25_000, 30_000)];
        let receipts = [MicroUsd(70_000), MicroUsd(50_000)];
        let books = Books::close(&rows, &receipts, &summary(300_000, 30_000, 12_000));
        assert_eq!(books.faults, Vec::<String>::new());
        assert_eq!(
            (books.ledger, books.receipts, books.idle_tail),
            (MicroUsd(300_000), MicroUsd(120_000), MicroUsd(180_000))
        );
        assert_eq!((books.nodes, books.orders, books.peak_nodes), (2, 1, 2));
        assert_eq!((books.boot.mean, books.bought), (Span(1_000), Span(30_000)));
    }

    #[test]
    fn books_that_do_not_add_up_say_so() {
        let rows = [row("a", 1_000, 11_000, 50_000)];
        let wrong =
            |receipts: &[MicroUsd], summary: &ClusterSummary| Books::close(&rows, receipts, summary).faults.len();
        assert_eq!(wrong(&[MicroUsd(50_000)], &summary(100_000, 10_000, 5_000)), 0);
        assert_eq!(wrong(&[MicroUsd(50_000)], &summary(90_000, 10_000, 5_000)), 1, "spent");
        assert_eq!(wrong(&[MicroUsd(50_000)], &summary(100_000, 9_000, 5_000)), 1, "bought");
        assert_eq!(wrong(&[MicroUsd(20_000)], &summary(100_000, 10_000, 5_000)), 1, "a receipt is missing");
        assert_eq!(wrong(&[MicroUsd(50_000)], &summary(100_000, 10_000, 11_000)), 1, "more used than bought");
        let mut open = row("a", 1_000, 11_000, 0);
        open.gone_at = None;
        assert!(Books::close(&[open], &[], &summary(100_000, 0, 0)).faults[0].contains("not gone"));
    }

    #[test]
    fn nodes_that_follow_each_other_are_no_peak() {
        assert_eq!(peak(&[row("a", 0, 10, 0), row("b", 10, 20, 0), row("c", 15, 30, 0)]), 2);
        assert_eq!(peak(&[]), 0);
    }

    #[test]
    fn a_spread_names_figures_that_happened() {
        let spread = Spread::of((1..=100).map(Span));
        assert_eq!((spread.min.0, spread.p50.0, spread.p99.0, spread.max.0, spread.mean.0), (1, 50, 99, 100, 50));
        assert_eq!(Spread::of([]), Spread::default());
        assert_eq!(Spread::of([Span(7)]).p99, Span(7));
        assert_eq!(seconds(Span(1_249)), "1.2 s");
    }
}
