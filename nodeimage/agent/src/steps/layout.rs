//! From a request to the plans of a step's tasks.

use crate::cell::Cell;
use crate::hands::{Hands, NO_PLAN, resolve};
use crate::launch::environment::{self, StepFacts};
use crate::launch::{Act, Identity, Output, Stdin, TaskPlan};
use crate::shim::step::{StepPlan, StepTask};
use minicbor::bytes::ByteVec;
use squall_types::agent::Assignment;
use squall_types::api::StepNode;
use squall_types::ids::Run;
use squall_types::pattern::PatternValues;
use squall_types::step::{StepStart, StepStdio, WholeLaunch};
use squall_types::{OpenMode, StepId};
use std::collections::BTreeSet;

/// Tasks of one step on one node.
pub const MAX_TASKS: usize = 4096;
/// The option by which a client says how many GPUs each task sees.
const GPUS_PER_TASK: &str = "gpus-per-task";

/// A step as granted.
#[derive(Clone, Copy, Debug)]
pub struct Granted<'a> {
    pub run: Run,
    pub step: StepId,
    pub nodes: &'a [StepNode],
    pub tasks: u32,
    /// From where the client comes.
    pub launched_from: &'a str,
}

/// The plan of the step's shim, and those of the tasks by their ranks.
///
/// # Errors
/// In words for the person who asked.
pub fn plan(
    hands: &Hands,
    assignment: &Assignment,
    granted: &Granted<'_>,
    start: &StepStart,
) -> Result<(StepPlan, Vec<(u32, TaskPlan)>), String> {
    let own = granted.nodes.iter().position(|node| node.name == hands.node);
    let own = own.ok_or_else(|| format!("node {} has no part in this step", hands.node))?;
    let ranks = &granted.nodes[own].ranks;
    if start.command.is_empty() {
        return Err("there is no command".to_owned());
    }
    if ranks.len() > MAX_TASKS {
        return Err(format!("{} tasks on one node, and it takes {MAX_TASKS} of one step", ranks.len()));
    }
    let spec = &assignment.detail.spec;
    let identity = Identity::of(spec.uid.0, spec.gid.0).map_err(|error| error.to_string())?;
    let shim = hands.plan(granted.run).ok_or(NO_PLAN)?;
    let cell = shim.cell.part(&format!("step-{}", granted.step)).map_err(|error| error.to_string())?;
    let layout = Layout { hands, assignment, granted, start, own, identity, job: &shim.cell, cell: &cell };
    let plans = layout.tasks(&shim.cpus)?;
    let terminal = start.terminal.map(|size| (size.rows, size.columns));
    let given = |plan: &TaskPlan, rank| StepTask {
        rank,
        stdin: plan.stdin == Stdin::Given,
        stdout: plan.stdout == Output::Given,
        stderr: plan.stderr == Output::Given,
        terminal: plan.terminal,
    };
    let shim = StepPlan {
        run: granted.run,
        step: granted.step,
        cell: cell.clone(),
        tasks: plans.iter().map(|(rank, plan)| given(plan, *rank)).collect(),
        kill_on_bad_exit: start.kill_on_bad_exit,
        wait_after: start.wait_after,
        time_limit: start.time_limit,
        warning: start.signal.map(|signal| (signal.signal, signal.before)),
        kill_wait: assignment.detail.kill_wait,
        terminal,
        credential: ByteVec::from(start.credential.clone()),
    };
    Ok((shim, plans))
}

struct Layout<'a> {
    hands: &'a Hands,
    assignment: &'a Assignment,
    granted: &'a Granted<'a>,
    start: &'a StepStart,
    own: usize,
    identity: Identity,
    job: &'a Cell,
    cell: &'a Cell,
}

impl Layout<'_> {
    fn tasks(&self, cpus: &[u32]) -> Result<Vec<(u32, TaskPlan)>, String> {
        let (hands, start) = (self.hands, self.start);
        let markers = [self.job.marker.as_str(), &self.cell.marker];
        let facts = hands.facts(self.assignment, &markers);
        let step = self.facts();
        let base = environment::job(self.assignment, &self.identity, &facts, &start.environment);
        let base = environment::step(base, &step);
        let base = environment::of_components(base, &start.environment);
        let mut begun = BTreeSet::new();
        let mut plans = Vec::new();
        for (local, rank) in step.ranks.iter().copied().enumerate() {
            let devices = self.devices_of(local, &step.devices);
            let variables = environment::task(&base, &step, local, facts.has_devices, devices);
            let terminal = start.terminal.is_some() && rank == 0;
            let (stdin, stdout, stderr) =
                if terminal { (Stdin::Given, Output::Given, Output::Given) } else { self.files(rank, &mut begun)? };
            let plan = TaskPlan {
                cell: self.cell.clone(),
                identity: self.identity.clone(),
                act: Act::Command(start.command.clone()),
                environment: ByteVec::from(environment::blob(&variables)),
                work_dir: start.work_dir.clone(),
                umask: start.umask,
                stdin,
                stdout,
                stderr,
                cpus: cpus.to_vec(),
                reports: false,
                terminal,
            };
            plans.push((rank, plan));
        }
        Ok(plans)
    }

    fn facts(&self) -> StepFacts {
        let node = &self.granted.nodes[self.own];
        let whole = self.start.whole.as_ref().filter(|whole| whole.nodes.len() == whole.tasks_per_node.len());
        let own = || self.granted.nodes.iter().map(|node| (node.name.clone(), node.ranks.len() as u32)).collect();
        let all = |whole: &WholeLaunch| whole.nodes.iter().cloned().zip(whole.tasks_per_node.iter().copied()).collect();
        let nodes: Vec<_> = whole.map_or_else(own, all);
        let devices = &self.hands.machine.devices;
        let device = |gpu: &u16| devices.get(usize::from(*gpu)).cloned().unwrap_or_else(|| gpu.to_string());
        StepFacts {
            step: self.granted.step,
            name: self.start.name.clone(),
            tasks: match whole {
                Some(_) => nodes.iter().map(|(_, tasks)| *tasks).fold(0, u32::saturating_add),
                None => self.granted.tasks,
            },
            node_rank: (self.own as u32).saturating_add(whole.map_or(0, |whole| whole.first_node)),
            nodes,
            is_part: whole.is_some(),
            ranks: node.ranks.clone(),
            cpus: node.cpus,
            cpus_per_task: self.start.cpus_per_task,
            devices: node.gpus.iter().map(device).collect(),
            launched_from: self.granted.launched_from.to_owned(),
        }
    }

    /// All GPUs of the step, or a task's own where it was asked for so many each.
    fn devices_of<'d>(&self, local: usize, devices: &'d [String]) -> &'d [String] {
        let asked = self.start.options.iter().find_map(|option| option.strip_prefix(GPUS_PER_TASK)?.strip_prefix('='));
        // `h100:2` asks for two.
        let each = asked.and_then(|text| text.rsplit(':').next()?.parse::<usize>().ok()).filter(|each| *each > 0);
        match each {
            Some(each) => devices.get(local.saturating_mul(each)..(local + 1).saturating_mul(each)).unwrap_or(&[]),
            None => devices,
        }
    }

    fn files(&self, rank: u32, begun: &mut BTreeSet<String>) -> Result<(Stdin, Output, Output), String> {
        let stdin = match &self.start.stdin {
            StepStdio::Client => Stdin::Given,
            StepStdio::OneTask(one) if *one == rank => Stdin::Given,
            StepStdio::OneTask(_) | StepStdio::Nothing => Stdin::Nothing,
            StepStdio::File(pattern) => Stdin::File(self.path(pattern, rank)?),
        };
        let stdout = self.output(&self.start.stdout, rank, begun)?;
        let stderr = match &self.start.stderr {
            Some(stderr) => self.output(stderr, rank, begun)?,
            None => Output::Joined,
        };
        Ok((stdin, stdout, stderr))
    }

    fn output(&self, stdio: &StepStdio, rank: u32, begun: &mut BTreeSet<String>) -> Result<Output, String> {
        Ok(match stdio {
            StepStdio::Client => Output::Given,
            StepStdio::OneTask(one) if *one == rank => Output::Given,
            StepStdio::OneTask(_) | StepStdio::Nothing => Output::Nothing,
            StepStdio::File(pattern) => {
                let path = self.path(pattern, rank)?;
                // A file that several tasks share is begun by the first of them, on the first node.
                let shared = self.granted.nodes.first().is_some_and(|node| node.name != self.hands.node)
                    && self.path_of(pattern, 0, 0).is_ok_and(|first| first == path);
                let append = self.start.open_mode == OpenMode::Append || shared || !begun.insert(path.clone());
                Output::File { path, append }
            }
        })
    }

    fn path(&self, pattern: &str, rank: u32) -> Result<String, String> {
        self.path_of(pattern, rank, self.own)
    }

    fn path_of(&self, pattern: &str, rank: u32, node: usize) -> Result<String, String> {
        let spec = &self.assignment.detail.spec;
        let values = PatternValues {
            job: self.granted.run.job,
            array: self.assignment.detail.array.as_ref().map(|place| (place.array, place.index)),
            step: self.granted.step,
            task: rank,
            node_rank: node as u32,
            node: self.granted.nodes[node].name.as_str(),
            user: &spec.user,
            name: if self.start.name.is_empty() { &spec.name } else { &self.start.name },
        };
        resolve(pattern, &values, &self.start.work_dir).map_err(|error| error.to_string())
    }
}
