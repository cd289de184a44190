//! What accounts, users and qualities of service have at this moment. Derived from the jobs, kept up as they change,
//! and never stored; where nothing is limited, nothing is counted.

use super::{Accounts, qos_of};
use crate::config::ClusterConfig;
use crate::job::{Job, JobPhase};
use crate::kept::KeptSpec;
use crate::views::Size;
use imbl::OrdMap;
use squall_types::accounts::{Membership, TresKind};
use squall_types::{AccountName, Allocation, PartitionName, QosName, Uid};

/// Whose use is counted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Holder {
    /// With all accounts below it.
    Account(AccountName),
    /// A user in an account, in all partitions or in one.
    Member(Membership),
    Qos(QosName),
    QosUser(QosName, Uid),
    QosAccount(QosName, AccountName),
}

/// Amounts of what is limited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amounts {
    pub cpus: u64,
    pub memory_mib: u64,
    pub nodes: u64,
    pub gpus: u64,
}

impl Amounts {
    pub fn held(allocations: &[Allocation]) -> Amounts {
        allocations.iter().fold(Amounts::default(), |sum, held| {
            sum.plus(Amounts {
                cpus: held.cpus.into(),
                memory_mib: held.memory_mib,
                nodes: 1,
                gpus: held.gpus.len() as u64,
            })
        })
    }

    /// The least that a job will hold, as far as its request says.
    pub fn asked(spec: &KeptSpec) -> Amounts {
        let size = Size::asked(&spec.ask, None);
        Amounts {
            cpus: size.cpus.into(),
            memory_mib: size.memory_mib,
            nodes: size.nodes.into(),
            gpus: size.gpus.into(),
        }
    }

    pub fn get(&self, kind: TresKind) -> u64 {
        match kind {
            TresKind::Cpu => self.cpus,
            TresKind::Memory => self.memory_mib,
            TresKind::Node => self.nodes,
            TresKind::Gpu => self.gpus,
        }
    }

    #[must_use]
    pub fn plus(self, other: Amounts) -> Amounts {
        Amounts {
            cpus: self.cpus.saturating_add(other.cpus),
            memory_mib: self.memory_mib.saturating_add(other.memory_mib),
            nodes: self.nodes.saturating_add(other.nodes),
            gpus: self.gpus.saturating_add(other.gpus),
        }
    }

    #[must_use]
    pub fn less(self, other: Amounts) -> Amounts {
        Amounts {
            cpus: self.cpus.saturating_sub(other.cpus),
            memory_mib: self.memory_mib.saturating_sub(other.memory_mib),
            nodes: self.nodes.saturating_sub(other.nodes),
            gpus: self.gpus.saturating_sub(other.gpus),
        }
    }
}

/// What one of them has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Jobs that hold nodes, or claim those that come.
    pub jobs: u64,
    /// Jobs that have not ended; each element of an array is one.
    pub submits: u64,
    pub held: Amounts,
}

impl Tally {
    /// Of one record.
    pub fn of(job: &Job) -> Tally {
        match &job.phase {
            JobPhase::Ended(_) => Tally::default(),
            JobPhase::Pending => Tally { submits: job.count(), ..Tally::default() },
            JobPhase::Configuring(_) if crate::canary::active("claims_uncounted") => {
                Tally { submits: 1, ..Tally::default() }
            }
            _ => Tally { jobs: 1, submits: 1, held: Amounts::held(job.allocations()) },
        }
    }

    #[must_use]
    pub fn plus(self, other: Tally) -> Tally {
        Tally {
            jobs: self.jobs.saturating_add(other.jobs),
            submits: self.submits.saturating_add(other.submits),
            held: self.held.plus(other.held),
        }
    }

    #[must_use]
    pub fn less(self, other: Tally) -> Tally {
        Tally {
            jobs: self.jobs.saturating_sub(other.jobs),
            submits: self.submits.saturating_sub(other.submits),
            held: self.held.less(other.held),
        }
    }
}

/// All counts; a holder that has nothing is not in it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tallies(OrdMap<Holder, Tally>);

impl Tallies {
    pub fn of(&self, holder: &Holder) -> Tally {
        self.0.get(holder).copied().unwrap_or_default()
    }

    pub fn iter(&self) -> impl Iterator<Item = (&Holder, &Tally)> {
        self.0.iter()
    }

    pub fn add(&mut self, holders: Vec<Holder>, tally: Tally) {
        if tally != Tally::default() {
            for holder in holders {
                let sum = self.of(&holder).plus(tally);
                self.0.insert(holder, sum);
            }
        }
    }

    pub fn take(&mut self, holders: Vec<Holder>, tally: Tally) {
        for holder in holders {
            match self.of(&holder).less(tally) {
                rest if rest == Tally::default() => self.0.remove(&holder),
                rest => self.0.insert(holder, rest),
            };
        }
    }

    /// Counted anew.
    pub fn count<'a>(accounts: &Accounts, config: &ClusterConfig, jobs: impl Iterator<Item = &'a Job>) -> Tallies {
        let mut tallies = Tallies::default();
        if accounts.is_limiting() {
            jobs.for_each(|job| tallies.add(holders_of(accounts, config, job), Tally::of(job)));
        }
        tallies
    }

    /// What the general association of a user has: all of the user's jobs but those in partitions that have an
    /// association of their own.
    pub fn of_member(&self, accounts: &Accounts, of: &Membership) -> Tally {
        let all = self.of(&Holder::Member(of.clone()));
        if of.partition.is_some() {
            return all;
        }
        let special = accounts.in_account(&of.account, of.uid).filter(|row| row.of.partition.is_some());
        special.fold(all, |rest, row| rest.less(self.of(&Holder::Member(row.of.clone()))))
    }
}

/// The partition that a job counts in: where it is, or where it is tried first.
pub fn partition_of(job: &Job) -> Option<&PartitionName> {
    let held = job.placement().map(|placement| &placement.partition);
    held.or_else(|| job.claim().map(|claim| &claim.partition)).or_else(|| job.spec.partitions.first())
}

/// Everybody for whom a job counts.
pub fn holders_of(accounts: &Accounts, config: &ClusterConfig, job: &Job) -> Vec<Holder> {
    holders(accounts, config, &job.spec, partition_of(job))
}

pub fn holders(
    accounts: &Accounts,
    config: &ClusterConfig,
    spec: &KeptSpec,
    partition: Option<&PartitionName>,
) -> Vec<Holder> {
    let (account, uid) = (&spec.account, spec.uid);
    let mut holders: Vec<Holder> = accounts.lineage(account).map(|above| Holder::Account(above.name.clone())).collect();
    let member = |partition: Option<&PartitionName>| {
        Holder::Member(Membership { account: account.clone(), uid, partition: partition.cloned() })
    };
    holders.push(member(None));
    holders.extend(partition.map(|partition| member(Some(partition))));
    let own = qos_of(spec);
    let of_partition = partition.and_then(|partition| config.partitions.get(partition)?.qos.clone());
    for qos in of_partition.filter(|qos| *qos != own).into_iter().chain([own]) {
        holders.push(Holder::QosUser(qos.clone(), uid));
        holders.push(Holder::QosAccount(qos.clone(), account.clone()));
        holders.push(Holder::Qos(qos));
    }
    holders
}
