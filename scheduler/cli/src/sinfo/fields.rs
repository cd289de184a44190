//! What `sinfo` can show of partitions and nodes.

use super::group::Row;
use crate::show::ids;
use crate::show::node_state::{self, Share};
use squall_types::api::NodeView;
use squall_types::span_text;

/// How a field bears on which nodes share a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nodes that differ in it have lines of their own.
    Same,
    /// The least is shown, with a `+` where nodes differ.
    Amount,
    /// Adds up.
    Total,
}

/// One field.
pub struct Field {
    /// For `-o`.
    pub letter: Option<char>,
    /// For `-O`, in any case.
    pub name: &'static str,
    pub heading: &'static str,
    pub kind: Kind,
    pub value: fn(&Row<'_>) -> String,
}

const fn field(
    letter: char,
    name: &'static str,
    heading: &'static str,
    kind: Kind,
    value: fn(&Row<'_>) -> String,
) -> Field {
    Field { letter: Some(letter), name, heading, kind, value }
}

const fn long(name: &'static str, heading: &'static str, kind: Kind, value: fn(&Row<'_>) -> String) -> Field {
    Field { letter: None, name, heading, kind, value }
}

/// Of the node that speaks for all, or what stands for nothing.
fn of_node(row: &Row<'_>, nothing: &str, value: impl Fn(&NodeView) -> String) -> String {
    row.first().map(value).filter(|text| !text.is_empty()).unwrap_or_else(|| nothing.to_owned())
}

fn state(row: &Row<'_>, word: fn(&NodeView) -> &'static str) -> String {
    of_node(row, "n/a", |node| format!("{}{}", word(node), node_state::suffix(node)))
}

fn features(row: &Row<'_>) -> String {
    of_node(row, "(null)", |node| node.shape.features.iter().map(String::as_str).collect::<Vec<_>>().join(","))
}

fn cores(node: &NodeView) -> u64 {
    u64::from(if node.shape.cores == 0 { node.shape.cpus } else { node.shape.cores })
}

fn threads(node: &NodeView) -> u64 {
    (u64::from(node.shape.cpus) / cores(node).max(1)).max(1)
}

fn sockets_cores_threads(row: &Row<'_>) -> String {
    let of = |value: fn(&NodeView) -> u64| row.least(value);
    let sockets = if row.nodes.is_empty() { "0" } else { "1" };
    format!("{sockets}:{}:{}", of(cores), of(threads))
}

fn time(limit: Option<squall_types::Span>, none: &str) -> String {
    limit.map_or_else(|| none.to_owned(), span_text::short)
}

fn names(row: &Row<'_>) -> String {
    let mut names: Vec<_> = row.nodes.iter().map(|node| node.name.clone()).collect();
    // The offers of a pool that could be bought bear its name, all of them.
    names.dedup();
    ids::nodes(&names)
}

fn starred(row: &Row<'_>) -> String {
    format!("{}{}", row.partition.name, if row.partition.default { "*" } else { "" })
}

fn allocated_idle_other_total(row: &Row<'_>) -> String {
    let [used, idle, other] = [Share::Allocated, Share::Idle, Share::Other].map(|share| row.share_of_nodes(share));
    format!("{used}/{idle}/{other}/{}", row.count(|_| true))
}

fn cpus_allocated_idle_other_total(row: &Row<'_>) -> String {
    let (used, idle, other) = row.cpus();
    format!("{used}/{idle}/{other}/{}", used + idle + other)
}

/// By the letter of `-o`.
pub fn by_letter(letter: char) -> Option<&'static Field> {
    FIELDS.iter().find(|field| field.letter == Some(letter))
}

/// By the name of `-O`.
pub fn by_name(name: &str) -> Option<&'static Field> {
    FIELDS.iter().find(|field| field.name.eq_ignore_ascii_case(name))
}

use Kind::{Amount, Same, Total};

/// Those with a letter first, in the order of `%all`.
pub static FIELDS: &[Field] = &[
    field('a', "Available", "AVAIL", Same, |row| if row.partition.up { "up" } else { "inact" }.to_owned()),
    field('b', "features_act", "ACTIVE_FEATURES", Same, features),
    field('c', "CPUs", "CPUS", Amount, |row| row.least(|node| u64::from(node.shape.cpus))),
    field('d', "Disk", "TMP_DISK", Amount, |_| "0".to_owned()),
    field('e', "FreeMem", "FREE_MEM", Same, |row| {
        of_node(row, "N/A", |node| node.shape.memory_mib.saturating_sub(node.memory_used_mib).to_string())
    }),
    field('f', "Features", "AVAIL_FEATURES", Same, features),
    field('g', "Groups", "GROUPS", Same, |row| match row.partition.allow_groups.as_slice() {
        [] => "all".to_owned(),
        groups => groups.join(","),
    }),
    field('h', "OverSubscribe", "OVERSUBSCRIBE", Same, |_| "NO".to_owned()),
    field('l', "Time", "TIMELIMIT", Same, |row| time(row.partition.max_time, "infinite")),
    field('m', "Memory", "MEMORY", Amount, |row| row.least(|node| node.shape.memory_mib)),
    field('n', "NodeHost", "HOSTNAMES", Same, |row| of_node(row, "", |node| node.name.to_string())),
    field('o', "NodeAddr", "NODE_ADDR", Same, |row| of_node(row, "", |node| host(&node.address))),
    field('p', "PriorityTier", "PRIO_TIER", Same, |row| row.partition.priority_tier.to_string()),
    field('r', "Root", "ROOT", Same, |_| "no".to_owned()),
    field('s', "Size", "JOB_SIZE", Same, |row| match row.partition.max_nodes {
        Some(1) => "1".to_owned(),
        Some(most) => format!("1-{most}"),
        None => "1-infinite".to_owned(),
    }),
    field('t', "StateCompact", "STATE", Same, |row| state(row, |node| node_state::words(node).compact)),
    field('u', "User", "USER", Same, |row| of_node(row, "Unknown", |node| node.reason_by.clone())),
    field('v', "Version", "VERSION", Same, |row| of_node(row, "N/A", |node| node.agent_version.clone())),
    field('w', "Weight", "WEIGHT", Amount, |row| u8::from(!row.nodes.is_empty()).to_string()),
    field('z', "SocketCoreThread", "S:C:T", Amount, sockets_cores_threads),
    field('A', "NodeAI", "NODES(A/I)", Total, |row| {
        format!("{}/{}", row.share_of_nodes(Share::Allocated), row.share_of_nodes(Share::Idle))
    }),
    field('B', "MaxCPUsPerNode", "MAX_CPUS_PER_NODE", Same, |_| "UNLIMITED".to_owned()),
    field('C', "CPUsState", "CPUS(A/I/O/T)", Total, cpus_allocated_idle_other_total),
    field('D', "Nodes", "NODES", Total, |row| row.count(|_| true).to_string()),
    field('E', "Reason", "REASON", Same, |row| of_node(row, "none", |node| node.reason.clone())),
    field('F', "NodeAIOT", "NODES(A/I/O/T)", Total, allocated_idle_other_total),
    field('G', "Gres", "GRES", Same, |row| of_node(row, "(null)", node_state::gres)),
    field('H', "TimeStamp", "TIMESTAMP", Same, |row| {
        of_node(row, "Unknown", |node| node.reason_at.map(|at| row.moments.at(at)).unwrap_or_default())
    }),
    field('I', "PriorityJobFactor", "PRIO_JOB_FACTOR", Same, |_| "1".to_owned()),
    field('L', "DefaultTime", "DEFAULTTIME", Same, |row| time(row.partition.default_time, "n/a")),
    field('M', "PreemptMode", "PREEMPT_MODE", Same, |_| "OFF".to_owned()),
    field('N', "NodeList", "NODELIST", Total, names),
    field('O', "CPUsLoad", "CPU_LOAD", Same, |_| "N/A".to_owned()),
    field('P', "Partition", "PARTITION", Same, starred),
    field('R', "PartitionName", "PARTITION", Same, |row| row.partition.name.to_string()),
    field('S', "AllocNodes", "ALLOCNODES", Same, |_| "all".to_owned()),
    field('T', "StateLong", "STATE", Same, |row| state(row, |node| node_state::words(node).long)),
    field('U', "UserLong", "USER", Same, |row| of_node(row, "Unknown", |node| node.reason_by.clone())),
    field('V', "Cluster", "CLUSTER", Same, |_| "N/A".to_owned()),
    field('X', "Sockets", "SOCKETS", Amount, |row| u8::from(!row.nodes.is_empty()).to_string()),
    field('Y', "Cores", "CORES", Amount, |row| row.least(cores)),
    field('Z', "Threads", "THREADS", Amount, |row| row.least(threads)),
    long("AllocMem", "ALLOCMEM", Same, |row| of_node(row, "0", |node| node.memory_used_mib.to_string())),
    long("Comment", "COMMENT", Same, |_| "(null)".to_owned()),
    long("Cost", "COST", Same, |row| of_node(row, "n/a", |node| node.cost.to_string())),
    long("Extra", "EXTRA", Same, |_| "(null)".to_owned()),
    long("GresUsed", "GRES_USED", Same, |row| of_node(row, "(null)", node_state::gres_used)),
    long("Offer", "OFFER", Same, |row| of_node(row, "n/a", |node| node.offer.clone())),
    long("Pool", "POOL", Same, |row| of_node(row, "n/a", |node| node.pool.to_string())),
    long("Price", "PRICE", Same, |row| of_node(row, "n/a", |node| node.price.to_string())),
    long("StateComplete", "STATECOMPLETE", Same, |row| {
        of_node(row, "n/a", |node| {
            let words = node_state::words(node);
            let flags = words.flags.iter().map(|flag| format!("+{}", flag.to_ascii_lowercase()));
            [words.base.to_ascii_lowercase()].into_iter().chain(flags).collect()
        })
    }),
];

/// Without the port.
fn host(address: &str) -> String {
    address.rsplit_once(':').map_or(address, |(host, _)| host).to_owned()
}
