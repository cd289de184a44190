//! Which committed events are told by mail, and in which words: Slurm's, since people filter their mail by them.
//!
//! A pure state machine: events in, letters out. An array is told of as one, when its first element begins and when its
//! last one is over.

use squall_core::event::RunEnd;
use squall_core::job::JobEnd;
use squall_core::{Cluster, Event, What};
use squall_types::{EndState, JobId, JobSpec, MailEvents, Span, Timestamp, span_text};
use std::collections::BTreeMap;

/// Recipients of one letter.
const MAX_RECIPIENTS: usize = 16;
/// The longest name of a job in a subject, in characters.
const MAX_NAME: usize = 128;

/// One notice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    pub job: JobId,
    pub to: Vec<String>,
    pub subject: String,
}

/// Who wants to hear what of a job.
#[derive(Clone, Debug)]
struct Wish {
    events: MailEvents,
    to: Vec<String>,
    name: String,
}

/// A job, or a whole array.
#[derive(Clone, Debug)]
struct Followed {
    wish: Wish,
    submitted_at: Timestamp,
    /// Of the first element, or of the present attempt.
    started_at: Option<Timestamp>,
    /// Elements of an array that are not over; `None` for a job that is no array.
    left: Option<u64>,
    /// Of the elements that are over.
    codes: Option<(i32, i32)>,
    states: Vec<EndState>,
}

/// All jobs that somebody wants to hear of.
#[derive(Debug, Default)]
pub struct Letters {
    jobs: BTreeMap<JobId, Followed>,
    /// The array of each element that has a record.
    elements: BTreeMap<JobId, JobId>,
    /// What follows the `@` of a user without one; empty leaves it to the mail program.
    domain: String,
}

impl Letters {
    /// From the state that a controller starts with: what happened before was told before.
    pub fn recovered(cluster: &Cluster, domain: String) -> Letters {
        let mut letters = Letters { domain, ..Letters::default() };
        for (id, job) in cluster.jobs.iter() {
            if job.is_ended() {
                continue;
            }
            let whole = job.array().unwrap_or(*id);
            if whole != *id && job.waiting().is_none() {
                letters.elements.insert(*id, whole);
            }
            letters.follow(whole, &job.spec.to_spec(), job.submitted_at);
            let Some(followed) = letters.jobs.get_mut(&whole) else { continue };
            followed.started_at = followed.started_at.or(job.started_at());
            if let Some(array) = cluster.arrays.get(&whole) {
                let over = array.completed.len() + array.failed.len();
                followed.left = Some(array.all.len().saturating_sub(over));
                // That one has begun was told.
                followed.started_at = followed.started_at.or(array.started.then_some(job.submitted_at));
            }
        }
        letters
    }

    fn follow(&mut self, job: JobId, spec: &JobSpec, submitted_at: Timestamp) {
        if spec.mail == MailEvents::default() || self.jobs.contains_key(&job) {
            return;
        }
        let wish = Wish { events: spec.mail, to: self.recipients(spec), name: printable(&spec.name) };
        let left = spec.array.as_ref().map(|array| array.indices.len());
        let followed = Followed { wish, submitted_at, started_at: None, left, codes: None, states: Vec::new() };
        self.jobs.insert(job, followed);
    }

    /// Whom a job named, else its user. What could be an option of the mail program, or more than an address, is nobody.
    fn recipients(&self, spec: &JobSpec) -> Vec<String> {
        let named = if spec.mail_user.is_empty() { &spec.user } else { &spec.mail_user };
        let harmless = |letter: char| letter.is_alphanumeric() || "._%+-@/=".contains(letter);
        let address = |name: &str| !name.is_empty() && !name.starts_with('-') && name.chars().all(harmless);
        let whole = |name: &str| match (name.contains('@'), self.domain.as_str()) {
            (true, _) | (false, "") => name.to_owned(),
            (false, domain) => format!("{name}@{domain}"),
        };
        named.split(',').map(str::trim).filter(|name| address(name)).take(MAX_RECIPIENTS).map(whole).collect()
    }

    /// What is to be told of the event.
    pub fn observe(&mut self, event: &Event) -> Option<Letter> {
        let at = event.at;
        match &event.what {
            What::JobSubmitted { job, spec, .. } => {
                self.follow(*job, spec, at);
                None
            }
            What::JobUpdated { job, spec, .. } => {
                let followed = self.jobs.get_mut(job)?;
                followed.wish.name = printable(&spec.name);
                None
            }
            What::ElementSplit { array, job, .. } => {
                if self.jobs.contains_key(array) {
                    self.elements.insert(*job, *array);
                }
                None
            }
            What::JobStarted { run } => self.began(run.job, at),
            What::JobRequeued { job, ended: Some(end), .. } => self.run_ended(*job, *end, at),
            What::JobRequeued { job, .. } => self.requeued(*job, at),
            What::JobEnded { job, end, .. } => self.ended(*job, end, at),
            What::ElementsCancelled { array, indices, .. } => {
                let followed = self.jobs.get_mut(array)?;
                followed.states.push(EndState::Cancelled);
                self.over(*array, indices.len(), at)
            }
            _ => None,
        }
    }

    fn whole(&self, job: JobId) -> JobId {
        self.elements.get(&job).copied().unwrap_or(job)
    }

    fn began(&mut self, job: JobId, at: Timestamp) -> Option<Letter> {
        let whole = self.whole(job);
        let followed = self.jobs.get_mut(&whole)?;
        let again = followed.left.is_some() && followed.started_at.is_some();
        followed.started_at.get_or_insert(at);
        let waited = at.since(followed.submitted_at);
        let text = format!("Began, Queued time {}", span_text::clock(waited));
        if followed.wish.events.begin && !again { followed.letter(whole, &text) } else { None }
    }

    fn requeued(&mut self, job: JobId, at: Timestamp) -> Option<Letter> {
        // Of an array it says nothing that one element runs again.
        let followed = self.jobs.get_mut(&job)?;
        let text = format!("Requeued, Run time {}", span_text::clock(followed.ran(at)));
        followed.started_at = None;
        if followed.wish.events.requeue { followed.letter(job, &text) } else { None }
    }

    /// A run of a crontab's job is over. That is told like the end of any job, and so will the next one be.
    fn run_ended(&mut self, job: JobId, end: RunEnd, at: Timestamp) -> Option<Letter> {
        let followed = self.jobs.get_mut(&job)?;
        let next = Followed { started_at: None, submitted_at: at, ..followed.clone() };
        followed.codes = Some((end.exit.code, end.exit.code));
        followed.states.push(end.state);
        let letter = self.over(job, 1, at);
        self.jobs.insert(job, next);
        letter
    }

    fn ended(&mut self, job: JobId, end: &JobEnd, at: Timestamp) -> Option<Letter> {
        let whole = self.whole(job);
        self.elements.remove(&job);
        let followed = self.jobs.get_mut(&whole)?;
        let (low, high) = followed.codes.unwrap_or((end.exit.code, end.exit.code));
        followed.codes = Some((low.min(end.exit.code), high.max(end.exit.code)));
        if !followed.states.contains(&end.state) {
            followed.states.push(end.state);
        }
        self.over(whole, 1, at)
    }

    /// So many of it are over; the last one is told of.
    fn over(&mut self, job: JobId, count: u64, at: Timestamp) -> Option<Letter> {
        let followed = self.jobs.get_mut(&job)?;
        followed.left = followed.left.map(|left| left.saturating_sub(count));
        if followed.left.is_some_and(|left| left > 0) {
            return None;
        }
        let followed = self.jobs.remove(&job)?;
        let failed = followed.states.iter().any(|state| !matches!(state, EndState::Completed | EndState::Cancelled));
        let word = match (failed && followed.wish.events.fail, followed.wish.events.end) {
            (true, _) => "Failed",
            (false, true) => "Ended",
            (false, false) => return None,
        };
        let state = match followed.states.as_slice() {
            [one] => one.word(),
            _ => "Mixed",
        };
        let (low, high) = followed.codes.unwrap_or_default();
        let text = match followed.left {
            None => format!("{word}, Run time {}, {state}, ExitCode {high}", span_text::clock(followed.ran(at))),
            Some(_) => format!("{word}, {state}, ExitCode [{low}-{high}]"),
        };
        followed.letter(job, &text)
    }
}

impl Followed {
    fn ran(&self, until: Timestamp) -> Span {
        self.started_at.map_or(Span::ZERO, |start| until.since(start))
    }

    fn letter(&self, job: JobId, text: &str) -> Option<Letter> {
        let which = match self.left {
            None => format!("Slurm Job_id={job}"),
            Some(_) => format!("Slurm Array Summary Job_id={job}_* ({job})"),
        };
        let subject = format!("{which} Name={} {text}", self.wish.name);
        (!self.wish.to.is_empty()).then(|| Letter { job, to: self.wish.to.clone(), subject })
    }
}

/// A subject has one line, whatever a job is called.
fn printable(name: &str) -> String {
    name.chars().filter(|letter| !letter.is_control()).take(MAX_NAME).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use squall_types::agent::ExitStatus;
    use squall_types::spec::ArraySpec;
    use squall_types::{Attempt, IndexSet, MicroUsd, Reason, Run, SubmitToken};

    const ALL: MailEvents = MailEvents { begin: true, end: true, fail: true, requeue: true };

    fn spec(mail: MailEvents, to: &str) -> JobSpec {
        JobSpec { name: "train\n".into(), user: "ann".into(), mail, mail_user: to.into(), ..JobSpec::default() }
    }

    fn submitted(job: u32, spec: JobSpec) -> What {
        let token = SubmitToken::default();
        What::JobSubmitted {
            job: JobId(job),
            spec: Box::new(spec),
            token,
            terms: Vec::new(),
            eligible_at: None,
            het: None,
        }
    }

    fn started(job: u32) -> What {
        What::JobStarted { run: Run { job: JobId(job), attempt: Attempt(1) } }
    }

    fn ended(job: u32, state: EndState, code: i32) -> What {
        let end = JobEnd {
            suspended: Default::default(),
            state,
            exit: ExitStatus { code, signal: 0 },
            reason: Reason::None,
            by: None,
            started_at: None,
            ended_at: Timestamp(0),
            nodes: Vec::new(),
            cost: MicroUsd(0),
            partition: None,
        };
        What::JobEnded { job: JobId(job), end, charges: Vec::new() }
    }

    /// One event a second, and what was told of each.
    fn told(letters: &mut Letters, events: Vec<What>) -> Vec<String> {
        let mut told = Vec::new();
        for (at, what) in events.into_iter().enumerate() {
            let letter = letters.observe(&Event { at: Timestamp::from_secs(at as i64), what });
            told.extend(letter.map(|letter| format!("{}: {}", letter.to.join(" "), letter.subject)));
        }
        told
    }

    #[test]
    fn a_job_is_told_of_in_slurms_words() {
        let mut letters = Letters { domain: "example.org".into(), ..Letters::default() };
        let events = vec![
            submitted(7, spec(ALL, "")),
            started(7),
            ended(7, EndState::Completed, 0),
            submitted(8, spec(MailEvents { fail: true, ..MailEvents::default() }, "a@b.de, -oops,c;d,eve")),
            started(8),
            ended(8, EndState::Failed, 3),
            submitted(9, spec(MailEvents::default(), "ann")),
            started(9),
            ended(9, EndState::Failed, 3),
        ];
        assert_eq!(
            told(&mut letters, events),
            [
                "ann@example.org: Slurm Job_id=7 Name=train Began, Queued time 00:00:01",
                "ann@example.org: Slurm Job_id=7 Name=train Ended, Run time 00:00:01, COMPLETED, ExitCode 0",
                "a@b.de eve@example.org: Slurm Job_id=8 Name=train Failed, Run time 00:00:01, FAILED, ExitCode 3",
            ]
        );
        assert!(letters.jobs.is_empty(), "what is over is forgotten");
    }

    #[test]
    fn every_run_of_a_crontabs_job_is_told_of() {
        let mut letters = Letters::default();
        let again = |state, code| What::JobRequeued {
            job: JobId(7),
            not_before: Timestamp(0),
            hold: None,
            reason: squall_types::Reason::None,
            failure: false,
            charges: Vec::new(),
            ended: Some(RunEnd { state, exit: ExitStatus { code, signal: 0 } }),
        };
        let events = vec![
            submitted(7, spec(ALL, "")),
            started(7),
            again(EndState::Completed, 0),
            started(7),
            again(EndState::Failed, 3),
        ];
        assert_eq!(
            told(&mut letters, events),
            [
                "ann: Slurm Job_id=7 Name=train Began, Queued time 00:00:01",
                "ann: Slurm Job_id=7 Name=train Ended, Run time 00:00:01, COMPLETED, ExitCode 0",
                "ann: Slurm Job_id=7 Name=train Began, Queued time 00:00:01",
                "ann: Slurm Job_id=7 Name=train Failed, Run time 00:00:01, FAILED, ExitCode 3",
            ]
        );
    }

    #[test]
    fn an_array_is_told_of_once() {
        let mut letters = Letters::default();
        let array = ArraySpec { indices: (0..4).collect(), limit: None, step: 1 };
        let split = |index, job| What::ElementSplit { array: JobId(7), index, job: JobId(job), group: None };
        let events = vec![
            submitted(7, JobSpec { array: Some(array), ..spec(ALL, "") }),
            split(0, 8),
            started(8),
            split(1, 9),
            started(9),
            ended(9, EndState::Completed, 0),
            ended(8, EndState::Failed, 4),
            What::ElementsCancelled { array: JobId(7), indices: IndexSet::from_iter([2]), by: None, group: None },
            split(3, 7),
            started(7),
            ended(7, EndState::Completed, 0),
        ];
        assert_eq!(
            told(&mut letters, events),
            [
                "ann: Slurm Array Summary Job_id=7_* (7) Name=train Began, Queued time 00:00:02",
                "ann: Slurm Array Summary Job_id=7_* (7) Name=train Failed, Mixed, ExitCode [0-4]",
            ]
        );
        assert!(letters.jobs.is_empty() && letters.elements.is_empty());
    }
}
