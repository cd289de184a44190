//! Which jobs are asked for: what the controller can choose by, and what is left to choose here.

use crate::failure::{Advice, Failure};
use crate::invocation::Invocation;
use crate::moment::{self, Past};
use crate::options::Given;
use crate::request::{names_of_nodes, whole_number};
use crate::select::{self, Named};
use crate::show::moments::Moments;
use crate::terminal::escaped;
use squall_types::api::{AccountedJob, AccountingQuery};
use squall_types::span_text::TimeLimit;
use squall_types::{AccountName, Gid, PartitionName, Span, Timestamp};

/// The question, and the conditions that are checked here.
#[derive(Debug, Default)]
pub struct Question {
    pub query: AccountingQuery,
    /// Jobs and steps by name; empty for all.
    pub named: Vec<Named>,
    /// Nothing can meet the conditions.
    pub nothing: bool,
    nodes: Vec<String>,
    qos: Vec<String>,
    wckeys: Vec<String>,
    groups: Vec<Gid>,
    node_counts: Option<(u32, u32)>,
    cpu_counts: Option<(u32, u32)>,
    limits: Option<(Span, Span)>,
}

impl Question {
    /// # Errors
    /// A condition that means nothing.
    pub fn read(invocation: &Invocation<'_>, given: &Given) -> Result<Self, Failure> {
        let mut question = Question::default();
        // `-j` may be repeated: submitit does.
        for id in given.all("jobs").into_iter().flat_map(select::split_ids) {
            let invalid = || Failure::plain(format!("sacct: fatal: Bad job/step specified: {}", escaped(id)));
            let named = select::job(id).ok_or_else(invalid)?;
            question.query.jobs.push(named.job.clone());
            question.named.push(named);
        }
        question.window(invocation, given)?;
        question.users(invocation, given)?;
        if let Some(text) = given.text("state") {
            let unknown = |word: String| {
                Failure::plain(format!("sacct: fatal: unrecognized job state value '{}'", escaped(&word)))
            };
            let states = select::states(text).map_err(unknown)?;
            question.nothing = states.none;
            question.query.states = states.some;
        }
        let texts = |long: &str| -> Vec<String> {
            given.text(long).map(|text| select::names(text).map(str::to_owned).collect()).unwrap_or_default()
        };
        question.query.accounts = texts("accounts").into_iter().map(AccountName).collect();
        question.query.names = texts("name");
        question.query.partitions = texts("partition").into_iter().map(PartitionName).collect();
        question.query.with_steps = !given.has("allocations") || given.has("json") || given.has("yaml");
        (question.qos, question.wckeys) = (texts("qos"), texts("wckeys"));
        if let Some(text) = given.text("nodelist") {
            question.nodes = names_of_nodes("sacct", "nodelist", text)?;
        }
        for name in texts("gid") {
            let unknown = || Failure::error("sacct", format_args!("Invalid group id: {}", escaped(&name)));
            question.groups.push(select::group(&name).ok_or_else(unknown)?);
        }
        question.node_counts = counts(given, "nnodes")?;
        question.cpu_counts = counts(given, "ncpus")?;
        question.limits = limits(given)?;
        Ok(question)
    }

    fn window(&mut self, invocation: &Invocation<'_>, given: &Given) -> Result<(), Failure> {
        let now = invocation.now();
        let at = |long: &str| -> Result<Option<Timestamp>, Failure> {
            let Some(text) = given.text(long) else { return Ok(None) };
            moment::parse(text, now, &invocation.zone, Past::Allowed).map(Some).map_err(|error| {
                Failure::plain(error.to_string()).advising(Advice {
                    asked: format!("--{long}={text}"),
                    try_this: format!("--{long}=now-2days, --{long}=2026-01-20 or --{long}=2026-01-20T12:34"),
                    ..Advice::default()
                })
            })
        };
        let (start, end) = (at("starttime")?, at("endtime")?);
        let midnight = || moment::parse("00:00", now, &invocation.zone, Past::Allowed).ok();
        self.query.from = match start {
            Some(start) => Some(start),
            // A job by its name is looked for at any time; a state is one that it has now.
            None if !self.named.is_empty() => None,
            None if given.has("state") => Some(now),
            None => midnight(),
        };
        // With a state, a start alone means that moment, as sacct(1) has it under DEFAULT TIME WINDOW.
        let moment_of_state = start.filter(|_| given.has("state"));
        self.query.to = end.or(moment_of_state);
        match (self.query.from, end) {
            (Some(from), Some(to)) if from > to && start.is_none() && self.named.is_empty() => {
                let moments = Moments::of(invocation).standard();
                let (from, to) = (moments.at(from), moments.at(to));
                let first = format!("Start time ({from}) requested is after end time ({to}).");
                Err(Failure::error("sacct", first)
                    .advising(Advice { try_this: "--starttime with it".to_owned(), ..Advice::default() }))
            }
            (Some(from), Some(to)) if from > to => {
                let moments = Moments::of(invocation).standard();
                let (from, to) = (moments.at(from), moments.at(to));
                Err(Failure::error("sacct", format!("Start time ({from}) requested is after end time ({to}).")))
            }
            _ => Ok(()),
        }
    }

    /// One's own jobs, unless other users, all of them, or jobs by name are asked for. Root sees all.
    fn users(&mut self, invocation: &Invocation<'_>, given: &Given) -> Result<(), Failure> {
        if let Some(text) = given.text("user").filter(|text| !text.is_empty()) {
            for name in select::names(text) {
                let unknown = || Failure::error("sacct", format_args!("Invalid user id: {}", escaped(name)));
                self.query.users.push(select::user(name).ok_or_else(unknown)?);
            }
        } else if !given.has("allusers") && self.named.is_empty() && invocation.caller.uid.0 != 0 {
            self.query.users = vec![invocation.caller.uid];
        }
        Ok(())
    }

    /// Whether a component of a heterogeneous job was named itself, and not only with all of it.
    pub fn names_itself(&self, job: &AccountedJob) -> bool {
        let itself = |named: &Named| match named.job.component {
            None => named.job.job == job.job,
            Some(offset) => job.het.is_some_and(|place| (place.leader, place.offset) == (named.job.job, offset)),
        };
        self.named.iter().any(itself)
    }

    /// What the controller cannot choose by.
    pub fn takes(&self, job: &AccountedJob) -> bool {
        let within = |range: &Option<(u32, u32)>, count| range.is_none_or(|(min, max)| (min..=max).contains(&count));
        let one_of = |list: &[String], name: &str| list.is_empty() || list.iter().any(|wanted| wanted == name);
        let limit = job.time_limit.unwrap_or(Span::FOREVER);
        one_of(&self.qos, &job.qos)
            && one_of(&self.wckeys, &job.wckey)
            && (self.groups.is_empty() || self.groups.contains(&job.gid))
            && (self.nodes.is_empty() || job.nodes.iter().any(|node| self.nodes.contains(&node.0)))
            && within(&self.node_counts, job.node_count)
            && within(&self.cpu_counts, job.cpus)
            && self.limits.is_none_or(|(min, max)| (min..=max).contains(&limit))
    }

    /// Whether a line is for the job itself, and for which of its steps: `-j 7.batch` is for that step alone.
    pub fn parts(&self, job: &AccountedJob) -> (bool, Option<Vec<squall_types::StepId>>) {
        let of_job = |named: &&Named| {
            let array = match &job.array {
                Some(
                    squall_types::api::ArrayView::Element { array, .. }
                    | squall_types::api::ArrayView::Pending { array, .. },
                ) => *array,
                None => job.het.map_or(job.job, |place| place.leader),
            };
            let component = |offset| job.het.is_some_and(|place| place.offset == offset);
            (named.job.job == job.job || named.job.job == array) && named.job.component.is_none_or(component)
        };
        let mine: Vec<&Named> = self.named.iter().filter(of_job).collect();
        if mine.is_empty() || mine.iter().any(|named| named.step.is_none()) {
            return (true, None);
        }
        (false, Some(mine.iter().filter_map(|named| named.step).collect()))
    }
}

/// `N` or `MIN-MAX`.
fn counts(given: &Given, long: &str) -> Result<Option<(u32, u32)>, Failure> {
    let Some(text) = given.text(long) else { return Ok(None) };
    let (min, max) = text.split_once('-').unwrap_or((text, text));
    match (whole_number(min), whole_number(max)) {
        (Some(min), Some(max)) => Ok(Some((min, max))),
        _ => Err(crate::request::invalid(
            "sacct",
            long,
            text,
            "it is a number or two with a dash",
            &format!("--{long}=2-4"),
        )),
    }
}

/// `-k` alone is exactly that limit.
fn limits(given: &Given) -> Result<Option<(Span, Span)>, Failure> {
    let read = |long: &str| -> Result<Option<Span>, Failure> {
        let Some(text) = given.text(long) else { return Ok(None) };
        let limit: TimeLimit = text
            .parse()
            .map_err(|why| crate::request::invalid("sacct", long, text, why, &format!("--{long}=1:00:00")))?;
        Ok(Some(limit.span().unwrap_or(Span::FOREVER)))
    };
    let (min, max) = (read("timelimit-min")?, read("timelimit-max")?);
    Ok(min.map(|min| (min, max.unwrap_or(min))))
}
