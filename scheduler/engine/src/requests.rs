//! Requests of clients, and commits that let their answers go.

use crate::Engine;
use crate::bulk::Work;
use crate::io::{Answer, Ask, BatchId, Output, RequestId};
use squall_core::{Caller, Command, Rejection, Reply};

impl Engine {
    pub(crate) fn request(&mut self, id: RequestId, caller: &Caller, ask: Ask) {
        let command = match ask {
            Ask::One(command) => command,
            Ask::Many { filter, action } => {
                let jobs = squall_core::views::job_refs(&self.cluster, &filter);
                return self.bulk.push(Work::new(id, caller.clone(), action, jobs));
            }
        };
        self.configured |= matches!(command, Command::Configure { .. });
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
        self.batches.hold(Output::Reply { id, reply: answer });
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
