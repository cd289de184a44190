//! A declared shape: for nodes that share one machine, and for machines that play larger ones.

use super::Machine;
use serde::Deserialize;
use squall_types::{GpuGroup, Gpus};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// The largest shape file, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// A shape in JSON; what it leaves out is measured.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DeclaredShape {
    /// Hardware threads.
    pub cpus: Option<u32>,
    /// Physical cores; the same as `cpus` unless said.
    pub cores: Option<u32>,
    pub memory_mib: Option<u64>,
    pub gpus: Option<Gpus>,
    pub features: BTreeSet<String>,
    /// Which of the machine's GPUs these are, by the driver's numbers: real ones shared out among several
    /// nodes. They are then not shown as declared.
    pub devices: Option<Vec<u16>>,
}

#[derive(Debug, thiserror::Error)]
pub enum ShapeFileError {
    #[error("the shape file {0} cannot be read")]
    Unreadable(PathBuf, #[source] io::Error),
    #[error("the shape file {0} is not a shape: {1}")]
    NotAShape(PathBuf, String),
    #[error("the shape file {0} names {1} devices for {2} GPUs")]
    DeviceCount(PathBuf, usize, u16),
}

impl DeclaredShape {
    pub fn read(path: &Path) -> Result<DeclaredShape, ShapeFileError> {
        let mut text = String::new();
        File::open(path)
            .and_then(|file| file.take(MAX_FILE).read_to_string(&mut text))
            .map_err(|error| ShapeFileError::Unreadable(path.to_owned(), error))?;
        let shape: DeclaredShape = serde_json::from_str(&text)
            .map_err(|error| ShapeFileError::NotAShape(path.to_owned(), error.to_string()))?;
        if let (Some(devices), Some(gpus)) = (&shape.devices, &shape.gpus)
            && devices.len() != usize::from(gpus.count())
        {
            return Err(ShapeFileError::DeviceCount(path.to_owned(), devices.len(), gpus.count()));
        }
        Ok(shape)
    }

    pub(super) fn replace(&self, machine: &mut Machine) {
        if let Some(cpus) = self.cpus {
            machine.shape.cpus = cpus;
            machine.shape.cores = self.cores.unwrap_or(cpus);
            machine.cpus = Vec::new();
        }
        if let Some(memory_mib) = self.memory_mib {
            machine.shape.memory_mib = memory_mib;
        }
        if let Some(gpus) = &self.gpus {
            let real = self.devices.is_some();
            let groups = gpus.0.iter().map(|group| GpuGroup { declared: !real, ..group.clone() });
            machine.shape.gpus = Gpus(groups.collect());
            machine.devices = match &self.devices {
                Some(devices) => devices.iter().map(u16::to_string).collect(),
                None => (0..gpus.count()).map(|index| index.to_string()).collect(),
            };
            machine.fault.clear();
        }
        machine.shape.features.extend(self.features.iter().cloned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<DeclaredShape, ShapeFileError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("shape.json");
        std::fs::write(&path, text).unwrap();
        DeclaredShape::read(&path)
    }

    #[test]
    fn what_is_declared_replaces_what_was_measured_and_is_shown_as_declared() {
        let text = r#"{"cpus": 96, "memory_mib": 1000, "gpus": [{"model": "h100", "count": 8, "memory_mib": 80000, "declared": false}],
                       "features": ["nvlink"]}"#;
        let machine = super::super::measure(Some(&read(text).unwrap()));
        assert_eq!((machine.shape.cpus, machine.shape.cores, machine.shape.memory_mib), (96, 96, 1000));
        assert!(machine.shape.gpus.0[0].declared);
        assert_eq!(machine.devices.len(), 8);
        assert!(machine.cpus.is_empty(), "nothing can be bound to CPUs that do not exist");
        assert!(machine.shape.features.contains("nvlink"));
    }

    #[test]
    fn a_whole_shape_as_a_provisioner_writes_it_is_a_shape_file() {
        let shape = squall_types::Shape { cpus: 4, cores: 2, memory_mib: 10, ..Default::default() };
        let declared = read(&serde_json::to_string(&shape).unwrap()).unwrap();
        assert_eq!((declared.cpus, declared.cores, declared.memory_mib), (Some(4), Some(2), Some(10)));
    }

    #[test]
    fn what_is_no_shape_is_refused_with_a_reason() {
        assert!(read("{\"cpu\": 4}").unwrap_err().to_string().contains("cpu"));
        assert!(read("not json").is_err());
        let text = r#"{"gpus": [{"model": "t4", "count": 2, "memory_mib": 0, "declared": true}], "devices": [0]}"#;
        assert!(matches!(read(text), Err(ShapeFileError::DeviceCount(_, 1, 2))));
    }
}
