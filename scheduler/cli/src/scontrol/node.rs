//! `scontrol show node`.

use super::Manner;
use super::json;
use super::record::{Record, null};
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::request::names_of_nodes;
use crate::show::amounts;
use crate::show::json::node as node_record;
use crate::show::moments::Moments;
use crate::show::node_state;
use crate::terminal::escaped;
use squall_types::api::NodeView;

pub fn show(invocation: &mut Invocation<'_>, manner: Manner, list: Option<&str>) -> Result<i32, Failure> {
    let nodes = invocation.controller.nodes().map_err(|error| Failure::load("slurm_load_node", &error))?;
    let moments = Moments::of(invocation);
    let chosen: Vec<&NodeView> = match list {
        None => nodes.iter().collect(),
        Some(list) => {
            let mut chosen = Vec::new();
            for name in names_of_nodes("scontrol", "", list)? {
                let mut found = nodes.iter().filter(|node| node.name.0 == name).peekable();
                if found.peek().is_none() {
                    // Slurm says this on standard output.
                    writeln!(invocation.out, "Node {} not found", escaped(&name))?;
                    return Err(Failure::silent(1));
                }
                chosen.extend(found);
            }
            chosen
        }
    };
    if let Some(notation) = manner.notation {
        return json::nodes(invocation, notation, &chosen);
    }
    if chosen.is_empty() {
        writeln!(invocation.out, "No nodes in the system")?;
    }
    for node in chosen {
        invocation.out.write_all(record(node, manner, &moments).finished_bare().as_bytes())?;
    }
    Ok(0)
}

fn record(node: &NodeView, manner: Manner, moments: &Moments) -> Record {
    let mut record = Record::new(manner.form);
    let shape = &node.shape;
    let (cores, threads) = node_record::cores_and_threads(node);
    record.line(format!("NodeName={} Arch=x86_64 CoresPerSocket={cores} ", node.name));
    record.line(format!("CPUAlloc={} CPUEfctv={} CPUTot={} CPULoad=N/A", node.cpus_used, shape.cpus, shape.cpus));
    let features = shape.features.iter().map(String::as_str).collect::<Vec<_>>().join(",");
    record.line(format!("AvailableFeatures={}", null(&features)));
    record.line(format!("ActiveFeatures={}", null(&features)));
    let (gres, used) = (node_state::gres(node), node_state::gres_used(node));
    record.line(format!("Gres={}", null(&gres)));
    if manner.details {
        record.line(format!("GresUsed={}", null(&used)));
    }
    let (host, port) = node.address.rsplit_once(':').unwrap_or((&node.address, "0"));
    record.line(format!(
        "NodeAddr={} NodeHostName={} Port={port} Version={}",
        null(host),
        null(&node.hostname),
        null(&node.agent_version)
    ));
    record.line(format!("OS={} ", null(&node.os)));
    let free = shape.memory_mib.saturating_sub(node.memory_used_mib);
    record.line(format!(
        "RealMemory={} AllocMem={} FreeMem={free} Sockets=1 Boards=1",
        shape.memory_mib, node.memory_used_mib
    ));
    let words = node_state::words(node);
    let flags: String = words.flags.iter().map(|flag| format!("+{flag}")).collect();
    let star = if node_state::suffix(node) == "*" { "*" } else { "" };
    record.line(format!(
        "State={}{star}{flags} ThreadsPerCore={threads} TmpDisk=0 Weight=1 Owner=N/A MCS_label=N/A",
        words.base
    ));
    let partitions: Vec<&str> = node.partitions.iter().map(|name| name.as_str()).collect();
    record.line(format!("Partitions={} ", partitions.join(",")));
    let ready = node.ready_at.map_or_else(|| "None".to_owned(), |at| moments.at(at));
    record.line(format!("BootTime={ready} SlurmdStartTime={ready}"));
    record.line("LastBusyTime=Unknown");
    let (memory, gpus) = (amounts::rounded(shape.memory_mib), shape.gpus.count());
    let gpus_of = |count: usize| if count > 0 { format!(",gres/gpu={count}") } else { String::new() };
    record.line(format!("CfgTRES=cpu={},mem={memory},billing={}{}", shape.cpus, shape.cpus, gpus_of(gpus.into())));
    record.line(format!("AllocTRES={}", node_record::allocated(node)));
    record.line("CapWatts=n/a");
    record.line("CurrentWatts=0 AveWatts=0");
    record.line("ExtSensorsJoules=n/s ExtSensorsWatts=0 ExtSensorsTemp=n/s");
    if !node.reason.is_empty() {
        let at = node.reason_at.map_or_else(|| "Unknown".to_owned(), |at| moments.at(at));
        record.line(format!("Reason={} [{}@{at}]", node.reason, null(&node.reason_by)));
    }
    record.line(format!(
        "Pool={} Offer={} Instance={} Price={} Cost={}",
        node.pool,
        null(&node.offer),
        null(&node.instance),
        node.price,
        node.cost
    ));
    record
}
