//! Limits of accounts as the durable events tell them: what each start adds up to is counted job by job.

use squall_core::accounts::AccountsChange;
use squall_core::{Event, What};
use squall_types::accounts::{Account, Bounds, Qos, TresKind};
use squall_types::{AccountName, Allocation, JobId, JobSpec, QosName, Uid};
use std::collections::BTreeMap;

/// In whose name a job was submitted.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Name {
    account: AccountName,
    uid: Uid,
    qos: QosName,
}

#[derive(Clone, Default)]
pub struct Limits {
    accounts: BTreeMap<AccountName, Account>,
    qos: BTreeMap<QosName, Qos>,
    names: BTreeMap<JobId, Name>,
    /// What jobs hold, or claim.
    held: BTreeMap<JobId, Vec<Allocation>>,
}

impl Limits {
    /// Takes in one durable event; what is wrong with it, in words.
    pub fn take(&mut self, event: &Event) -> Vec<String> {
        match &event.what {
            What::AccountsChanged { change } => self.change(change),
            What::JobSubmitted { job, spec, .. } | What::JobUpdated { job, spec, .. } => {
                self.names.insert(*job, name_of(spec));
            }
            What::ElementSplit { array, job, group, .. } | What::GroupSplit { array, job, group, .. } => {
                if let Some(name) = self.names.get(&group.unwrap_or(*array)).cloned() {
                    self.names.insert(*job, name);
                }
            }
            What::JobClaimed { job, allocations, .. } => return self.begins(*job, allocations),
            What::JobBound { run, allocations, .. } if self.held.contains_key(&run.job) => {
                self.held.insert(run.job, allocations.clone());
            }
            What::JobBound { run, allocations, .. } => return self.begins(run.job, allocations),
            What::ClaimDropped { job, .. } | What::JobRequeued { job, .. } | What::JobEnded { job, .. } => {
                self.held.remove(job);
            }
            _ => {}
        }
        Vec::new()
    }

    fn change(&mut self, change: &AccountsChange) {
        match change {
            AccountsChange::Account(account) => {
                self.accounts.insert(account.name.clone(), account.clone());
            }
            AccountsChange::AccountRemoved(name) => {
                self.accounts.remove(name);
            }
            AccountsChange::Qos(qos) => {
                self.qos.insert(qos.name.clone(), qos.clone());
            }
            AccountsChange::QosRemoved(name) => {
                self.qos.remove(name);
            }
            AccountsChange::User(_)
            | AccountsChange::UserRemoved(_)
            | AccountsChange::Association(_)
            | AccountsChange::AssociationRemoved(_) => {}
        }
    }

    fn begins(&mut self, job: JobId, allocations: &[Allocation]) -> Vec<String> {
        self.held.insert(job, allocations.to_vec());
        let Some(name) = self.names.get(&job).cloned() else { return Vec::new() };
        let mut found = Vec::new();
        let mut above = self.lineage(&name.account);
        above.push("root".into());
        for account in above.iter().filter_map(|name| self.accounts.get(name)) {
            let inside =
                |other: &Name| account.name.as_str() == "root" || self.lineage(&other.account).contains(&account.name);
            found.extend(self.exceeded(job, &format!("account {}", account.name), &account.terms.limits.group, inside));
        }
        let qos = self.qos.get(&name.qos);
        let same = |other: &Name| other.uid == name.uid;
        if let Some(qos) = qos {
            let bounds = &qos.limits.user;
            let mine = |other: &Name| same(other) && other.qos == qos.name;
            found.extend(self.exceeded(job, &format!("QOS {} and uid {}", qos.name, name.uid), bounds, mine));
        }
        let nearest = above.iter().filter_map(|name| self.accounts.get(name)?.terms.limits.user.jobs).next();
        if qos.is_none_or(|qos| qos.limits.user.jobs.is_none()) {
            let bounds = Bounds { jobs: nearest, ..Bounds::default() };
            let mine = |other: &Name| same(other) && other.account == name.account;
            found.extend(self.exceeded(job, &format!("uid {} in account {}", name.uid, name.account), &bounds, mine));
        }
        found
    }

    /// The account and those above it, as far as they were made.
    fn lineage(&self, account: &AccountName) -> Vec<AccountName> {
        let mut names = Vec::new();
        let mut next = self.accounts.get(account);
        while let Some(account) = next {
            names.push(account.name.clone());
            next = account.parent.as_ref().and_then(|parent| self.accounts.get(parent));
        }
        names
    }

    fn exceeded(&self, job: JobId, whose: &str, bounds: &Bounds, counts: impl Fn(&Name) -> bool) -> Vec<String> {
        let counted = |job: &JobId| self.names.get(job).is_some_and(&counts);
        let all: Vec<&Vec<Allocation>> =
            self.held.iter().filter(|(job, _)| counted(job)).map(|(_, held)| held).collect();
        let mut found = Vec::new();
        if let Some(limit) = bounds.jobs.filter(|limit| all.len() > *limit as usize) {
            found.push(format!("A1: job {job} begins, {} of {whose} are active, {limit} may be", all.len()));
        }
        let sum = |kind: TresKind, allocations: &Vec<Allocation>| -> u64 {
            let of = |held: &Allocation| match kind {
                TresKind::Cpu => u64::from(held.cpus),
                TresKind::Memory => held.memory_mib,
                TresKind::Node => 1,
                TresKind::Gpu => held.gpus.len() as u64,
            };
            allocations.iter().map(of).sum()
        };
        for (kind, limit) in bounds.tres.iter() {
            let used: u64 = all.iter().map(|held| sum(kind, held)).sum();
            let own = self.held.get(&job).map_or(0, |held| sum(kind, held));
            if own > 0 && used > limit {
                found.push(format!("A1: job {job} begins, {whose} has {used} of {}, {limit} may be", kind.word()));
            }
        }
        found
    }
}

fn name_of(spec: &JobSpec) -> Name {
    let qos = spec.qos.clone().unwrap_or_else(|| "normal".into());
    Name { account: spec.account.clone(), uid: spec.uid, qos }
}
