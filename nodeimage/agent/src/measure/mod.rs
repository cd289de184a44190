//! What this machine has: counted here, or declared by a file for machines that play others.

mod cpus;
mod declared;
mod gpus;
mod memory;

pub use declared::{DeclaredShape, ShapeFileError};

use squall_types::Shape;
use std::collections::BTreeSet;

/// The machine as jobs see it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    pub shape: Shape,
    /// Numbers of the CPUs that jobs are bound to; empty where CPUs are declared, and nothing is bound.
    pub cpus: Vec<u32>,
    /// How CUDA names each GPU, by its index in the shape.
    pub devices: Vec<String>,
    /// There are devices that a job could see without being granted any.
    pub has_devices: bool,
    /// A GPU that is there but does not answer, in words; empty where all is well.
    pub fault: String,
}

/// Counts what there is. What `declared` says replaces what was counted.
pub fn measure(declared: Option<&DeclaredShape>) -> Machine {
    let cpus = cpus::usable();
    let found = gpus::find();
    let mut machine = Machine {
        shape: Shape {
            cpus: cpus.len() as u32,
            cores: cpus::cores(&cpus),
            memory_mib: memory::usable_mib(),
            gpus: found.groups,
            features: BTreeSet::new(),
        },
        cpus,
        has_devices: !found.devices.is_empty(),
        devices: found.devices,
        fault: found.fault,
    };
    if let Some(declared) = declared {
        declared.replace(&mut machine);
    }
    machine
}
