//! Amounts of memory in the unit that reads best, and lists of trackable resources.

use squall_types::{Ask, CpuAsk, GpuModel};

const UNITS: [char; 5] = ['M', 'G', 'T', 'P', 'E'];

/// `62.50G`, `4G`, `0`: as `scontrol` and `sacct` write TRES.
pub fn rounded(mib: u64) -> String {
    let (mut amount, mut unit) = (mib as f64, 0);
    while amount >= 1024.0 && unit + 1 < UNITS.len() {
        amount /= 1024.0;
        unit += 1;
    }
    in_unit(amount, UNITS[unit])
}

/// `--units=G`: in this unit, whatever it reads like.
pub fn fixed(mib: u64, unit: char) -> String {
    fixed_amount(mib as f64, unit)
}

/// The same of an amount in KiB.
pub fn fixed_kib(kib: u64, unit: char) -> String {
    fixed_amount(kib as f64 / 1024.0, unit)
}

fn fixed_amount(mib: f64, unit: char) -> String {
    let power = match unit.to_ascii_uppercase() {
        'K' => -1,
        'G' => 1,
        'T' => 2,
        'P' => 3,
        _ => 0,
    };
    in_unit(mib / 1024f64.powi(power), unit.to_ascii_uppercase())
}

fn in_unit(amount: f64, unit: char) -> String {
    match amount {
        0.0 => "0".to_owned(),
        whole if whole.fract() == 0.0 => format!("{whole:.0}{unit}"),
        part => format!("{part:.2}{unit}"),
    }
}

/// `cpu=4,mem=8G,node=1,billing=4,gres/gpu=2`, as `scontrol` and `squeue` order it.
pub fn tres(cpus: u32, memory_mib: u64, nodes: u32, gpus: u32) -> String {
    let memory = if memory_mib > 0 { format!(",mem={}", rounded(memory_mib)) } else { String::new() };
    let gpus = if gpus > 0 { format!(",gres/gpu={gpus}") } else { String::new() };
    format!("cpu={cpus}{memory},node={nodes},billing={cpus}{gpus}")
}

/// The same as `sacct` orders it: by name.
pub fn tres_by_name(cpus: u32, memory: Option<String>, nodes: u32, gpus: u32) -> String {
    let memory = memory.map(|memory| format!(",mem={memory}")).unwrap_or_default();
    let gpus = if gpus > 0 { format!(",gres/gpu={gpus}") } else { String::new() };
    format!("billing={cpus},cpu={cpus}{gpus}{memory},node={nodes}")
}

/// `gres:gpu:h100:2`, as Slurm writes GPUs that were asked for.
pub fn gres(count: u32, model: Option<&GpuModel>) -> String {
    match model {
        Some(model) => format!("gres:gpu:{model}:{count}"),
        None => format!("gres:gpu:{count}"),
    }
}

/// Of each task, as Slurm shows it: one where nobody said how many.
pub fn cpus_per_task(ask: &Ask) -> u32 {
    match ask.cpus {
        CpuAsk::PerTask(each) => each,
        CpuAsk::Share | CpuAsk::PerGpu(_) => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_reads_as_in_slurm() {
        let written: Vec<String> = [0, 1, 1000, 1024, 64_000, 128_000, 9_999_999 * 1024].map(rounded).into();
        assert_eq!(written, ["0", "1M", "1000M", "1G", "62.50G", "125G", "9.54P"]);
        assert_eq!([fixed(2048, 'G'), fixed(2048, 'k'), fixed(100, 'T')], ["2G", "2097152K", "0.00T"]);
    }
}
