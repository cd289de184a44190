//! Which limits hold for a job, and which of them a submission or a start would break.
//!
//! As in Slurm: what a quality of service limits goes before the same limit of an association; that of the partition
//! goes before the job's own, unless that one has `OverPartQOS`. Limits of groups hold on every account up to `root`;
//! of the others the nearest holds.

use super::tally::{Amounts, Holder, Tallies, Tally};
use super::{Accounts, qos_of};
use crate::cluster::Cluster;
use crate::kept::KeptSpec;
use squall_types::accounts::{Association, Bounds, Limits, Membership, OVER_PARTITION, TresKind, TresLimits};
use squall_types::span_text::clock;
use squall_types::{AccountName, PartitionName, QosName, Reason, Span, Uid};
use std::collections::BTreeSet;

/// Whose limit it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    Account(AccountName),
    Association(Membership),
    Qos(QosName),
}

/// Whose use is counted against it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Everybody's together.
    Group,
    User,
    Account,
    Job,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Measure {
    Jobs,
    Submits,
    Tres(TresKind),
    /// Milliseconds.
    Wall,
}

impl Measure {
    /// What a job that starts would add; `None` where only submissions count.
    fn wanted(self, amounts: Amounts, wall: Span) -> Option<u64> {
        match self {
            Measure::Submits => None,
            Measure::Jobs => Some(1),
            Measure::Tres(kind) => Some(amounts.get(kind)),
            Measure::Wall => Some(wall.0.max(0) as u64),
        }
    }
}

/// One limit that holds for a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    pub owner: Owner,
    pub scope: Scope,
    pub measure: Measure,
    pub limit: u64,
    /// Whose use counts; `None` for a limit on each job.
    pub holder: Option<Holder>,
}

/// A limit that would be broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach {
    pub rule: Rule,
    pub used: u64,
    pub wanted: u64,
}

struct Rules {
    found: Vec<Rule>,
    /// What was limited already, by somebody who goes before.
    seen: BTreeSet<(Scope, Measure)>,
}

impl Rules {
    fn push(&mut self, owner: &Owner, scope: Scope, measure: Measure, limit: u64, holder: Option<&Holder>) {
        self.found.push(Rule { owner: owner.clone(), scope, measure, limit, holder: holder.cloned() });
    }

    fn bounds(&mut self, owner: &Owner, scope: Scope, bounds: &Bounds, holder: &Holder) {
        let jobs = bounds.jobs.map(|limit| (Measure::Jobs, u64::from(limit)));
        let submits = bounds.submits.map(|limit| (Measure::Submits, u64::from(limit)));
        let tres = bounds.tres.iter().map(|(kind, limit)| (Measure::Tres(kind), limit));
        for (measure, limit) in jobs.into_iter().chain(submits).chain(tres) {
            if !self.seen.contains(&(scope, measure)) {
                self.push(owner, scope, measure, limit, Some(holder));
            }
        }
    }

    fn each_job(&mut self, owner: &Owner, tres: &TresLimits, wall: Option<Span>) {
        let tres = tres.iter().map(|(kind, limit)| (Measure::Tres(kind), limit));
        let wall = wall.map(|wall| (Measure::Wall, wall.0.max(0) as u64));
        for (measure, limit) in tres.chain(wall) {
            if !self.seen.contains(&(Scope::Job, measure)) {
                self.push(owner, Scope::Job, measure, limit, None);
            }
        }
    }

    /// What was found so far goes before what is still to be found.
    fn settle(&mut self) {
        self.seen.extend(self.found.iter().map(|rule| (rule.scope, rule.measure)));
    }
}

/// The limits that hold for a job in a partition.
pub fn rules(cluster: &Cluster, spec: &KeptSpec, partition: Option<&PartitionName>) -> Vec<Rule> {
    let accounts = cluster.accounts.as_ref();
    if !accounts.is_limiting() || !cluster.config.enforce.limits {
        return Vec::new();
    }
    let mut rules = Rules { found: Vec::new(), seen: BTreeSet::new() };
    for name in ranked_qos(cluster, spec, partition) {
        let Some(qos) = accounts.qos.get(&name) else { continue };
        let (owner, limits) = (Owner::Qos(name.clone()), &qos.limits);
        rules.bounds(&owner, Scope::Group, &limits.group, &Holder::Qos(name.clone()));
        rules.bounds(&owner, Scope::User, &limits.user, &Holder::QosUser(name.clone(), spec.uid));
        let account = Holder::QosAccount(name, spec.account.clone());
        rules.bounds(&owner, Scope::Account, &limits.account, &account);
        rules.each_job(&owner, &limits.job, limits.wall);
        rules.settle();
    }
    of_associations(accounts, spec.uid, &spec.account, partition, &mut rules);
    rules.found
}

/// The qualities of service that limit a job, the one that goes before first.
fn ranked_qos(cluster: &Cluster, spec: &KeptSpec, partition: Option<&PartitionName>) -> Vec<QosName> {
    let own = qos_of(spec);
    let over = cluster.accounts.qos.get(&own).is_some_and(|qos| qos.has(OVER_PARTITION));
    let of_partition = partition.and_then(|partition| cluster.config.partitions.get(partition)?.qos.clone());
    match of_partition.filter(|qos| *qos != own) {
        None => vec![own],
        Some(qos) if over => vec![own, qos],
        Some(qos) => vec![qos, own],
    }
}

fn of_associations(
    accounts: &Accounts,
    uid: Uid,
    account: &AccountName,
    partition: Option<&PartitionName>,
    rules: &mut Rules,
) {
    let own = accounts.association(account, uid, partition);
    let of = own.map_or_else(
        || Membership { account: account.clone(), uid, partition: None },
        |row: &Association| row.of.clone(),
    );
    let member = Holder::Member(of.clone());
    let own = own.map(|row| (Owner::Association(of), &row.terms.limits, member.clone()));
    let above = accounts
        .lineage(account)
        .map(|row| (Owner::Account(row.name.clone()), &row.terms.limits, Holder::Account(row.name.clone())));
    let levels: Vec<(Owner, &Limits, Holder)> = own.into_iter().chain(above).collect();
    for (owner, limits, holder) in &levels {
        rules.bounds(owner, Scope::Group, &limits.group, holder);
    }
    for (owner, limits, _) in &levels {
        rules.bounds(owner, Scope::User, &limits.user, &member);
        rules.each_job(owner, &limits.job, limits.wall);
        // Of these the nearest holds; those of groups are all in.
        rules.settle();
    }
}

/// The first limit that the start of a job would break, given what was planned beside it.
pub fn start_breach(
    cluster: &Cluster,
    planned: &Tallies,
    spec: &KeptSpec,
    partition: &PartitionName,
    amounts: Amounts,
    wall: Span,
) -> Option<Breach> {
    let rules = rules(cluster, spec, Some(partition));
    rules.into_iter().find_map(|rule| {
        let wanted = rule.measure.wanted(amounts, wall)?;
        let used = used(cluster, planned, &rule);
        // What takes nothing of it breaks nothing, even where more is used than is allowed by now.
        (wanted > 0 && used.saturating_add(wanted) > rule.limit).then_some(Breach { rule, used, wanted })
    })
}

/// The first limit on submissions that so many more would break. `except` is a job that is there already and changes.
pub fn submit_breach(
    cluster: &Cluster,
    spec: &KeptSpec,
    partition: &PartitionName,
    count: u64,
    except: Option<(&[Holder], Tally)>,
) -> Option<Breach> {
    let rules = rules(cluster, spec, Some(partition)).into_iter().filter(|rule| rule.measure == Measure::Submits);
    rules.into_iter().find_map(|rule| {
        let own = except.filter(|(holders, _)| rule.holder.as_ref().is_some_and(|holder| holders.contains(holder)));
        let used = used(cluster, &Tallies::default(), &rule).saturating_sub(own.map_or(0, |(_, own)| own.submits));
        (used.saturating_add(count) > rule.limit).then_some(Breach { rule, used, wanted: count })
    })
}

/// The first limit that a job breaks by itself, whoever else has what: it could never run.
pub fn never(cluster: &Cluster, spec: &KeptSpec, partition: &PartitionName, wall: Span) -> Option<Breach> {
    let amounts = Amounts::asked(spec);
    let rules = rules(cluster, spec, Some(partition));
    rules.into_iter().find_map(|rule| {
        let wanted = rule.measure.wanted(amounts, wall)?;
        (wanted > rule.limit).then_some(Breach { rule, used: 0, wanted })
    })
}

fn used(cluster: &Cluster, planned: &Tallies, rule: &Rule) -> u64 {
    let Some(holder) = &rule.holder else { return 0 };
    let of = |tallies: &Tallies| match holder {
        Holder::Member(of) => tallies.of_member(&cluster.accounts, of),
        other => tallies.of(other),
    };
    let tally = of(cluster.tallies()).plus(of(planned));
    match rule.measure {
        Measure::Jobs => tally.jobs,
        Measure::Submits => tally.submits,
        Measure::Tres(kind) => tally.held.get(kind),
        Measure::Wall => 0,
    }
}

impl Rule {
    /// Why a job waits that this limit holds back.
    pub fn reason(&self) -> Reason {
        use Measure::{Jobs, Submits, Tres, Wall};
        use Scope::{Account, Group, Job, User};
        use TresKind::{Cpu, Gpu, Memory, Node};
        let of_qos = matches!(self.owner, Owner::Qos(_));
        match (of_qos, self.scope, self.measure) {
            (false, Group, Jobs | Submits) => Reason::AssocGrpJobsLimit,
            (false, Group, Tres(Cpu)) => Reason::AssocGrpCpuLimit,
            (false, Group, Tres(Memory)) => Reason::AssocGrpMemLimit,
            (false, Group, Tres(Node)) => Reason::AssocGrpNodeLimit,
            (false, Group, Tres(Gpu)) => Reason::AssocGrpGres,
            (false, User | Account, _) => Reason::AssocMaxJobsLimit,
            (false, Job, Tres(Cpu)) => Reason::AssocMaxCpuPerJobLimit,
            (false, Job, Tres(Memory)) => Reason::AssocMaxMemPerJob,
            (false, Job, Tres(Node)) => Reason::AssocMaxNodePerJobLimit,
            (false, Job, Tres(Gpu)) => Reason::AssocMaxGresPerJob,
            (false, ..) => Reason::AssocMaxWallDurationPerJobLimit,
            (true, Group, Jobs | Submits) => Reason::QosGrpJobsLimit,
            (true, Group, Tres(Cpu)) => Reason::QosGrpCpuLimit,
            (true, Group, Tres(Memory)) => Reason::QosGrpMemLimit,
            (true, Group, Tres(Node)) => Reason::QosGrpNodeLimit,
            (true, Group, Tres(Gpu)) => Reason::QosGrpGres,
            (true, User, Jobs | Submits) => Reason::QosMaxJobsPerUserLimit,
            (true, User, Tres(Cpu)) => Reason::QosMaxCpuPerUserLimit,
            (true, User, Tres(Memory)) => Reason::QosMaxMemoryPerUser,
            (true, User, Tres(Node)) => Reason::QosMaxNodePerUserLimit,
            (true, User, Tres(Gpu)) => Reason::QosMaxGresPerUser,
            (true, Account, Jobs | Submits) => Reason::MaxJobsPerAccount,
            (true, Account, Tres(Cpu)) => Reason::MaxCpuPerAccount,
            (true, Account, Tres(Memory)) => Reason::MaxMemoryPerAccount,
            (true, Account, Tres(Node)) => Reason::MaxNodePerAccount,
            (true, Account, Tres(Gpu)) => Reason::MaxGresPerAccount,
            (true, Job, Tres(Cpu)) => Reason::QosMaxCpuPerJobLimit,
            (true, Job, Tres(Memory)) => Reason::QosMaxMemoryPerJob,
            (true, Job, Tres(Node)) => Reason::QosMaxNodePerJobLimit,
            (true, Job, Tres(Gpu)) => Reason::QosMaxGresPerJob,
            (true, _, Wall) | (true, Job, _) => Reason::QosMaxWallDurationPerJobLimit,
        }
    }

    /// Whose limit, its name, what it allows and what of it is used now.
    pub fn text(&self, cluster: &Cluster) -> String {
        let used = self.measure.amount(used(cluster, &Tallies::default(), self));
        let (owner, name, limit) = (self.owner.words(), self.name(), self.measure.amount(self.limit));
        format!("{name} of {owner}: {used} of {limit} are in use")
    }

    /// What `sacctmgr` calls it.
    pub fn name(&self) -> String {
        let of_qos = matches!(self.owner, Owner::Qos(_));
        let tres = |name: &str, kind: TresKind| format!("{name}={}", kind.word());
        match (self.scope, self.measure) {
            (Scope::Group, Measure::Jobs) => "GrpJobs".to_owned(),
            (Scope::Group, Measure::Submits) => "GrpSubmitJobs".to_owned(),
            (Scope::Group, Measure::Tres(kind)) => tres("GrpTRES", kind),
            (Scope::User, Measure::Jobs) if of_qos => "MaxJobsPerUser".to_owned(),
            (Scope::User, Measure::Submits) if of_qos => "MaxSubmitJobsPerUser".to_owned(),
            (Scope::User, Measure::Jobs) => "MaxJobs".to_owned(),
            (Scope::User, Measure::Submits) => "MaxSubmitJobs".to_owned(),
            (Scope::User, Measure::Tres(kind)) => tres("MaxTRESPerUser", kind),
            (Scope::Account, Measure::Jobs) => "MaxJobsPerAccount".to_owned(),
            (Scope::Account, Measure::Submits) => "MaxSubmitJobsPerAccount".to_owned(),
            (Scope::Account, Measure::Tres(kind)) => tres("MaxTRESPerAccount", kind),
            (Scope::Job, Measure::Tres(kind)) => tres("MaxTRESPerJob", kind),
            (_, Measure::Wall | Measure::Jobs | Measure::Submits) => "MaxWall".to_owned(),
        }
    }
}

impl Owner {
    fn words(&self) -> String {
        match self {
            Owner::Account(account) => format!("account \"{account}\""),
            Owner::Association(Membership { account, uid, partition }) => {
                let place = partition.as_ref().map(|name| format!(" for partition \"{name}\"")).unwrap_or_default();
                format!("uid {uid} in account \"{account}\"{place}")
            }
            Owner::Qos(qos) => format!("QOS \"{qos}\""),
        }
    }
}

impl Measure {
    /// An amount of it as people read it.
    fn amount(self, amount: u64) -> String {
        match self {
            Measure::Tres(kind) => kind.amount(amount),
            Measure::Wall => clock(Span(i64::try_from(amount).unwrap_or(i64::MAX))),
            Measure::Jobs | Measure::Submits => amount.to_string(),
        }
    }
}

impl Breach {
    /// Whose limit, its name, what it allows and what of it is used.
    pub fn text(&self) -> String {
        let Rule { owner, scope, measure, limit, .. } = &self.rule;
        let (owner, name, limit) = (owner.words(), self.rule.name(), measure.amount(*limit));
        let wanted = measure.amount(self.wanted);
        match scope {
            Scope::Job => format!("{owner} allows {limit} ({name}), this job asks for {wanted}"),
            _ => {
                let used = measure.amount(self.used);
                format!("{owner} allows {limit} ({name}), {used} are in use, this job needs {wanted}")
            }
        }
    }
}

/// Whether a reason is a limit's.
pub fn limits(reason: Reason) -> bool {
    reason >= Reason::AssocGrpJobsLimit
}
