//! The environment of a job: what the user submitted with, and what Slurm's words say about the job.
//!
//! A pure function of the assignment: nothing of the agent's own environment gets in.

use super::INSTANCE;
use super::identity::Identity;
use super::plan::entries;
use crate::cell::{MARKER, PART_MARKER};
use squall_types::agent::{AssignedPhase, Assignment, Component};
use squall_types::ask::{CpuAsk, GpuAsk, MemoryAsk};
use squall_types::{JobKind, NodeName, Span, StepId, SwitchName, hostlist};
use std::collections::BTreeMap;

/// Variables of a job by name, in bytes: values may be anything.
pub type Variables = BTreeMap<Vec<u8>, Vec<u8>>;

/// What a user's own environment may say of Slurm: wishes for commands, never facts about another job.
const WISHES: [&str; 14] = [
    "SLURM_CPU_BIND",
    "SLURM_EXPORT_ENV",
    "SLURM_GET_USER_ENV",
    "SLURM_HINT",
    "SLURM_KILL_BAD_EXIT",
    "SLURM_LABELIO",
    "SLURM_MPI_TYPE",
    "SLURM_OPEN_MODE",
    "SLURM_OVERLAP",
    "SLURM_STEP_KILLED_MSG_NODE_ID",
    "SLURM_TIME_FORMAT",
    "SLURM_UMASK",
    "SLURM_UNBUFFEREDIO",
    "SLURM_WAIT",
];

/// What of this node a job is told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeFacts {
    pub node: NodeName,
    pub hostname: String,
    /// The node has devices that a job could see without being granted any.
    pub has_devices: bool,
    /// How CUDA names the granted GPUs, in the order of the grant.
    pub devices: Vec<String>,
    /// `NAME=value` strings that mark the processes of the run and of its part.
    pub markers: Vec<String>,
}

/// The variables of the batch script of an assignment; the base for those of its steps.
pub fn job(assignment: &Assignment, identity: &Identity, facts: &NodeFacts, submitted: &[u8]) -> Variables {
    let mut variables = Table::of_user(submitted, identity);
    variables.facts_of_job(assignment, identity);
    variables.facts_of_request(assignment);
    variables.facts_of_node(assignment, facts);
    variables.facts_of_components(&assignment.detail.components);
    variables.0
}

/// `NAME=value` strings, each ended by NUL.
pub fn blob(variables: &Variables) -> Vec<u8> {
    let entry = |(name, value): (&Vec<u8>, &Vec<u8>)| [name, b"=".as_slice(), value, b"\0"].concat();
    variables.iter().flat_map(entry).collect()
}

/// Host names in rank order, as Slurm writes them.
pub fn host_list<'a>(nodes: impl Iterator<Item = &'a NodeName>) -> String {
    let names: Vec<String> = nodes.map(|node| node.as_str().to_owned()).collect();
    hostlist::compress(&names)
}

/// `4(x2),1`: numbers in rank order, repetitions counted.
pub fn repeated(numbers: impl Iterator<Item = u32>) -> String {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for number in numbers {
        match runs.last_mut() {
            Some((last, count)) if *last == number => *count += 1,
            _ => runs.push((number, 1)),
        }
    }
    let text = |(number, count): &(u32, u32)| {
        if *count > 1 { format!("{number}(x{count})") } else { number.to_string() }
    };
    runs.iter().map(text).collect::<Vec<_>>().join(",")
}

/// What a step's tasks are told beside what their job is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StepFacts {
    pub step: StepId,
    pub name: String,
    /// All nodes of the step in rank order, with how many tasks each has; of one launch over several components, all of
    /// its nodes.
    pub nodes: Vec<(NodeName, u32)>,
    /// It is a part of such a launch.
    pub is_part: bool,
    /// Which of them this is.
    pub node_rank: u32,
    pub tasks: u32,
    /// Global ranks of the tasks on this node.
    pub ranks: Vec<u32>,
    /// CPUs of the step on this node.
    pub cpus: u32,
    pub cpus_per_task: Option<u32>,
    /// How CUDA names the GPUs of the step on this node.
    pub devices: Vec<String>,
    /// From where it was launched; empty where that is not known.
    pub launched_from: String,
}

/// Adds what is true for all tasks of a step on this node.
pub fn step(variables: Variables, facts: &StepFacts) -> Variables {
    let mut table = Table(variables);
    let list = host_list(facts.nodes.iter().map(|(node, _)| node));
    for name in ["SLURM_STEP_ID", "SLURM_STEPID"] {
        table.set(name, facts.step);
    }
    if facts.is_part {
        // Who launches over several components sees one job on all of their nodes.
        for name in ["SLURM_JOB_NODELIST", "SLURM_NODELIST"] {
            table.set(name, &list);
        }
    }
    table.set("SLURM_STEP_NODELIST", list);
    for name in ["SLURM_STEP_NUM_NODES", "SLURM_NNODES"] {
        table.set(name, facts.nodes.len());
    }
    for name in ["SLURM_STEP_NUM_TASKS", "SLURM_NTASKS", "SLURM_NPROCS"] {
        table.set(name, facts.tasks);
    }
    let per_node = repeated(facts.nodes.iter().map(|(_, tasks)| *tasks));
    for name in ["SLURM_STEP_TASKS_PER_NODE", "SLURM_TASKS_PER_NODE"] {
        table.set(name, &per_node);
    }
    table.set("SLURM_NODEID", facts.node_rank);
    table.set("SLURM_CPUS_ON_NODE", facts.cpus);
    table.set_if("SLURM_CPUS_PER_TASK", facts.cpus_per_task);
    table.set("SLURM_GTIDS", facts.ranks.iter().map(u32::to_string).collect::<Vec<_>>().join(","));
    table.set_if("SLURM_LAUNCH_NODE_IPADDR", Some(&facts.launched_from).filter(|text| !text.is_empty()));
    if !facts.devices.is_empty() {
        table.set("SLURM_STEP_GPUS", facts.devices.join(","));
        table.set("SLURM_GPUS_ON_NODE", facts.devices.len());
    }
    table.0
}

/// Adds what the environment that a step was launched from says of the components of a heterogeneous job.
pub fn of_components(mut variables: Variables, launched_from: &[u8]) -> Variables {
    let is_about = |name: &[u8]| {
        let text = String::from_utf8_lossy(name);
        let sizes = ["SLURM_HET_SIZE", "SLURM_PACK_SIZE"];
        let groups = ["_HET_GROUP_", "_PACK_GROUP_"];
        sizes.contains(&&*text) || (text.starts_with("SLURM_") && groups.iter().any(|part| text.contains(part)))
    };
    let about = entries(launched_from).filter(|(name, _)| is_about(name));
    variables.extend(about.map(|(name, value)| (name.to_owned(), value.to_owned())));
    variables
}

/// Adds what is true for one task, by its place among the tasks on this node.
pub fn task(
    variables: &Variables,
    facts: &StepFacts,
    local: usize,
    has_devices: bool,
    devices: &[String],
) -> Variables {
    let mut table = Table(variables.clone());
    table.set("SLURM_PROCID", facts.ranks.get(local).copied().unwrap_or_default());
    table.set("SLURM_LOCALID", local);
    set_devices(&mut table.0, has_devices, devices);
    table.0
}

struct Table(Variables);

impl Table {
    /// What the user submitted with, less what belongs to another job; and what a login would have set.
    fn of_user(submitted: &[u8], identity: &Identity) -> Table {
        let mut table = Table(Variables::new());
        for (name, value) in entries(submitted) {
            let text = String::from_utf8_lossy(name);
            let anothers = (text.starts_with("SLURM_") || text.starts_with("SLURMD_")) && !WISHES.contains(&&*text);
            if !anothers && ![MARKER, PART_MARKER, INSTANCE, "SQUALL_RUN"].contains(&&*text) {
                table.0.insert(name.to_owned(), value.to_owned());
            }
        }
        for (name, value) in [
            ("HOME", identity.home.as_str()),
            ("LOGNAME", &identity.name),
            ("PATH", "/usr/local/bin:/usr/bin:/bin"),
            ("SHELL", &identity.shell),
            ("USER", &identity.name),
        ] {
            table.0.entry(name.into()).or_insert_with(|| value.into());
        }
        table
    }

    fn set(&mut self, name: &str, value: impl ToString) {
        self.0.insert(name.into(), value.to_string().into_bytes());
    }

    fn set_if(&mut self, name: &str, value: Option<impl ToString>) {
        if let Some(value) = value {
            self.set(name, value);
        }
    }

    fn facts_of_job(&mut self, assignment: &Assignment, identity: &Identity) {
        let detail = &assignment.detail;
        let spec = &detail.spec;
        for name in ["SLURM_JOB_ID", "SLURM_JOBID"] {
            self.set(name, assignment.run.job);
        }
        self.set("SLURM_JOB_NAME", &spec.name);
        self.set("SLURM_JOB_USER", &spec.user);
        self.set("SLURM_JOB_UID", identity.uid);
        self.set("SLURM_JOB_GID", identity.gid);
        self.set("SLURM_JOB_GROUP", identity.group_name());
        self.set("SLURM_JOB_ACCOUNT", &spec.account);
        self.set("SLURM_JOB_PARTITION", &detail.partition);
        self.set("SLURM_JOB_QOS", spec.qos.as_ref().map_or("normal", |qos| qos.as_str()));
        self.set("SLURM_CLUSTER_NAME", &detail.cluster);
        self.set("SLURM_SUBMIT_DIR", &spec.work_dir);
        self.set("SLURM_SUBMIT_HOST", &spec.submit_host);
        if spec.kind == JobKind::Batch {
            self.set("ENVIRONMENT", "BATCH");
        }
        self.set_if("SLURM_RESTART_COUNT", Some(detail.restarts).filter(|count| *count > 0));
        self.set_if("SLURM_JOB_RESERVATION", Some(&spec.reservation).filter(|text| !text.is_empty()));
        self.set_if("SLURM_JOB_LICENSES", Some(&spec.licenses).filter(|text| !text.is_empty()));
        if let AssignedPhase::Run { started_at, .. } = assignment.phase {
            self.set("SLURM_JOB_START_TIME", started_at.as_secs());
            if detail.time_limit < Span::FOREVER {
                self.set("SLURM_JOB_END_TIME", (started_at + detail.time_limit).as_secs());
            }
        }
        if let Some(array) = &detail.array {
            self.set("SLURM_ARRAY_JOB_ID", array.array);
            self.set("SLURM_ARRAY_TASK_ID", array.index);
            self.set("SLURM_ARRAY_TASK_MIN", array.first);
            self.set("SLURM_ARRAY_TASK_MAX", array.last);
            self.set("SLURM_ARRAY_TASK_STEP", array.step.max(1));
            self.set("SLURM_ARRAY_TASK_COUNT", array.count);
        }
        self.set_if("TRACEPARENT", spec.trace_parent.as_ref());
        self.set("SQUALL_RUN", assignment.run);
        for option in &spec.step_options {
            if let Some((name, value)) = option.split_once('=') {
                self.set(&format!("SLURM_{}", name.to_uppercase().replace('-', "_")), value);
            }
        }
    }

    /// What was asked for; only what was.
    fn facts_of_request(&mut self, assignment: &Assignment) {
        let ask = &assignment.detail.spec.ask;
        self.set_if("SLURM_NTASKS_PER_NODE", ask.tasks_per_node);
        match ask.cpus {
            CpuAsk::PerTask(each) => self.set("SLURM_CPUS_PER_TASK", each),
            CpuAsk::PerGpu(each) => self.set("SLURM_CPUS_PER_GPU", each),
            CpuAsk::Share => {}
        }
        match ask.memory {
            MemoryAsk::PerCpu(mib) => self.set("SLURM_MEM_PER_CPU", mib),
            MemoryAsk::PerGpu(mib) => self.set("SLURM_MEM_PER_GPU", mib),
            MemoryAsk::PerNode(_) | MemoryAsk::Share => {
                self.set("SLURM_MEM_PER_NODE", assignment.allocation.memory_mib);
            }
        }
        let named = |count: u32, model: &Option<squall_types::GpuModel>| match model {
            Some(model) => format!("{model}:{count}"),
            None => count.to_string(),
        };
        match &ask.gpus {
            GpuAsk::PerNode(count, model) => self.set("SLURM_GPUS_PER_NODE", named(u32::from(*count), model)),
            GpuAsk::PerTask(count, model) => self.set("SLURM_GPUS_PER_TASK", named(u32::from(*count), model)),
            GpuAsk::Total(count, model) => self.set("SLURM_GPUS", named(*count, model)),
            GpuAsk::None => {}
        }
    }

    fn facts_of_node(&mut self, assignment: &Assignment, facts: &NodeFacts) {
        let nodes = &assignment.detail.nodes;
        let list = host_list(nodes.iter().map(|node| &node.name));
        for name in ["SLURM_JOB_NODELIST", "SLURM_NODELIST"] {
            self.set(name, &list);
        }
        for name in ["SLURM_JOB_NUM_NODES", "SLURM_NNODES"] {
            self.set(name, nodes.len());
        }
        let tasks: u32 = nodes.iter().map(|node| node.tasks).fold(0, u32::saturating_add);
        let ask = &assignment.detail.spec.ask;
        // Programs take it for a launch of that many tasks, so it is there only where tasks were asked for.
        if ask.tasks.or(ask.tasks_per_node).is_some() {
            for name in ["SLURM_NTASKS", "SLURM_NPROCS"] {
                self.set(name, tasks.max(1));
            }
        }
        self.set("SLURM_TASKS_PER_NODE", repeated(nodes.iter().map(|node| node.tasks)));
        self.set("SLURM_JOB_CPUS_PER_NODE", repeated(nodes.iter().map(|node| node.cpus)));
        self.set("SLURM_CPUS_ON_NODE", assignment.allocation.cpus);
        self.set("SLURM_NODEID", assignment.detail.rank);
        for name in ["SLURM_PROCID", "SLURM_LOCALID", "SLURM_GTIDS", "SLURM_PRIO_PROCESS"] {
            self.set(name, 0);
        }
        self.set("SLURMD_NODENAME", &facts.node);
        self.place_in_topology(assignment, &facts.node);
        self.set("HOSTNAME", &facts.hostname);
        for (name, value) in facts.markers.iter().filter_map(|marker| marker.split_once('=')) {
            self.set(name, value);
        }
        self.gpus(facts);
        if !facts.devices.is_empty() {
            self.set("SLURM_JOB_GPUS", facts.devices.join(","));
        }
    }

    /// The switches above this node from the highest down, then the node itself; and which of these each part is.
    fn place_in_topology(&mut self, assignment: &Assignment, node: &NodeName) {
        let detail = &assignment.detail;
        let above = detail.nodes.get(detail.rank as usize).map_or(&[][..], |node| &node.switches);
        let path = above.iter().rev().map(SwitchName::as_str).chain([node.as_str()]);
        self.set("SLURM_TOPOLOGY_ADDR", path.collect::<Vec<_>>().join("."));
        let pattern = above.iter().map(|_| "switch").chain(["node"]);
        self.set("SLURM_TOPOLOGY_ADDR_PATTERN", pattern.collect::<Vec<_>>().join("."));
    }

    /// What the script of a heterogeneous job is told of each component, also by the name that Slurm had for them first.
    fn facts_of_components(&mut self, components: &[Component]) {
        if components.is_empty() {
            return;
        }
        for name in ["SLURM_HET_SIZE", "SLURM_PACK_SIZE"] {
            self.set(name, components.len());
        }
        for (group, component) in components.iter().enumerate() {
            for (name, value) in of_component(component) {
                self.set(&format!("{name}_HET_GROUP_{group}"), &value);
                self.set(&format!("{name}_PACK_GROUP_{group}"), &value);
            }
        }
    }

    fn gpus(&mut self, facts: &NodeFacts) {
        if !facts.devices.is_empty() {
            self.set("SLURM_GPUS_ON_NODE", facts.devices.len());
        }
        set_devices(&mut self.0, facts.has_devices, &facts.devices);
    }
}

fn of_component(component: &Component) -> Vec<(&'static str, String)> {
    let Component { job, spec, nodes, partition } = component;
    let tasks: u32 = nodes.iter().map(|node| node.tasks).fold(0, u32::saturating_add);
    let mut facts = vec![
        ("SLURM_JOB_ID", job.to_string()),
        ("SLURM_JOB_NAME", spec.name.clone()),
        ("SLURM_JOB_ACCOUNT", spec.account.to_string()),
        ("SLURM_JOB_PARTITION", partition.clone()),
        ("SLURM_JOB_QOS", spec.qos.as_ref().map_or_else(|| "normal".to_owned(), ToString::to_string)),
        ("SLURM_JOB_NODELIST", host_list(nodes.iter().map(|node| &node.name))),
        ("SLURM_JOB_NUM_NODES", nodes.len().to_string()),
        ("SLURM_JOB_CPUS_PER_NODE", repeated(nodes.iter().map(|node| node.cpus))),
        ("SLURM_TASKS_PER_NODE", repeated(nodes.iter().map(|node| node.tasks))),
    ];
    if spec.ask.tasks.or(spec.ask.tasks_per_node).is_some() {
        facts.extend(["SLURM_NTASKS", "SLURM_NPROCS"].map(|name| (name, tasks.max(1).to_string())));
    }
    if let CpuAsk::PerTask(each) = spec.ask.cpus {
        facts.push(("SLURM_CPUS_PER_TASK", each.to_string()));
    }
    facts.extend(match spec.ask.memory {
        MemoryAsk::PerCpu(mib) => Some(("SLURM_MEM_PER_CPU", mib.to_string())),
        MemoryAsk::PerGpu(mib) => Some(("SLURM_MEM_PER_GPU", mib.to_string())),
        MemoryAsk::PerNode(mib) => Some(("SLURM_MEM_PER_NODE", mib.to_string())),
        MemoryAsk::Share => None,
    });
    facts
}

/// Which GPUs a process sees: those given to it, and none where it was given none.
pub fn set_devices(variables: &mut Variables, has_devices: bool, devices: &[String]) {
    if !devices.is_empty() || has_devices {
        variables.insert("CUDA_VISIBLE_DEVICES".into(), devices.join(",").into_bytes());
        // So that a number means the same GPU to CUDA as to the driver.
        variables.insert("CUDA_DEVICE_ORDER".into(), "PCI_BUS_ID".into());
    } else {
        variables.remove(b"CUDA_VISIBLE_DEVICES".as_slice());
    }
}
