//! Limits on trackable resources: `cpu=16,mem=64G,node=2,gres/gpu=8`.

use crate::size;
use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TresKind {
    Cpu,
    /// In MiB.
    Memory,
    Node,
    Gpu,
}

impl TresKind {
    pub const ALL: [TresKind; 4] = [TresKind::Cpu, TresKind::Memory, TresKind::Node, TresKind::Gpu];

    /// Slurm's word.
    pub fn word(self) -> &'static str {
        match self {
            TresKind::Cpu => "cpu",
            TresKind::Memory => "mem",
            TresKind::Node => "node",
            TresKind::Gpu => "gres/gpu",
        }
    }

    /// An amount of it as people read it.
    pub fn amount(self, amount: u64) -> String {
        match self {
            TresKind::Memory => size::mib(amount),
            _ => amount.to_string(),
        }
    }
}

/// At most so much of each; `None` is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, Serialize, Deserialize)]
pub struct TresLimits {
    #[n(0)]
    pub cpus: Option<u64>,
    #[n(1)]
    pub memory_mib: Option<u64>,
    #[n(2)]
    pub nodes: Option<u64>,
    #[n(3)]
    pub gpus: Option<u64>,
}

/// A list of resources that cannot be read, for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TresError {
    #[error("{0:?} is not KIND=AMOUNT")]
    NoAmount(String),
    #[error("{0:?} is not counted here: cpu, mem, node and gres/gpu are")]
    Unknown(String),
    #[error("{0:?} is no amount")]
    Amount(String),
}

impl TresLimits {
    pub fn get(&self, kind: TresKind) -> Option<u64> {
        match kind {
            TresKind::Cpu => self.cpus,
            TresKind::Memory => self.memory_mib,
            TresKind::Node => self.nodes,
            TresKind::Gpu => self.gpus,
        }
    }

    fn slot(&mut self, kind: TresKind) -> &mut Option<u64> {
        match kind {
            TresKind::Cpu => &mut self.cpus,
            TresKind::Memory => &mut self.memory_mib,
            TresKind::Node => &mut self.nodes,
            TresKind::Gpu => &mut self.gpus,
        }
    }

    pub fn is_empty(&self) -> bool {
        *self == TresLimits::default()
    }

    /// What is set, kind by kind.
    pub fn iter(&self) -> impl Iterator<Item = (TresKind, u64)> + '_ {
        TresKind::ALL.into_iter().filter_map(|kind| Some((kind, self.get(kind)?)))
    }

    /// Sets what is not set.
    pub fn inherit(&mut self, above: &TresLimits) {
        for (kind, limit) in above.iter() {
            self.slot(kind).get_or_insert(limit);
        }
    }

    /// Changes the kinds that the text names and leaves the others; an amount of `-1` takes a limit away, and a text of
    /// `-1` or of nothing all of them.
    ///
    /// # Errors
    /// What is no list of kinds and amounts; nothing is changed then.
    pub fn merge(&mut self, text: &str) -> Result<(), TresError> {
        if text.is_empty() || text == "-1" {
            *self = TresLimits::default();
            return Ok(());
        }
        let mut merged = *self;
        for part in text.split(',').filter(|part| !part.is_empty()) {
            let (name, amount) = part.split_once('=').ok_or_else(|| TresError::NoAmount(shown(part)))?;
            let kind = match name.trim().to_ascii_lowercase().as_str() {
                "cpu" | "cpus" => TresKind::Cpu,
                "mem" | "memory" => TresKind::Memory,
                "node" | "nodes" => TresKind::Node,
                "gres/gpu" => TresKind::Gpu,
                other => return Err(TresError::Unknown(shown(other))),
            };
            let wrong = || TresError::Amount(shown(amount));
            *merged.slot(kind) = match amount.trim() {
                "-1" => None,
                amount if kind == TresKind::Memory => Some(memory(amount).ok_or_else(wrong)?),
                amount => Some(amount.parse().map_err(|_| wrong())?),
            };
        }
        *self = merged;
        Ok(())
    }
}

/// As `--mem` has it, and with the two decimals that Slurm's own dumps have: `62.50G` is 64,000 MiB.
fn memory(text: &str) -> Option<u64> {
    let Some((whole, rest)) = text.split_once('.') else { return size::parse_mib(text).ok() };
    let digits = rest.len() - rest.trim_start_matches(|char: char| char.is_ascii_digit()).len();
    let (decimals, unit) = rest.split_at(digits);
    let unit = size::parse_mib(&format!("1{unit}")).ok().filter(|_| !unit.is_empty())?;
    let hundredths = match decimals.len() {
        1 => decimals.parse::<u64>().ok()? * 10,
        2 => decimals.parse().ok()?,
        _ => return None,
    };
    // What is no whole MiB is rounded down: it came from a whole number.
    let all = whole.parse::<u64>().ok()?.checked_mul(100)?.checked_add(hundredths)?.checked_mul(unit)? / 100;
    size::parse_mib(&all.to_string()).ok()
}

fn shown(text: &str) -> String {
    text.chars().take(40).collect()
}

impl fmt::Display for TresLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (kind, amount)) in self.iter().enumerate() {
            let comma = if at > 0 { "," } else { "" };
            write!(f, "{comma}{}={}", kind.word(), kind.amount(amount))?;
        }
        Ok(())
    }
}
