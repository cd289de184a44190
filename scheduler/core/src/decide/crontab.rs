//! Crontabs: every entry is a job, which waits again for its next time whenever it has run.

use super::Reply;
use super::draft::Draft;
use crate::authz::{self, Object, Verb};
use crate::command::{Caller, WantedEntry};
use crate::crontab::{Crontab, Entry};
use crate::event::What;
use crate::job::{Job, JobPhase};
use crate::kept::KeptSpec;
use crate::refuse::Rejection;
use squall_types::api::{MAX_CRON_ENTRIES, MAX_CRONTAB};
use squall_types::{EndState, ExitStatus, JobId, JobSpec, Reason, Timestamp, Uid};
use std::collections::BTreeSet;

impl Draft<'_> {
    /// When a job runs again: `None` for one that no crontab names any more.
    pub fn next_time(&self, id: JobId) -> Option<Timestamp> {
        let job = self.job(id)?;
        let cron = job.spec.cron.as_ref()?;
        let named = self.cluster.crontabs.get(&job.spec.uid).is_some_and(|crontab| crontab.names(id));
        named.then(|| cron.next(self.now)).flatten()
    }

    /// Jobs of entries that are as they were go on as they are. Others of the old crontab are cancelled, or where they run
    /// do not run again.
    pub fn set_crontab(
        &mut self,
        caller: &Caller,
        uid: Uid,
        text: &str,
        wanted: &[WantedEntry],
    ) -> Result<Reply, Rejection> {
        authz::allow(caller, Verb::EditCrontab, Object::Job { uid })?;
        check_size(text, wanted)?;
        // A request that is repeated late has been done, whatever became of it since.
        if wanted.iter().any(|entry| self.cluster.job_of_token(&entry.token).is_some()) {
            return Ok(Reply::Done);
        }
        let before = self.cluster.crontabs.get(&uid).cloned().unwrap_or_default();
        let mut left: Vec<JobId> =
            before.entries.iter().map(|entry| entry.job).filter(|job| self.lives(*job)).collect();
        let mut entries = Vec::with_capacity(wanted.len());
        for one in wanted {
            let job = self.job_of_entry(caller, uid, one, &mut left).map_err(|refusal| at_line(refusal, one))?;
            entries.push(Entry { job, first_line: one.first_line, last_line: one.last_line });
        }
        let after = Crontab { text: text.to_owned(), entries };
        if after != before {
            self.emit(What::CrontabSet { uid, crontab: Box::new(after) });
        }
        for job in left {
            if self.job(job).is_some_and(|job| matches!(job.phase, JobPhase::Pending | JobPhase::Configuring(_))) {
                self.end(job, EndState::Cancelled, ExitStatus::default(), Reason::None, caller.uid(), None);
            }
        }
        Ok(Reply::Done)
    }

    fn lives(&self, job: JobId) -> bool {
        self.job(job).is_some_and(|job| !job.is_ended())
    }

    fn job_of_entry(
        &mut self,
        caller: &Caller,
        uid: Uid,
        wanted: &WantedEntry,
        left: &mut Vec<JobId>,
    ) -> Result<JobId, Rejection> {
        let mut spec = KeptSpec::from(wanted.spec.as_ref());
        let invalid = |limit: &str| Rejection::new("SQ1032", "Invalid job specification").limit(limit.to_owned());
        let first = spec.cron.as_ref().and_then(|cron| cron.next(self.now));
        let first = first.ok_or_else(|| invalid("its times never come, or cannot be read"))?;
        if spec.uid != uid || spec.array.is_some() {
            return Err(invalid("an entry is one job of the crontab's user, and no array"));
        }
        spec.begin_at = Some(first);
        // What is there already is not counted anew.
        let mut filled = spec.clone();
        self.complete(&mut filled)?;
        let same = |job: &Job| essence(&job.spec) == essence(&filled);
        if let Some(at) = left.iter().position(|id| self.job(*id).is_some_and(same)) {
            return Ok(left.remove(at));
        }
        let id = self.admit(caller, &mut spec)?;
        self.enter(id, spec, &wanted.token);
        Ok(id)
    }

    /// As Slurm: a job that would only come back is not cancelled by accident.
    pub(super) fn may_cancel_cron(&self, id: JobId, cron: bool) -> Result<(), Rejection> {
        if cron || self.next_time(id).is_none() {
            return Ok(());
        }
        Err(Rejection::new("SQ1016", "Cannot cancel scrontab jobs without --cron flag.")
            .asked(format!("to cancel job {id}"))
            .limit("it is an entry of a crontab, whose line would be disabled with it")
            .try_this(format!("scancel --cron {id}, or scrontab -e")))
    }

    /// The entry of a job that is cancelled becomes a comment.
    pub(super) fn forget_entry(&mut self, id: JobId) {
        let Some(uid) = self.job(id).map(|job| job.spec.uid) else { return };
        if let Some(crontab) = self.cluster.crontabs.get(&uid).filter(|crontab| crontab.names(id)) {
            let crontab = Box::new(crontab.without(id));
            self.emit(What::CrontabSet { uid, crontab });
        }
    }
}

/// What tells one entry from another: not when and where it was written.
fn essence(spec: &KeptSpec) -> JobSpec {
    JobSpec {
        begin_at: None,
        trace_parent: None,
        submit_line: String::new(),
        submit_host: String::new(),
        groups: Vec::new(),
        ..spec.to_spec()
    }
}

fn check_size(text: &str, wanted: &[WantedEntry]) -> Result<(), Rejection> {
    let refused =
        |asked: String, limit: String| Err(Rejection::new("SQ1031", "Crontab is too large").asked(asked).limit(limit));
    if text.len() > MAX_CRONTAB {
        return refused(format!("a crontab of {} bytes", text.len()), format!("at most {MAX_CRONTAB} bytes"));
    }
    if wanted.len() > MAX_CRON_ENTRIES {
        return refused(format!("a crontab of {} entries", wanted.len()), format!("at most {MAX_CRON_ENTRIES}"));
    }
    let mut tokens = BTreeSet::new();
    if !wanted.iter().all(|entry| tokens.insert(&entry.token)) {
        return refused("two entries with one token".to_owned(), "each entry is a submission of its own".to_owned());
    }
    Ok(())
}

fn at_line(mut refusal: Rejection, entry: &WantedEntry) -> Rejection {
    let lines = match entry.first_line == entry.last_line {
        true => format!("line {}", entry.first_line),
        false => format!("lines {}-{}", entry.first_line, entry.last_line),
    };
    let asked = std::mem::take(&mut refusal.0.asked);
    refusal.0.asked = if asked.is_empty() { format!("the entry on {lines}") } else { format!("{asked}, on {lines}") };
    refusal
}
