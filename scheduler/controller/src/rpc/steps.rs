//! Steps: granted by the engine, proved by a credential that only this process can sign.

use super::{Service, done, unexpected};
use squall_core::authz::Verb;
use squall_core::{Command, Reply};
use squall_engine::Ask;
use squall_proto::credential::Action;
use squall_proto::server::{Channel, Failure};
use squall_types::api::{StepGrant, StepRequest};
use squall_types::ids::Run;
use squall_types::{ExitStatus, JobId};

impl Service {
    pub(super) async fn grant_step(&self, channel: &Channel, request: StepRequest) -> Result<StepGrant, Failure> {
        let job = request.job;
        let (who, _) = self.enter_for_job(channel, Verb::StartStep, job)?;
        let reply = done(self.ask(who.caller, Ask::One(Command::StartStep { request })).await?)?;
        let Reply::Step(grant) = reply else { return Err(unexpected()) };
        let StepGrant { run, step, tasks, ref nodes, .. } = *grant;
        // The step runs as the job's user, whoever asked for it.
        let published = self.published();
        let spec = published.cluster.jobs.get(&run.job).map(|job| job.spec.clone());
        let spec = spec.ok_or_else(|| super::access::no_such_job(job))?;
        let action = Action::RunStep { step, tasks, nodes: nodes.clone() };
        let credential = self.authority.step_credential(spec.uid, spec.gid, run, action, self.handle.now());
        let credential = credential.map_err(|error| {
            tracing::error!(%error, job = job.0, "no credential for a step");
            Failure::Internal(error.to_string())
        })?;
        Ok(StepGrant { credential, ca_pem: self.authority.ca_pem().to_owned(), ..*grant })
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
