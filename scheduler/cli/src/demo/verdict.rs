//! Did it hold? Each promise of the demo, checked against the cluster's answers and the jobs' own output.

use super::outputs::{RankReport, TaskReport};
use super::stage::{ELEMENTS, Submission};
use crate::books::Books;
use crate::personal::remains::Left;
use squall_types::api::{AccountedJob, ArrayView, JobState, JobView, LedgerRow};
use squall_types::{EndState, ExitStatus, JobId, MicroUsd, NodeName, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// The jobs that were submitted.
#[derive(Clone, Debug)]
pub struct Cast {
    pub array: JobId,
    pub gang: JobId,
    pub after: JobId,
    /// The one that fits nowhere.
    pub never: Submission,
}

/// Everything that is known when it is over.
#[derive(Clone, Debug)]
pub struct Evidence {
    pub cast: Cast,
    /// As the queue showed them last.
    pub jobs: Vec<JobView>,
    pub accounted: Vec<AccountedJob>,
    pub ledger: Vec<LedgerRow>,
    pub books: Books,
    /// Nodes before the first submission.
    pub nodes_at_first: usize,
    pub tasks: Vec<TaskReport>,
    pub ranks: Vec<RankReport>,
    /// What the job that depends on the array wrote.
    pub after: String,
    pub real_gpus: bool,
    pub left: Vec<Left>,
}

/// A promise, and whether it held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    pub promise: String,
    /// What is wrong; nothing where it held.
    pub faults: Vec<String>,
}

impl Check {
    fn new(promise: impl Into<String>, faults: impl IntoIterator<Item = String>) -> Check {
        Check { promise: promise.into(), faults: faults.into_iter().collect() }
    }

    pub fn held(&self) -> bool {
        self.faults.is_empty()
    }
}

impl Evidence {
    pub fn checks(&self) -> Vec<Check> {
        vec![
            self.every_job_completed(),
            self.every_element_ran_once(),
            self.no_gpu_was_shared(),
            self.the_ranks_met(),
            self.the_dependency_was_kept(),
            self.what_never_fits_was_refused(),
            self.the_pool_grew_and_shrank(),
            self.accounting_agrees(),
            Check::new("receipts and idle tails add up to the ledger", self.books.faults.clone()),
            Check::new(
                "every process is gone",
                self.left.iter().map(|left| format!("process {} is left: {}", left.process.pid, left.command)),
            ),
        ]
    }

    /// The elements of the array, with their index.
    pub fn elements(&self) -> impl Iterator<Item = (u32, &JobView)> {
        self.jobs.iter().filter_map(|job| match &job.array {
            Some(ArrayView::Element { array, index }) if *array == self.cast.array => Some((*index, job)),
            _ => None,
        })
    }

    pub fn job(&self, id: JobId) -> Option<&JobView> {
        self.jobs.iter().find(|job| job.job == id && job.array.is_none())
    }

    fn every_job_completed(&self) -> Check {
        let completed = |job: &&JobView| {
            job.state == JobState::Ended(EndState::Completed) && job.exit == ExitStatus::default() && job.restarts == 0
        };
        let done = self.jobs.iter().filter(completed).count();
        let expected = ELEMENTS as usize + 2;
        let mut faults: Vec<String> = self
            .jobs
            .iter()
            .filter(|job| !completed(job))
            .map(|job| {
                let id = super::look::shown_id(job);
                let (word, reason) = (job.state.word(), job.reason.word());
                format!("job {id} ({}) is {word} ({reason}) with {}:{}", job.name, job.exit.code, job.exit.signal)
            })
            .collect();
        if done != expected {
            faults.push(format!("{done} of {expected} jobs completed"));
        }
        Check::new(format!("{done} jobs completed with 0:0"), faults)
    }

    fn every_element_ran_once(&self) -> Check {
        let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
        for task in &self.tasks {
            *seen.entry(&task.element).or_default() += 1;
        }
        let faults = (0..ELEMENTS).filter_map(|element| match seen.get(element.to_string().as_str()) {
            Some(1) => None,
            Some(times) => Some(format!("element {element} ran {times} times")),
            None => Some(format!("element {element} left no output")),
        });
        let nodes: BTreeSet<&str> = self.tasks.iter().map(|task| task.node.as_str()).collect();
        Check::new(format!("{} elements ran once each, on {} nodes", self.tasks.len(), nodes.len()), faults)
    }

    fn no_gpu_was_shared(&self) -> Check {
        let mut faults = Vec::new();
        let mut by_gpu: BTreeMap<(&str, &str), Vec<&TaskReport>> = BTreeMap::new();
        for task in &self.tasks {
            if task.gpus.is_empty() || task.gpus.contains(',') {
                faults.push(format!("element {} saw the GPUs \"{}\"", task.element, task.gpus));
            }
            if self.real_gpus && task.device.is_empty() {
                faults.push(format!("element {} found no driver for GPU {}", task.element, task.gpus));
            }
            by_gpu.entry((&task.node, &task.gpus)).or_default().push(task);
        }
        for ((node, gpu), mut tasks) in by_gpu {
            tasks.sort_by_key(|task| task.began_ms);
            for pair in tasks.windows(2).filter(|pair| pair[1].began_ms < pair[0].ended_ms) {
                let (one, other) = (&pair[0].element, &pair[1].element);
                faults.push(format!("elements {one} and {other} used GPU {gpu} of {node} at the same time"));
            }
        }
        Check::new("each element had one GPU for itself", faults)
    }

    fn the_ranks_met(&self) -> Check {
        let mut faults = Vec::new();
        let by_rank: BTreeMap<u32, &RankReport> = self.ranks.iter().map(|rank| (rank.rank, rank)).collect();
        let (promise, bytes) = match (by_rank.get(&0), by_rank.get(&1), self.ranks.len()) {
            (Some(zero), Some(one), 2) => {
                for (me, other) in [(zero, one), (one, zero)] {
                    if me.received != other.sent || me.peer != other.rank || me.peer_node != other.node {
                        faults.push(format!("rank {} did not get what rank {} sent", me.rank, other.rank));
                    }
                }
                if zero.node == one.node {
                    faults.push(format!("both ranks ran on {}", zero.node));
                }
                let gang: Vec<&str> = self
                    .job(self.cast.gang)
                    .map(|job| job.nodes.iter().map(NodeName::as_str).collect())
                    .unwrap_or_default();
                if gang != [zero.node.as_str(), one.node.as_str()] {
                    faults.push(format!(
                        "the ranks ran on {} and {}, the job had {}",
                        zero.node,
                        one.node,
                        gang.join(",")
                    ));
                }
                (format!("the ranks of the gang met, on {} and {}", zero.node, one.node), zero.bytes + one.bytes)
            }
            _ => {
                faults.push(format!("{} ranks told of a meeting, 2 were to", self.ranks.len()));
                ("the ranks of the gang met".to_owned(), 0)
            }
        };
        Check::new(format!("{promise}, and exchanged {bytes} bytes"), faults)
    }

    fn the_dependency_was_kept(&self) -> Check {
        let mut faults = Vec::new();
        let last = self.elements().filter_map(|(_, job)| job.end_at).max().unwrap_or(Timestamp::NEVER);
        match self.job(self.cast.after).and_then(|job| job.start_at) {
            Some(start_at) if start_at >= last => {}
            Some(_) => faults.push("it started before the array had ended".to_owned()),
            None => faults.push("it did not start".to_owned()),
        }
        let counted = format!("counted {ELEMENTS} tasks");
        if !self.after.contains(&counted) {
            faults.push(format!("its output is {:?}", self.after.trim()));
        }
        Check::new("the CPU job ran after the whole array and found all of its output", faults)
    }

    fn what_never_fits_was_refused(&self) -> Check {
        let never = &self.cast.never;
        let mut faults = Vec::new();
        if never.code == Some(0) || !never.said.is_empty() {
            faults.push(format!("{} ended with {:?} and said {:?}", never.line, never.code, never.said));
        }
        for needed in ["limit:", "try:"] {
            if !never.complained.contains(needed) {
                faults.push(format!("the refusal has no \"{needed}\" line: {:?}", never.complained));
            }
        }
        Check::new("the job that fits nowhere was refused, with advice", faults)
    }

    fn the_pool_grew_and_shrank(&self) -> Check {
        let mut faults = Vec::new();
        if self.nodes_at_first > 0 {
            faults.push(format!("{} nodes were there before the first job", self.nodes_at_first));
        }
        if self.books.peak_nodes < 2 {
            faults.push(format!("{} nodes at once are too few for the gang", self.books.peak_nodes));
        }
        for row in self.ledger.iter().filter(|row| row.gone_at.is_none()) {
            faults.push(format!("node {} is not gone", row.node));
        }
        Check::new(format!("the pool grew from 0 to {} nodes and is back at 0", self.books.peak_nodes), faults)
    }

    fn accounting_agrees(&self) -> Check {
        let mut faults = Vec::new();
        let key = |array: &Option<ArrayView>, job: JobId| match array {
            Some(ArrayView::Element { array, index }) => (*array, Some(*index)),
            _ => (job, None),
        };
        let accounted: BTreeMap<_, &AccountedJob> =
            self.accounted.iter().map(|job| (key(&job.array, job.job), job)).collect();
        for job in &self.jobs {
            match accounted.get(&key(&job.array, job.job)) {
                Some(other) if (other.state, other.exit, other.cost) == (job.state, job.exit, job.cost) => {}
                Some(other) => faults.push(format!(
                    "job {}: sacct says {} and {}, squeue {} and {}",
                    job.job,
                    other.state.word(),
                    other.cost,
                    job.state.word(),
                    job.cost
                )),
                None => faults.push(format!("sacct knows no job {}", job.job)),
            }
        }
        Check::new("sacct and squeue tell the same of every job", faults)
    }

    /// What each job cost.
    pub fn receipts(jobs: &[JobView]) -> Vec<MicroUsd> {
        jobs.iter().map(|job| job.cost).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(element: u32, node: &str, gpus: &str, began_ms: i64, ended_ms: i64) -> TaskReport {
        TaskReport {
            element: element.to_string(),
            node: node.to_owned(),
            gpus: gpus.to_owned(),
            began_ms,
            ended_ms,
            ..TaskReport::default()
        }
    }

    fn rank(rank: u32, node: &str, sent: &str, received: &str) -> RankReport {
        let peer = 1 - rank;
        let peer_node = format!("n{peer}");
        let (sent, received) = (sent.to_owned(), received.to_owned());
        RankReport { rank, node: node.to_owned(), peer, peer_node, bytes: 8, sent, received, began_ms: 0 }
    }

    fn evidence() -> Evidence {
        let never = Submission {
            line: "sbatch never.sh".to_owned(),
            code: Some(1),
            said: String::new(),
            complained: "sbatch: error: no\n  limit:  8\n  try:    2".to_owned(),
        };
        Evidence {
            cast: Cast { array: JobId(1), gang: JobId(26), after: JobId(27), never },
            jobs: Vec::new(),
            accounted: Vec::new(),
            ledger: Vec::new(),
            books: Books::default(),
            nodes_at_first: 0,
            tasks: (0..ELEMENTS).map(|element| task(element, "n0", &element.to_string(), 0, 5)).collect(),
            ranks: Vec::new(),
            after: String::new(),
            real_gpus: false,
            left: Vec::new(),
        }
    }

    #[test]
    fn two_elements_on_one_gpu_at_the_same_time_are_a_fault() {
        let mut evidence = evidence();
        assert!(evidence.no_gpu_was_shared().held());
        assert!(evidence.every_element_ran_once().held());
        evidence.tasks[3] = task(3, "n0", "4", 5, 9);
        assert!(evidence.no_gpu_was_shared().held(), "one after the other is fine");
        evidence.tasks[3] = task(3, "n0", "4", 4, 9);
        assert!(!evidence.no_gpu_was_shared().held());
        evidence.tasks[3] = task(4, "n1", "4", 4, 9);
        assert_eq!(evidence.every_element_ran_once().faults, ["element 3 left no output", "element 4 ran 2 times"]);
    }

    #[test]
    fn ranks_met_only_if_each_has_what_the_other_sent() {
        let mut evidence = evidence();
        assert!(!evidence.the_ranks_met().held(), "no rank said anything");
        let fault = |ranks: Vec<RankReport>, evidence: &mut Evidence| {
            evidence.ranks = ranks;
            evidence.the_ranks_met().faults
        };
        let faults = fault(vec![rank(0, "n0", "aa", "bb"), rank(1, "n1", "bb", "aa")], &mut evidence);
        assert_eq!(faults, ["the ranks ran on n0 and n1, the job had "]);
        let faults = fault(vec![rank(0, "n0", "aa", "xx"), rank(1, "n1", "bb", "aa")], &mut evidence);
        assert_eq!(faults[0], "rank 0 did not get what rank 1 sent");
    }

    #[test]
    fn a_refusal_needs_a_limit_and_advice() {
        let mut evidence = evidence();
        assert!(evidence.what_never_fits_was_refused().held());
        evidence.cast.never.complained = "sbatch: error: no".to_owned();
        assert_eq!(evidence.what_never_fits_was_refused().faults.len(), 2);
        evidence.cast.never.code = Some(0);
        assert_eq!(evidence.what_never_fits_was_refused().faults.len(), 3);
    }
}
