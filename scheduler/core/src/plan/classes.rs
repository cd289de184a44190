//! Jobs that wait for resources, by class: alike in everything that the placer sees but for how long they may run. What
//! cannot start cannot if it were longer either, so that a plan tries lengths and not jobs, and where the shortest of a
//! class cannot start, nothing more of it.

use super::market::{candidates, longest, mounts};
use super::place::{Mode, mode};
use super::step::Note;
use super::topology::Topology;
use super::waiting::{Gate, gate};
use crate::accounts::qos_of;
use crate::cluster::Cluster;
use crate::config::{BudgetScope, ClusterConfig};
use crate::job::Job;
use crate::kept::KeptSpec;
use crate::queue::QueueKey;
use imbl::OrdMap;
use squall_types::{AccountName, JobId, PartitionName, QosName, Resources, Shape, Span, Timestamp, Uid};
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

pub type ClassId = usize;

/// A place where the jobs of a class may run.
#[derive(Clone, Debug)]
pub struct Candidate {
    pub partition: PartitionName,
    /// For counting reservations.
    pub partition_index: usize,
    /// Index of the pool in the fleet.
    pub pool: usize,
    /// What jobs without a limit of their own may run for.
    pub most: Span,
}

impl Candidate {
    /// What a job may run for there.
    pub fn time(&self, limit: Option<Span>) -> Span {
        limit.unwrap_or(self.most)
    }
}

#[derive(Clone, Debug)]
pub struct Class {
    required: Wanted,
    /// The same with the features that are preferred, which are tried first.
    preferred: Option<Wanted>,
    pub candidates: Arc<Vec<Candidate>>,
    /// Of all classes that ever were.
    pub number: u64,
    /// Of each component, where it is that of a heterogeneous job: its own and no other's.
    pub components: Arc<[(JobId, ClassId)]>,
    /// By how long they may run.
    members: BTreeMap<Span, BTreeSet<QueueKey>>,
    /// The first job of each length, in the order of the queue.
    heads: BTreeSet<(QueueKey, Span)>,
    key: ClassKey,
}

/// Which features of a job are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Features {
    /// `--prefer`, in place of the others.
    Preferred,
    /// `--constraint`.
    Required,
}

/// What the placer is asked for.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Of any job of the class.
    pub spec: Arc<KeptSpec>,
    pub mode: Mode,
    /// What a node must have at least, by pool, as far as the shapes that the pool had then.
    needs: BTreeMap<usize, (u64, Needs)>,
}

/// The least that a node of a pool must have; `None` where no shape there will do.
#[derive(Clone, Copy, Debug, Default)]
pub struct Needs {
    /// For any part of the job.
    pub part: Option<Resources>,
    /// For all of it on one node.
    pub whole: Option<Resources>,
}

/// What tells classes apart.
#[derive(Clone, Debug)]
struct ClassKey {
    spec: Arc<KeptSpec>,
    /// Which pools have its files, where pools differ in that.
    mounts: Vec<bool>,
    /// Which of its partitions admit the length, where partitions differ in that.
    admits: Vec<bool>,
    /// Whose money it spends, where budgets differ in that, and who is limited.
    purse: (Option<AccountName>, Option<Uid>),
    qos: Option<QosName>,
    /// The time limit, where one that is longer may do although this one does not.
    limit: (bool, Option<Span>),
    /// A component of a heterogeneous job, which is like no other.
    component: Option<JobId>,
}

#[derive(Clone, Debug, Default)]
pub struct Classes {
    classes: Vec<Class>,
    spare: Vec<ClassId>,
    opened: u64,
    by_key: BTreeMap<ClassKey, ClassId>,
    pub class_of: OrdMap<JobId, ClassId>,
    /// Why jobs are not tried, and when to look at them again.
    pub shut: OrdMap<JobId, Note>,
    timers: BTreeSet<(Timestamp, JobId)>,
    timer_of: BTreeMap<JobId, Timestamp>,
    seat: BTreeMap<JobId, (QueueKey, Span)>,
    telling: Telling,
}

/// What the configuration makes of differences between jobs.
#[derive(Clone, Debug, Default)]
struct Telling {
    accounts: bool,
    users: bool,
    limits: bool,
    files: bool,
    times: bool,
    /// Nothing tells how near nodes are.
    flat: bool,
}

impl Classes {
    pub fn new(cluster: &Cluster) -> Classes {
        let config: &ClusterConfig = &cluster.config;
        // Limits tell everybody apart, and qualities of service and lengths as well.
        let limits = cluster.accounts.is_limiting();
        let scoped = |wanted: fn(&BudgetScope) -> bool| config.budgets.values().any(|budget| wanted(&budget.scope));
        let telling = Telling {
            accounts: limits || scoped(|scope| matches!(scope, BudgetScope::Account(_))),
            users: limits || scoped(|scope| matches!(scope, BudgetScope::User(_))),
            limits,
            files: config.pools.values().any(|pool| !pool.file_systems.is_empty()),
            times: config.partitions.values().any(|partition| partition.max_time.is_some()),
            flat: Topology::new(config).is_flat(),
        };
        Classes { telling, ..Classes::default() }
    }

    /// Looks again at jobs whose time has come.
    pub fn advance(&mut self, cluster: &Cluster, now: Timestamp, pool_of: impl Fn(&squall_types::PoolName) -> usize) {
        while let Some((at, id)) = self.timers.first().copied().filter(|(at, _)| *at <= now) {
            self.timers.remove(&(at, id));
            self.timer_of.remove(&id);
            self.look_at(cluster, now, id, &pool_of);
        }
    }

    /// When a job that is not tried yet may be.
    pub fn next_timer(&self) -> Option<Timestamp> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// Looks again at a job that changed.
    pub fn look_at(
        &mut self,
        cluster: &Cluster,
        now: Timestamp,
        id: JobId,
        pool_of: &impl Fn(&squall_types::PoolName) -> usize,
    ) {
        self.forget(id);
        if let Some(job) = cluster.jobs.get(&id) {
            self.enter(cluster, now, job, pool_of);
        }
    }

    /// Takes in a job that is not known.
    pub fn enter(
        &mut self,
        cluster: &Cluster,
        now: Timestamp,
        job: &Job,
        pool_of: &impl Fn(&squall_types::PoolName) -> usize,
    ) {
        let id = job.id;
        let Some(key) = QueueKey::of(job, &cluster.config, &cluster.accounts) else { return };
        match gate(cluster, job, now) {
            Gate::Shut { reason, until } => {
                self.shut.insert(id, Note { reason, start_at: until });
                if let Some(at) = until {
                    self.timers.insert((at, id));
                    self.timer_of.insert(id, at);
                }
            }
            Gate::Open => self.join(cluster, job, key, pool_of),
        }
    }

    pub fn forget(&mut self, id: JobId) {
        self.shut.remove(&id);
        if let Some(at) = self.timer_of.remove(&id) {
            self.timers.remove(&(at, id));
        }
        let (Some(at), Some((key, length))) = (self.class_of.remove(&id), self.seat.remove(&id)) else { return };
        let class = &mut self.classes[at];
        class.leave(key, length);
        if class.members.is_empty() {
            let components = std::mem::take(&mut class.components);
            self.close(at);
            // The leader's class is the first of them.
            components.iter().skip(1).for_each(|(_, at)| self.close(*at));
        }
    }

    fn close(&mut self, at: ClassId) {
        self.by_key.remove(&self.classes[at].key);
        self.spare.push(at);
    }

    fn join(
        &mut self,
        cluster: &Cluster,
        job: &Job,
        key: QueueKey,
        pool_of: &impl Fn(&squall_types::PoolName) -> usize,
    ) {
        let class_key = self.key_of(cluster, job);
        let at = match self.by_key.get(&class_key) {
            Some(at) => *at,
            None => self.open(cluster, class_key, pool_of),
        };
        if job.het().is_some() {
            let others = cluster.together(job).skip(1).map(|other| (other.id, self.key_of(cluster, other)));
            let others: Vec<(JobId, ClassKey)> = others.collect();
            let others = others.into_iter().map(|(id, key)| (id, self.open(cluster, key, pool_of)));
            self.classes[at].components = std::iter::once((job.id, at)).chain(others.collect::<Vec<_>>()).collect();
        }
        let length = length(&job.spec);
        self.classes[at].join(key, length);
        self.class_of.insert(job.id, at);
        self.seat.insert(job.id, (key, length));
    }

    fn open(
        &mut self,
        cluster: &Cluster,
        key: ClassKey,
        pool_of: &impl Fn(&squall_types::PoolName) -> usize,
    ) -> ClassId {
        let spec = &key.spec;
        let candidate = |(partition, pool): (&PartitionName, &squall_types::PoolName)| Candidate {
            partition: partition.clone(),
            partition_index: cluster.config.partitions.keys().position(|name| name == partition).unwrap_or(0),
            pool: pool_of(pool),
            most: longest(cluster, partition),
        };
        let candidates = Arc::new(candidates(cluster, spec).into_iter().map(candidate).collect());
        self.opened += 1;
        let class = Class {
            number: self.opened,
            components: Arc::default(),
            required: Wanted::new(spec.clone(), self.telling.flat),
            preferred: preferring(spec).map(|spec| Wanted::new(Arc::new(spec), self.telling.flat)),
            candidates,
            members: BTreeMap::new(),
            heads: BTreeSet::new(),
            key: key.clone(),
        };
        let at = match self.spare.pop() {
            Some(at) => {
                self.classes[at] = class;
                at
            }
            None => {
                self.classes.push(class);
                self.classes.len() - 1
            }
        };
        self.by_key.insert(key, at);
        at
    }

    fn key_of(&self, cluster: &Cluster, job: &Job) -> ClassKey {
        let spec = &job.spec;
        let all = |files: bool| files.then(|| cluster.config.pools.values().map(|pool| mounts(pool, spec)).collect());
        let admits = |name: &PartitionName| {
            let most = cluster.config.partitions.get(name).and_then(|partition| partition.max_time);
            spec.time_limit.is_none_or(|limit| most.is_none_or(|most| limit <= most))
        };
        // What rooms are compared for, and what money is counted for, may come out otherwise for another length.
        let compares = |spec: &KeptSpec| mode(spec, self.telling.flat) == Mode::Any;
        let compares = compares(spec) || preferring(spec).is_some_and(|spec| compares(&spec));
        let apart = self.telling.limits || spec.time_limit.is_none() || spec.max_cost.is_some() || compares;
        ClassKey {
            spec: spec.clone(),
            mounts: all(self.telling.files).unwrap_or_default(),
            admits: if self.telling.times { spec.partitions.iter().map(admits).collect() } else { Vec::new() },
            purse: (self.telling.accounts.then(|| spec.account.clone()), self.telling.users.then_some(spec.uid)),
            qos: self.telling.limits.then(|| qos_of(spec)),
            limit: (apart, spec.time_limit.filter(|_| apart)),
            component: job.het().map(|_| job.id),
        }
    }

    pub fn len(&self) -> usize {
        self.classes.len()
    }

    pub fn get(&self, at: ClassId) -> &Class {
        &self.classes[at]
    }

    pub fn get_mut(&mut self, at: ClassId) -> &mut Class {
        &mut self.classes[at]
    }

    /// Classes that have jobs, and the first of each.
    pub fn first(&self) -> impl Iterator<Item = (QueueKey, ClassId)> {
        let classes = self.classes.iter().enumerate();
        classes.filter_map(|(at, class)| class.heads.first().map(|(key, _)| (*key, at)))
    }
}

impl Class {
    fn join(&mut self, key: QueueKey, length: Span) {
        let alike = self.members.entry(length).or_default();
        let head = alike.first().copied();
        alike.insert(key);
        if head.is_none_or(|head| key < head) {
            head.into_iter().for_each(|head| {
                self.heads.remove(&(head, length));
            });
            self.heads.insert((key, length));
        }
    }

    fn leave(&mut self, key: QueueKey, length: Span) {
        let Some(alike) = self.members.get_mut(&length) else { return };
        alike.remove(&key);
        let next = alike.first().copied();
        if self.heads.remove(&(key, length)) {
            self.heads.extend(next.map(|next| (next, length)));
        }
        if next.is_none() {
            self.members.remove(&length);
        }
    }

    /// How long its shortest jobs may run.
    pub fn shortest(&self) -> Option<Span> {
        self.members.first_key_value().map(|(length, _)| *length)
    }

    /// The first jobs of their length, after where a plan has come.
    pub fn heads_after(&self, after: Option<QueueKey>) -> impl Iterator<Item = (QueueKey, Span)> {
        let from = after.map_or(Bound::Unbounded, |after| Bound::Excluded((after, Span::FOREVER)));
        self.heads.range((from, Bound::Unbounded)).copied()
    }

    /// The next job of the same length after this one.
    pub fn next_of(&self, length: Span, after: QueueKey) -> Option<QueueKey> {
        let rest = (Bound::Excluded(after), Bound::Unbounded);
        self.members.get(&length)?.range(rest).next().copied()
    }

    /// Its features in the order in which they are tried.
    pub fn features(&self) -> &'static [Features] {
        match self.preferred {
            Some(_) => &[Features::Preferred, Features::Required],
            None => &[Features::Required],
        }
    }

    pub fn wanted(&self, features: Features) -> &Wanted {
        match features {
            Features::Preferred => self.preferred.as_ref().unwrap_or(&self.required),
            Features::Required => &self.required,
        }
    }

    pub fn wanted_mut(&mut self, features: Features) -> &mut Wanted {
        match features {
            Features::Preferred => self.preferred.as_mut().unwrap_or(&mut self.required),
            Features::Required => &mut self.required,
        }
    }
}

impl Wanted {
    fn new(spec: Arc<KeptSpec>, flat: bool) -> Self {
        Wanted { mode: mode(&spec, flat), spec, needs: BTreeMap::new() }
    }

    /// What a node of a pool must have at least, given the shapes that there are.
    pub fn needs(&mut self, pool: usize, changed: u64, shapes: &BTreeSet<Arc<Shape>>) -> Needs {
        if let Some((known, needs)) = self.needs.get(&pool)
            && *known == changed
        {
            return *needs;
        }
        let units = self.spec.ask.units();
        let part = match self.mode {
            Mode::One { units } | Mode::Gang { units, .. } => units,
            Mode::Any => units.per_node.unwrap_or(1),
        };
        let least = |units: u32| {
            let needs = shapes.iter().filter_map(|shape| self.spec.ask.need(shape, units));
            needs.reduce(|a, b| a.least(&b))
        };
        let needs = Needs { part: least(part), whole: least(units.total) };
        self.needs.insert(pool, (changed, needs));
        needs
    }
}

/// The job as it is tried first, where features are preferred.
///
/// As in Slurm they stand in place of those that are required, and count for starts on what is there or on its way and
/// for what is bought; a promised start is the earliest with what is required.
pub fn preferring(spec: &KeptSpec) -> Option<KeptSpec> {
    let prefer = spec.prefer.as_ref()?;
    let mut preferring = spec.clone();
    preferring.constraint = Some(prefer.clone());
    preferring.prefer = None;
    Some(preferring)
}

/// What jobs of a class are told apart by. Those without a limit are of a class of their own.
pub fn length(spec: &KeptSpec) -> Span {
    spec.time_limit.unwrap_or(Span::FOREVER)
}

impl ClassKey {
    fn told_by(&self) -> impl Ord + '_ {
        let spec = &self.spec;
        (
            (&spec.ask, &spec.partitions, spec.kind),
            (&spec.constraint, &spec.prefer, &spec.node_list, &spec.exclude),
            (spec.allow_spot, spec.max_price, spec.max_cost),
            (&self.mounts, &self.admits, &self.purse, &self.qos, self.limit, self.component),
        )
    }
}

impl PartialEq for ClassKey {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for ClassKey {}

impl PartialOrd for ClassKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ClassKey {
    fn cmp(&self, other: &Self) -> Ordering {
        self.told_by().cmp(&other.told_by())
    }
}
