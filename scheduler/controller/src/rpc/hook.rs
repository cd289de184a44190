//! The site's own word on submissions: a program that may refuse a job, or change some of it, before it is decided.
//!
//! It gets one JSON object on standard input and answers with one on standard output:
//!
//! ```json
//! {"refuse": "please name a project with --comment"}
//! {"set": {"account": "lab", "qos": "low"}, "note": "moved to the low queue"}
//! ```
//!
//! Nothing, or an empty object, lets the job be. It runs as an unprivileged user, with an empty environment, for a
//! limited time, and never sees another job. What it changed is judged by the core like anything else.

use crate::limits::{HOOK_ANSWER, HOOKS};
use crate::settings::{OnFailure, SubmitHookSettings};
use serde::{Deserialize, Serialize};
use squall_core::Rejection;
use squall_types::{JobKind, JobSpec, PartitionName, QosName, Span};
use std::process::Stdio;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use tokio::sync::Semaphore;

/// Longest text of a hook that a user is shown, in characters.
const MAX_TEXT: usize = 1024;

/// What the program is told.
#[derive(Serialize)]
struct Told<'a> {
    /// Of this form of words; fields are added, never changed.
    version: u32,
    user: &'a str,
    uid: u32,
    gid: u32,
    name: &'a str,
    account: &'a str,
    partitions: Vec<&'a str>,
    qos: Option<&'a str>,
    interactive: bool,
    nodes: Option<(u32, u32)>,
    tasks: Option<u32>,
    tasks_per_node: Option<u32>,
    ask: &'a squall_types::Ask,
    time_limit_secs: Option<i64>,
    array: Option<String>,
    dependency: String,
    constraint: Option<String>,
    prefer: Option<String>,
    nice: i32,
    comment: &'a str,
    wckey: &'a str,
    reservation: &'a str,
    licenses: &'a str,
    work_dir: &'a str,
    command: &'a str,
    arguments: &'a [String],
    submit_line: &'a str,
    submit_host: &'a str,
    script: Option<std::borrow::Cow<'a, str>>,
}

/// What it may answer.
#[derive(Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(default, deny_unknown_fields)]
struct Answer {
    refuse: Option<String>,
    set: Changes,
    note: Option<String>,
}

/// What it may change: nothing that says who somebody is, or what runs.
#[derive(Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(default, deny_unknown_fields)]
struct Changes {
    name: Option<String>,
    account: Option<String>,
    partitions: Option<Vec<String>>,
    qos: Option<String>,
    time_limit_secs: Option<u32>,
    constraint: Option<String>,
    prefer: Option<String>,
    comment: Option<String>,
    wckey: Option<String>,
    requeue: Option<bool>,
    /// Only upwards: a hook gives nobody an advantage that the user could not ask for.
    nice: Option<u32>,
}

/// Hooks that run at once are few: submissions wait for their turn.
pub struct Hooks(Semaphore);

impl Default for Hooks {
    fn default() -> Self {
        Hooks(Semaphore::new(HOOKS))
    }
}

impl Hooks {
    /// Lets the program look at a submission, which it may change; notes for the user.
    ///
    /// # Errors
    /// The program's refusal, or the site's where the program failed.
    pub async fn look_at(
        &self,
        settings: &SubmitHookSettings,
        spec: &mut JobSpec,
        script: Option<&[u8]>,
    ) -> Result<Vec<String>, Rejection> {
        if settings.command.is_empty() {
            return Ok(Vec::new());
        }
        let question = question(spec, script);
        let run = async {
            let _turn = self.0.acquire().await.map_err(|_| "the controller is stopping".to_owned())?;
            ask(settings, question).await
        };
        let limit = std::time::Duration::from_millis(settings.timeout.0.0.max(1) as u64);
        let answer = match tokio::time::timeout(limit, run).await {
            Ok(answer) => answer,
            Err(_) => Err(format!("no answer within {} ms (submit_hook.timeout)", limit.as_millis())),
        };
        let answer = answer.and_then(|answer| answer.changed(spec));
        match (answer, settings.on_failure) {
            (Ok(Answer { refuse: Some(why), .. }), _) => Err(Rejection::new("SQ1095", &shown(&why))
                .asked(format!("job \"{}\"", spec.name))
                .limit("a rule of this site, kept by its submit hook")),
            (Ok(Answer { note, .. }), _) => Ok(note.iter().map(|note| shown(note)).collect()),
            (Err(why), OnFailure::Accept) => {
                tracing::warn!(reason = %why, user = %spec.user, "the submit hook failed, and the job is taken without it");
                Ok(Vec::new())
            }
            (Err(why), OnFailure::Refuse) => {
                tracing::error!(reason = %why, user = %spec.user, "the submit hook failed, and the job is refused");
                Err(Rejection::new("SQ1096", "Job submission is not possible at the moment")
                    .asked(format!("job \"{}\"", spec.name))
                    .limit(format!("the submit hook of this site failed: {}", shown(&why)))
                    .try_this("the same in a while; an admin finds the reason in the controller's log"))
            }
        }
    }
}

fn question(spec: &JobSpec, script: Option<&[u8]>) -> Vec<u8> {
    let told = Told {
        version: 1,
        user: &spec.user,
        uid: spec.uid.0,
        gid: spec.gid.0,
        name: &spec.name,
        account: spec.account.as_str(),
        partitions: spec.partitions.iter().map(|name| name.as_str()).collect(),
        qos: spec.qos.as_ref().map(|qos| qos.as_str()),
        interactive: spec.kind == JobKind::Interactive,
        nodes: spec.ask.nodes.map(|count| (count.min, count.max)),
        tasks: spec.ask.tasks,
        tasks_per_node: spec.ask.tasks_per_node,
        ask: &spec.ask,
        time_limit_secs: spec.time_limit.filter(|limit| *limit < Span::FOREVER).map(Span::as_secs),
        array: spec.array.as_ref().map(ToString::to_string),
        dependency: spec.dependency.to_string(),
        constraint: spec.constraint.as_ref().map(ToString::to_string),
        prefer: spec.prefer.as_ref().map(ToString::to_string),
        nice: spec.nice,
        comment: &spec.comment,
        wckey: &spec.wckey,
        reservation: &spec.reservation,
        licenses: &spec.licenses,
        work_dir: &spec.work_dir,
        command: &spec.command,
        arguments: &spec.arguments,
        submit_line: &spec.submit_line,
        submit_host: &spec.submit_host,
        script: script.map(String::from_utf8_lossy),
    };
    serde_json::to_vec(&told).unwrap_or_default()
}

async fn ask(settings: &SubmitHookSettings, question: Vec<u8>) -> Result<Answer, String> {
    let (program, arguments) = settings.command.split_first().ok_or("no program is configured")?;
    let mut command = Command::new(program);
    command.args(arguments).env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").current_dir("/");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).process_group(0).kill_on_drop(true);
    if nix::unistd::geteuid().is_root() {
        let (uid, gid) = identity(&settings.user)?;
        // Further groups of root go with its number.
        command.gid(gid).uid(uid);
    }
    let mut child = command.spawn().map_err(|error| format!("{program} does not start: {error}"))?;
    let group = child.id();
    let (mut input, output) = (child.stdin.take(), child.stdout.take());
    let write = async {
        if let Some(mut input) = input.take() {
            // A program that does not read what it is told may still answer.
            input.write_all(&question).await.ok();
        }
    };
    let read = async {
        let mut answer = Vec::new();
        if let Some(output) = output {
            output.take(HOOK_ANSWER as u64 + 1).read_to_end(&mut answer).await.ok();
        }
        answer
    };
    let group = Ended(group);
    let ((), answer) = tokio::join!(write, read);
    let status = child.wait().await.map_err(|error| format!("its end is not known: {error}"))?;
    drop(group);
    if !status.success() {
        return Err(format!("{program} ended with {status}"));
    }
    if answer.len() > HOOK_ANSWER {
        return Err(format!("its answer is longer than {HOOK_ANSWER} bytes"));
    }
    if answer.iter().all(u8::is_ascii_whitespace) {
        return Ok(Answer::default());
    }
    serde_json::from_slice(&answer).map_err(|error| format!("its answer cannot be read: {error}"))
}

/// Ends what a hook left behind, when it is over or given up.
struct Ended(Option<u32>);

impl Drop for Ended {
    fn drop(&mut self) {
        if let Some(group) = self.0.and_then(|id| i32::try_from(id).ok()) {
            nix::sys::signal::killpg(nix::unistd::Pid::from_raw(group), nix::sys::signal::Signal::SIGKILL).ok();
        }
    }
}

fn identity(user: &str) -> Result<(u32, u32), String> {
    let found = match user.parse() {
        Ok(uid) => nix::unistd::User::from_uid(nix::unistd::Uid::from_raw(uid)),
        Err(_) => nix::unistd::User::from_name(user),
    };
    match found {
        Ok(Some(user)) => Ok((user.uid.as_raw(), user.gid.as_raw())),
        Ok(None) => Err(format!("{user} is no user of this machine (submit_hook.user)")),
        Err(error) => Err(format!("{user} cannot be looked up: {error}")),
    }
}

impl Answer {
    /// Makes the changes, all or none.
    fn changed(self, spec: &mut JobSpec) -> Result<Answer, String> {
        if self.refuse.is_some() {
            return Ok(self);
        }
        let Changes { name, account, partitions, qos, time_limit_secs, comment, wckey, requeue, nice, .. } = &self.set;
        let features = |text: &Option<String>, what: &str| {
            let read = |text: &String| match text.as_str() {
                "" => Ok(None),
                text => text.parse().map(Some).map_err(|_| format!("its {what} {text:?} cannot be read")),
            };
            text.as_ref().map(read).transpose()
        };
        let (constraint, prefer) =
            (features(&self.set.constraint, "constraint")?, features(&self.set.prefer, "preference")?);
        spec.constraint = constraint.unwrap_or_else(|| spec.constraint.take());
        spec.prefer = prefer.unwrap_or_else(|| spec.prefer.take());
        let set = |to: &mut String, value: &Option<String>| to.clone_from(value.as_ref().unwrap_or(&to.clone()));
        set(&mut spec.name, name);
        set(&mut spec.account.0, account);
        set(&mut spec.comment, comment);
        set(&mut spec.wckey, wckey);
        if let Some(names) = partitions {
            spec.partitions = names.iter().map(PartitionName::new).collect();
        }
        if let Some(qos) = qos {
            spec.qos = (!qos.is_empty()).then(|| QosName::new(qos));
        }
        if let Some(secs) = time_limit_secs {
            spec.time_limit = Some(Span::from_secs(i64::from(*secs)));
        }
        spec.requeue = requeue.or(spec.requeue);
        if let Some(nice) = nice {
            spec.nice = spec.nice.max(i32::try_from(*nice).unwrap_or(i32::MAX));
        }
        Ok(self)
    }
}

/// A text of a program, fit for a terminal and a log.
fn shown(text: &str) -> String {
    text.chars().map(|char| if char.is_control() { ' ' } else { char }).take(MAX_TEXT).collect()
}

#[cfg(test)]
mod tests;
