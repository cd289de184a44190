//! `sinfo --states`.

use crate::failure::Failure;
use crate::show::node_state;
use crate::terminal::escaped;
use squall_types::api::{NodeCondition, NodeView};

/// One state that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted(&'static str);

/// Every word in its longest form, with what it is cut to.
const WORDS: [(&str, &[&str]); 20] = [
    ("unknown", &["unk", "unknown"]),
    ("down", &["down"]),
    ("idle", &["idle"]),
    ("allocated", &["alloc", "allocated"]),
    ("mixed", &["mix", "mixed"]),
    ("future", &["futr", "future"]),
    ("drain", &["drain"]),
    ("drained", &["drained"]),
    ("draining", &["drng", "draining"]),
    ("no_respond", &["no_respond"]),
    ("reserved", &["resv", "reserved"]),
    ("perfctrs", &["npc", "perfctrs"]),
    ("cloud", &["cloud"]),
    ("completing", &["comp", "completing"]),
    ("powering_down", &["powering_down", "pow_dn"]),
    ("powered_down", &["powered_down", "power_down"]),
    ("powering_up", &["powering_up", "power_up"]),
    ("fail", &["fail", "failing"]),
    ("maint", &["maint"]),
    ("reboot", &["reboot", "reboot^"]),
];

/// # Errors
/// The first word that is no state.
pub fn parse(text: &str) -> Result<Vec<Wanted>, String> {
    let words = text.split([',', '&']).map(str::trim).filter(|word| !word.is_empty());
    words
        .map(|word| {
            let known = WORDS.iter().find(|(_, forms)| forms.iter().any(|form| form.eq_ignore_ascii_case(word)));
            known.map(|(name, _)| Wanted(name)).ok_or_else(|| word.to_owned())
        })
        .collect()
}

impl Wanted {
    pub fn takes(self, node: &NodeView) -> bool {
        use NodeCondition::{Completing, Down, Drained, Draining, PoweredDown, PoweringDown, PoweringUp, Quarantined};
        let words = node_state::words(node);
        match self.0 {
            "down" => node.condition == Down,
            "idle" => words.long == "idle",
            "allocated" => words.long == "allocated",
            "mixed" => words.long == "mixed",
            "drain" => matches!(node.condition, Draining | Drained | Quarantined),
            "drained" => matches!(node.condition, Drained | Quarantined),
            "draining" => node.condition == Draining,
            "no_respond" => !node.contact && node.condition != PoweredDown,
            "cloud" => words.flags.contains(&"CLOUD") || node.kind != squall_types::CapacityKind::Owned,
            "completing" => node.condition == Completing,
            "powering_down" => node.condition == PoweringDown,
            "powered_down" => node.condition == PoweredDown,
            "powering_up" => node.condition == PoweringUp,
            // No node here is ever in the others.
            _ => false,
        }
    }
}

pub fn invalid(word: &str) -> Failure {
    let valid: Vec<&str> = WORDS.iter().map(|(name, _)| *name).collect();
    Failure::error("sinfo", format_args!("Bad state string: \"{}\"", escaped(word)))
        .and_line(format!("sinfo: error: valid states: {}", valid.join(",")))
}
