//! Arrays as the durable events tell them: which elements wait, which have ended, and how.

use squall_types::spec::ArraySpec;
use squall_types::{EndState, IndexSet, JobId};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, Debug, Default)]
pub struct Arrays(BTreeMap<JobId, Facts>);

#[derive(Clone, Debug)]
struct Facts {
    limit: Option<u32>,
    all: BTreeSet<u32>,
    /// Elements that wait together, by their record: the array's, or that of a group.
    waiting: BTreeMap<JobId, BTreeSet<u32>>,
    ended: BTreeMap<u32, EndState>,
}

impl Arrays {
    pub fn submitted(&mut self, array: JobId, spec: &ArraySpec) {
        let all: BTreeSet<u32> = spec.indices.iter().collect();
        let waiting = BTreeMap::from([(array, all.clone())]);
        self.0.insert(array, Facts { limit: spec.limit, all, waiting, ended: BTreeMap::new() });
    }

    pub fn limit(&mut self, array: JobId, limit: Option<u32>) {
        if let Some(facts) = self.0.get_mut(&array) {
            facts.limit = limit;
        }
    }

    pub fn limit_of(&self, array: JobId) -> Option<u32> {
        self.0.get(&array)?.limit
    }

    /// An element leaves the record in which it waits.
    ///
    /// # Errors
    /// Where it does not wait there.
    pub fn split(&mut self, array: JobId, from: JobId, index: u32) -> Result<(), String> {
        let facts = self.0.get_mut(&array).ok_or_else(|| format!("{array} is no array"))?;
        if facts.waiting.get_mut(&from).is_some_and(|waiting| waiting.remove(&index)) {
            return Ok(());
        }
        Err(format!("J4: element {array}_{index} leaves record {from}, where it does not wait"))
    }

    /// Elements leave a record for one of their own, together.
    ///
    /// # Errors
    /// Where one of them does not wait there, or none is left there.
    pub fn group(&mut self, array: JobId, from: JobId, indices: &IndexSet, group: JobId) -> Result<(), String> {
        indices.iter().try_for_each(|index| self.split(array, from, index))?;
        if self.none_waits_in(array, from) {
            return Err(format!("all elements of array {array} that wait in record {from} are split from it"));
        }
        if let Some(facts) = self.0.get_mut(&array) {
            facts.waiting.insert(group, indices.iter().collect());
        }
        Ok(())
    }

    pub fn ended(&mut self, array: JobId, index: u32, state: EndState) {
        if let Some(facts) = self.0.get_mut(&array) {
            facts.ended.insert(index, state);
        }
    }

    pub fn none_waits(&self, array: JobId) -> bool {
        self.0.get(&array).is_none_or(|facts| facts.waiting.values().all(BTreeSet::is_empty))
    }

    pub fn none_waits_in(&self, array: JobId, record: JobId) -> bool {
        self.0.get(&array).and_then(|facts| facts.waiting.get(&record)).is_none_or(BTreeSet::is_empty)
    }

    /// How one element ended; the outer `None` where there never was one.
    pub fn outcome(&self, array: JobId, index: u32) -> Option<Option<EndState>> {
        self.0.get(&array).filter(|facts| facts.all.contains(&index)).map(|facts| facts.ended.get(&index).copied())
    }

    /// How all elements ended; `None` while some have not, and where it is no array.
    pub fn outcomes(&self, array: JobId) -> Option<impl Iterator<Item = EndState>> {
        let facts = self.0.get(&array).filter(|facts| facts.ended.len() == facts.all.len())?;
        Some(facts.ended.values().copied())
    }

    pub fn any_ended(&self, array: JobId, as_asked: impl Fn(EndState) -> bool) -> bool {
        self.0.get(&array).is_some_and(|facts| facts.ended.values().any(|end| as_asked(*end)))
    }

    pub fn contains(&self, job: JobId) -> bool {
        self.0.contains_key(&job)
    }
}
