//! What nodes hang on.

use super::{Lower, keys};
use squall_core::config::SwitchConfig;
use squall_core::plan::topology::SWITCH_LEVELS;
use squall_types::{SwitchName, hostlist};
use std::collections::BTreeMap;

impl Lower<'_> {
    pub(super) fn switches(&mut self) -> BTreeMap<SwitchName, SwitchConfig> {
        let settings = &self.settings.switches;
        let (mut above, mut switch_of) = (BTreeMap::new(), BTreeMap::new());
        for (name, one) in settings {
            self.name(name, &keys!["switches", name]);
            if one.nodes.trim().is_empty() == one.switches.is_empty() {
                let problem = format!("switch `{name}` needs either `nodes` or `switches`");
                self.wrong_key(&keys!["switches", name], &problem);
            }
            let place = keys!["switches", name, "nodes"];
            match hostlist::parse(&one.nodes) {
                Err(error) => self.wrong(&place, &format!("switch `{name}`: {error}")),
                Ok(nodes) => {
                    for node in nodes {
                        if let Some(other) = switch_of.insert(node.clone(), name) {
                            let problem = match other == name {
                                true => format!("switch `{name}` names the node {node} twice"),
                                false => format!("node {node} is under switch `{name}` and under `{other}`"),
                            };
                            self.wrong(&place, &problem);
                            break;
                        }
                    }
                }
            }
            for (index, below) in one.switches.iter().enumerate() {
                let place = keys!["switches", name, "switches", format!("[{index}]")];
                if !settings.contains_key(below) {
                    let problem = format!("switch `{name}` names the switch {below:?}, which is not configured");
                    self.unknown(&place, &problem, below, settings.keys());
                } else if let Some(other) = above.insert(below, name) {
                    self.wrong(&place, &format!("switch `{below}` is under `{name}` and under `{other}`"));
                }
            }
        }
        for name in settings.keys() {
            let up = std::iter::successors(Some(name), |name| above.get(name).copied());
            if up.take(SWITCH_LEVELS + 1).count() > SWITCH_LEVELS {
                let problem =
                    format!("switch `{name}` has more than {} levels above it, or is above itself", SWITCH_LEVELS - 1);
                self.wrong_key(&keys!["switches", name], &problem);
            }
        }
        let switch = |one: &super::SwitchSettings| SwitchConfig {
            nodes: one.nodes.clone(),
            switches: one.switches.iter().map(SwitchName::new).collect(),
        };
        settings.iter().map(|(name, one)| (SwitchName::new(name), switch(one))).collect()
    }
}
