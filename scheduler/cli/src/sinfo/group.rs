//! Nodes that look alike in what is shown share a line.

use super::fields::{Field, Kind};
use crate::show::format::Format;
use crate::show::moments::Moments;
use crate::show::node_state::{self, Share};
use squall_types::api::{NodeView, PartitionView};
use std::collections::BTreeMap;

/// One line: nodes of a partition that look alike; none where the partition has none.
pub struct Row<'a> {
    pub partition: &'a PartitionView,
    pub nodes: Vec<&'a NodeView>,
    pub moments: &'a Moments,
}

impl<'a> Row<'a> {
    /// The one that speaks for all.
    pub fn first(&self) -> Option<&'a NodeView> {
        self.nodes.first().copied()
    }

    /// How many nodes these are. What could be bought counts once for each pool, by whichever offer.
    pub fn count(&self, wanted: impl Fn(&NodeView) -> bool) -> u32 {
        let mut could_be: BTreeMap<&str, u32> = BTreeMap::new();
        let mut are = 0u32;
        for node in self.nodes.iter().filter(|node| wanted(node)) {
            match node.condition {
                squall_types::api::NodeCondition::PoweredDown => {
                    let most = could_be.entry(node.pool.as_str()).or_default();
                    *most = (*most).max(node.count);
                }
                _ => are = are.saturating_add(node.count.max(1)),
            }
        }
        could_be.values().fold(are, |sum, count| sum.saturating_add(*count))
    }

    pub fn share_of_nodes(&self, share: Share) -> u32 {
        self.count(|node| node_state::share(node) == share)
    }

    /// CPUs in use, idle, and on nodes that can be used for nothing.
    pub fn cpus(&self) -> (u64, u64, u64) {
        let mut largest: BTreeMap<&str, u64> = BTreeMap::new();
        let (mut used, mut idle, mut other) = (0u64, 0u64, 0u64);
        for node in &self.nodes {
            let cpus = u64::from(node.shape.cpus);
            if node.condition == squall_types::api::NodeCondition::PoweredDown {
                let most = largest.entry(node.pool.as_str()).or_default();
                *most = (*most).max(cpus * u64::from(node.count));
                continue;
            }
            let taken = u64::from(node.cpus_used);
            used += taken;
            match node_state::share(node) {
                Share::Other => other += cpus.saturating_sub(taken),
                Share::Allocated | Share::Idle => idle += cpus.saturating_sub(taken),
            }
        }
        (used, idle + largest.values().sum::<u64>(), other)
    }

    /// `64000`, or `16000+` where nodes differ.
    pub fn least(&self, of: impl Fn(&NodeView) -> u64) -> String {
        let amounts = || self.nodes.iter().map(|node| of(node));
        match (amounts().min(), amounts().max()) {
            (Some(least), Some(most)) if least < most => format!("{least}+"),
            (Some(least), _) => least.to_string(),
            (None, _) => "0".to_owned(),
        }
    }
}

/// Which nodes are asked for, and how they are put together.
pub struct Grouping<'a> {
    pub format: &'a Format<Field>,
    /// `-e`: amounts must be the same, too.
    pub exact: bool,
    /// `-N`: every node by itself.
    pub by_node: bool,
    pub moments: &'a Moments,
}

/// The lines for these partitions and nodes.
pub fn rows<'a>(grouping: &Grouping<'a>, partitions: &'a [PartitionView], nodes: &[&'a NodeView]) -> Vec<Row<'a>> {
    let mut rows: Vec<(String, Row<'a>)> = Vec::new();
    for partition in partitions {
        let row = |nodes| Row { partition, nodes, moments: grouping.moments };
        let of_partition = || nodes.iter().filter(|node| node.partitions.contains(&partition.name));
        for node in of_partition() {
            let alone = row(vec![*node]);
            let key = key(grouping, &alone);
            match rows.iter_mut().find(|(known, _)| *known == key && !grouping.by_node) {
                // A node in two partitions that are not told apart counts once.
                Some((_, row)) if row.nodes.iter().any(|known| std::ptr::eq(*known, *node)) => {}
                Some((_, row)) => row.nodes.push(node),
                None => rows.push((key, alone)),
            }
        }
        if of_partition().next().is_none() && !grouping.by_node {
            let none = row(Vec::new());
            rows.push((key(grouping, &none), none));
        }
    }
    rows.into_iter().map(|(_, row)| row).collect()
}

/// What must be the same on all nodes of a line.
fn key(grouping: &Grouping<'_>, row: &Row<'_>) -> String {
    let told_apart = grouping.format.fields().filter(|field| match field.kind {
        Kind::Same => true,
        Kind::Amount => grouping.exact,
        Kind::Total => false,
    });
    told_apart.map(|field| (field.value)(row)).collect::<Vec<_>>().join("\u{1f}")
}
