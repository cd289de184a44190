//! The end of a replay, in figures.

use super::drive::Submitted;
use super::part::Part;
use crate::books::{Books, Spread, seconds};
use crate::terminal::escaped;
use serde::Serialize;
use squall_types::api::{AccountedJob, JobState};
use squall_types::{JobId, MicroUsd, Span};
use std::collections::BTreeMap;
use std::io::{self, Write};

/// Jobs that are listed one by one.
const MAX_LISTED: usize = 50;

/// A job that did not end as it should.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Wrong {
    pub trace_id: String,
    pub job: Option<u32>,
    pub expected: String,
    pub found: String,
}

/// Lengths of time in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Lengths {
    pub count: usize,
    pub mean_ms: i64,
    pub p50_ms: i64,
    pub p99_ms: i64,
    pub max_ms: i64,
}

impl From<Spread> for Lengths {
    fn from(of: Spread) -> Lengths {
        let [mean_ms, p50_ms, p99_ms, max_ms] = [of.mean, of.p50, of.p99, of.max].map(|span| span.0);
        Lengths { count: of.count, mean_ms, p50_ms, p99_ms, max_ms }
    }
}

/// Everything that is reported.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    pub jobs: usize,
    pub gangs: usize,
    pub as_they_should: usize,
    pub wrong: Vec<Wrong>,
    /// Attempts beyond the first.
    pub restarts: u32,
    pub took_ms: i64,
    pub submitted_late_by_ms: i64,
    pub waits: Lengths,
    /// How much longer jobs ran than they slept.
    pub overhead: Lengths,
    pub nodes: usize,
    pub orders: usize,
    pub peak_nodes: usize,
    pub boot: Lengths,
    pub bought_node_ms: i64,
    /// Only of a cluster that did nothing else.
    pub used_node_ms: Option<i64>,
    pub ledger_micro_usd: i64,
    pub receipts_micro_usd: i64,
    pub idle_micro_usd: Option<i64>,
    /// The cluster was this replay's alone: it is empty again and its books are closed.
    pub own_cluster: bool,
    /// What does not add up, or is left over.
    pub faults: Vec<String>,
}

impl Report {
    /// Compares what was expected with what accounting says.
    pub fn of(parts: &[Part], submitted: &Submitted, accounted: &[AccountedJob], took: Span) -> Report {
        let by_id: BTreeMap<JobId, &AccountedJob> = accounted.iter().map(|job| (job.job, job)).collect();
        let mut report = Report {
            jobs: parts.len(),
            gangs: parts.iter().filter(|part| part.is_gang()).count(),
            took_ms: took.0,
            submitted_late_by_ms: submitted.lag.0,
            ..Report::default()
        };
        let (mut waits, mut overheads) = (Vec::new(), Vec::new());
        for (at, part) in parts.iter().enumerate() {
            let job = submitted.jobs.get(&at);
            let found = job.and_then(|job| by_id.get(job));
            let outcome = match (found, submitted.refused.get(&at)) {
                (Some(job), _) => judge(part, job),
                (None, Some(refusal)) => Err(format!("refused: {} ({})", refusal.slurm, refusal.limit)),
                (None, None) => Err("accounting does not know it".to_owned()),
            };
            match outcome {
                Ok(()) => report.as_they_should += 1,
                Err(found) => report.wrong.push(Wrong {
                    trace_id: part.trace.id.clone(),
                    job: job.map(|job| job.0),
                    expected: format!("{} with {}:0", part.expected.0.word(), part.expected.1.code),
                    found,
                }),
            }
            let Some(job) = found else { continue };
            report.restarts += job.restarts;
            if let Some(started_at) = job.started_at {
                waits.push(started_at.since(job.eligible_at.unwrap_or(job.submitted_at)));
                let by_itself = part.cancel_after.is_none() && part.runs_for < part.limit;
                if let Some(ended_at) = job.ended_at.filter(|_| by_itself) {
                    overheads.push(ended_at.since(started_at) - part.runs_for);
                }
            }
        }
        report.waits = Spread::of(waits).into();
        report.overhead = Spread::of(overheads).into();
        report
    }

    /// Adds the nodes and the money.
    pub fn with_books(mut self, books: &Books, own_cluster: bool) -> Report {
        self.nodes = books.nodes;
        self.orders = books.orders;
        self.peak_nodes = books.peak_nodes;
        self.boot = books.boot.into();
        self.bought_node_ms = books.bought.0;
        self.ledger_micro_usd = books.ledger.0;
        self.receipts_micro_usd = books.receipts.0;
        self.own_cluster = own_cluster;
        if own_cluster {
            self.used_node_ms = Some(books.used.0);
            self.idle_micro_usd = Some(books.idle_tail.0);
            self.faults.extend(books.faults.iter().cloned());
        }
        self
    }

    /// Every job ended as it should, and nothing is left over.
    pub fn held(&self) -> bool {
        self.wrong.is_empty() && self.as_they_should == self.jobs && self.faults.is_empty()
    }

    /// # Errors
    /// Output that cannot be written.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let time = |ms: i64| seconds(Span(ms));
        let money = |micro: i64| MicroUsd(micro);
        let lengths = |name: &str, of: &Lengths| {
            let [mean, p50, p99, max] = [of.mean_ms, of.p50_ms, of.p99_ms, of.max_ms].map(time);
            format!("{name:<12}mean {mean}, median {p50}, p99 {p99}, longest {max}")
        };
        let (done, all) = (self.as_they_should, self.jobs);
        writeln!(
            out,
            "jobs        {done} of {all} ended as they should, {} of them gangs, in {}",
            self.gangs,
            time(self.took_ms)
        )?;
        writeln!(
            out,
            "            {} restarts; submitted late by at most {}",
            self.restarts,
            time(self.submitted_late_by_ms)
        )?;
        writeln!(out, "{}", lengths("waits", &self.waits))?;
        writeln!(out, "{}", lengths("overhead", &self.overhead))?;
        writeln!(out, "nodes       {} in {} orders, at most {} at once", self.nodes, self.orders, self.peak_nodes)?;
        writeln!(out, "{}", lengths("boots", &self.boot))?;
        match (self.used_node_ms, self.idle_micro_usd) {
            (Some(used), Some(idle)) => {
                let percent = (used * 100).checked_div(self.bought_node_ms).unwrap_or(0);
                writeln!(
                    out,
                    "node time   {} bought, {} used by jobs ({percent} %)",
                    time(self.bought_node_ms),
                    time(used)
                )?;
                let (ledger, receipts) = (money(self.ledger_micro_usd), money(self.receipts_micro_usd));
                writeln!(out, "spend       {ledger} = {receipts} on receipts + {} idle", money(idle))?;
            }
            _ => {
                writeln!(out, "node time   {} on nodes that were ordered for these jobs", time(self.bought_node_ms))?;
                let (ledger, receipts) = (money(self.ledger_micro_usd), money(self.receipts_micro_usd));
                writeln!(
                    out,
                    "spend       {receipts} on receipts; nodes that were ordered for these jobs cost {ledger}"
                )?;
            }
        }
        if self.own_cluster && self.faults.is_empty() {
            writeln!(out, "pool        started and ended at 0; the ledger is closed; every process is gone")?;
        }
        for fault in &self.faults {
            writeln!(out, "FAILED      {}", escaped(fault))?;
        }
        for wrong in self.wrong.iter().take(MAX_LISTED) {
            let job = wrong.job.map_or_else(|| "no job".to_owned(), |job| format!("job {job}"));
            let (id, expected, found) = (escaped(&wrong.trace_id), &wrong.expected, escaped(&wrong.found));
            writeln!(out, "WRONG       {id} ({job}): expected {expected}, found {found}")?;
        }
        if self.wrong.len() > MAX_LISTED {
            writeln!(out, "            and {} more", self.wrong.len() - MAX_LISTED)?;
        }
        Ok(())
    }
}

fn judge(part: &Part, job: &AccountedJob) -> Result<(), String> {
    let JobState::Ended(state) = job.state else { return Err(format!("{} still", job.state.word())) };
    if !part.is_as_expected(state, job.exit) {
        let (word, exit, reason) = (state.word(), job.exit, job.reason.word());
        return Err(format!("{word} with {}:{} ({reason})", exit.code, exit.signal));
    }
    let (nodes, gpus) = (part.trace.nodes, u32::from(part.gpus()) * part.trace.nodes);
    if job.started_at.is_some() && (job.node_count != nodes || job.gpus != gpus) {
        return Err(format!("{} nodes and {} GPUs instead of {nodes} and {gpus}", job.node_count, job.gpus));
    }
    if let (Some(started_at), Some(ended_at)) = (job.started_at, job.ended_at)
        && part.cancel_after.is_none()
        && ended_at.since(started_at) < part.runs_for.min(part.limit)
    {
        let ran = seconds(ended_at.since(started_at));
        return Err(format!("it ran for {ran}, less than it slept"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::part::Scale;
    use super::*;
    use crate::trace::{From as Begin, read};
    use squall_types::{EndState, ExitStatus, Timestamp};

    const TRACE: &str = "job_id,user,account,submit_s,duration_s,nodes,gpus_per_node,cpus,mem_mib,gpu_type,time_limit_s,state\n\
                         a,,,0,10,1,8,,,,,\nb,,,5,10,2,8,,,,,FAILED\n";

    fn accounted(job: u32, state: EndState, code: i32, nodes: u32, ran: i64) -> AccountedJob {
        let mut accounted = AccountedJob {
            job: JobId(job),
            suspended: Span::ZERO,
            suspended_since: None,
            batch: true,
            stdin: None,
            stdout: None,
            stderr: None,
            array: None,
            het: None,
            attempt: squall_types::Attempt(1),
            restarts: 0,
            name: String::new(),
            uid: Default::default(),
            gid: Default::default(),
            user: String::new(),
            account: Default::default(),
            partition: String::new(),
            qos: String::new(),
            state: JobState::Ended(state),
            cancelled_by: None,
            reason: Default::default(),
            submitted_at: Timestamp(0),
            eligible_at: Some(Timestamp(0)),
            started_at: Some(Timestamp(2_000)),
            ended_at: None,
            time_limit: None,
            nodes: Vec::new(),
            node_count: nodes,
            cpus: 0,
            tasks: 0,
            memory_mib: 0,
            gpus: nodes * 8,
            req_tres: String::new(),
            exit: ExitStatus { code, signal: 0 },
            work_dir: String::new(),
            submit_line: String::new(),
            comment: String::new(),
            wckey: String::new(),
            constraint: String::new(),
            priority: 0,
            cost: MicroUsd::ZERO,
            steps: Vec::new(),
        };
        accounted.ended_at = Some(Timestamp(2_000 + ran));
        accounted
    }

    #[test]
    fn a_job_is_wrong_that_ended_otherwise_too_early_or_on_too_little() {
        let jobs = read(TRACE.as_bytes(), &Begin::Second(0.0), 9).unwrap();
        let parts = Part::all(jobs, Scale { speed: 10.0, durations: 10.0 });
        let submitted = Submitted { jobs: [(0, JobId(7)), (1, JobId(8))].into(), ..Submitted::default() };
        let wrong = |a: AccountedJob, b: AccountedJob| {
            let report = Report::of(&parts, &submitted, &[a, b], Span(0));
            assert_eq!(report.as_they_should + report.wrong.len(), 2);
            report.wrong.into_iter().map(|wrong| wrong.found).collect::<Vec<_>>()
        };
        let good = || accounted(7, EndState::Completed, 0, 1, 1_005);
        let fails = || accounted(8, EndState::Failed, 1, 2, 1_005);
        assert_eq!(wrong(good(), fails()), Vec::<String>::new());
        assert_eq!(wrong(accounted(7, EndState::Failed, 1, 1, 1_005), fails()), ["FAILED with 1:0 (None)"]);
        assert_eq!(
            wrong(good(), accounted(8, EndState::Failed, 1, 1, 1_005)),
            ["1 nodes and 8 GPUs instead of 2 and 16"]
        );
        assert_eq!(
            wrong(accounted(7, EndState::Completed, 0, 1, 900), fails()),
            ["it ran for 0.9 s, less than it slept"]
        );
    }

    #[test]
    fn a_report_holds_only_if_nothing_is_wrong_or_left() {
        let report = Report { jobs: 1, as_they_should: 1, ..Report::default() };
        assert!(report.held());
        assert!(!Report { faults: vec!["a node is left".to_owned()], ..report.clone() }.held());
        assert!(!Report { jobs: 2, ..report.clone() }.held());
        let mut text = Vec::new();
        report.write(&mut text).unwrap();
        assert!(String::from_utf8(text).unwrap().starts_with("jobs        1 of 1 ended as they should"));
    }
}
