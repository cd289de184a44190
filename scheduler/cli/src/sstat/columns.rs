//! What `sstat` can show, with Slurm's widths. What the nodes do not measure has Slurm's empty form.

use super::measure::{CPU, IN, Measure, OUT, PAGES, READ, RSS, Row, VM, WRITTEN, tres};
use crate::show::ids;
use crate::show::table::{Column, left, right};

/// As `sstat` shows it unless somebody says otherwise.
pub const DEFAULT: &str = "\
    JobID,MaxVMSize,MaxVMSizeNode,MaxVMSizeTask,AveVMSize,MaxRSS,MaxRSSNode,MaxRSSTask,AveRSS,MaxPages,\
    MaxPagesNode,MaxPagesTask,AvePages,MinCPU,MinCPUNode,MinCPUTask,AveCPU,NTasks,AveCPUFreq,ReqCPUFreqMin,\
    ReqCPUFreqMax,ReqCPUFreqGov,ConsumedEnergy,MaxDiskRead,MaxDiskReadNode,MaxDiskReadTask,AveDiskRead,\
    MaxDiskWrite,MaxDiskWriteNode,MaxDiskWriteTask,AveDiskWrite,TRESUsageInAve,TRESUsageInMax,\
    TRESUsageInMaxNode,TRESUsageInMaxTask,TRESUsageInMin,TRESUsageInMinNode,TRESUsageInMinTask,TRESUsageInTot,\
    TRESUsageOutAve,TRESUsageOutMax,TRESUsageOutMaxNode,TRESUsageOutMaxTask,TRESUsageOutMin,TRESUsageOutMinNode,\
    TRESUsageOutMinTask,TRESUsageOutTot";
/// `--pidformat`.
pub const PIDS: &str = "JobID,Nodelist,Pids";

pub static COLUMNS: [Column<Row>; 51] = [
    right("AveCPU", 10, |row| CPU.average(row)),
    right("AveCPUFreq", 10, zero),
    right("AveDiskRead", 12, |row| READ.average(row)),
    right("AveDiskWrite", 12, |row| WRITTEN.average(row)),
    right("AvePages", 10, |row| PAGES.average(row)),
    right("AveRSS", 10, |row| RSS.average(row)),
    right("AveVMSize", 10, |row| VM.average(row)),
    right("ConsumedEnergy", 14, zero),
    right("ConsumedEnergyRaw", 17, zero),
    left("JobID", 12, |row| row.id.clone()),
    right("MaxDiskRead", 12, |row| READ.max(row)),
    right("MaxDiskReadNode", 15, |row| READ.max_node(row)),
    right("MaxDiskReadTask", 15, |row| READ.max_task(row)),
    right("MaxDiskWrite", 12, |row| WRITTEN.max(row)),
    right("MaxDiskWriteNode", 16, |row| WRITTEN.max_node(row)),
    right("MaxDiskWriteTask", 16, |row| WRITTEN.max_task(row)),
    right("MaxPages", 8, |row| PAGES.max(row)),
    right("MaxPagesNode", 12, |row| PAGES.max_node(row)),
    right("MaxPagesTask", 14, |row| PAGES.max_task(row)),
    right("MaxRSS", 10, |row| RSS.max(row)),
    right("MaxRSSNode", 10, |row| RSS.max_node(row)),
    right("MaxRSSTask", 10, |row| RSS.max_task(row)),
    right("MaxVMSize", 10, |row| VM.max(row)),
    right("MaxVMSizeNode", 14, |row| VM.max_node(row)),
    right("MaxVMSizeTask", 14, |row| VM.max_task(row)),
    right("MinCPU", 10, |row| CPU.min(row)),
    right("MinCPUNode", 10, |row| CPU.min_node(row)),
    right("MinCPUTask", 10, |row| CPU.min_task(row)),
    right("Nodelist", 20, |row| ids::nodes(&row.nodes)),
    right("NTasks", 8, |row| row.tasks.len().to_string()),
    right("Pids", 20, pids),
    right("ReqCPUFreq", 13, unknown),
    right("ReqCPUFreqMin", 13, unknown),
    right("ReqCPUFreqMax", 13, unknown),
    right("ReqCPUFreqGov", 13, unknown),
    right("TRESUsageInAve", 14, |row| tres(&IN, row, Measure::average)),
    right("TRESUsageInMax", 14, |row| tres(&IN, row, Measure::max)),
    right("TRESUsageInMaxNode", 18, |row| tres(&IN, row, Measure::max_node)),
    right("TRESUsageInMaxTask", 18, |row| tres(&IN, row, Measure::max_task)),
    right("TRESUsageInMin", 14, |row| tres(&IN, row, Measure::min)),
    right("TRESUsageInMinNode", 18, |row| tres(&IN, row, Measure::min_node)),
    right("TRESUsageInMinTask", 18, |row| tres(&IN, row, Measure::min_task)),
    right("TRESUsageInTot", 14, |row| tres(&IN, row, Measure::total)),
    right("TRESUsageOutAve", 15, |row| tres(&OUT, row, Measure::average)),
    right("TRESUsageOutMax", 15, |row| tres(&OUT, row, Measure::max)),
    right("TRESUsageOutMaxNode", 19, |row| tres(&OUT, row, Measure::max_node)),
    right("TRESUsageOutMaxTask", 19, |row| tres(&OUT, row, Measure::max_task)),
    right("TRESUsageOutMin", 15, |row| tres(&OUT, row, Measure::min)),
    right("TRESUsageOutMinNode", 19, |row| tres(&OUT, row, Measure::min_node)),
    right("TRESUsageOutMinTask", 19, |row| tres(&OUT, row, Measure::min_task)),
    right("TRESUsageOutTot", 15, |row| tres(&OUT, row, Measure::total)),
];

/// Frequencies and energy are not measured.
fn zero(_: &Row) -> String {
    "0".to_owned()
}

fn unknown(_: &Row) -> String {
    "Unknown".to_owned()
}

fn pids(row: &Row) -> String {
    let pids = row.tasks.iter().flat_map(|(_, task)| task.pids.iter().map(u32::to_string));
    pids.collect::<Vec<_>>().join(",")
}
