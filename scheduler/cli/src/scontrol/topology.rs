//! `scontrol show topology`: switches, what hangs on them, and how high they are.

use crate::failure::Failure;
use crate::invocation::Invocation;
use squall_types::api::NodeView;
use squall_types::{SwitchName, hostlist};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Default)]
struct Switch {
    level: usize,
    nodes: BTreeSet<String>,
    below: BTreeSet<String>,
}

/// All switches; or one by its name, or those above a node.
///
/// # Errors
/// The controller's silence.
pub fn show(invocation: &mut Invocation<'_>, wanted: Option<&str>) -> Result<i32, Failure> {
    let nodes = invocation.controller.nodes().map_err(|error| Failure::load("slurm_load_topo", &error))?;
    let switches = switches(&nodes);
    if switches.is_empty() {
        writeln!(invocation.err, "scontrol: error: No topology information available")?;
        return Ok(0);
    }
    let above = |node: &NodeView, name: &SwitchName| {
        wanted.is_none_or(|wanted| wanted == name.as_str() || wanted == node.name.as_str())
    };
    let shown: BTreeSet<&SwitchName> =
        nodes.iter().flat_map(|node| node.switches.iter().filter(|name| above(node, name))).collect();
    if let (Some(wanted), true) = (wanted, shown.is_empty()) {
        let shown = crate::terminal::escaped(wanted);
        writeln!(invocation.err, "scontrol: error: Topology information contains no switch or node named {shown}")?;
        return Ok(1);
    }
    let mut lines: Vec<_> = switches.into_iter().filter(|(name, _)| shown.contains(name)).collect();
    lines.sort_by_key(|(name, switch)| (switch.level, *name));
    for (name, Switch { level, nodes, below }) in lines {
        let list = |names: BTreeSet<String>| hostlist::compress_sorted(&names.into_iter().collect::<Vec<_>>());
        let switches = if below.is_empty() { String::new() } else { format!(" Switches={}", list(below)) };
        writeln!(invocation.out, "SwitchName={name} Level={level} LinkSpeed=1 Nodes={}{switches}", list(nodes))?;
    }
    Ok(0)
}

fn switches(nodes: &[NodeView]) -> BTreeMap<&SwitchName, Switch> {
    let mut switches: BTreeMap<&SwitchName, Switch> = BTreeMap::new();
    for node in nodes {
        for (level, name) in node.switches.iter().enumerate() {
            let switch = switches.entry(name).or_default();
            switch.level = switch.level.max(level);
            switch.nodes.insert(node.name.to_string());
            let below = level.checked_sub(1).and_then(|below| node.switches.get(below));
            switch.below.extend(below.map(SwitchName::to_string));
        }
    }
    switches
}
