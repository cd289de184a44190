//! What a job asked for, as Slurm writes it.

use super::amounts;
use squall_types::{Ask, CpuAsk, GpuAsk, JobSpec, MemoryAsk};

/// What was asked for by the GPU, by the task and for the whole job: `gres:gpu:h100:2` and the like; empty where nothing
/// was.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Trackable {
    /// CPUs of each GPU.
    pub cpus: String,
    /// Memory of each GPU, in MiB.
    pub memory: String,
    pub per_job: String,
    pub per_task: String,
}

impl Trackable {
    pub fn of(ask: &Ask) -> Trackable {
        let (mut per_task, mut per_job) = (String::new(), String::new());
        match &ask.gpus {
            GpuAsk::PerTask(count, model) if *count > 0 => per_task = amounts::gres((*count).into(), model.as_ref()),
            GpuAsk::Total(count, model) if *count > 0 => per_job = amounts::gres(*count, model.as_ref()),
            _ => {}
        }
        let cpus = match ask.cpus {
            CpuAsk::PerGpu(each) => amounts::gres(each, None),
            CpuAsk::Share | CpuAsk::PerTask(_) => String::new(),
        };
        let memory = match ask.memory {
            MemoryAsk::PerGpu(mib) => format!("gres:gpu:{mib}"),
            MemoryAsk::Share | MemoryAsk::PerNode(_) | MemoryAsk::PerCpu(_) => String::new(),
        };
        Trackable { cpus, memory, per_job, per_task }
    }
}

/// The value of a wish that has no effect here and is told as it was asked: `threads-per-core=2`.
pub fn wish<'a>(spec: &'a JobSpec, name: &str) -> Option<&'a str> {
    let value = |wish: &'a String| wish.strip_prefix(name)?.strip_prefix('=');
    spec.wishes.iter().find_map(value)
}

/// The most switches that `--switches` wished for; 0 where it did not.
pub fn switches(spec: &JobSpec) -> u32 {
    wish(spec, "switches").and_then(|text| text.split('@').next()?.parse().ok()).unwrap_or(0)
}
