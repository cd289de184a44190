//! Bulk actions, a chunk at a time, so that cancelling 50,000 jobs starves nothing.

use crate::Engine;
use crate::io::{Answer, Output, RequestId};
use squall_core::{Caller, Command};
use squall_types::agent::{AgentOrder, SignalTarget};
use squall_types::api::{ActionResult, JobAction, JobRef, Refusal};
use std::collections::VecDeque;

/// Jobs changed in one turn.
const CHUNK: usize = 1000;
/// Bulk actions that wait; one more is refused.
const MAX_WAITING: usize = 1000;

#[derive(Default)]
pub(crate) struct Bulk {
    waiting: VecDeque<Work>,
    refused: Vec<RequestId>,
}

pub(crate) struct Work {
    id: RequestId,
    caller: Caller,
    action: JobAction,
    jobs: VecDeque<JobRef>,
    results: Vec<ActionResult>,
}

impl Work {
    pub fn new(id: RequestId, caller: Caller, action: JobAction, jobs: Vec<JobRef>) -> Self {
        Work { id, caller, action, jobs: jobs.into(), results: Vec::new() }
    }
}

impl Bulk {
    pub fn push(&mut self, work: Work) {
        if self.waiting.len() < MAX_WAITING { self.waiting.push_back(work) } else { self.refused.push(work.id) }
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

impl Engine {
    /// Works on the first action that waits; a long one takes several turns and does not hold up the next batch.
    pub(crate) fn bulk_chunk(&mut self) {
        for id in std::mem::take(&mut self.bulk.refused) {
            let refusal = Refusal {
                code: "SQ5010".to_owned(),
                slurm: "Slurm temporarily unable to accept job, sleeping and retrying".to_owned(),
                asked: "a change of many jobs".to_owned(),
                limit: format!("{MAX_WAITING} such changes are waiting"),
                try_this: "again in a moment".to_owned(),
            };
            self.batches.hold(Output::Reply { id, reply: Answer::Refused(refusal) });
        }
        let mut left = CHUNK;
        while left > 0 && self.batches.has_room() {
            let Some(mut work) = self.bulk.waiting.pop_front() else { return };
            while left > 0 {
                let Some(job) = work.jobs.pop_front() else { break };
                left -= 1;
                let refusal = self.act(&work.caller, &job, &work.action);
                work.results.push(ActionResult { job: name(&job), refusal });
            }
            if work.jobs.is_empty() {
                self.batches.hold(Output::Reply { id: work.id, reply: Answer::Acted(work.results) });
            } else {
                self.bulk.waiting.push_front(work);
            }
        }
    }

    fn act(&mut self, caller: &Caller, job: &JobRef, action: &JobAction) -> Option<Refusal> {
        let job = job.clone();
        let command = match action {
            JobAction::Cancel => Command::Cancel { job, cron: false },
            JobAction::CancelCron => Command::Cancel { job, cron: true },
            JobAction::Hold => Command::Hold { job },
            JobAction::Release => Command::Release { job },
            JobAction::Requeue { hold } => Command::Requeue { job, hold: *hold },
            JobAction::Suspend => Command::Suspend { job },
            JobAction::Resume => Command::Resume { job },
            JobAction::Update(update) => Command::Update { job, update: update.clone() },
            JobAction::Signal { signal, target } => return self.signal(caller, &job, *signal, *target),
        };
        self.decide(caller, &command).err().map(|refusal| *refusal.0)
    }

    /// A signal is no event: it goes to the agents of what runs now.
    fn signal(&mut self, caller: &Caller, job: &JobRef, signal: i32, target: SignalTarget) -> Option<Refusal> {
        let runs = match squall_core::signal_targets(&self.cluster, caller, job) {
            Ok(runs) => runs,
            Err(refusal) => return Some(*refusal.0),
        };
        for (run, nodes) in runs {
            for node in nodes {
                if let Some(session) = self.sessions.of_node(node) {
                    self.batches.hold(Output::Tell { session, order: AgentOrder::Signal { run, target, signal } });
                }
            }
        }
        None
    }
}

fn name(job: &JobRef) -> String {
    match (&job.elements, job.component) {
        (None, None) => job.job.to_string(),
        (None, Some(offset)) => format!("{}+{offset}", job.job),
        (Some(elements), _) => format!("{}_[{elements}]", job.job),
    }
}
