//! The configuration of a personal cluster: what this machine can play.

use super::Place;
use super::controller::own_program;
use squallctld::settings::{ConfigError, Personal, PersonalShape};
use std::fs;
use std::io;
use std::path::PathBuf;

/// Nodes with GPUs are in this partition, which is the default; real ones where this machine has any.
pub const GPU_PARTITION: &str = "gpu";
/// Nodes without, only where the GPUs are real: a machine has its own GPUs once, and CPUs can be shared.
pub const CPU_PARTITION: &str = "cpu";

/// What a declared node has, where the machine has no GPUs of its own.
const DECLARED_GPUS: u32 = 8;
const DECLARED_MODEL: &str = "h100";
const DECLARED_GPU_MIB: u64 = 81_559;
const DECLARED_CPUS: u32 = 96;
const DECLARED_MIB: u64 = 960_000;
/// Declared prices, for receipts to be calculated with: dollars for an hour of one GPU, and of a node without.
const GPU_HOUR_CENTS: u64 = 400;
const CPU_NODE_PRICE: &str = "0.40";
/// Of what is measured, what a node with the machine's own GPUs offers to jobs.
const MEMORY_PERCENT: u64 = 90;

/// What differs between a cluster that stays and one that shows itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    pub max_nodes: u32,
    pub idle_after: &'static str,
    pub batch_idle: &'static str,
    pub listing_every: &'static str,
}

impl Pace {
    /// For work: a node waits a while for the next job.
    pub const LASTING: Pace = Pace { max_nodes: 4, idle_after: "2m", batch_idle: "1s", listing_every: "5s" };
    /// For watching: what is not used goes at once.
    pub const BRISK: Pace = Pace { max_nodes: 4, idle_after: "2s", batch_idle: "500ms", listing_every: "1s" };
    /// For load: a node that the next second may need stays.
    pub const REPLAY: Pace = Pace { max_nodes: 16, idle_after: "5s", batch_idle: "500ms", listing_every: "2s" };
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum NoConfig {
    #[error("{}: {}", .0.display(), .1)]
    File(PathBuf, #[source] io::Error),
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Wrong(Vec<ConfigError>),
}

/// What this machine can play.
#[derive(Clone, Debug)]
pub struct Machine {
    pub shapes: Vec<PersonalShape>,
    /// GPUs are this machine's own; else they are declared, and only numbers.
    pub real_gpus: bool,
    /// Of one node.
    pub gpus: u32,
}

impl Machine {
    /// With the machine's own GPUs, or with `declared` ones on each node.
    pub fn new(pace: &Pace, declared: Option<u32>) -> Machine {
        let measured = squalld::measure::measure(None);
        let own = u32::from(measured.shape.gpus.count());
        match declared {
            None if own > 0 => {
                let groups = measured.shape.gpus.0.iter();
                let gpus: Vec<String> = groups.map(|group| format!("{}:{}", group.model, group.count)).collect();
                let memory_mib = measured.shape.memory_mib * MEMORY_PERCENT / 100;
                let gpu_memory_mib = measured.shape.gpus.0.iter().map(|group| group.memory_mib).min().unwrap_or(0);
                let with = PersonalShape {
                    partition: GPU_PARTITION.to_owned(),
                    cpus: measured.shape.cpus.max(1),
                    memory_mib,
                    gpus: gpus.join(","),
                    gpu_memory_mib,
                    real_gpus: true,
                    price: gpu_price(own),
                    max_nodes: 1,
                };
                let without = PersonalShape {
                    partition: CPU_PARTITION.to_owned(),
                    gpus: String::new(),
                    gpu_memory_mib: 0,
                    real_gpus: false,
                    price: CPU_NODE_PRICE.to_owned(),
                    max_nodes: pace.max_nodes,
                    ..with.clone()
                };
                Machine { shapes: vec![with, without], real_gpus: true, gpus: own }
            }
            declared => {
                let gpus = declared.unwrap_or(DECLARED_GPUS).max(1);
                let shape = PersonalShape {
                    partition: GPU_PARTITION.to_owned(),
                    cpus: DECLARED_CPUS,
                    memory_mib: DECLARED_MIB,
                    gpus: format!("{DECLARED_MODEL}:{gpus}"),
                    gpu_memory_mib: DECLARED_GPU_MIB,
                    real_gpus: false,
                    price: gpu_price(gpus),
                    max_nodes: pace.max_nodes,
                };
                Machine { shapes: vec![shape], real_gpus: false, gpus }
            }
        }
    }

    /// Where a gang of two nodes can run.
    pub fn gang_partition(&self) -> &'static str {
        if self.real_gpus { CPU_PARTITION } else { GPU_PARTITION }
    }
}

fn gpu_price(gpus: u32) -> String {
    let cents = u64::from(gpus) * GPU_HOUR_CENTS;
    format!("{}.{:02}", cents / 100, cents % 100)
}

/// Writes the configuration, unless its owner has changed the one that is there.
///
/// # Errors
/// A file that cannot be written, or shapes that make no configuration.
pub fn write(place: &Place, cluster: &str, pace: &Pace, machine: &Machine) -> Result<(), NoConfig> {
    let (file, generated) = (place.config(), place.config().with_extension("generated"));
    let failed = |path: &PathBuf| {
        let path = path.clone();
        move |error| NoConfig::File(path, error)
    };
    let program = own_program().map_err(failed(&file))?;
    let personal = Personal {
        cluster: cluster.to_owned(),
        dir: place.dir().to_owned(),
        agent: vec![program.to_string_lossy().into_owned(), "agent".to_owned()],
        shapes: machine.shapes.clone(),
        idle_after: pace.idle_after.to_owned(),
        batch_idle: pace.batch_idle.to_owned(),
        listing_every: pace.listing_every.to_owned(),
    };
    personal.load().map_err(NoConfig::Wrong)?;
    let before = fs::read_to_string(&file).ok();
    if before.is_some() && before != fs::read_to_string(&generated).ok() {
        return Ok(());
    }
    let text = personal.text();
    // The copy first: what looks changed is never overwritten.
    for path in [&generated, &file] {
        fs::write(path, &text).map_err(failed(path))?;
    }
    Ok(())
}
