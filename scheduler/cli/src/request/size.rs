//! How large a job is: nodes, tasks, CPUs, memory, GPUs.

use super::value::{invalid, number, whole_number};
use super::what_failed;
use crate::failure::{Advice, EXIT_OPTION, Failure};
use crate::options::Given;
use squall_types::gres::{GpuRequest, parse_gpus, parse_gres, single};
use squall_types::quoted::Quoted;
use squall_types::size::parse_mib;
use squall_types::{Ask, CpuAsk, GpuAsk, GpuModel, MemoryAsk, NodeCount};

/// The size that the options ask for.
///
/// # Errors
/// A value that means nothing, or values that contradict each other.
pub fn ask(command: &str, given: &Given) -> Result<Ask, Failure> {
    let per_task = each_task(command, given)?;
    let mut ask = Ask {
        nodes: nodes(command, given)?,
        tasks: number(command, given, "ntasks", 1)?,
        tasks_per_node: number(command, given, "ntasks-per-node", 1)?,
        cpus: cpus(command, given, per_task.cpus)?,
        memory: memory(command, given)?,
        gpus: GpuAsk::None,
        exclusive: exclusive(command, given)?,
        min_cpus: number(command, given, "mincpus", 1)?.unwrap_or(0),
    };
    let wanted = Gpus::read(command, given, per_task.gpus)?;
    wanted.settle(command, &mut ask)?;
    if ask.gpus.is_none() {
        let (option, what) = match (ask.cpus, ask.memory) {
            (CpuAsk::PerGpu(_), _) => ("cpus-per-gpu", "CPUs"),
            (_, MemoryAsk::PerGpu(_)) => ("mem-per-gpu", "memory"),
            _ => return Ok(ask),
        };
        let asked = format!("--{option}={}", given.text(option).unwrap_or_default());
        return Err(gres(
            command,
            asked,
            &format!("{what} for each GPU, but no GPU was asked for"),
            "--gpus=1 with it",
        ));
    }
    Ok(ask)
}

/// `N`, `MIN-MAX`.
fn nodes(command: &str, given: &Given) -> Result<Option<NodeCount>, Failure> {
    let Some(text) = given.text("nodes") else { return Ok(None) };
    let (min, max) = text.split_once('-').unwrap_or((text, text));
    let (Some(min), Some(max)) = (whole_number(min), whole_number(max)) else {
        return Err(Failure::error(command, format_args!("{} is not a valid node count", Quoted::new(text))).advising(
            Advice { try_this: "--nodes=4 or --nodes=2-4".to_owned(), code: "SQ0001", ..Advice::default() },
        ));
    };
    if max < min {
        let first = format!("Maximum node count {max} is less than minimum node count {min}");
        return Err(Failure::error(command, first).with_code(EXIT_OPTION));
    }
    if min == 0 {
        let first = format!("{}: Node count specification invalid", what_failed(command));
        return Err(Failure::error(command, first).advising(Advice {
            asked: format!("--nodes={text}"),
            limit: "a job has at least one node".to_owned(),
            try_this: "--nodes=1".to_owned(),
            code: "SQ0001",
            ..Advice::default()
        }));
    }
    Ok(Some(NodeCount { min, max }))
}

fn cpus(command: &str, given: &Given, of_task: Option<u32>) -> Result<CpuAsk, Failure> {
    let both = given.one_of(&["cpus-per-task", "cpus-per-gpu"]);
    let chosen = both.map_err(|_| {
        Failure::plain(format!("{command}: fatal: --cpus-per-task and --cpus-per-gpu are mutually exclusive"))
    })?;
    Ok(match (chosen, of_task) {
        (Some("cpus-per-gpu"), _) => number(command, given, "cpus-per-gpu", 1)?.map_or(CpuAsk::Share, CpuAsk::PerGpu),
        (Some(_), _) => number(command, given, "cpus-per-task", 1)?.map_or(CpuAsk::Share, CpuAsk::PerTask),
        (None, Some(each)) => CpuAsk::PerTask(each),
        (None, None) => CpuAsk::Share,
    })
}

fn memory(command: &str, given: &Given) -> Result<MemoryAsk, Failure> {
    let chosen = given.one_of(&["mem", "mem-per-cpu", "mem-per-gpu"]).map_err(|_| {
        Failure::plain(format!("{command}: fatal: --mem, --mem-per-cpu, and --mem-per-gpu are mutually exclusive."))
    })?;
    let Some(chosen) = chosen else { return Ok(MemoryAsk::Share) };
    let text = given.text(chosen).unwrap_or_default();
    let mib = parse_mib(text)
        .map_err(|why| invalid(command, chosen, text, why, &format!("--{chosen}=4G or --{chosen}=512M")))?;
    Ok(match chosen {
        // As in Slurm, none at all is all of it.
        _ if mib == 0 => MemoryAsk::PerNode(0),
        "mem-per-cpu" => MemoryAsk::PerCpu(mib),
        "mem-per-gpu" => MemoryAsk::PerGpu(mib),
        _ => MemoryAsk::PerNode(mib),
    })
}

fn exclusive(command: &str, given: &Given) -> Result<bool, Failure> {
    if given.later_of(&["exclusive", "oversubscribe"]) != Some("exclusive") {
        return Ok(false);
    }
    match given.text("exclusive") {
        None | Some("" | "1" | "exclusive") => Ok(true),
        Some("0" | "no") => Ok(false),
        Some(text @ ("user" | "mcs" | "topo")) => Err(invalid(
            command,
            "exclusive",
            text,
            "nodes are shared with everybody or with nobody",
            "--exclusive for whole nodes",
        )),
        Some(text) => Err(invalid(command, "exclusive", text, "it takes no such value", "--exclusive")),
    }
}

/// `--tres-per-task`.
#[derive(Default)]
struct EachTask {
    cpus: Option<u32>,
    gpus: Option<GpuRequest>,
}

fn each_task(command: &str, given: &Given) -> Result<EachTask, Failure> {
    let Some(text) = given.text("tres-per-task") else { return Ok(EachTask::default()) };
    let wrong = |why: String| invalid(command, "tres-per-task", text, why, "--tres-per-task=cpu=4,gres/gpu:h100=1");
    let mut each = EachTask::default();
    for item in text.split(',') {
        if let Some(count) = item.strip_prefix("cpu=").or_else(|| item.strip_prefix("cpu:")) {
            let cpus = whole_number(count).filter(|cpus| *cpus > 0);
            each.cpus = Some(cpus.ok_or_else(|| wrong(format!("{} is no number of CPUs", Quoted::new(count))))?);
        } else {
            let parsed = parse_gres(item).and_then(single).map_err(|why| wrong(why.to_string()))?;
            each.gpus = parsed;
        }
    }
    Ok(each)
}

/// All that was said about GPUs; all of it must hold.
struct Gpus {
    model: Option<GpuModel>,
    total: Option<u32>,
    per_node: Option<u32>,
    per_task: Option<u32>,
    tasks_per_gpu: Option<u32>,
    /// As given, for messages.
    asked: String,
}

impl Gpus {
    fn read(command: &str, given: &Given, of_task: Option<GpuRequest>) -> Result<Self, Failure> {
        let names = ["gres", "gpus-per-node", "gpus", "gpus-per-task", "ntasks-per-gpu", "tres-per-task"];
        let said = names.iter().filter_map(|name| given.text(name).map(|text| format!("--{name}={text}")));
        let asked = said.collect::<Vec<_>>().join(" ");
        let wrong = |why: String| gres(command, asked.clone(), &why, "");
        let read = |long: &str| -> Result<Option<GpuRequest>, Failure> {
            let Some(text) = given.text(long) else { return Ok(None) };
            let requests = if long == "gres" { parse_gres(text) } else { parse_gpus(text) };
            requests.and_then(single).map_err(|why| wrong(why.to_string()))
        };
        let (gres, per_node, total) = (read("gres")?, read("gpus-per-node")?, read("gpus")?);
        let per_task = read("gpus-per-task")?.or(of_task);
        if let (Some(one), Some(other)) = (&gres, &per_node)
            && one != other
        {
            return Err(wrong(format!("{one} for each node is not {other} for each node")));
        }
        let per_node = per_node.or(gres);
        let mut model = None;
        for request in [&total, &per_node, &per_task].into_iter().flatten() {
            match (&model, &request.model) {
                (Some(one), Some(other)) if one != other => {
                    return Err(wrong(format!("the GPUs of a job have one model, not both {one} and {other}")));
                }
                (None, Some(named)) => model = Some(named.clone()),
                _ => {}
            }
        }
        let count = |request: Option<GpuRequest>| request.map(|request| request.count).filter(|count| *count > 0);
        let tasks_per_gpu = number(command, given, "ntasks-per-gpu", 1)?;
        let (total, per_node, per_task) = (count(total), count(per_node), count(per_task));
        Ok(Gpus { model, total, per_node, per_task, tasks_per_gpu, asked })
    }

    /// Reduces everything to the one request that means all of it, and tells the ask what follows for tasks and nodes.
    fn settle(self, command: &str, ask: &mut Ask) -> Result<(), Failure> {
        let wrong = |why: String| gres(command, self.asked.clone(), &why, "");
        let small = |count: u32| u16::try_from(count).map_err(|_| wrong(format!("no node has {count} GPUs")));
        let divided = |whole: u32, part: u32, of: &str| match whole % part {
            0 => Ok(whole / part),
            _ => Err(wrong(format!("{whole} GPUs cannot be {part} for each {of}"))),
        };
        let model = self.model.clone();
        if let (Some(total), Some(per_node)) = (self.total, self.per_node) {
            let nodes = divided(total, per_node, "node")?;
            if ask.nodes.is_some_and(|asked| nodes < asked.min || nodes > asked.max) {
                return Err(wrong(format!(
                    "{total} GPUs at {per_node} for each node are {nodes} nodes, and --nodes says otherwise"
                )));
            }
            ask.nodes = Some(NodeCount { min: nodes, max: nodes });
        }
        if let (Some(total), Some(per_task)) = (self.total, self.per_task) {
            fix(&mut ask.tasks, divided(total, per_task, "task")?).map_err(|(had, follows)| {
                wrong(format!("{total} GPUs at {per_task} for each task are {follows} tasks, not {had}"))
            })?;
        }
        if let (Some(per_node), Some(per_task)) = (self.per_node, self.per_task) {
            let follows = divided(per_node, per_task, "task")?;
            fix(&mut ask.tasks_per_node, follows).map_err(|(had, follows)| {
                wrong(format!(
                    "{per_node} GPUs at {per_task} for each task are {follows} tasks for each node, not {had}"
                ))
            })?;
        }
        if let Some(each) = self.tasks_per_gpu {
            self.tasks_for_gpus(each, ask).map_err(wrong)?;
        }
        ask.gpus = match (self.per_task, self.per_node, self.total) {
            (Some(each), _, _) => GpuAsk::PerTask(small(each)?, model),
            (None, Some(each), _) => GpuAsk::PerNode(small(each)?, model),
            (None, None, Some(total)) => GpuAsk::Total(total, model),
            (None, None, None) => ask.gpus.clone(),
        };
        Ok(())
    }

    /// `--ntasks-per-gpu`: fixes the tasks by the GPUs, or the GPUs by the tasks.
    fn tasks_for_gpus(&self, each: u32, ask: &mut Ask) -> Result<(), String> {
        let product = |gpus: u32| gpus.checked_mul(each).ok_or_else(|| format!("{gpus} GPUs with {each} tasks each"));
        let said = |(had, follows)| format!("--ntasks-per-gpu={each} makes {follows} tasks, not {had}");
        match (self.total, self.per_node, ask.tasks) {
            (Some(total), _, _) => fix(&mut ask.tasks, product(total)?).map_err(said),
            (None, Some(per_node), _) => fix(&mut ask.tasks_per_node, product(per_node)?).map_err(said),
            (None, None, Some(tasks)) if tasks % each == 0 => {
                ask.gpus = GpuAsk::Total(tasks / each, self.model.clone());
                Ok(())
            }
            (None, None, Some(tasks)) => Err(format!("{tasks} tasks cannot be {each} for each GPU")),
            (None, None, None) => Err("--ntasks-per-gpu needs --gpus, --gpus-per-node or --ntasks".to_owned()),
        }
    }
}

/// Sets what follows from other options; says both where something else was asked.
fn fix(asked: &mut Option<u32>, follows: u32) -> Result<(), (u32, u32)> {
    match *asked {
        Some(had) if had != follows => Err((had, follows)),
        _ => {
            *asked = Some(follows);
            Ok(())
        }
    }
}

/// Without a better idea, what is tried is the first of the options that were given, in a form that is read.
fn gres(command: &str, asked: String, why: &str, try_this: &str) -> Failure {
    let try_this = match try_this {
        "" if asked.starts_with("--gres") => "--gres=gpu:4 or --gres=gpu:h100:4",
        "" if asked.starts_with("--gpus-per-node") => "--gpus-per-node=4 or --gpus-per-node=h100:4",
        "" if asked.starts_with("--gpus-per-task") => "--ntasks=4 --gpus-per-task=1",
        "" if asked.starts_with("--ntasks-per-gpu") => "--gpus=4 --ntasks-per-gpu=2",
        "" => "--gpus=4 or --gpus=h100:4",
        better => better,
    };
    Failure::error(command, "Invalid generic resource (gres) specification").advising(Advice {
        asked,
        limit: why.to_owned(),
        try_this: try_this.to_owned(),
        code: "SQ0004",
        ..Advice::default()
    })
}
