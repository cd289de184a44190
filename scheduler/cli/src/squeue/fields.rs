//! What `squeue` can show of a job.

use super::row::Row;
use crate::show::asked::{Trackable, switches, wish};
use crate::show::files::Files;
use crate::show::format::Shown;
use squall_types::api::JobDetail;
use squall_types::{HetPlace, Span, span_text};
use std::borrow::Cow;

/// One field.
pub struct Field {
    /// For `-o`.
    pub letter: Option<char>,
    /// For `-O`, in any case.
    pub name: &'static str,
    pub heading: &'static str,
    pub value: Value,
}

/// Where the text of a field comes from.
#[derive(Clone, Copy)]
pub enum Value {
    /// What a listing shows of a job.
    Row(OfRow),
    /// What its submission asked for.
    Detail(fn(&Row<'_>, &JobDetail) -> String),
}

/// What is in the row as it is shown is not copied: listings have thousands of rows.
type OfRow = for<'a> fn(&'a Row<'a>) -> Cow<'a, str>;

/// Letters of what only a whole view has; of fields without a letter, any may need one.
const OF_WHOLE_VIEWS: &str = "bfknoqwxEWZ";

impl Field {
    /// Whether [`JobView::briefly`](squall_types::api::JobView::briefly) leaves all that it shows.
    pub fn is_brief(&self) -> bool {
        self.letter.is_some_and(|letter| !OF_WHOLE_VIEWS.contains(letter))
    }

    pub fn shown<'a>(&self, row: &'a Row<'a>) -> Shown<'a> {
        // Lengths of time and lists of nodes are worth nothing without their end.
        let whole = matches!(self.letter, Some('l' | 'L' | 'M' | 'N' | 'R'));
        Shown { text: self.text(row), whole }
    }

    pub fn text<'a>(&self, row: &'a Row<'a>) -> Cow<'a, str> {
        match self.value {
            Value::Row(value) => value(row),
            Value::Detail(value) => row.detail.map(|detail| value(row, detail)).unwrap_or_default().into(),
        }
    }

    /// Whether it shows what only a job's detail has.
    pub fn is_of_detail(&self) -> bool {
        matches!(self.value, Value::Detail(_))
    }
}

const fn field(letter: char, name: &'static str, heading: &'static str, value: OfRow) -> Field {
    Field { letter: Some(letter), name, heading, value: Value::Row(value) }
}

const fn long(name: &'static str, heading: &'static str, value: OfRow) -> Field {
    Field { letter: None, name, heading, value: Value::Row(value) }
}

const fn asked(name: &'static str, heading: &'static str, value: fn(&Row<'_>, &JobDetail) -> String) -> Field {
    Field { letter: None, name, heading, value: Value::Detail(value) }
}

fn or_none(text: &str) -> String {
    if text.is_empty() { "N/A".to_owned() } else { text.to_owned() }
}

fn null(text: &str) -> Cow<'_, str> {
    if text.is_empty() { "(null)".into() } else { text.into() }
}

fn not_available<'a>(_: &'a Row<'a>) -> Cow<'a, str> {
    "N/A".into()
}
fn of_het<'a>(row: &'a Row<'a>, value: fn(HetPlace) -> String) -> Cow<'a, str> {
    row.job.het.map_or("N/A".into(), |place| value(place).into())
}
/// Nearly all of a long listing waits.
fn elapsed<'a>(row: &'a Row<'a>) -> Cow<'a, str> {
    match row.elapsed() {
        Span::ZERO => "0:00".into(),
        elapsed => span_text::short(elapsed).into(),
    }
}
fn nothing<'a>(_: &'a Row<'a>) -> Cow<'a, str> {
    "".into()
}
fn null_always<'a>(_: &'a Row<'a>) -> Cow<'a, str> {
    "(null)".into()
}
fn zero<'a>(_: &'a Row<'a>) -> Cow<'a, str> {
    "0".into()
}
fn star<'a>(_: &'a Row<'a>) -> Cow<'a, str> {
    "*".into()
}

/// By the letter of `-o`.
pub fn by_letter(letter: char) -> Option<&'static Field> {
    FIELDS.iter().find(|field| field.letter == Some(letter))
}

/// By the name of `-O`.
pub fn by_name(name: &str) -> Option<&'static Field> {
    FIELDS.iter().find(|field| field.name.eq_ignore_ascii_case(name))
}

/// Those with a letter first, in the order of `%all`.
pub static FIELDS: &[Field] = &[
    field('a', "Account", "ACCOUNT", |row| null(row.job.account.as_str())),
    field('b', "tres-per-node", "TRES_PER_NODE", |row| match row.job.tres_per_node.as_str() {
        "" => "N/A".into(),
        tres => tres.into(),
    }),
    field('c', "MinCpus", "MIN_CPUS", |row| row.job.min_cpus.to_string().into()),
    field('d', "MinTmpDisk", "MIN_TMP_DISK", zero),
    field('e', "EndTime", "END_TIME", |row| row.moment_or_none(row.job.end_at).into()),
    field('f', "Feature", "FEATURES", |row| null(&row.job.constraint)),
    field('g', "GroupName", "GROUP", |row| crate::select::group_name(row.job.gid).into()),
    field('h', "OverSubscribe", "OVER_SUBSCRIBE", |row| if row.job.exclusive { "NO".into() } else { "OK".into() }),
    field('i', "JobArrayID", "JOBID", |row| row.id().into()),
    field('j', "Name", "NAME", |row| row.job.name.as_str().into()),
    field('k', "Comment", "COMMENT", |row| null(&row.job.comment)),
    field('l', "TimeLimit", "TIME_LIMIT", |row| row.time_limit().into()),
    field('m', "MinMemory", "MIN_MEMORY", |row| row.memory_per_node().into()),
    field('n', "ReqNodes", "REQ_NODES", |row| row.job.req_nodes.as_str().into()),
    field('o', "Command", "COMMAND", |row| null(&row.job.command)),
    field('p', "Priority", "PRIORITY", |row| {
        format!("{:.14}", f64::from(row.job.priority) / f64::from(u32::MAX)).into()
    }),
    field('q', "QOS", "QOS", |row| null(&row.job.qos)),
    field('r', "Reason", "REASON", |row| row.job.reason.word().into()),
    field('s', "SelectJobInfo", "", nothing),
    field('t', "StateCompact", "ST", |row| row.job.state.compact().into()),
    field('u', "UserName", "USER", |row| row.job.user.as_str().into()),
    field('v', "Reservation", "RESERVATION", null_always),
    field('w', "WCKey", "WCKEY", |row| null(&row.job.wckey)),
    field('x', "ExcNodes", "EXC_NODES", |row| row.job.exc_nodes.as_str().into()),
    field('y', "Nice", "NICE", |row| row.job.nice.to_string().into()),
    field('z', "SCT", "S:C:T", |_| "*:*:*".into()),
    field('A', "JobID", "JOBID", |row| row.job.job.to_string().into()),
    field('B', "BatchHost", "EXEC_HOST", |row| row.first_host().into()),
    field('C', "NumCPUs", "CPUS", |row| row.job.cpus.to_string().into()),
    field('D', "NumNodes", "NODES", |row| row.job.node_count.to_string().into()),
    field('E', "Dependency", "DEPENDENCY", |row| null(&row.job.dependency)),
    field('F', "ArrayJobID", "ARRAY_JOB_ID", |row| row.array_job().into()),
    field('G', "GroupID", "GROUP", |row| row.job.gid.to_string().into()),
    field('H', "Sockets", "SOCKETS_PER_NODE", star),
    field('I', "Cores", "CORES_PER_SOCKET", star),
    field('J', "Threads", "THREADS_PER_CORE", star),
    field('K', "ArrayTaskID", "ARRAY_TASK_ID", |row| row.array_task().into()),
    field('L', "TimeLeft", "TIME_LEFT", |row| row.time_left().into()),
    field('M', "TimeUsed", "TIME", elapsed),
    field('N', "NodeList", "NODELIST", |row| crate::show::ids::nodes(&row.job.nodes).into()),
    field('O', "Contiguous", "CONTIGUOUS", zero),
    field('P', "Partition", "PARTITION", |row| row.partition.into()),
    field('Q', "PriorityLong", "PRIORITY", |row| row.job.priority.to_string().into()),
    field('R', "ReasonList", "NODELIST(REASON)", |row| row.nodes_or_reason().into()),
    field('S', "StartTime", "START_TIME", |row| row.moment_or_none(row.job.start_at).into()),
    field('T', "State", "STATE", |row| row.job.state.word().into()),
    field('U', "UserID", "UID", |row| row.job.uid.to_string().into()),
    field('V', "SubmitTime", "SUBMIT_TIME", |row| row.moments.at(row.job.submitted_at).into()),
    field('W', "Licenses", "LICENSES", |row| null(&row.job.licenses)),
    field('X', "CoreSpec", "CORE_SPEC", not_available),
    field('Y', "SchedNodes", "SCHEDNODES", null_always),
    field('Z', "WorkDir", "WORK_DIR", |row| row.job.work_dir.as_str().into()),
    long("AccrueTime", "ACCRUE_TIME", |row| row.moment_or_none(row.job.eligible_at).into()),
    long("admin_comment", "ADMIN_COMMENT", null_always),
    asked("AllocNodes", "ALLOC_NODES", |_, detail| or_none(&detail.spec.submit_host)),
    long("AllocSID", "ALLOC_SID", zero),
    long("AssocID", "ASSOC_ID", zero),
    long("BatchFlag", "BATCH_FLAG", |row| u8::from(!row.job.command.is_empty()).to_string().into()),
    long("BoardsPerNode", "BOARDS_PER_NODE", zero),
    long("BurstBuffer", "BURST_BUFFER", null_always),
    long("BurstBufferState", "BURST_BUFFER_STATE", null_always),
    long("Cluster", "CLUSTER", |row| row.cluster.into()),
    long("ClusterFeature", "CLUSTER_FEATURES", null_always),
    long("Container", "CONTAINER", null_always),
    long("Cost", "COST", |row| row.job.cost.to_string().into()),
    long("cpus-per-task", "CPUS_PER_TASK", |row| (row.job.cpus / row.job.tasks.max(1)).max(1).to_string().into()),
    asked("cpus-per-tres", "CPUS_PER_TRES", |_, detail| or_none(&Trackable::of(&detail.spec.ask).cpus)),
    asked("Deadline", "DEADLINE", |row, detail| row.moment_or_none(detail.spec.end_by)),
    long("DelayBoot", "DELAY_BOOT", |_| "0:00".into()),
    long("DerivedEC", "DERIVED_EC", zero),
    long("EligibleTime", "ELIGIBLE_TIME", |row| row.moment_or_none(row.job.eligible_at).into()),
    long("exit_code", "EXIT_CODE", |row| (row.job.exit.code << 8 | row.job.exit.signal).to_string().into()),
    long("Gres", "TRES_PER_NODE", |row| match row.job.tres_per_node.as_str() {
        "" => "N/A".into(),
        tres => tres.into(),
    }),
    long("HetJobID", "HET_JOB_ID", |row| of_het(row, |place| place.leader.to_string())),
    long("HetJobIDSet", "HET_JOB_ID_SET", |row| of_het(row, crate::show::ids::het_set)),
    long("HetJobOffset", "HET_JOB_OFFSET", |row| of_het(row, |place| place.offset.to_string())),
    long("LastSchedEval", "LAST_SCHED_EVAL", not_available),
    long("MaxCPUs", "MAX_CPUS", |row| row.job.cpus.to_string().into()),
    long("MaxNodes", "MAX_NODES", |row| row.job.max_nodes.to_string().into()),
    asked("MCSLabel", "MCSLABEL", |_, detail| null(wish(&detail.spec, "mcs-label").unwrap_or_default()).into_owned()),
    asked("mem-per-tres", "MEM_PER_TRES", |_, detail| or_none(&Trackable::of(&detail.spec.ask).memory)),
    long("MinTime", "TIME_MIN", |_| "0:00".into()),
    asked("Network", "NETWORK", |_, detail| null(wish(&detail.spec, "network").unwrap_or_default()).into_owned()),
    long("NTPerBoard", "NTASKS_PER_BOARD", zero),
    long("NTPerCore", "NTASKS_PER_CORE", not_available),
    asked("NTPerNode", "NTASKS_PER_NODE", |_, detail| detail.spec.ask.tasks_per_node.unwrap_or(0).to_string()),
    long("NTPerSocket", "NTASKS_PER_SOCKET", not_available),
    long("NumTasks", "TASKS", |row| row.job.tasks.to_string().into()),
    long("Origin", "ORIGIN", |_| "NA".into()),
    long("OriginRaw", "ORIGIN_RAW", |_| "NA".into()),
    long("PendingTime", "PENDING_TIME", |row| row.pending_seconds().into()),
    long("PreemptTime", "PREEMPT_TIME", not_available),
    long("Prefer", "PREFER", |row| null(&row.job.prefer)),
    long("Profile", "PROFILE", |_| "NotSet".into()),
    long("Reboot", "REBOOT", zero),
    asked("ReqSwitch", "REQ_SWITCH", |_, detail| switches(&detail.spec).to_string()),
    asked("Requeue", "REQUEUE", |_, detail| u8::from(detail.spec.requeue.unwrap_or(true)).to_string()),
    long("ResizeTime", "RESIZE_TIME", not_available),
    long("RestartCnt", "RESTART_COUNT", |row| row.job.restarts.to_string().into()),
    long("SiblingsActive", "ACTIVE_SIBLINGS", |_| "NA".into()),
    long("SiblingsActiveRaw", "ACTIVE_SIBLINGS_RAW", |_| "NA".into()),
    long("SiblingsViable", "VIABLE_SIBLINGS", |_| "NA".into()),
    long("SiblingsViableRaw", "VIALBLE_SIBLINGS_RAW", |_| "NA".into()),
    long("SPerBoard", "SOCKETS_PER_BOARD", zero),
    asked("STDERR", "STDERR", |_, detail| or_none(&Files::of(detail).stderr.path)),
    asked("STDIN", "STDIN", |_, detail| or_none(&Files::of(detail).stdin.path)),
    asked("STDOUT", "STDOUT", |_, detail| or_none(&Files::of(detail).stdout.path)),
    long("system_comment", "SYSTEM_COMMENT", null_always),
    long("tres", "TRES", |row| null(&row.job.tres)),
    long("tres-alloc", "TRES_ALLOC", |row| row.tres_alloc().into()),
    long("tres-bind", "TRES_BIND", not_available),
    long("tres-freq", "TRES_FREQ", not_available),
    asked("tres-per-job", "TRES_PER_JOB", |_, detail| or_none(&Trackable::of(&detail.spec.ask).per_job)),
    long("tres-per-socket", "TRES_PER_SOCKET", not_available),
    asked("tres-per-task", "TRES_PER_TASK", |_, detail| or_none(&Trackable::of(&detail.spec.ask).per_task)),
    long("Wait4Switch", "WAIT4SWITCH", |_| "0:00".into()),
];
