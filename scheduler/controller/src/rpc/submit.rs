//! Submissions: what of them is the channel's word, what is stored beside the journal, and what is no script.

use super::caller::Who;
use super::{Service, answered, done, refused, unexpected, unread};
use crate::telemetry::trace_parent_for;
use memchr::{memchr, memchr_iter};
use squall_core::authz::{Object, Verb, allow};
use squall_core::{Command, Rejection, Reply};
use squall_engine::Ask;
use squall_journal::{PreparedBlob, RecentBlobs};
use squall_proto::server::{Channel, Failure};
use squall_types::api::{SubmitReply, SubmitRequest};
use squall_types::het::MAX_COMPONENTS;
use squall_types::{Gid, JobId, JobKind, JobSpec, MailEvents, SubmitToken, Uid};
use std::mem::replace;
use std::sync::Arc;

const NO_MAIL: &str = "no mail is sent: the cluster's configuration names no controller.mail_program";
/// Bytes that are hashed and compressed sooner than another thread would begin to.
const SMALL: usize = 64 << 10;
const FAILED: &str = "Batch job submission failed: ";

/// A submission with everything that the channel and this machine know of it.
pub(super) struct Admitted {
    pub spec: Box<JobSpec>,
    /// The other components of a heterogeneous job.
    pub more: Vec<JobSpec>,
    pub token: SubmitToken,
    pub blobs: Vec<PreparedBlob>,
    pub notes: Vec<String>,
}

impl Service {
    pub(super) async fn submit_job(&self, channel: &Channel, request: SubmitRequest) -> Result<SubmitReply, Failure> {
        let Who { caller, gid } = self.who(channel, Verb::Submit)?;
        let uid = caller.uid().ok_or_else(|| Failure::Denied("only users submit jobs".to_owned()))?;
        allow(&caller, Verb::Submit, Object::Job { uid }).map_err(refused)?;
        let test_only = request.test_only;
        let step = request.step.clone().filter(|_| !test_only && request.spec.kind == JobKind::Interactive);
        let Admitted { spec, more, token, blobs, notes: mut said } =
            self.admit_job(channel, (uid, gid), request).await?;
        let ask = match (more.is_empty(), step) {
            (true, step) => {
                let submission = Command::Submit { spec, token, test_only };
                match step {
                    Some(step) => Ask::WithStep { submission, step: Box::new(step) },
                    None => Ask::One(submission),
                }
            }
            (false, _) => {
                let specs = std::iter::once(*spec).chain(more).collect();
                Ask::One(Command::SubmitTogether { specs, token, test_only })
            }
        };
        match done(answered(self.handle.submit(caller, ask, blobs)).await?)? {
            Reply::Submitted { job, notes, step } => {
                said.extend(notes);
                // The job is there, whatever becomes of its step: without one the client asks for it.
                let step = step.and_then(|grant| self.with_credential(*grant).ok());
                Ok(SubmitReply { job, estimate: None, notes: said, step })
            }
            Reply::Estimated { estimate } => {
                Ok(SubmitReply { job: JobId(0), estimate: Some(estimate), notes: said, step: None })
            }
            _ => Err(unexpected()),
        }
    }

    /// A submission in the name of this user, as it may go to the core.
    pub(super) async fn admit_job(
        &self,
        channel: &Channel,
        (uid, gid): (Uid, Gid),
        request: SubmitRequest,
    ) -> Result<Admitted, Failure> {
        let SubmitRequest { mut spec, script, environment, token, test_only: _, mut more, step: _ } = request;
        if more.len() >= MAX_COMPONENTS {
            let asked = format!("a heterogeneous job of {} components", more.len() + 1);
            let refusal = Rejection::new("SQ1032", &format!("{FAILED}Invalid job specification"));
            return Err(refused(refusal.asked(asked).limit(format!("at most {MAX_COMPONENTS}"))));
        }
        let config = self.published().cluster.config.clone();
        let (user, groups) = (self.users.name(uid).await, self.users.groups(uid, gid, &config).await);
        for spec in std::iter::once(&mut *spec).chain(&mut more) {
            (spec.uid, spec.gid, spec.user, spec.groups) = (uid, gid, user.clone(), groups.clone());
        }
        let limits = &config.limits;
        check_script(spec.kind, script.as_deref(), limits.max_script_bytes).map_err(refused)?;
        check_environment(&environment, limits.max_environment_bytes).map_err(refused)?;
        if token.as_str().is_empty() {
            return Err(refused(
                Rejection::new("SQ1003", &format!("{FAILED}Invalid submission"))
                    .asked("a job")
                    .limit("a submission bears a token, by which it is recognised when it is repeated"),
            ));
        }
        let hook = self.settings().settings.submit_hook.clone();
        let mut notes = self.hooks.look_at(&hook, &mut spec, script.as_deref()).await.map_err(refused)?;
        for component in &mut more {
            notes.extend(self.hooks.look_at(&hook, component, None).await.map_err(refused)?);
        }
        let (script, environment) = if script.as_ref().map_or(0, Vec::len) + environment.len() <= SMALL {
            prepare(&self.recent, script, environment)?
        } else {
            let recent = self.recent.clone();
            let prepared = tokio::task::spawn_blocking(move || prepare(&recent, script, environment));
            prepared.await.map_err(|_| Failure::Internal("a submission was not stored".to_owned()))??
        };
        spec.script = script.as_ref().map(PreparedBlob::digest);
        spec.environment = environment.as_ref().map(PreparedBlob::digest);
        let unheard = spec.mail != MailEvents::default() && self.settings().settings.controller.mail_program.is_none();
        notes.extend(unheard.then(|| NO_MAIL.to_owned()));
        let given = channel.traceparent.as_deref().or(spec.trace_parent.as_deref());
        spec.trace_parent = Some(trace_parent_for(given, self.authority.cluster(), &token));
        for component in &mut more {
            (component.script, component.environment) = (None, spec.environment);
            component.trace_parent = spec.trace_parent.clone();
        }
        Ok(Admitted { spec, more, token, blobs: script.into_iter().chain(environment).collect(), notes })
    }

    /// The script of a job, for its owner.
    pub(super) async fn script_of(&self, channel: &Channel, job: squall_types::JobId) -> Result<Vec<u8>, Failure> {
        self.enter_for_job(channel, Verb::ReadScript, job)?;
        let published = self.published();
        let spec = published.cluster.jobs.get(&job).map(|job| Arc::clone(&job.spec));
        let digest = spec.and_then(|spec| spec.script).ok_or_else(|| {
            let rejection = Rejection::new("SQ1001", "Invalid job id specified");
            refused(rejection.asked(format!("the script of job {job}")).limit("it is interactive and has none"))
        })?;
        let journal = self.journal.clone();
        let found = self.look_up(move || journal.blob(digest).map_err(|error| unread(&error))).await?;
        found.ok_or_else(|| Failure::Internal(format!("the script of job {job} is not in the journal")))
    }
}

type Blobs = (Option<PreparedBlob>, Option<PreparedBlob>);

fn prepare(recent: &RecentBlobs, script: Option<Vec<u8>>, environment: Vec<u8>) -> Result<Blobs, Failure> {
    let environment = (!environment.is_empty()).then_some(environment);
    let blob = |content: Vec<u8>| recent.prepare(&content).map_err(|error| unread(&error));
    Ok((script.map(blob).transpose()?, environment.map(blob).transpose()?))
}

/// What Slurm refuses as no script, and in its words.
fn check_script(kind: JobKind, script: Option<&[u8]>, most: u32) -> Result<(), Rejection> {
    let wrong = |slurm: &str, limit: String, try_this: &str| {
        Err(Rejection::new("SQ1030", &format!("{FAILED}{slurm}"))
            .asked("a batch script")
            .limit(limit)
            .try_this(try_this))
    };
    let script = match (kind, script) {
        (JobKind::Interactive, None) => return Ok(()),
        (JobKind::Interactive, Some(_)) => {
            return wrong("Invalid job script", "an interactive job has no script".to_owned(), "sbatch");
        }
        (JobKind::Batch, None) => return wrong("Batch script is empty!", "there is none".to_owned(), ""),
        (JobKind::Batch, Some(script)) => script,
    };
    if script.len() > most as usize {
        let limit = format!("it has {} bytes, limits.max_script allows {most}", script.len());
        return wrong(
            "Pathname of a file, directory or other parameter too long",
            limit,
            "read large data from a file",
        );
    }
    if script.iter().all(u8::is_ascii_whitespace) {
        return wrong("Batch script is empty!", "it has no command".to_owned(), "");
    }
    if !script.starts_with(b"#!") {
        let limit = "the first line has to begin with #! followed by the path of an interpreter".to_owned();
        return wrong("This does not look like a batch script", limit, "#!/bin/sh");
    }
    if script.contains(&0) {
        let limit = "it contains a NUL byte: it may be a program".to_owned();
        return wrong(
            "The SLURM controller does not allow scripts that contain a NULL character '\\0'.",
            limit,
            "--wrap=PROGRAM",
        );
    }
    let first = script.split(|byte| *byte == b'\n').next().unwrap_or_default();
    if first.ends_with(b"\r") {
        let limit = "it has DOS line breaks (\\r\\n)".to_owned();
        return wrong("Batch script contains DOS line breaks (\\r\\n)", limit, "dos2unix");
    }
    Ok(())
}

/// `NAME=value` strings, each ended by NUL.
fn check_environment(environment: &[u8], most: u32) -> Result<(), Rejection> {
    let wrong = |limit: String| {
        let slurm = format!("{FAILED}Invalid environment");
        Err(Rejection::new("SQ1031", &slurm).asked("the environment of a job").limit(limit).try_this("--export=NONE"))
    };
    if environment.len() > most as usize {
        let limit = format!("it has {} bytes, limits.max_environment allows {most}", environment.len());
        return wrong(limit);
    }
    if environment.last().is_some_and(|last| *last != 0) {
        return wrong("its last string is not ended by NUL".to_owned());
    }
    let mut begin = 0;
    let mut strings = memchr_iter(0, environment).map(|end| &environment[replace(&mut begin, end + 1)..end]);
    match strings.find(|string| memchr(b'=', string).unwrap_or(0) == 0) {
        Some(string) => {
            let shown: String = String::from_utf8_lossy(string).chars().take(80).collect();
            wrong(format!("{shown:?} is not NAME=value"))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_script_is_refused_in_slurms_words() {
        let refusal = |script: Option<&[u8]>| check_script(JobKind::Batch, script, 64).err().map(|no| no.0.slurm);
        assert_eq!(refusal(Some(b"#!/bin/sh\necho")), None);
        assert_eq!(refusal(Some(b"#!/bin/sh")), None);
        let says = |script: Option<&[u8]>, text: &str| {
            let said = refusal(script).unwrap_or_default();
            assert!(said.contains(text), "{said}");
        };
        says(None, "empty");
        says(Some(b""), "empty");
        says(Some(b" \n\t\n"), "empty");
        says(Some(b"echo hi\n"), "does not look like a batch script");
        says(Some(b"\xef\xbb\xbf#!/bin/sh\n"), "does not look like a batch script");
        says(Some(b"#!/bin/sh\r\necho\r\n"), "DOS line breaks");
        says(Some(b"#!/bin/sh\n\0"), "NULL character");
        says(Some(&[b"#!/bin/sh\n".as_slice(), &[b'x'; 64]].concat()), "too long");
        assert!(check_script(JobKind::Interactive, None, 64).is_ok());
        assert!(check_script(JobKind::Interactive, Some(b"#!/bin/sh"), 64).is_err());
    }

    #[test]
    fn an_environment_is_strings_with_names() {
        let is_good = |environment: &[u8]| check_environment(environment, 32).is_ok();
        assert!(is_good(b"") && is_good(b"A=1\0") && is_good(b"A=\0B=\xff\n=\0"));
        assert!(!is_good(b"A=1") && !is_good(b"A\0") && !is_good(b"=1\0") && !is_good(b"A=1\0\0"));
        assert!(!is_good(&[b'A'; 64]));
    }
}
