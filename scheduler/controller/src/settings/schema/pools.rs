//! Pools: what can be bought or is there, from whom, and when it is given back.

use crate::settings::units::{Dollars, Size, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use squall_core::config::PoolConfig;
use std::collections::BTreeMap;
use std::path::PathBuf;

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct PoolSettings {
    /// Where its nodes come from: `local`, `sim`, `program` or `static`.
    pub provisioner: Kind,
    /// What may be bought, by name. For `local` and `sim` this is also what is on sale; a `program` is told of it, and says itself what is.
    #[serde(default)]
    pub offers: BTreeMap<String, OfferSettings>,
    /// Machines that are there whatever the demand, by host name or hostlist.
    #[serde(default)]
    pub nodes: BTreeMap<String, Machine>,
    #[serde(default)]
    pub min_nodes: u32,
    /// Of bought nodes; machines of `nodes` do not count.
    #[serde(default)]
    pub max_nodes: u32,
    /// A node without work is given back after so long.
    #[serde(default = "defaults::idle_after")]
    pub idle_after: Time,
    /// … but not before it is so old.
    #[serde(default = "defaults::min_lifetime")]
    pub min_lifetime: Time,
    /// What `--constraint` can name, for all of its nodes.
    #[serde(default)]
    pub features: Vec<String>,
    /// Absolute paths; a job with its working directory or output elsewhere does not go here. Empty means all.
    #[serde(default)]
    pub file_systems: Vec<String>,
    /// From order to an accepted launch.
    #[serde(default = "defaults::accept_within")]
    pub accept_within: Time,
    /// From accepted launch to registered agent.
    #[serde(default = "defaults::register_within")]
    pub register_within: Time,
    /// Money is reserved so far ahead, and renewed in the same quanta.
    #[serde(default = "defaults::prepaid")]
    pub prepaid: Time,
    /// A node ends itself so long after its order unless that is extended.
    #[serde(default = "defaults::lifetime")]
    pub lifetime: Time,
    /// An incomplete gang holds paid nodes at most so long.
    #[serde(default = "defaults::waste_cap")]
    pub waste_cap: Time,
    /// Between the fence and the retirement of an idle node.
    #[serde(default = "defaults::settle")]
    pub settle: Time,
    /// Two complete listings at least so far apart without an instance prove that it is gone.
    #[serde(default = "defaults::absence_grace")]
    pub absence_grace: Time,
    #[serde(default = "defaults::listing_every")]
    pub listing_every: Time,
    /// Boot failures in a row after which buying pauses.
    #[serde(default = "defaults::breaker_after")]
    pub breaker_after: u32,
    /// First pause after such failures, and of an offer without capacity; doubles to `cool_max`.
    #[serde(default = "defaults::cool_down")]
    pub cool_down: Time,
    #[serde(default = "defaults::cool_max")]
    pub cool_max: Time,
    /// By how much measured memory may fall short of the offer before the node is quarantined.
    #[serde(default = "defaults::memory_tolerance_percent")]
    #[schemars(range(max = 100))]
    pub memory_tolerance_percent: u32,
    /// Settings of `provisioner = "local"`.
    #[serde(default)]
    pub local: LocalSettings,
    /// Settings of `provisioner = "sim"`.
    #[serde(default)]
    pub sim: SimSettings,
    /// Settings of `provisioner = "program"`.
    #[serde(default)]
    pub program: ProgramSettings,
}

/// Where nodes come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Agents as processes of this machine.
    Local,
    /// A simulated cloud whose machines run nothing: for trying a configuration.
    Sim,
    /// A program of its own, which the controller starts and keeps up: a cloud.
    Program,
    /// Machines of one's own, named under `nodes`.
    Static,
}

impl Kind {
    pub fn word(self) -> &'static str {
        match self {
            Kind::Local => "local",
            Kind::Sim => "sim",
            Kind::Program => "program",
            Kind::Static => "static",
        }
    }
}

/// What one machine has.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Machine {
    /// Hardware threads.
    #[schemars(range(min = 1))]
    pub cpus: u32,
    /// Physical cores; by default as many as `cpus`.
    #[serde(default)]
    pub cores: u32,
    /// What jobs can use of it.
    pub memory: Size,
    /// `MODEL:COUNT`, for example `h100:8`; several with commas.
    #[serde(default)]
    pub gpus: String,
    /// Of one GPU.
    pub gpu_memory: Option<Size>,
    /// For nodes that are processes of one machine: their GPUs are that machine's own, not only declared.
    #[serde(default)]
    pub real_gpus: bool,
    /// What `--constraint` can name, beside the pool's.
    #[serde(default)]
    pub features: Vec<String>,
}

/// Something that can be bought.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct OfferSettings {
    #[serde(flatten)]
    pub machine: Machine,
    /// Of one node for one hour.
    #[serde(default)]
    pub price: Dollars,
    /// Interruptible.
    #[serde(default)]
    pub spot: bool,
    /// Region or zone, where the provisioner has such.
    #[serde(default)]
    pub scope: String,
    /// Billed for at least so long.
    #[serde(default = "defaults::nothing")]
    pub minimum_billed: Time,
    /// From order to ready node, typically.
    #[serde(default = "defaults::typical_boot")]
    pub typical_boot: Time,
    /// Nodes that one order may ask for.
    #[serde(default = "defaults::max_per_order")]
    #[schemars(range(min = 1))]
    pub max_per_order: u32,
}

/// Agents as processes of this machine.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct LocalSettings {
    /// The agent's program and its first arguments; by default the one that came with this controller.
    pub agent: Vec<String>,
    /// Where nodes keep their folders; by default `nodes` in the controller's state folder.
    pub dir: Option<PathBuf>,
    /// An agent that ended while its node lives is started again.
    pub revive: Revive,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Revive {
    #[default]
    Always,
    Never,
}

/// A simulated cloud.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SimSettings {
    /// Of its chances.
    pub seed: u64,
}

/// A provisioner in a process of its own. What it is told, and what it has to keep, stands in `provisioner.proto`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ProgramSettings {
    /// The program, by its absolute path or by its name beside this controller, and its arguments.
    pub command: Vec<String>,
    /// Variables of the controller's environment that it gets, by name. It gets no others.
    pub environment: Vec<String>,
    /// A call without an answer for so long has an unknown outcome, and the program may be started anew.
    pub answer_within: Time,
    /// It delivers a gang whole or not at all; refused where it does not promise that itself.
    pub whole_gangs: bool,
    /// What it is told beside: its own business, and no place for secrets.
    pub settings: serde_json::Map<String, serde_json::Value>,
}

impl Default for ProgramSettings {
    fn default() -> Self {
        ProgramSettings {
            command: Vec::new(),
            environment: Vec::new(),
            answer_within: Time(squall_types::Span::from_secs(60)),
            whole_gangs: false,
            settings: serde_json::Map::new(),
        }
    }
}

mod defaults {
    use super::{PoolConfig, Time};
    use squall_types::Span;

    macro_rules! times {
        ($($name:ident),*) => { $(
            pub(super) fn $name() -> Time {
                Time(PoolConfig::default().$name)
            }
        )* };
    }
    times!(
        idle_after,
        min_lifetime,
        accept_within,
        register_within,
        prepaid,
        lifetime,
        waste_cap,
        settle,
        absence_grace,
        listing_every,
        cool_down,
        cool_max
    );

    pub(super) fn breaker_after() -> u32 {
        PoolConfig::default().breaker_after
    }
    pub(super) fn memory_tolerance_percent() -> u32 {
        PoolConfig::default().memory_tolerance_percent
    }
    pub(super) fn nothing() -> Time {
        Time(Span::ZERO)
    }
    pub(super) fn typical_boot() -> Time {
        Time(Span::from_mins(2))
    }
    pub(super) fn max_per_order() -> u32 {
        100
    }
}
