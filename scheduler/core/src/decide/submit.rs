//! Submissions: everything that can be refused is refused now, with the number that refuses it.

use super::Reply;
use super::dependencies::{eligible_at, resolve};
use super::draft::Draft;
use crate::authz::{self, Object, Verb};
use crate::command::Caller;
use crate::event::What;
use crate::job::{Job, JobPhase, Role};
use crate::kept::KeptSpec;
use crate::plan::feasible::{self, Misfit};
use crate::refuse::Rejection;
use squall_types::did_you_mean::closest;
use squall_types::span_text::clock;
use squall_types::{
    Attempt, CpuAsk, GpuAsk, JobId, JobKind, JobSpec, MemoryAsk, PartitionName, Reason, Span, SubmitToken, TargetJob,
};
use std::sync::Arc;

/// Bounds on texts that a submission carries, in bytes.
const MAX_NAME: usize = 1024;
const MAX_PATH: usize = 4096;
const MAX_COMMENT: usize = 64 << 10;
const MAX_ARGUMENTS: usize = 1 << 20;
/// Slurm's longest time limit: a year of minutes is plenty and keeps sums far from the edge.
const MAX_TIME_LIMIT: Span = Span::from_hours(24 * 366 * 10);

impl Draft<'_> {
    pub fn submit(
        &mut self,
        caller: &Caller,
        spec: &JobSpec,
        token: &SubmitToken,
        test_only: bool,
    ) -> Result<Reply, Rejection> {
        authz::allow(caller, Verb::Submit, Object::Job { uid: spec.uid })?;
        if spec.cron.is_some() {
            return Err(Rejection::new("SQ1032", "Invalid job specification")
                .asked("a job that runs again and again")
                .limit("such jobs are entries of a crontab")
                .try_this("scrontab -e"));
        }
        // A repeated submission is the same job, whatever happened to the first answer.
        if let Some(job) = self.cluster.job_of_token(token)
            && !crate::canary::active("token_ignored")
        {
            return Ok(Reply::Submitted { job, notes: Vec::new(), step: None });
        }
        let mut spec = KeptSpec::from(spec);
        let id = self.admit(caller, &mut spec)?;
        if test_only {
            let estimate = self.estimate(&spec, id);
            return Ok(Reply::Estimated { estimate });
        }
        self.enter(id, spec, token);
        Ok(Reply::Submitted { job: id, notes: Vec::new(), step: None })
    }

    /// Completes it, and says what speaks against it.
    pub(super) fn admit(&self, caller: &Caller, spec: &mut KeptSpec) -> Result<JobId, Rejection> {
        let id = self.next_id();
        self.check_room(spec)?;
        self.check_sizes(spec)?;
        self.check_promises(spec)?;
        self.complete(spec)?;
        if spec.nice < 0 || spec.priority.is_some() {
            authz::allow(caller, Verb::RaisePriority, Object::Job { uid: spec.uid })?;
        }
        self.check_array(spec)?;
        self.check_dependency(spec, id)?;
        self.feasible(spec, id)?;
        self.check_preference(spec)?;
        self.check_limits(spec, None)?;
        Ok(id)
    }

    /// Fills in what the submission left to the cluster, as far as it may have it.
    pub(super) fn complete(&self, spec: &mut KeptSpec) -> Result<(), Rejection> {
        self.check_account(spec)?;
        self.choose_partitions(spec)?;
        self.check_qos(spec)?;
        self.check_partitions(spec)?;
        self.fill_in(spec);
        Ok(())
    }

    pub(super) fn enter(&mut self, id: JobId, spec: KeptSpec, token: &SubmitToken) {
        let terms = resolve(self.cluster, &spec, id);
        let eligible_at = eligible_at(&self.pending(&spec, id, &terms), self.now);
        let token = token.clone();
        self.emit(What::JobSubmitted { job: id, spec: Box::new(spec.to_spec()), token, terms, eligible_at, het: None });
    }

    pub(super) fn next_id(&self) -> JobId {
        self.cluster.counters.next_job.max(self.cluster.config.first_job)
    }

    /// The record as it would stand in the queue.
    pub(super) fn pending(&self, spec: &KeptSpec, id: JobId, terms: &[crate::job::TermState]) -> Job {
        let role = match &spec.array {
            Some(array) => Role::Pending { indices: array.indices.clone(), group_of: None },
            None => Role::Single,
        };
        Job {
            id,
            spec: Arc::new(spec.clone()),
            token: SubmitToken::default(),
            submitted_at: self.now,
            eligible_at: Some(self.now),
            role,
            attempt: Attempt(0),
            phase: JobPhase::Pending,
            held: None,
            terms: terms.to_vec(),
            not_before: None,
            failures: 0,
            seeking_since: None,
            charged: Default::default(),
            last_reason: Reason::None,
            next_step: 0,
            has_run: false,
        }
    }

    fn check_room(&self, spec: &KeptSpec) -> Result<(), Rejection> {
        let limit = self.cluster.config.limits.max_jobs;
        if self.cluster.live_job_count() >= limit as usize {
            return Err(Rejection::new(
                "SQ1030",
                "Batch job submission failed: Slurm temporarily unable to accept job, sleeping and retrying",
            )
            .asked(format!("job \"{}\"", spec.name()))
            .limit(format!("the cluster keeps at most {limit} jobs that have not ended (limits.max_jobs)"))
            .try_this("submit an array, or wait until some have ended"));
        }
        Ok(())
    }

    fn check_sizes(&self, spec: &KeptSpec) -> Result<(), Rejection> {
        let long = |what: &str, size: usize, most: usize| match size > most {
            false => Ok(()),
            true => Err(Rejection::new("SQ1031", "Pathname of a file, directory or other parameter too long")
                .asked(format!("{what} of {size} bytes"))
                .limit(format!("at most {most} bytes"))),
        };
        long("a job name", spec.name().len(), MAX_NAME)?;
        long("a working directory", spec.work_dir().len(), MAX_PATH)?;
        for path in [spec.stdin(), spec.stdout(), spec.stderr()].into_iter().flatten() {
            long("a file name", path.len(), MAX_PATH)?;
        }
        long("a comment", spec.comment().len(), MAX_COMMENT)?;
        long("a submit line", spec.submit_line().len(), MAX_ARGUMENTS)?;
        long("arguments", spec.arguments().map(str::len).sum(), MAX_ARGUMENTS)?;
        let nul = |text: &str| text.contains('\0');
        if nul(spec.name()) || nul(spec.work_dir()) || spec.arguments().any(nul) {
            return Err(Rejection::new("SQ1032", "Invalid job specification")
                .asked("a text with a NUL byte")
                .limit("names, paths and arguments end at NUL"));
        }
        if spec.kind == JobKind::Batch && spec.script.is_none() {
            return Err(Rejection::new("SQ1033", "Batch job submission failed: Job script not specified")
                .asked("a batch job without a script")
                .try_this("sbatch FILE, or --wrap"));
        }
        Ok(())
    }

    /// What nobody has configured is refused: running without it would be another job.
    fn check_promises(&self, spec: &KeptSpec) -> Result<(), Rejection> {
        if !spec.reservation.is_empty() {
            return Err(Rejection::new("SQ1035", "Requested reservation is invalid")
                .asked(format!("--reservation={}", spec.reservation))
                .limit("there are no reservations on this cluster")
                .try_this("the same without --reservation"));
        }
        if !spec.licenses.is_empty() {
            return Err(Rejection::new("SQ1036", "Invalid license specification")
                .asked(format!("--licenses={}", spec.licenses))
                .limit("no licenses are configured on this cluster")
                .try_this("the same without --licenses"));
        }
        Ok(())
    }

    /// Where a job goes that names no partition.
    fn choose_partitions(&self, spec: &mut KeptSpec) -> Result<(), Rejection> {
        if spec.partitions.is_empty() {
            let config = &self.cluster.config;
            let default = config.default_partition().ok_or_else(|| {
                Rejection::new("SQ1041", "No partition specified or system default partition")
                    .asked("no --partition")
                    .limit("no partition is configured as the default")
                    .try_this(format!("--partition=NAME, one of: {}", self.partition_names()))
            })?;
            spec.partitions = vec![default.clone()];
        }
        Ok(())
    }

    pub(super) fn check_partitions(&self, spec: &mut KeptSpec) -> Result<(), Rejection> {
        let config = &self.cluster.config;
        let mut seen: Vec<PartitionName> = Vec::new();
        for name in std::mem::take(&mut spec.partitions) {
            let Some(partition) = config.partitions.get(&name) else {
                let near = closest(name.as_str(), config.partitions.keys().map(|known| known.as_str()));
                return Err(Rejection::new("SQ1042", "Invalid partition name specified")
                    .asked(format!("--partition={name}"))
                    .limit(format!("partitions here: {}", self.partition_names()))
                    .try_this(near.map(|near| format!("--partition={near}")).unwrap_or_default()));
            };
            self.check_admission(spec, &name, partition)?;
            if !seen.contains(&name) {
                seen.push(name);
            }
        }
        spec.partitions = seen;
        Ok(())
    }

    fn partition_names(&self) -> String {
        self.cluster.config.partitions.keys().map(|name| name.as_str()).collect::<Vec<_>>().join(", ")
    }

    /// The defaults of the first partition, where the job says nothing.
    fn fill_in(&self, spec: &mut KeptSpec) {
        let config = self.cluster.config.clone();
        let Some(partition) = spec.partitions.first().and_then(|name| config.partitions.get(name)) else { return };
        if spec.time_limit.is_none() {
            let allowed = self.longest(spec);
            let default = partition.default_time.or(partition.max_time);
            spec.time_limit = [default, allowed].into_iter().flatten().min();
        }
        if spec.name().is_empty() {
            spec.set_name("sbatch");
        }
        spec.ask.exclusive |= partition.exclusive;
        if spec.ask.cpus == CpuAsk::Share
            && let Some(cpus) = partition.def_cpu_per_gpu
            && !spec.ask.gpus.is_none()
        {
            spec.ask.cpus = CpuAsk::PerGpu(cpus);
        }
        if spec.ask.memory == MemoryAsk::Share {
            let with_gpus = !matches!(spec.ask.gpus, GpuAsk::None);
            let per_gpu = partition.def_mem_per_gpu.filter(|_| with_gpus).map(MemoryAsk::PerGpu);
            let per_cpu = partition.def_mem_per_cpu.map(MemoryAsk::PerCpu);
            let per_node = partition.def_mem_per_node.map(MemoryAsk::PerNode);
            spec.ask.memory = per_gpu.or(per_cpu).or(per_node).unwrap_or(MemoryAsk::Share);
        }
    }

    pub(super) fn check_time_limit(&self, spec: &KeptSpec, limit: Span) -> Result<(), Rejection> {
        let invalid = |limit_text: String, try_this: String| {
            Rejection::new("SQ1050", "Requested time limit is invalid (missing or exceeds some limit)")
                .asked(format!("--time={}", clock(limit)))
                .limit(limit_text)
                .try_this(try_this)
        };
        if limit.0 <= 0 || (limit > MAX_TIME_LIMIT && limit < Span::FOREVER) {
            return Err(invalid(format!("between one second and {}", clock(MAX_TIME_LIMIT)), String::new()));
        }
        let limits = spec
            .partitions
            .iter()
            .map(|name| (name, self.cluster.config.partitions.get(name).and_then(|partition| partition.max_time)));
        let mut most: Option<(&PartitionName, Span)> = None;
        for (name, max_time) in limits {
            match max_time {
                Some(max_time) if limit > max_time => {
                    if most.is_none_or(|(_, before)| max_time > before) {
                        most = Some((name, max_time));
                    }
                }
                _ => return Ok(()),
            }
        }
        match most {
            Some((name, max_time)) => Err(invalid(
                format!("partition \"{name}\" allows {} (MaxTime)", clock(max_time)),
                format!("--time={}", clock(max_time)),
            )),
            None => Ok(()),
        }
    }

    fn check_array(&self, spec: &KeptSpec) -> Result<(), Rejection> {
        let Some(array) = &spec.array else { return Ok(()) };
        let most = self.cluster.config.limits.max_array_size;
        let invalid = |limit: String| {
            Rejection::new("SQ1060", "Invalid job array specification").asked(format!("--array={array}")).limit(limit)
        };
        match array.indices.last() {
            None => Err(invalid("an array has at least one index".to_owned())),
            Some(last) if last >= most => Err(invalid(format!("indices are below {most} (MaxArraySize)"))),
            Some(_) if spec.kind == JobKind::Interactive => Err(invalid("only batch jobs can be arrays".to_owned())),
            Some(_) => Ok(()),
        }
    }

    pub(super) fn check_dependency(&self, spec: &KeptSpec, id: JobId) -> Result<(), Rejection> {
        let most = self.cluster.config.limits.max_dependency_terms as usize;
        let problem =
            |asked: String, limit: String| Rejection::new("SQ1061", "Job dependency problem").asked(asked).limit(limit);
        if spec.dependency().terms.len() > most {
            let asked = format!("a dependency on {} jobs", spec.dependency().terms.len());
            return Err(problem(asked, format!("at most {most} (limits.max_dependency_terms)")));
        }
        for target in spec.dependency().terms.iter().filter_map(|term| term.target) {
            let asked = format!("--dependency on job {target}");
            if target.job >= id && self.job(target.job).is_none() {
                return Err(problem(asked, "no job of that number has been submitted".to_owned()));
            }
            if self.leads_to(target, id) {
                return Err(problem(asked, "it would wait for itself".to_owned()));
            }
        }
        Ok(())
    }

    /// Whether `from` is `to`, or waits for it over any number of jobs. A heterogeneous job waits for what any of it waits
    /// for, and an array for what any group of its elements does.
    fn leads_to(&self, from: TargetJob, to: JobId) -> bool {
        let mut seen = std::collections::BTreeSet::new();
        let mut left = vec![from];
        while let Some(target) = left.pop() {
            if self.names(target, to) {
                return true;
            }
            let job = self.cluster.leader_of(target.job);
            if !seen.insert(job) {
                continue;
            }
            let groups = self.cluster.arrays.get(&job).into_iter().flat_map(|array| &array.groups);
            let records = std::iter::once(&job).chain(groups).filter_map(|id| self.job(*id));
            let waiting = records.filter(|job| job.is_pending()).flat_map(|job| self.cluster.together(job));
            left.extend(waiting.flat_map(|job| &job.spec.dependency().terms).filter_map(|term| term.target));
        }
        false
    }

    /// Whether what a term is about has this job in it.
    fn names(&self, target: TargetJob, id: JobId) -> bool {
        if self.cluster.leader_of(target.job) == self.cluster.leader_of(id) {
            return true;
        }
        let Some(job) = self.job(id).filter(|job| job.array() == Some(target.job)) else { return false };
        let has = |index: u32| job.index() == Some(index) || job.waiting().is_some_and(|all| all.contains(index));
        target.index.is_none_or(has)
    }

    /// Refuses what no configured shape could ever run, with the number that refuses it and what would work.
    /// What no node anywhere has cannot be meant.
    pub(super) fn check_preference(&self, spec: &KeptSpec) -> Result<(), Rejection> {
        match feasible::unknown_preference(self.cluster, spec) {
            None => Ok(()),
            Some(Misfit { slurm, asked, limit, try_this }) => {
                Err(Rejection::new("SQ1070", &slurm).asked(asked).limit(limit).try_this(try_this))
            }
        }
    }

    pub(super) fn feasible(&self, spec: &KeptSpec, _id: JobId) -> Result<(), Rejection> {
        self.check_time_limit(spec, spec.time_limit.unwrap_or(Span::FOREVER).min(Span::FOREVER)).or_else(
            |refusal| {
                // No limit was asked and the partition has one: it becomes the job's.
                if spec.time_limit.is_none() { Ok(()) } else { Err(refusal) }
            },
        )?;
        match feasible::misfit(self.cluster, spec) {
            None => Ok(()),
            Some(Misfit { slurm, asked, limit, try_this }) => {
                Err(Rejection::new("SQ1070", &slurm).asked(asked).limit(limit).try_this(try_this))
            }
        }
    }
}

impl Draft<'_> {
    /// Plans with the job in the queue, in a state that is thrown away.
    fn estimate(&self, spec: &KeptSpec, id: JobId) -> squall_types::api::Estimate {
        let mut cluster = self.cluster.clone();
        let mut draft = Draft::new(&mut cluster, self.now);
        let terms = resolve(draft.cluster, spec, id);
        let eligible_at = eligible_at(&draft.pending(spec, id, &terms), draft.now);
        draft.hold_nothing_back();
        draft.emit(What::JobSubmitted {
            job: id,
            spec: Box::new(spec.to_spec()),
            token: SubmitToken::default(),
            terms,
            eligible_at,
            het: None,
        });
        crate::explain::estimate(draft.cluster, draft.now, id)
    }

    /// A gang's orders are not held back for others; neither are those of a question.
    pub(super) fn hold_nothing_back(&mut self) {
        let mut config = self.cluster.config.as_ref().clone();
        config.timing.batch_idle = Span::ZERO;
        self.emit(What::ConfigApplied { config: Box::new(config) });
    }
}
