//! What users submit, and what it does when it runs.

use crate::dice::Dice;
use squall_core::ClusterConfig;
use squall_types::ids::Run;
use squall_types::spec::ArraySpec;
use squall_types::{
    Ask, BlobDigest, Constraint, CpuAsk, Dependency, DependencyKind, DependencyTerm, ExitStatus, GpuAsk, IndexSet,
    JobKind, JobSpec, MemoryAsk, NodeCount, Span, TargetJob, Uid,
};

/// One submission. The comment of its spec bears its number, by which everything else is found again.
#[derive(Clone, Debug)]
pub struct Work {
    pub spec: JobSpec,
    /// The other components, where it is a heterogeneous job.
    pub others: Vec<JobSpec>,
    /// Terms on earlier submissions: which one, and an element of it.
    pub after: Vec<(DependencyKind, usize, Option<u32>)>,
    pub any: bool,
    pub runs_for: Span,
    /// Exit codes other than 0, in thousandths.
    pub fails: u32,
    /// Steps that its script launches.
    pub steps: u32,
}

/// What one attempt does on its first node.
#[derive(Clone, Copy, Debug)]
pub struct Behaviour {
    pub runs_for: Span,
    pub exit: ExitStatus,
    pub ignores_term: bool,
}

impl Work {
    /// The number that a spec of ours bears.
    pub fn number_of(spec: &JobSpec) -> Option<usize> {
        spec.comment.strip_prefix('w')?.parse().ok()
    }

    /// What an attempt does depends on nothing but what it is.
    pub fn behaviour(&self, seed: u64, run: Run, stubborn: u32) -> Behaviour {
        let mut dice =
            Dice::new(seed ^ u64::from(run.job.0) << 20 ^ u64::from(run.attempt.0) << 52, crate::dice::Stream::World);
        let runs_for = Span(self.runs_for.0 * dice.between(70, 130) / 100);
        let code = if dice.chance(self.fails) { dice.between(1, 3) as i32 } else { 0 };
        Behaviour { runs_for, exit: ExitStatus { code, signal: 0 }, ignores_term: dice.chance(stubborn) }
    }
}

pub fn draw(dice: &mut Dice, config: &ClusterConfig) -> Vec<Work> {
    let count = dice.between(3, 16) as usize;
    (0..count).map(|number| one(dice, config, number)).collect()
}

/// A job that runs for most of an hour, alone on what it needs.
pub fn long(dice: &mut Dice, config: &ClusterConfig, number: usize) -> Work {
    let runs_for = dice.secs(1800, 3600);
    let mut work = one(dice, config, number);
    work.spec.kind = JobKind::Batch;
    work.spec.script = Some(BlobDigest([7; 32]));
    work.spec.ask = Ask { cpus: CpuAsk::PerTask(1), ..Ask::default() };
    work.spec.partitions = Vec::new();
    work.spec.time_limit = Some(runs_for.times(2));
    (work.spec.array, work.spec.constraint, work.spec.hold) = (None, None, false);
    Work { after: Vec::new(), any: false, runs_for, fails: 0, steps: 0, ..work }
}

fn one(dice: &mut Dice, config: &ClusterConfig, number: usize) -> Work {
    let runs_for = if dice.chance(700) { dice.secs(2, 120) } else { dice.secs(120, 900) };
    let kind = if dice.chance(100) { JobKind::Interactive } else { JobKind::Batch };
    let mut spec = JobSpec {
        name: if dice.chance(300) { "train".to_owned() } else { format!("job{number}") },
        uid: Uid(1000 + dice.below(2) as u32),
        user: "someone".to_owned(),
        kind,
        script: (kind == JobKind::Batch).then_some(BlobDigest([7; 32])),
        work_dir: "/home/someone".to_owned(),
        comment: format!("w{number}"),
        ask: ask(dice, config),
        hold: dice.chance(50),
        nice: if dice.chance(100) { dice.between(0, 50) as i32 } else { 0 },
        requeue: if dice.chance(150) { Some(dice.chance(500)) } else { None },
        allow_spot: dice.chance(300),
        cancel_if_never: dice.chance(500),
        no_kill: dice.chance(50),
        ..JobSpec::default()
    };
    if dice.chance(600) {
        let percent = if dice.chance(200) { dice.between(30, 90) } else { dice.between(150, 400) };
        spec.time_limit = Some(Span((runs_for.0 * percent / 100).max(1000)));
    }
    match dice.below(10) {
        0 if config.pools.len() > 1 => spec.partitions = vec!["gpu".into(), "main".into()],
        1 | 2 => spec.partitions = vec!["gpu".into()],
        _ => {}
    }
    if kind == JobKind::Batch && dice.chance(250) {
        let indices = IndexSet::from_ranges(vec![(0, dice.between(0, 6) as u32)]);
        let limit = dice.chance(500).then(|| dice.between(1, 3) as u32);
        spec.array = Some(ArraySpec { indices, limit, step: 1 });
    }
    if dice.chance(60) {
        spec.constraint = Some(Constraint::Feature("fast".to_owned()));
    }
    if dice.chance(80) {
        spec.prefer = Some(Constraint::Feature("fast".to_owned()));
    }
    let after = after(dice, number, spec.array.is_some());
    Work {
        any: after.len() > 1 && dice.chance(300),
        after,
        runs_for,
        fails: *dice.pick(&[0, 0, 200, 1000]),
        steps: if dice.chance(200) { dice.between(1, 2) as u32 } else { 0 },
        spec,
        others: Vec::new(),
    }
}

/// Makes heterogeneous jobs of some submissions.
pub fn together(dice: &mut Dice, config: &ClusterConfig, work: &mut [Work]) {
    for one in work.iter_mut().filter(|one| one.spec.array.is_none()) {
        if !dice.chance(300) {
            continue;
        }
        one.others = (0..dice.between(1, 2))
            .map(|_| JobSpec {
                script: None,
                kind: JobKind::Interactive,
                hold: dice.chance(50),
                ask: ask(dice, config),
                time_limit: if dice.chance(300) { Some(dice.secs(30, 600)) } else { one.spec.time_limit },
                requeue: if dice.chance(100) { Some(dice.chance(500)) } else { None },
                no_kill: dice.chance(50),
                constraint: None,
                ..one.spec.clone()
            })
            .collect();
    }
}

fn ask(dice: &mut Dice, config: &ClusterConfig) -> Ask {
    let gpus = config.pools.values().flat_map(|pool| &pool.offers).map(|offer| offer.shape.gpus.count());
    let gpus = gpus.max().unwrap_or(1).max(1);
    let mut ask = Ask::default();
    match dice.below(8) {
        0 | 1 => ask.gpus = GpuAsk::PerNode(dice.between(1, i64::from(gpus)) as u16, None),
        2 => ask.gpus = GpuAsk::Total(dice.between(1, i64::from(gpus) * 2) as u32, Some("h100".into())),
        3 => {
            ask.gpus = GpuAsk::PerTask(1, None);
            ask.tasks = Some(dice.between(1, i64::from(gpus)) as u32);
        }
        4 => ask.tasks = Some(dice.between(1, 10) as u32),
        _ => ask.cpus = CpuAsk::PerTask(dice.between(1, 4) as u32),
    }
    if dice.chance(300) {
        let min = dice.between(2, 3) as u32;
        ask.nodes = Some(NodeCount { min, max: min + if dice.chance(200) { 1 } else { 0 } });
        if ask.tasks.is_some_and(|tasks| tasks < min) {
            ask.tasks = None;
        }
    }
    if dice.chance(300) {
        ask.memory = MemoryAsk::PerNode(dice.between(1, 40_000) as u64);
    }
    ask.exclusive = dice.chance(80);
    ask
}

/// On which earlier submissions this one depends.
fn after(dice: &mut Dice, number: usize, array: bool) -> Vec<(DependencyKind, usize, Option<u32>)> {
    if number == 0 || !dice.chance(350) {
        return Vec::new();
    }
    let terms = dice.between(1, 2);
    (0..terms)
        .map(|_| {
            let kind = match dice.below(8) {
                0 => DependencyKind::After(dice.secs(0, 120)),
                1 => DependencyKind::AfterAny,
                2 | 3 => DependencyKind::AfterOk,
                4 => DependencyKind::AfterNotOk,
                5 if array => DependencyKind::AfterCorr,
                6 => DependencyKind::Singleton,
                _ => DependencyKind::AfterAny,
            };
            (kind, dice.below(number), dice.chance(200).then(|| dice.below(3) as u32))
        })
        .collect()
}

impl Work {
    /// What is sent, component by component, once the numbers of the jobs that it waits for are known; terms on others
    /// are left out.
    pub fn specs(&self, job_of: impl Fn(usize) -> Option<(squall_types::JobId, bool)>) -> Vec<JobSpec> {
        let term = |(kind, work, element): &(DependencyKind, usize, Option<u32>)| {
            if *kind == DependencyKind::Singleton {
                return Some(DependencyTerm { kind: *kind, target: None });
            }
            let (job, is_array) = job_of(*work)?;
            let index = element.filter(|_| is_array && *kind != DependencyKind::AfterCorr);
            Some(DependencyTerm { kind: *kind, target: Some(TargetJob { job, index }) })
        };
        let terms = self.after.iter().filter_map(term).collect();
        let first = JobSpec { dependency: Dependency { terms, any: self.any }, ..self.spec.clone() };
        let others = self.others.iter().map(|other| {
            let (account, qos) = (first.account.clone(), first.qos.clone());
            JobSpec { account, qos, dependency: first.dependency.clone(), ..other.clone() }
        });
        std::iter::once(first.clone()).chain(others).collect()
    }
}
