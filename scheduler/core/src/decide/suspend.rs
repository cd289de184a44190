//! Suspending what runs, and letting it go on. What is suspended gives nothing back: its GPUs keep what is in their memory,
//! its nodes stay bought, and nothing that it holds is granted to anybody else. Only its time stands still.

use super::Reply;
use super::draft::Draft;
use super::perform::DIE_AT_MARGIN;
use super::targets::Target;
use crate::authz::{self, Object, Verb};
use crate::command::Caller;
use crate::event::What;
use crate::job::{Job, JobPhase};
use crate::refuse::Rejection;
use squall_types::api::JobRef;
use squall_types::{JobId, NodeId, Span, Timestamp, Uid};

/// What is wanted of a job.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Suspended,
    Resumed,
}

impl Draft<'_> {
    pub fn suspend(&mut self, caller: &Caller, job: &JobRef) -> Result<Reply, Rejection> {
        self.bring(caller, job, Wanted::Suspended)
    }

    pub fn resume(&mut self, caller: &Caller, job: &JobRef) -> Result<Reply, Rejection> {
        self.bring(caller, job, Wanted::Resumed)
    }

    /// Everything named that runs; of an array, whatever else there is of it is left alone.
    fn bring(&mut self, caller: &Caller, job: &JobRef, wanted: Wanted) -> Result<Reply, Rejection> {
        let targets = self.targets(job)?;
        let mut refused = None;
        let mut reached = 0;
        for target in targets {
            let (Target::Record(id) | Target::Waiting(id, _)) = target;
            let uid = self.job(id).map_or(Uid(0), |job| job.spec.uid);
            authz::allow(caller, Verb::SuspendJob, Object::Job { uid })?;
            match self.bring_record(id, wanted) {
                Ok(()) => reached += 1,
                Err(refusal) => refused = Some(refusal),
            }
        }
        match refused {
            Some(refusal) if reached == 0 => Err(refusal),
            _ => Ok(Reply::Done),
        }
    }

    fn bring_record(&mut self, id: JobId, wanted: Wanted) -> Result<(), Rejection> {
        let verb = if wanted == Wanted::Suspended { "suspend" } else { "resume" };
        let asked = format!("to {verb} job {id}");
        let Some(job) = self.job(id) else { return Ok(()) };
        let (run, is_suspended) = (job.run(), job.is_suspended());
        match &job.phase {
            JobPhase::Running { .. } if wanted == Wanted::Suspended => {
                if !is_suspended {
                    self.emit(What::JobSuspended { run });
                }
            }
            JobPhase::Running { .. } if !is_suspended => {
                return Err(Rejection::new("SQ1015", "Job is not suspended").asked(asked).limit("it runs"));
            }
            JobPhase::Running { .. } => {
                self.emit(What::JobResumed { run });
                self.outlast(id);
            }
            JobPhase::Pending | JobPhase::Configuring(_) | JobPhase::Bound(_) => {
                let refusal = Rejection::new("SQ1013", "Job is pending execution").asked(asked);
                return Err(refusal.limit("it has not started yet").try_this(format!("scontrol hold {id}")));
            }
            JobPhase::Stopping { .. } | JobPhase::Ended(_) => {
                let refusal = Rejection::new("SQ1011", "Job/step already completing or completed").asked(asked);
                return Err(refusal.limit("it has ended, or is being ended"));
            }
        }
        Ok(())
    }

    /// The nodes of a job that goes on live at least as long as it may run.
    fn outlast(&mut self, id: JobId) {
        let Some(Job { phase: JobPhase::Running { placement, started_at }, .. }) = self.job(id) else { return };
        if placement.time_limit >= Span::FOREVER {
            return;
        }
        let needed: Timestamp = placement.limit_at(*started_at) + DIE_AT_MARGIN;
        let nodes: Vec<NodeId> = placement.allocations.iter().map(|held| held.node).collect();
        let short = |id: &NodeId| {
            self.cluster.nodes.get(id).is_some_and(|node| !node.is_static() && node.contact && node.die_at < needed)
        };
        for node in nodes.into_iter().filter(short).collect::<Vec<_>>() {
            self.emit(What::DieAtExtended { node, die_at: needed });
        }
    }
}
