//! Requests of clients, and commits that let their answers go.

use crate::Engine;
use crate::bulk::Work;
use crate::io::{Answer, Ask, BatchId, Output, RequestId};
use squall_core::job::JobPhase;
use squall_core::{Caller, Command, Rejection, Reply};
use squall_types::JobId;
use squall_types::api::{StepGrant, StepRequest};

/// A submission whose answer waits for what the plan makes of its job.
pub(crate) struct Beginning {
    id: RequestId,
    caller: Caller,
    reply: Reply,
    step: StepRequest,
}

impl Engine {
    pub(crate) fn request(&mut self, id: RequestId, caller: &Caller, ask: Ask) {
        let (command, step) = match ask {
            Ask::One(command) => (command, None),
            Ask::WithStep { submission, step } => (submission, Some(step)),
            Ask::Many { filter, action } => {
                let jobs = squall_core::views::job_refs(&self.cluster, &filter);
                return self.bulk.push(Work::new(id, caller.clone(), action, jobs));
            }
        };
        self.configured |= matches!(command, Command::Configure { .. });
        let decided = self.batches.decided();
        let answer = match self.refuse_for_disk(&command) {
            Some(refusal) => Answer::Refused(*refusal.0),
            None => match self.decide(caller, &command) {
                Ok(Reply::Refused(refusal)) => {
                    let text = format!("{refusal}");
                    self.batches.hold(Output::Alert { text });
                    Answer::Refused(*refusal.0)
                }
                Ok(reply) => Answer::Done(reply),
                Err(refusal) => Answer::Refused(*refusal.0),
            },
        };
        // A submission that is repeated found its job: the step that began with it may have its client.
        let is_new = self.batches.decided() > decided;
        match (answer, step) {
            (Answer::Done(reply @ Reply::Submitted { .. }), Some(step)) if is_new => {
                self.beginnings.push(Beginning { id, caller: caller.clone(), reply, step: *step });
            }
            (reply, _) => self.batches.hold(Output::Reply { id, reply }),
        }
    }

    /// Begins the steps that came with submissions of jobs that a plan has just begun, and lets the answers follow.
    pub(crate) fn begin_steps(&mut self) {
        for Beginning { id, caller, mut reply, step: request } in std::mem::take(&mut self.beginnings) {
            if let Reply::Submitted { job, step, .. } = &mut reply {
                *step = self.first_step(&caller, *job, request);
            }
            self.batches.hold(Output::Reply { id, reply: Answer::Done(reply) });
        }
    }

    /// `None` where the job did not begin, or where whoever asks for the step is to hear why there is none.
    fn first_step(&mut self, caller: &Caller, job: JobId, request: StepRequest) -> Option<Box<StepGrant>> {
        let JobPhase::Running { placement, .. } = &self.cluster.jobs.get(&job)?.phase else { return None };
        let tasks = placement.allocations.iter().map(|held| held.tasks).fold(0, u32::saturating_add);
        let request = StepRequest { job, tasks: Some(request.tasks.unwrap_or(tasks)), ..request };
        match self.decide(caller, &Command::StartStep { request }) {
            Ok(Reply::Step(grant)) => Some(grant),
            _ => None,
        }
    }

    /// Below the disk reserve new submissions are refused; everything else goes on.
    fn refuse_for_disk(&self, command: &Command) -> Option<Rejection> {
        let submits = matches!(command, Command::Submit { .. } | Command::SubmitTogether { .. });
        let text = self.disk_refusal.as_ref().filter(|_| submits)?;
        let slurm = "Batch job submission failed: I/O error writing script/environment to file";
        Some(Rejection::new("SQ1034", slurm).asked("a new job").limit(text.clone()))
    }

    pub(crate) fn committed_batch(&mut self, batch: BatchId) {
        if let Some(state) = self.batches.committed(batch) {
            self.committed = state;
        }
    }
}
