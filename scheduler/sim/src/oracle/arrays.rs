//! Arrays as the durable events tell them: which elements wait, which have ended, and how.

use squall_types::spec::ArraySpec;
use squall_types::{EndState, JobId};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, Debug, Default)]
pub struct Arrays(BTreeMap<JobId, Facts>);

#[derive(Clone, Debug)]
struct Facts {
    limit: Option<u32>,
    all: BTreeSet<u32>,
    /// Elements that have a record of their own, or need none any more.
    split: BTreeSet<u32>,
    ended: BTreeMap<u32, EndState>,
}

impl Arrays {
    pub fn submitted(&mut self, array: JobId, spec: &ArraySpec) {
        let all = spec.indices.iter().collect();
        self.0.insert(array, Facts { limit: spec.limit, all, split: BTreeSet::new(), ended: BTreeMap::new() });
    }

    pub fn limit(&mut self, array: JobId, limit: Option<u32>) {
        if let Some(facts) = self.0.get_mut(&array) {
            facts.limit = limit;
        }
    }

    pub fn limit_of(&self, array: JobId) -> Option<u32> {
        self.0.get(&array)?.limit
    }

    /// # Errors
    /// Where the element is none, or has been split before.
    pub fn split(&mut self, array: JobId, index: u32) -> Result<(), String> {
        let facts = self.0.get_mut(&array).ok_or_else(|| format!("{array} is no array"))?;
        if facts.all.contains(&index) && facts.split.insert(index) {
            return Ok(());
        }
        Err(format!("J4: element {array}_{index} is split twice, or was never one"))
    }

    pub fn ended(&mut self, array: JobId, index: u32, state: EndState) {
        if let Some(facts) = self.0.get_mut(&array) {
            facts.split.insert(index);
            facts.ended.insert(index, state);
        }
    }

    pub fn none_waits(&self, array: JobId) -> bool {
        self.0.get(&array).is_none_or(|facts| facts.split.len() == facts.all.len())
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
