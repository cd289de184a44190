//! Limits of accounts in a plan: what is running, and what this plan has started already, counts.

use super::classes::{Candidate, ClassId};
use super::pass::Planner;
use super::seek::Fit;
use crate::accounts::{Amounts, Breach, Tally, holders, start_breach};
use crate::job::Job;
use squall_types::{Allocation, PartitionName, Reason};
use std::sync::Arc;

impl Planner<'_> {
    /// Leaves the places where the job may start as far as its request says, and none of its class was found to hold
    /// too much.
    ///
    /// # Errors
    /// Why it may start in none of them.
    pub fn keep_within_limits(
        &self,
        job: &Job,
        class: ClassId,
        candidates: &mut Arc<Vec<Candidate>>,
    ) -> Result<(), Reason> {
        if !self.cluster.accounts.is_limiting() {
            return Ok(());
        }
        let exceeds = &self.pass.standings[class].exceeds;
        if !exceeds.is_empty() {
            Arc::make_mut(candidates).retain(|candidate| !exceeds.contains(&place(candidate)));
        }
        let amounts = Amounts::asked(&job.spec);
        let breach = |candidate: &Candidate| self.breach(job, candidate, amounts);
        let breaches: Vec<Option<Breach>> = candidates.iter().map(breach).collect();
        let Some(first) = breaches.iter().flatten().next() else { return Ok(()) };
        if breaches.iter().all(Option::is_some) {
            return Err(first.rule.reason());
        }
        let open = candidates.iter().zip(&breaches).filter(|(_, breach)| breach.is_none());
        *candidates = Arc::new(open.map(|(candidate, _)| candidate.clone()).collect());
        Ok(())
    }

    /// Whether the limits allow what the job would hold there: a share of a node may be more than was asked for.
    /// Where they do not, that is remembered.
    pub fn may_hold(&mut self, job: &Job, candidate: &Candidate, fit: &Fit) -> bool {
        let breach = self.holding_breach(job, candidate, fit);
        let may = breach.is_none();
        self.pass.over.extend(breach.map(|breach| (candidate.partition_index, candidate.pool, breach.rule.reason())));
        may
    }

    /// Leaves the places where nothing was found to exceed a limit; `true` where some do.
    ///
    /// # Errors
    /// Why none is left.
    pub fn leave_what_exceeds(&mut self, class: ClassId, candidates: &mut Arc<Vec<Candidate>>) -> Result<bool, Reason> {
        let Some((.., reason)) = self.pass.over.first().copied() else { return Ok(false) };
        let over = std::mem::take(&mut self.pass.over);
        let exceeds = &mut self.pass.standings[class].exceeds;
        exceeds.extend(over.iter().map(|(partition, pool, _)| (*partition, *pool)));
        let exceeds = |candidate: &&Candidate| exceeds.contains(&place(candidate));
        let left: Vec<Candidate> = candidates.iter().filter(|candidate| !exceeds(candidate)).cloned().collect();
        if left.is_empty() {
            return Err(reason);
        }
        *candidates = Arc::new(left);
        Ok(true)
    }

    pub fn holding_breach(&self, job: &Job, candidate: &Candidate, fit: &Fit) -> Option<Breach> {
        if !self.cluster.accounts.is_limiting() {
            return None;
        }
        let amounts = fit.picks.iter().fold(Amounts::default(), |sum, pick| {
            sum.plus(Amounts {
                cpus: pick.need.cpus.into(),
                memory_mib: pick.need.memory_mib,
                nodes: 1,
                gpus: pick.gpus.len() as u64,
            })
        });
        self.breach(job, candidate, amounts)
    }

    fn breach(&self, job: &Job, candidate: &Candidate, amounts: Amounts) -> Option<Breach> {
        let time = candidate.time(job.spec.time_limit);
        start_breach(self.cluster, &self.pass.started, &job.spec, &candidate.partition, amounts, time)
    }

    /// A start of this plan counts for what it starts after.
    pub fn count_start(&mut self, job: &Job, partition: &PartitionName, allocations: &[Allocation]) {
        let accounts = &self.cluster.accounts;
        if accounts.is_limiting() {
            let tally = Tally { jobs: 1, submits: 0, held: Amounts::held(allocations) };
            let holders = holders(accounts, &self.cluster.config, &job.spec, Some(partition));
            self.pass.started.add(holders, tally);
        }
    }
}

fn place(candidate: &Candidate) -> (usize, usize) {
    (candidate.partition_index, candidate.pool)
}
