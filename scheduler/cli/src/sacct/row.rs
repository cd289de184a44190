//! A job or a step as one line shows it.

use crate::show::files::{Files, Stream};
use crate::show::moments::Moments;
use crate::show::{amounts, ids};
use squall_types::agent::ExitStatus;
use squall_types::api::{AccountedJob, AccountedStep, JobState};
use squall_types::{EndState, Span, StepId, Timestamp, size, span_text};

/// A job's own line, or that of one of its steps.
pub struct Row<'a> {
    pub job: &'a AccountedJob,
    pub step: Option<&'a AccountedStep>,
    pub moments: &'a Moments,
    pub cluster: &'a str,
    /// `--units`.
    pub unit: Option<char>,
    pub noconvert: bool,
    /// `--expand-patterns`: where streams lead, rather than what was asked for.
    pub expand: bool,
    /// `--truncate`: nothing is shown before or after.
    pub window: Option<(Option<Timestamp>, Option<Timestamp>)>,
}

/// What Slurm keeps in accounting knows no state between waiting and running.
pub fn accounted_state(state: JobState) -> JobState {
    match state {
        JobState::Configuring => JobState::Pending,
        JobState::Completing => JobState::Running,
        other => other,
    }
}

impl Row<'_> {
    /// Where a stream of the job's script leads.
    pub fn stream(&self, of: fn(Files) -> Stream) -> String {
        self.of_job(|job| {
            let stream = of(Files::accounted(job));
            if self.expand { stream.path } else { stream.pattern }
        })
    }

    /// Empty for a step.
    pub fn of_job(&self, value: impl Fn(&AccountedJob) -> String) -> String {
        if self.step.is_some() { String::new() } else { value(self.job) }
    }

    /// Empty for a job.
    pub fn of_step(&self, value: impl Fn(&AccountedStep) -> String) -> String {
        self.step.map(value).unwrap_or_default()
    }

    fn suffixed(&self, id: String) -> String {
        match self.step {
            Some(step) => format!("{id}.{}", step.step.suffix()),
            None => id,
        }
    }

    pub fn id(&self) -> String {
        self.suffixed(ids::job_id(self.job.job, self.job.array.as_ref(), self.job.het, 0))
    }

    pub fn raw_id(&self) -> String {
        self.suffixed(self.job.job.to_string())
    }

    pub fn name(&self) -> String {
        match self.step {
            Some(step) if step.name.is_empty() => step.step.suffix(),
            Some(step) => step.name.clone(),
            None => self.job.name.clone(),
        }
    }

    pub fn state(&self) -> String {
        let state = self.step.map_or(self.job.state, |step| step.state);
        match (state, self.job.cancelled_by, self.step) {
            (JobState::Ended(EndState::Cancelled), Some(uid), None) => format!("CANCELLED by {uid}"),
            (state, _, _) => accounted_state(state).word().to_owned(),
        }
    }

    fn status(&self) -> ExitStatus {
        self.step.map_or(self.job.exit, |step| step.exit)
    }

    pub fn exit(&self) -> String {
        let ExitStatus { code, signal } = self.status();
        format!("{code}:{signal}")
    }

    /// The worst of what `srun` started.
    pub fn worst_exit(&self) -> ExitStatus {
        let steps = self.job.steps.iter().filter(|step| step.step < StepId::EXTERN);
        steps.map(|step| step.exit).max().unwrap_or_default()
    }

    pub fn derived_exit(&self) -> String {
        let ExitStatus { code, signal } = self.worst_exit();
        format!("{code}:{signal}")
    }

    /// Elements that never ran have no record of a start.
    fn never_ran(&self) -> bool {
        self.job.started_at.is_none()
    }

    pub fn cpus(&self) -> u32 {
        match self.step {
            Some(step) => step.cpus,
            None if self.never_ran() => 0,
            None => self.job.cpus,
        }
    }

    pub fn requested_cpus(&self) -> u32 {
        self.step.map_or(self.job.cpus, |step| step.cpus)
    }

    pub fn node_count(&self) -> u32 {
        match self.step {
            Some(step) => step.nodes.len() as u32,
            None => self.job.node_count,
        }
    }

    pub fn requested_nodes(&self) -> u32 {
        self.node_count()
    }

    pub fn nodes(&self) -> String {
        let nodes = self.step.map_or(&self.job.nodes, |step| &step.nodes);
        if nodes.is_empty() { "None assigned".to_owned() } else { ids::nodes(nodes) }
    }

    pub fn submitted_at(&self) -> Option<Timestamp> {
        Some(self.step.map_or(self.job.submitted_at, |step| step.started_at))
    }

    pub fn eligible_at(&self) -> Option<Timestamp> {
        match self.step {
            Some(step) => Some(step.started_at),
            None => self.job.eligible_at,
        }
    }

    pub fn started_at(&self) -> Option<Timestamp> {
        let start = self.step.map_or(self.job.started_at, |step| Some(step.started_at));
        match self.window {
            Some((Some(from), _)) => start.map(|start| start.max(from)),
            _ => start,
        }
    }

    pub fn ended_at(&self) -> Option<Timestamp> {
        let end = self.step.map_or(self.job.ended_at, |step| step.ended_at);
        match self.window {
            Some((_, Some(to))) => end.map(|end| end.min(to)),
            _ => end,
        }
    }

    pub fn moment(&self, at: Option<Timestamp>) -> String {
        at.map_or_else(|| "Unknown".to_owned(), |at| self.moments.at(at))
    }

    /// What ended without having run has no start; of what still waits it is not known.
    pub fn start(&self) -> String {
        match (self.started_at(), self.ended_at()) {
            (None, Some(_)) => "None".to_owned(),
            (start, _) => self.moment(start),
        }
    }

    pub fn elapsed(&self) -> Span {
        let end = self.ended_at().unwrap_or_else(|| self.moments.now());
        self.started_at().map_or(Span::ZERO, |start| (end.since(start) - self.suspended()).max(Span::ZERO))
    }

    /// Time that did not count.
    pub fn suspended(&self) -> Span {
        let now = self.moments.now();
        self.step.map_or_else(|| self.job.suspended_by(now), |step| step.suspended_by(self.job, now))
    }

    pub fn cpu_time(&self) -> Span {
        self.elapsed().times(i64::from(self.cpus()))
    }

    /// From eligible to started.
    pub fn waited(&self) -> Span {
        let eligible = self.job.eligible_at.unwrap_or(self.job.submitted_at);
        let until = self.job.started_at.or(self.job.ended_at).unwrap_or_else(|| self.moments.now());
        until.since(eligible)
    }

    pub fn cpu_of(&self, step: &AccountedStep) -> Span {
        step.usage.user_cpu + step.usage.system_cpu
    }

    /// CPU time of one task.
    pub fn average_cpu(&self, step: &AccountedStep) -> Span {
        Span(self.cpu_of(step).0 / i64::from(step.tasks.max(1)))
    }

    fn over_steps(&self, of: impl Fn(&AccountedStep) -> Span) -> Span {
        match self.step {
            Some(step) => of(step),
            None => self.job.steps.iter().map(of).fold(Span::ZERO, |sum, span| sum + span),
        }
    }

    pub fn user_cpu(&self) -> Span {
        self.over_steps(|step| step.usage.user_cpu)
    }

    pub fn system_cpu(&self) -> Span {
        self.over_steps(|step| step.usage.system_cpu)
    }

    pub fn memory(&self, mib: u64) -> String {
        match self.unit {
            Some(unit) => amounts::fixed(mib, unit),
            None if self.noconvert => size::mib_unconverted(mib),
            None => size::mib(mib),
        }
    }

    pub fn kib(&self, kib: u64) -> String {
        match self.unit {
            Some(unit) => amounts::fixed_kib(kib, unit),
            None => size::kib(kib),
        }
    }

    pub fn alloc_tres(&self) -> String {
        match self.step {
            Some(step) => {
                let memory = self.batch_memory(step).map(|memory| format!(",mem={memory}")).unwrap_or_default();
                format!("cpu={}{memory},node={}", step.cpus, step.nodes.len())
            }
            None if self.never_ran() => String::new(),
            None => self.req_tres(),
        }
    }

    /// The batch script has what its job has on one node.
    fn batch_memory(&self, step: &AccountedStep) -> Option<String> {
        let on_one_node = self.job.memory_mib / u64::from(self.job.node_count.max(1));
        (step.step == StepId::BATCH && on_one_node > 0).then(|| self.memory(on_one_node))
    }

    pub fn req_tres(&self) -> String {
        let job = self.job;
        let memory = (job.memory_mib > 0).then(|| self.memory(job.memory_mib));
        amounts::tres_by_name(job.cpus, memory, job.node_count, job.gpus)
    }

    pub fn usage_tres(&self, step: &AccountedStep) -> String {
        format!("cpu={},mem={}", span_text::clock(self.cpu_of(step)), size::kib(step.usage.max_rss_kib))
    }

    fn limit(&self) -> Option<Span> {
        self.job.time_limit.filter(|limit| *limit < Span::FOREVER)
    }

    pub fn time_limit(&self) -> String {
        match (self.job.time_limit, self.limit()) {
            (None, _) => "Partition_Limit".to_owned(),
            (Some(_), None) => "UNLIMITED".to_owned(),
            (Some(_), Some(limit)) => span_text::clock(limit),
        }
    }

    pub fn time_limit_minutes(&self) -> String {
        match self.limit() {
            Some(limit) => (limit.as_secs() / 60).to_string(),
            None => self.time_limit(),
        }
    }

    /// As Slurm shows frequencies that nobody asked for.
    pub fn unknown_or_zero(&self) -> String {
        if self.step.is_some() { "0" } else { "Unknown" }.to_owned()
    }
}
