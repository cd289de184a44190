//! How the tasks of a step are and how they ended, in Slurm's words.

use squall_types::agent::ExitStatus;
use squall_types::{IndexSet, JobId, NodeName, StepId};
use std::collections::BTreeMap;

/// The tasks of a step, node by node.
pub struct Tasks {
    nodes: Vec<Node>,
    id: String,
    /// Something was ended by a signal, which Slurm says once more at the end.
    terminated: bool,
}

struct Node {
    name: NodeName,
    running: IndexSet,
    /// Bad ends that have not been told yet.
    untold: BTreeMap<ExitStatus, IndexSet>,
    worst: ExitStatus,
}

impl Tasks {
    pub fn new(job: JobId, step: StepId, nodes: impl Iterator<Item = (NodeName, Vec<u32>)>) -> Self {
        let node = |(name, ranks): (NodeName, Vec<u32>)| Node {
            name,
            running: ranks.into_iter().collect(),
            untold: BTreeMap::new(),
            worst: ExitStatus::default(),
        };
        Tasks { nodes: nodes.map(node).collect(), id: format!("{job}.{}", step.suffix()), terminated: false }
    }

    /// `123.0`.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Notes the end of a task; says whether it was a bad one.
    pub fn ended(&mut self, node: usize, rank: u32, exit: ExitStatus) -> bool {
        let node = &mut self.nodes[node];
        node.running.remove(rank);
        let bad = exit != ExitStatus::default();
        if bad {
            node.untold.entry(exit).or_default().insert(rank);
            self.terminated |= exit.signal != 0;
            if code(exit) > code(node.worst) {
                node.worst = exit;
            }
        }
        bad
    }

    /// Whoever still runs there is lost.
    pub fn lost(&mut self, node: usize) {
        let left: Vec<u32> = self.nodes[node].running.iter().collect();
        if left.is_empty() {
            return;
        }
        let lost = ExitStatus { code: 1, signal: 0 };
        for rank in left {
            self.nodes[node].running.remove(rank);
        }
        if code(lost) > code(self.nodes[node].worst) {
            self.nodes[node].worst = lost;
        }
    }

    pub fn all_ended(&self) -> bool {
        self.nodes.iter().all(|node| node.running.is_empty())
    }

    /// Lines about the bad ends that have not been told: `srun: error: n1: tasks 0-2: Exited with exit code 2`.
    pub fn news(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        for node in &mut self.nodes {
            for (exit, ranks) in std::mem::take(&mut node.untold) {
                let plural = if ranks.len() == 1 { "task" } else { "tasks" };
                let how = match exit.signal {
                    0 => format!("Exited with exit code {}", exit.code),
                    number => signal_words(number),
                };
                lines.push(format!("srun: error: {}: {plural} {ranks}: {how}", node.name));
            }
        }
        lines
    }

    /// What is said last where tasks were ended by signals.
    pub fn last_words(&self) -> Option<String> {
        self.terminated.then(|| format!("srun: Force Terminated StepId={}", self.id))
    }

    /// For the first Ctrl-C: `srun: StepId=1.0 task 0: running`.
    pub fn picture(&self) -> String {
        let running: IndexSet = self.nodes.iter().flat_map(|node| node.running.iter()).collect();
        let plural = if running.len() == 1 { "task" } else { "tasks" };
        match running.is_empty() {
            true => format!("srun: StepId={} all tasks have ended", self.id),
            false => format!("srun: StepId={} {plural} {running}: running", self.id),
        }
    }

    /// The highest of all tasks.
    pub fn worst(&self) -> ExitStatus {
        self.nodes.iter().map(|node| node.worst).max_by_key(|exit| code(*exit)).unwrap_or_default()
    }
}

fn code(exit: ExitStatus) -> i32 {
    if exit.signal != 0 { 128 + exit.signal } else { exit.code }
}

/// As `strsignal` says it.
fn signal_words(number: i32) -> String {
    let words = match number {
        1 => "Hangup",
        2 => "Interrupt",
        3 => "Quit",
        4 => "Illegal instruction",
        5 => "Trace/breakpoint trap",
        6 => "Aborted",
        7 => "Bus error",
        8 => "Floating point exception",
        9 => "Killed",
        10 => "User defined signal 1",
        11 => "Segmentation fault",
        12 => "User defined signal 2",
        13 => "Broken pipe",
        14 => "Alarm clock",
        15 => "Terminated",
        24 => "CPU time limit exceeded",
        25 => "File size limit exceeded",
        _ => return format!("Signal {number}"),
    };
    words.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_ends_are_told_together_and_the_worst_counts() {
        let nodes = [("n1".into(), vec![0, 1, 2]), ("n2".into(), vec![3])];
        let mut tasks = Tasks::new(JobId(86), StepId(4), nodes.into_iter());
        let exit = |code, signal| ExitStatus { code, signal };
        for rank in 0..3 {
            assert!(tasks.ended(0, rank, exit(2, 0)));
        }
        assert_eq!(tasks.news(), ["srun: error: n1: tasks 0-2: Exited with exit code 2"]);
        assert_eq!(tasks.picture(), "srun: StepId=86.4 task 3: running");
        assert!(!tasks.all_ended());
        tasks.lost(0);
        assert_eq!(tasks.worst(), exit(2, 0));
        assert!(tasks.ended(1, 3, exit(0, 9)));
        assert_eq!(tasks.news(), ["srun: error: n2: task 3: Killed"]);
        assert_eq!((tasks.worst(), tasks.all_ended()), (exit(0, 9), true));
        assert_eq!(tasks.last_words().as_deref(), Some("srun: Force Terminated StepId=86.4"));
    }
}
