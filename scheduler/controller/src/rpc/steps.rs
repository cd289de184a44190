//! Steps: granted by the engine, proved by a credential that only this process can sign.

use super::{Service, done, refused, unexpected};
use squall_core::authz::Verb;
use squall_core::job::JobPhase;
use squall_core::{Command, Rejection, Reply};
use squall_engine::Ask;
use squall_proto::credential::Action;
use squall_proto::server::{Channel, Failure};
use squall_types::api::{StepGrant, StepNode, StepRequest, VisitGrant};
use squall_types::ids::Run;
use squall_types::{Allocation, ExitStatus, JobId};

impl Service {
    pub(super) async fn grant_step(&self, channel: &Channel, request: StepRequest) -> Result<StepGrant, Failure> {
        let job = request.job;
        let (who, _) = self.enter_for_job(channel, Verb::StartStep, job)?;
        let reply = done(self.ask(who.caller, Ask::One(Command::StartStep { request })).await?)?;
        let Reply::Step(grant) = reply else { return Err(unexpected()) };
        self.with_credential(*grant)
    }

    /// What was granted, with what proves it to agents.
    pub(super) fn with_credential(&self, grant: StepGrant) -> Result<StepGrant, Failure> {
        let StepGrant { run, step, tasks, ref nodes, .. } = grant;
        // The step runs as the job's user, whoever asked for it.
        let published = self.published();
        let spec = published.cluster.jobs.get(&run.job).map(|job| job.spec.clone());
        let spec = spec.ok_or_else(|| super::access::no_such_job(run.job))?;
        let action = Action::RunStep { step, tasks, nodes: nodes.clone() };
        let credential = self.authority.step_credential(spec.uid, spec.gid, run, action, self.handle.now());
        let credential = credential.map_err(|error| {
            tracing::error!(%error, job = run.job.0, "no credential for a step");
            Failure::Internal(error.to_string())
        })?;
        Ok(StepGrant { credential, ca_pem: self.authority.ca_pem().to_owned(), ..grant })
    }

    /// Nothing is decided: who may come to a job's nodes follows from the job alone.
    pub(super) fn grant_visit(&self, channel: &Channel, job: JobId) -> Result<VisitGrant, Failure> {
        self.enter_for_job(channel, Verb::VisitJob, job)?;
        let published = self.published();
        let job = published.cluster.jobs.get(&job).ok_or_else(|| super::access::no_such_job(job))?;
        let JobPhase::Running { placement, .. } = &job.phase else {
            let over =
                if job.is_ended() { "Job/step already completing or completed" } else { "Job is pending execution" };
            let rejection = Rejection::new("SQ1020", over).asked(format!("the nodes of job {}", job.id));
            return Err(refused(rejection.limit("the job does not run")));
        };
        let node = |held: &Allocation| {
            let node = published.cluster.nodes.get(&held.node)?;
            let address = node.measured.as_ref().map(|measured| measured.address.clone()).unwrap_or_default();
            Some(StepNode { name: node.name.clone(), address, cpus: held.cpus, ..StepNode::default() })
        };
        let nodes: Vec<StepNode> = placement.allocations.iter().filter_map(node).collect();
        let (run, action) = (job.run(), Action::Visit { nodes: nodes.clone() });
        let credential = self.authority.step_credential(job.spec.uid, job.spec.gid, run, action, self.handle.now());
        let credential = credential.map_err(|error| {
            tracing::error!(%error, job = job.id.0, "no credential for a visit");
            Failure::Internal(error.to_string())
        })?;
        Ok(VisitGrant { run, nodes, credential, ca_pem: self.authority.ca_pem().to_owned() })
    }

    pub(super) async fn finish(&self, channel: &Channel, job: JobId, exit: ExitStatus) -> Result<(), Failure> {
        let (who, _) = self.enter_for_job(channel, Verb::FinishAllocation, job)?;
        let published = self.published();
        let attempt = published.cluster.jobs.get(&job).map(|job| job.attempt);
        let attempt = attempt.ok_or_else(|| super::access::no_such_job(job))?;
        let command = Command::FinishAllocation { run: Run { job, attempt }, exit };
        done(self.ask(who.caller, Ask::One(command)).await?).map(|_| ())
    }
}
