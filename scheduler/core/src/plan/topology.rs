//! How near nodes are to each other: the zone that they were bought in, and the switches that an admin named.

use crate::config::{ClusterConfig, SwitchConfig};
use crate::node::Node;
use squall_types::{NodeName, Offer, SwitchName, hostlist};
use std::collections::{BTreeMap, BTreeSet};

/// Levels of switches that are looked at, from those that nodes hang on upwards.
pub const SWITCH_LEVELS: usize = 3;
/// With the zone above them.
pub const LEVELS: usize = 1 + SWITCH_LEVELS;

/// The blocks that a node is in, by number, the widest first; 0 where there is none or none is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Location(pub [u16; LEVELS]);

/// Where all nodes are, as far as a configuration says.
#[derive(Clone, Debug, Default)]
pub struct Topology {
    zones: BTreeMap<String, u16>,
    switches: BTreeMap<NodeName, [u16; SWITCH_LEVELS]>,
}

/// The switch that each node hangs on, and those above it.
pub fn wires(config: &ClusterConfig) -> BTreeMap<NodeName, Vec<SwitchName>> {
    let below = |(name, switch)| -> Vec<(&SwitchName, &SwitchName)> {
        let (name, switch): (&SwitchName, &SwitchConfig) = (name, switch);
        switch.switches.iter().map(|low| (low, name)).collect()
    };
    let above: BTreeMap<&SwitchName, &SwitchName> = config.switches.iter().flat_map(below).collect();
    let mut wires = BTreeMap::new();
    for (name, switch) in &config.switches {
        let up = std::iter::successors(Some(name), |name| above.get(name).copied());
        let up: Vec<SwitchName> = up.take(SWITCH_LEVELS).cloned().collect();
        // What cannot be read was refused before it came here.
        let nodes = hostlist::parse(&switch.nodes).unwrap_or_default();
        wires.extend(nodes.into_iter().map(|node| (NodeName(node), up.clone())));
    }
    wires
}

impl Topology {
    pub fn new(config: &ClusterConfig) -> Topology {
        let scopes: BTreeSet<&String> =
            config.pools.values().flat_map(|pool| &pool.offers).map(|offer| &offer.scope).collect();
        let zones = scopes.into_iter().zip(1..).map(|(scope, number)| (scope.clone(), number)).collect();
        let number: BTreeMap<&SwitchName, u16> = config.switches.keys().zip(1..).collect();
        let path = |above: Vec<SwitchName>| {
            let mut path = [0; SWITCH_LEVELS];
            for (level, switch) in path.iter_mut().rev().zip(&above) {
                *level = number.get(switch).copied().unwrap_or(0);
            }
            path
        };
        let switches = wires(config).into_iter().map(|(node, above)| (node, path(above))).collect();
        Topology { zones, switches }
    }

    /// Whether no node is nearer to another than any other is.
    pub fn is_flat(&self) -> bool {
        self.zones.len() < 2 && self.switches.is_empty()
    }

    pub fn of(&self, node: &Node) -> Location {
        let mut location = self.of_new(&node.offer);
        if let Some(path) = self.switches.get(&node.name) {
            location.0[1..].copy_from_slice(path);
        }
        location
    }

    /// Of a node that is bought: its switch is not known before.
    pub fn of_new(&self, offer: &Offer) -> Location {
        let mut location = Location::default();
        location.0[0] = self.zones.get(&offer.scope).copied().unwrap_or(0);
        location
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_in_the_blocks_of_its_switch_and_of_those_above() {
        let leaf = |nodes: &str| SwitchConfig { nodes: nodes.to_owned(), switches: Vec::new() };
        let top = SwitchConfig { nodes: String::new(), switches: vec!["a".into(), "b".into()] };
        let switches = [("a".into(), leaf("n[1-2]")), ("b".into(), leaf("n[3-4]")), ("top".into(), top)].into();
        let topology = Topology::new(&ClusterConfig { switches, ..ClusterConfig::default() });
        let path = |name: &str| topology.switches.get(&NodeName::new(name)).copied();
        assert_eq!(path("n1"), Some([0, 3, 1]));
        assert_eq!(path("n4"), Some([0, 3, 2]));
        assert_eq!(path("n5"), None);
        assert!(!topology.is_flat() && Topology::new(&ClusterConfig::default()).is_flat());
    }
}
