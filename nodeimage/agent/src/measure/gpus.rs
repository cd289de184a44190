//! GPUs through NVIDIA's management library, which is looked for when the agent starts and never required.

use nvml_wrapper::Nvml;
use nvml_wrapper::error::NvmlError;
use squall_types::{GpuGroup, GpuModel, Gpus};

/// The most GPUs of one machine.
const MAX_GPUS: u32 = 256;

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    pub groups: Gpus,
    /// How CUDA names each, in the order of `groups`.
    pub devices: Vec<String>,
    pub fault: String,
}

/// Asks the driver. No library and no driver mean no GPUs; a GPU that does not answer is a fault.
pub fn find() -> Found {
    let nvml = match Nvml::init() {
        Ok(nvml) => nvml,
        Err(NvmlError::LibloadingError(_) | NvmlError::DriverNotLoaded | NvmlError::LibraryNotFound) => {
            return Found::default();
        }
        Err(error) => {
            return Found { fault: format!("the NVIDIA driver does not answer: {error}"), ..Found::default() };
        }
    };
    let count = match nvml.device_count() {
        Ok(count) => count.min(MAX_GPUS),
        Err(error) => return Found { fault: format!("the GPUs cannot be counted: {error}"), ..Found::default() },
    };
    let mut seen = Vec::new();
    let mut faults = Vec::new();
    for index in 0..count {
        match look(&nvml, index) {
            Ok((model, memory_mib)) => seen.push((index, model, memory_mib)),
            Err(error) => faults.push(format!("GPU {index}: {error}")),
        }
    }
    let mut found = gather(seen);
    found.fault = faults.join("; ");
    found
}

fn look(nvml: &Nvml, index: u32) -> Result<(GpuModel, u64), NvmlError> {
    let device = nvml.device_by_index(index)?;
    Ok((short_model(&device.name()?), device.memory_info()?.total >> 20))
}

/// Groups by model, which in a shape stand together. CUDA's number of a GPU is the driver's.
fn gather(mut seen: Vec<(u32, GpuModel, u64)>) -> Found {
    let mut models: Vec<GpuModel> = Vec::new();
    for (_, model, _) in &seen {
        if !models.contains(model) {
            models.push(model.clone());
        }
    }
    seen.sort_by_key(|(index, model, _)| (models.iter().position(|one| one == model), *index));
    let mut found = Found::default();
    for (index, model, memory_mib) in seen {
        found.devices.push(index.to_string());
        match found.groups.0.last_mut() {
            Some(group) if group.model == model => {
                group.count += 1;
                group.memory_mib = group.memory_mib.min(memory_mib);
            }
            _ => found.groups.0.push(GpuGroup { model, count: 1, memory_mib, declared: false }),
        }
    }
    found
}

/// `NVIDIA H100 80GB HBM3` is asked for as `h100`, `Tesla V100-SXM2-16GB` as `v100`, `NVIDIA GeForce RTX 4090` as `rtx4090`.
pub fn short_model(name: &str) -> GpuModel {
    let lower = name.to_lowercase();
    let words: Vec<&str> = lower
        .split(|c: char| c.is_whitespace() || c == '-' || c == '_')
        .filter(|word| !matches!(*word, "" | "nvidia" | "tesla" | "geforce" | "quadro" | "graphics" | "gpu"))
        .collect();
    let text = match words.as_slice() {
        [] => "gpu".to_owned(),
        ["rtx" | "gtx" | "titan", ..] => words.iter().take_while(|word| !is_size(word)).copied().collect(),
        [first, ..] => (*first).to_owned(),
    };
    GpuModel::new(text.chars().filter(|c| c.is_ascii_alphanumeric()).collect::<String>())
}

/// `80gb` and the like.
fn is_size(word: &str) -> bool {
    word.strip_suffix("gb").is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_named_as_people_ask_for_them() {
        for (name, short) in [
            ("NVIDIA H100 80GB HBM3", "h100"),
            ("NVIDIA H200", "h200"),
            ("NVIDIA A100-SXM4-40GB", "a100"),
            ("NVIDIA A10G", "a10g"),
            ("Tesla V100-SXM2-16GB", "v100"),
            ("Tesla T4", "t4"),
            ("NVIDIA L40S", "l40s"),
            ("NVIDIA GeForce RTX 4090", "rtx4090"),
            ("NVIDIA RTX A6000", "rtxa6000"),
            ("NVIDIA GB200", "gb200"),
            ("NVIDIA", "gpu"),
        ] {
            assert_eq!(short_model(name).as_str(), short);
        }
    }

    #[test]
    fn gpus_of_one_model_stand_together_and_keep_their_device_numbers() {
        let seen = vec![(0, "a100".into(), 40), (1, "t4".into(), 16), (2, "a100".into(), 40)];
        let found = gather(seen);
        assert_eq!(found.devices, ["0", "2", "1"]);
        let counts: Vec<_> = found.groups.0.iter().map(|group| (group.model.as_str(), group.count)).collect();
        assert_eq!(counts, [("a100", 2), ("t4", 1)]);
    }

    #[test]
    fn a_machine_without_driver_has_no_gpus_and_no_fault() {
        if std::path::Path::new("/dev/nvidiactl").exists() {
            assert!(find().groups.count() > 0);
        } else {
            assert_eq!(find(), Found::default());
        }
    }
}
