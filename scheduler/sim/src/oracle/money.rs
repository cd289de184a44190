//! M4, M7: the ledger against the cloud's own bill, node by node.

use crate::world::World;
use squall_core::node::{GoneWhy, Node, NodeState};
use squall_types::{MicroUsd, Span};

/// Everything in which ledger and bill disagree beyond what a lost answer or a late listing explains.
pub fn audit(world: &World) -> Vec<String> {
    let mut found = Vec::new();
    for site in &world.sites {
        let bill = site.cloud.bill();
        let rows = world.shadow.nodes.values().filter(|node| node.pool == site.pool && !node.is_static());
        for node in rows {
            let line = bill.lines.iter().find(|line| Some(&line.instance) == node.instance.as_ref());
            let NodeState::Gone { why, at } = node.state else { continue };
            match line {
                None if why != GoneWhy::NeverLaunched && node.launched_at.is_some() => {
                    found.push(format!("M7: node {} cost money, and the cloud never sold it", node.name));
                }
                Some(line) if line.ended_at.is_none_or(|ended| ended > at) && why == GoneWhy::Retired => {
                    found.push(format!("M4: row {} was closed before its machine was gone", node.name));
                }
                Some(line) => found.extend(compare(node, line.cost(world.now), line.started_at, line.ended_at, at)),
                None => {}
            }
        }
    }
    found
}

/// The ledger counts from the launch's answer to the observed end; the bill from launch to end.
fn compare(
    node: &Node,
    billed: MicroUsd,
    started_at: squall_types::Timestamp,
    ended_at: Option<squall_types::Timestamp>,
    gone_at: squall_types::Timestamp,
) -> Option<String> {
    let launched_at = node.launched_at?;
    let counted = squall_core::cost::node_cost(node, gone_at);
    let late_start = launched_at.since(started_at);
    let late_end = ended_at.map_or(Span::ZERO, |ended| gone_at.since(ended));
    let slack = node.offer.price.cost_of(late_start + late_end + Span::from_secs(1));
    let difference = MicroUsd((counted.0 - billed.0).abs());
    // What a stale price said is not the bill's.
    let fair = billed.0 > 0 && node.offer.minimum_billed == Span::ZERO;
    (fair && difference > slack && counted < billed && billed.0 < counted.0 * 2)
        .then(|| format!("M7: node {} counts {counted}, the bill says {billed}, {slack} are explained", node.name))
}
