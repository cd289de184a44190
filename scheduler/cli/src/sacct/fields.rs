//! What `sacct` can show of jobs and steps, with Slurm's widths.

use super::row::Row;
use crate::show::columns::Side;
use crate::show::json::step::layout;
use squall_types::{Span, span_text};

/// One field.
pub struct Field {
    /// As the heading has it; found in any case.
    pub name: &'static str,
    pub width: usize,
    pub side: Side,
    pub value: fn(&Row<'_>) -> String,
}

const fn field(name: &'static str, width: usize, value: fn(&Row<'_>) -> String) -> Field {
    Field { name, width, side: Side::Right, value }
}

/// The ids stand on the left.
const fn id(name: &'static str, value: fn(&Row<'_>) -> String) -> Field {
    Field { name, width: 12, side: Side::Left, value }
}

fn nothing(_: &Row<'_>) -> String {
    String::new()
}

pub fn by_name(name: &str) -> Option<&'static Field> {
    FIELDS.iter().find(|field| field.name.eq_ignore_ascii_case(name))
}

fn clock(span: Span) -> String {
    span_text::clock(span)
}

pub static FIELDS: &[Field] = &[
    field("Account", 10, |row| row.job.account.to_string()),
    field("AdminComment", 15, nothing),
    field("AllocCPUS", 10, |row| row.cpus().to_string()),
    field("AllocNodes", 10, |row| row.node_count().to_string()),
    field("AllocTRES", 10, |row| row.alloc_tres()),
    field("AssocID", 7, nothing),
    field("AveCPU", 10, |row| row.of_step(|step| clock(row.average_cpu(step)))),
    field("AveCPUFreq", 10, nothing),
    field("AveDiskRead", 14, nothing),
    field("AveDiskWrite", 14, nothing),
    field("AvePages", 10, nothing),
    field("AveRSS", 10, |row| row.of_step(|step| row.kib(step.usage.max_rss_kib))),
    field("AveVMSize", 10, nothing),
    field("BlockID", 16, nothing),
    field("Cluster", 10, |row| row.cluster.to_owned()),
    field("Comment", 14, |row| row.of_job(|job| job.comment.clone())),
    field("Constraints", 19, |row| row.of_job(|job| job.constraint.clone())),
    field("ConsumedEnergy", 14, nothing),
    field("ConsumedEnergyRaw", 17, nothing),
    field("Container", 19, nothing),
    field("Cost", 12, |row| row.of_job(|job| job.cost.to_string())),
    field("CPUTime", 10, |row| clock(row.cpu_time())),
    field("CPUTimeRAW", 10, |row| row.cpu_time().as_secs().to_string()),
    field("DBIndex", 10, |row| row.job.job.to_string()),
    field("DerivedExitCode", 15, |row| row.of_job(|_| row.derived_exit())),
    field("Elapsed", 10, |row| clock(row.elapsed())),
    field("ElapsedRaw", 10, |row| row.elapsed().as_secs().to_string()),
    field("Eligible", 19, |row| row.moment(row.eligible_at())),
    field("End", 19, |row| row.moment(row.ended_at())),
    field("ExitCode", 8, |row| row.exit()),
    field("Extra", 10, nothing),
    field("FailedNode", 15, nothing),
    field("Flags", 19, nothing),
    field("GID", 6, |row| row.of_job(|job| job.gid.to_string())),
    field("Group", 9, |row| row.of_job(|job| crate::select::group_name(job.gid))),
    id("JobID", |row| row.id()),
    id("JobIDRaw", |row| row.raw_id()),
    field("JobName", 10, |row| row.name()),
    field("Layout", 9, |row| row.of_step(|step| layout(step.step).to_owned())),
    field("Licenses", 15, nothing),
    field("MaxDiskRead", 12, nothing),
    field("MaxDiskReadNode", 15, nothing),
    field("MaxDiskReadTask", 15, nothing),
    field("MaxDiskWrite", 12, nothing),
    field("MaxDiskWriteNode", 16, nothing),
    field("MaxDiskWriteTask", 16, nothing),
    field("MaxPages", 8, nothing),
    field("MaxPagesNode", 12, nothing),
    field("MaxPagesTask", 14, nothing),
    field("MaxRSS", 10, |row| row.of_step(|step| row.kib(step.usage.max_rss_kib))),
    field("MaxRSSNode", 10, nothing),
    field("MaxRSSTask", 10, nothing),
    field("MaxVMSize", 10, nothing),
    field("MaxVMSizeNode", 14, nothing),
    field("MaxVMSizeTask", 14, nothing),
    field("McsLabel", 12, nothing),
    field("MinCPU", 10, nothing),
    field("MinCPUNode", 10, nothing),
    field("MinCPUTask", 10, nothing),
    field("NCPUS", 10, |row| row.cpus().to_string()),
    field("NNodes", 8, |row| row.node_count().to_string()),
    field("NodeList", 15, |row| row.nodes()),
    field("NTasks", 8, |row| row.of_step(|step| step.tasks.to_string())),
    field("Partition", 10, |row| row.of_job(|job| job.partition.clone())),
    field("Planned", 10, |row| row.of_job(|_| clock(row.waited()))),
    field("PlannedCPU", 10, |row| row.of_job(|job| clock(row.waited().times(i64::from(job.cpus))))),
    field("PlannedCPURAW", 13, |row| row.of_job(|job| (row.waited().as_secs() * i64::from(job.cpus)).to_string())),
    field("Priority", 10, |row| row.of_job(|job| job.priority.to_string())),
    field("QOS", 10, |row| row.of_job(|job| job.qos.clone())),
    field("QOSRAW", 6, nothing),
    field("Reason", 22, |row| row.of_job(|job| job.reason.word().to_owned())),
    field("ReqCPUFreq", 10, |row| row.unknown_or_zero()),
    field("ReqCPUFreqGov", 13, |row| row.unknown_or_zero()),
    field("ReqCPUFreqMax", 13, |row| row.unknown_or_zero()),
    field("ReqCPUFreqMin", 13, |row| row.unknown_or_zero()),
    field("ReqCPUS", 8, |row| row.requested_cpus().to_string()),
    field("ReqMem", 10, |row| row.of_job(|job| row.memory(job.memory_mib))),
    field("ReqNodes", 8, |row| row.requested_nodes().to_string()),
    field("ReqTRES", 10, |row| row.of_job(|_| row.req_tres())),
    field("Reservation", 20, nothing),
    field("ReservationId", 8, nothing),
    field("Reserved", 10, |row| row.of_job(|_| clock(row.waited()))),
    field("Restarts", 8, |row| row.of_job(|job| job.restarts.to_string())),
    field("ResvCPU", 10, |row| row.of_job(|job| clock(row.waited().times(i64::from(job.cpus))))),
    field("ResvCPURAW", 10, |row| row.of_job(|job| (row.waited().as_secs() * i64::from(job.cpus)).to_string())),
    field("Start", 19, |row| row.start()),
    field("State", 10, |row| row.state()),
    field("StdErr", 20, |row| row.stream(|files| files.stderr)),
    field("StdIn", 20, |row| row.stream(|files| files.stdin)),
    field("StdOut", 20, |row| row.stream(|files| files.stdout)),
    field("Submit", 19, |row| row.moment(row.submitted_at())),
    field("SubmitLine", 20, |row| row.of_job(|job| job.submit_line.clone())),
    field("Suspended", 10, |row| clock(row.suspended())),
    field("SystemComment", 15, nothing),
    field("SystemCPU", 10, |row| span_text::cpu_time(row.system_cpu())),
    field("Timelimit", 10, |row| row.of_job(|_| row.time_limit())),
    field("TimelimitRaw", 10, |row| row.of_job(|_| row.time_limit_minutes())),
    field("TotalCPU", 10, |row| span_text::cpu_time(row.user_cpu() + row.system_cpu())),
    field("TRESUsageInAve", 14, nothing),
    field("TRESUsageInMax", 14, nothing),
    field("TRESUsageInMaxNode", 18, nothing),
    field("TRESUsageInMaxTask", 18, nothing),
    field("TRESUsageInMin", 14, nothing),
    field("TRESUsageInMinNode", 18, nothing),
    field("TRESUsageInMinTask", 18, nothing),
    field("TRESUsageInTot", 14, |row| row.of_step(|step| row.usage_tres(step))),
    field("TRESUsageOutAve", 15, nothing),
    field("TRESUsageOutMax", 15, nothing),
    field("TRESUsageOutMaxNode", 19, nothing),
    field("TRESUsageOutMaxTask", 19, nothing),
    field("TRESUsageOutMin", 15, nothing),
    field("TRESUsageOutMinNode", 19, nothing),
    field("TRESUsageOutMinTask", 19, nothing),
    field("TRESUsageOutTot", 15, nothing),
    field("UID", 6, |row| row.of_job(|job| job.uid.to_string())),
    field("User", 9, |row| row.of_job(|job| job.user.clone())),
    field("UserCPU", 10, |row| span_text::cpu_time(row.user_cpu())),
    field("WCKey", 10, |row| row.of_job(|job| job.wckey.clone())),
    field("WCKeyID", 10, |row| row.of_job(|_| "0".to_owned())),
    field("WorkDir", 20, |row| row.of_job(|job| job.work_dir.clone())),
];
