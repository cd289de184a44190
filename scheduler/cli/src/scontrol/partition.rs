//! `scontrol show partition`.

use super::Manner;
use super::json;
use super::record::{Record, null};
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::show::ids;
use crate::show::json::partition as partition_record;
use crate::terminal::escaped;
use squall_types::api::PartitionView;
use squall_types::{Span, span_text};

pub fn show(invocation: &mut Invocation<'_>, manner: Manner, name: Option<&str>) -> Result<i32, Failure> {
    let partitions =
        invocation.controller.partitions().map_err(|error| Failure::load("slurm_load_partitions", &error))?;
    let chosen: Vec<&PartitionView> = match name {
        None => partitions.iter().collect(),
        Some(name) => {
            let found: Vec<_> = partitions.iter().filter(|partition| partition.name.0 == name).collect();
            if found.is_empty() {
                // Slurm says this on standard output.
                writeln!(invocation.out, "Partition {} not found", escaped(name))?;
                return Err(Failure::silent(1));
            }
            found
        }
    };
    let nodes = invocation.controller.nodes().map_err(|error| Failure::load("slurm_load_node", &error))?;
    if let Some(notation) = manner.notation {
        return json::partitions(invocation, notation, &chosen, &nodes);
    }
    for partition in chosen {
        let memory_mib = partition_record::memory_of(partition, &nodes);
        invocation.out.write_all(record(partition, memory_mib, manner).finished_bare().as_bytes())?;
    }
    Ok(0)
}

/// Who may use it, or who may not where everybody else may: `AllowAccounts=ALL`.
fn admission<T: Display>(what: &str, allowed: &[T], denied: &[T]) -> String {
    let list = |names: &[T]| names.iter().map(T::to_string).collect::<Vec<_>>().join(",");
    match (allowed, denied) {
        ([], []) => format!("Allow{what}=ALL"),
        ([], denied) => format!("Deny{what}={}", list(denied)),
        (allowed, _) => format!("Allow{what}={}", list(allowed)),
    }
}
use std::fmt::Display;

fn record(partition: &PartitionView, memory_mib: u64, manner: Manner) -> Record {
    let mut record = Record::new(manner.form);
    let time = |limit: Option<Span>, none: &str| limit.map_or_else(|| none.to_owned(), span_text::clock);
    let yes = |flag| if flag { "YES" } else { "NO" };
    let accounts = admission("Accounts", &partition.allow_accounts, &partition.deny_accounts);
    let qos = admission("Qos", &partition.allow_qos, &partition.deny_qos);
    let groups = if partition.allow_groups.is_empty() { "ALL".to_owned() } else { partition.allow_groups.join(",") };
    let own = partition.qos.as_ref().map_or("N/A", |qos| qos.as_str());
    record.line(format!("PartitionName={}", partition.name));
    record.line(format!("AllowGroups={groups} {accounts} {qos}"));
    record.line(format!("AllocNodes=ALL Default={} QoS={own}", yes(partition.default)));
    record.line(format!(
        "DefaultTime={} DisableRootJobs=NO ExclusiveUser=NO GraceTime=0 Hidden=NO",
        time(partition.default_time, "NONE")
    ));
    let most = partition.max_nodes.map_or_else(|| "UNLIMITED".to_owned(), |nodes| nodes.to_string());
    record.line(format!(
        "MaxNodes={most} MaxTime={} MinNodes=0 LLN=NO MaxCPUsPerNode=UNLIMITED",
        time(partition.max_time, "UNLIMITED")
    ));
    record.line(format!("Nodes={}", ids::nodes(&partition.nodes)));
    record.line(format!(
        "PriorityJobFactor=1 PriorityTier={} RootOnly=NO ReqResv=NO OverSubscribe=NO",
        partition.priority_tier
    ));
    record.line("OverTimeLimit=NONE PreemptMode=OFF");
    record.line(format!(
        "State={} TotalCPUs={} TotalNodes={} SelectTypeParameters=NONE",
        if partition.up { "UP" } else { "DOWN" },
        partition.total_cpus,
        partition.total_nodes
    ));
    record.line(format!("JobDefaults={}", null(&partition_record::job_defaults(partition))));
    let default_memory = match partition.def_mem_per_cpu {
        Some(mib) => format!("DefMemPerCPU={mib}"),
        None => "DefMemPerNode=UNLIMITED".to_owned(),
    };
    record.line(format!("{default_memory} MaxMemPerNode=UNLIMITED"));
    record.line(format!("TRES={}", partition_record::tres(partition, memory_mib)));
    let pools: Vec<&str> = partition.pools.iter().map(|pool| pool.as_str()).collect();
    record.line(format!("Pools={}", pools.join(",")));
    record
}
