//! The way in: who, how often, and whether at all. Every call passes here first.

use super::caller::Who;
use super::{Service, refused};
use squall_core::authz::{Object, Verb, allow};
use squall_core::job::Job;
use squall_proto::server::{Channel, Failure};
use squall_types::{JobId, Uid};

impl Service {
    /// Establishes the caller, counts the call, and asks whether it may do this to what belongs to nobody.
    pub(super) fn enter(&self, channel: &Channel, verb: Verb) -> Result<Who, Failure> {
        let who = self.who(channel, verb)?;
        allow(&who.caller, verb, Object::Cluster).map_err(refused)?;
        Ok(who)
    }

    /// The same for what is decided about each job by the core.
    pub(super) fn who(&self, channel: &Channel, verb: Verb) -> Result<Who, Failure> {
        self.meters.call(verb);
        let who = self.user(channel).inspect_err(|failure| {
            tracing::debug!(reason = %failure, ?verb, remote = ?channel.remote, "a caller was turned away");
        })?;
        if let Some(uid) = who.caller.uid() {
            self.rate(uid, who.caller.is_admin())?;
        }
        Ok(who)
    }

    /// The same for what belongs to a job's user.
    pub(super) fn enter_for_job(&self, channel: &Channel, verb: Verb, job: JobId) -> Result<(Who, Uid), Failure> {
        let who = self.who(channel, verb)?;
        let published = self.published();
        let owner = published.cluster.jobs.get(&job).map(|job: &Job| job.spec.uid).ok_or_else(|| no_such_job(job))?;
        allow(&who.caller, verb, Object::Job { uid: owner }).map_err(refused)?;
        Ok((who, owner))
    }

    fn rate(&self, uid: Uid, admin: bool) -> Result<(), Failure> {
        let settings = self.settings();
        let controller = &settings.settings.controller;
        if admin || self.rates.take(uid, controller.requests_per_second, controller.request_burst, self.handle.now()) {
            return Ok(());
        }
        Err(Failure::Busy(format!(
            "uid {uid} asks more than {} times in a second (controller.requests_per_second)",
            controller.requests_per_second
        )))
    }
}

pub(super) fn no_such_job(job: JobId) -> Failure {
    let rejection = squall_core::Rejection::new("SQ1001", "Invalid job id specified")
        .asked(format!("job {job}"))
        .limit("no job of that id is known here; ended jobs are kept for MinJobAge")
        .try_this(format!("sacct -j {job}"));
    refused(rejection)
}
