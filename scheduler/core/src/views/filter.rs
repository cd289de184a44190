//! Which jobs a command is about. Jobs that are named are looked up, not searched for.

use super::jobs::{DEFAULT_QOS, detail, is_on, job_state, narrow, partitions_of, view};
use super::reason::Heads;
use crate::cluster::Cluster;
use crate::job::{Job, Role};
use squall_types::api::{JobDetail, JobFilter, JobRef, JobState, JobView};
use squall_types::{AccountName, HetPlace, IndexSet, JobId, NodeName, PartitionName, Timestamp, Uid};
use std::collections::{BTreeMap, BTreeSet};

/// The jobs that match, by id; an array's waiting elements are one of them.
pub fn job_views<'a>(
    cluster: &'a Cluster,
    now: Timestamp,
    filter: &'a JobFilter,
) -> impl Iterator<Item = JobView> + use<'a> {
    let mut heads = Heads::new(cluster, now);
    matching(cluster, filter).map(move |chosen| {
        let mut view = view(&mut heads, cluster, chosen.job, now, filter.brief);
        if let Some(part) = &chosen.part {
            narrow(&mut view, part);
        }
        view
    })
}

/// The same jobs with all that is known of each; never brief.
pub fn details_of_jobs<'a>(
    cluster: &'a Cluster,
    now: Timestamp,
    filter: &'a JobFilter,
) -> impl Iterator<Item = JobDetail> + use<'a> {
    let mut heads = Heads::new(cluster, now);
    matching(cluster, filter).map(move |chosen| chosen.detail(&mut heads, cluster, now))
}

/// All records of a job or array, or of the named elements, ended ones included. Empty where nothing is known of it.
pub fn job_details(cluster: &Cluster, now: Timestamp, job: &JobRef) -> Vec<JobDetail> {
    let mut heads = Heads::new(cluster, now);
    named(cluster, std::slice::from_ref(job)).map(|chosen| chosen.detail(&mut heads, cluster, now)).collect()
}

/// A record, and which of the elements that wait in it are meant; `None` is all of them.
struct Chosen<'a> {
    job: &'a Job,
    part: Option<IndexSet>,
}

impl Chosen<'_> {
    fn detail(&self, heads: &mut Heads<'_>, cluster: &Cluster, now: Timestamp) -> JobDetail {
        let mut detail = detail(heads, cluster, self.job, now);
        if let Some(part) = &self.part {
            narrow(&mut detail.view, part);
        }
        detail
    }
}

/// The jobs for which every condition holds.
fn matching<'a>(cluster: &'a Cluster, filter: &'a JobFilter) -> impl Iterator<Item = Chosen<'a>> + use<'a> {
    let conditions = Conditions::of(filter);
    candidates(cluster, filter).filter(move |chosen| conditions.hold(cluster, chosen.job))
}

/// As few as the filter allows to look at.
fn candidates<'a>(cluster: &'a Cluster, filter: &JobFilter) -> Box<dyn Iterator<Item = Chosen<'a>> + 'a> {
    let all = |job| Chosen { job, part: None };
    let ended = filter.all_states || filter.states.iter().any(|state| matches!(state, JobState::Ended(_)));
    let waiting = filter.nodes.is_empty() && (filter.states.is_empty() || filter.states.contains(&JobState::Pending));
    match (ended, waiting) {
        _ if !filter.jobs.is_empty() => Box::new(named(cluster, &filter.jobs)),
        (true, _) => Box::new(cluster.jobs.values().map(all)),
        (false, true) => Box::new(cluster.live_jobs().map(all)),
        // What does not wait and has not ended holds nodes or claims them.
        (false, false) => Box::new(cluster.active_jobs().map(all)),
    }
}

/// The records that are named, each once, by id.
fn named<'a>(cluster: &'a Cluster, refs: &[JobRef]) -> impl Iterator<Item = Chosen<'a>> + use<'a> {
    let mut chosen: BTreeMap<JobId, Option<IndexSet>> = BTreeMap::new();
    for JobRef { job, elements, component } in refs {
        if let Some(place) = leads(cluster, *job) {
            let wanted = |offset: usize| component.is_none_or(|component| component as usize == offset);
            let named = place.ids().enumerate().filter(|(offset, _)| wanted(*offset) && elements.is_none());
            chosen.extend(named.map(|(_, id)| (id, None)));
            continue;
        }
        let array = cluster.arrays.get(job);
        match (elements, array) {
            _ if component.is_some() => {}
            (None, None) => {
                chosen.insert(*job, None);
            }
            (None, Some(array)) => {
                let records = array.records.values().chain(&array.groups).chain([job]);
                chosen.extend(records.map(|record| (*record, None)));
            }
            (Some(_), None) => {}
            (Some(elements), Some(array)) => {
                for (first, last) in elements.ranges() {
                    chosen.extend(array.records.range(*first..=*last).map(|(_, record)| (*record, None)));
                }
                add_waiting(&mut chosen, cluster, *job, elements);
            }
        }
    }
    let record = |(job, part)| Some(Chosen { job: cluster.jobs.get(&job)?, part });
    chosen.into_iter().filter_map(record)
}

/// The components of the heterogeneous job of that id.
fn leads(cluster: &Cluster, job: JobId) -> Option<HetPlace> {
    cluster.jobs.get(&job)?.het().filter(|place| place.is_leader())
}

/// Those of the elements that have no record of their own yet, or never got one.
fn add_waiting(chosen: &mut BTreeMap<JobId, Option<IndexSet>>, cluster: &Cluster, array: JobId, elements: &IndexSet) {
    let groups = cluster.arrays.get(&array).into_iter().flat_map(|record| &record.groups);
    for id in std::iter::once(&array).chain(groups) {
        let Some(Role::Pending { indices, .. }) = cluster.jobs.get(id).map(|job| &job.role) else { continue };
        let waiting = indices.intersection(elements);
        if waiting.is_empty() {
            continue;
        }
        let part = chosen.entry(*id).or_insert_with(|| Some(IndexSet::new()));
        if let Some(part) = part {
            waiting.ranges().iter().for_each(|(first, last)| part.insert_range(*first, *last));
        }
    }
}

/// A filter made ready for many jobs: a list from a stranger may be long.
struct Conditions<'a> {
    users: BTreeSet<Uid>,
    names: BTreeSet<&'a str>,
    accounts: BTreeSet<&'a AccountName>,
    partitions: BTreeSet<&'a PartitionName>,
    qos: BTreeSet<&'a str>,
    states: BTreeSet<JobState>,
    all_states: bool,
    nodes: BTreeSet<&'a NodeName>,
}

impl<'a> Conditions<'a> {
    fn of(filter: &'a JobFilter) -> Self {
        Conditions {
            users: filter.users.iter().copied().collect(),
            names: filter.names.iter().map(String::as_str).collect(),
            accounts: filter.accounts.iter().collect(),
            partitions: filter.partitions.iter().collect(),
            qos: filter.qos.iter().map(|qos| qos.as_str()).collect(),
            states: filter.states.iter().copied().collect(),
            all_states: filter.all_states,
            nodes: filter.nodes.iter().collect(),
        }
    }

    fn hold(&self, cluster: &Cluster, job: &Job) -> bool {
        let spec = &job.spec;
        let qos = spec.qos.as_ref().map_or(DEFAULT_QOS, |qos| qos.as_str());
        self.hold_for_state(job)
            && (self.users.is_empty() || self.users.contains(&spec.uid))
            && (self.names.is_empty() || self.names.contains(spec.name()))
            && (self.accounts.is_empty() || self.accounts.contains(&spec.account))
            && (self.qos.is_empty() || self.qos.contains(qos))
            && (self.partitions.is_empty() || partitions_of(job).iter().any(|name| self.partitions.contains(name)))
            && (self.nodes.is_empty() || is_on(cluster, job, |name| self.nodes.contains(name)))
    }

    fn hold_for_state(&self, job: &Job) -> bool {
        match self.states.is_empty() {
            _ if self.all_states => true,
            true => !job.is_ended(),
            false => self.states.contains(&job_state(job)),
        }
    }
}

/// What a bulk action has to be applied to, one by one. Jobs that are named stay as they were named, so that one that
/// is not known is refused by its own name.
pub fn job_refs(cluster: &Cluster, filter: &JobFilter) -> Vec<JobRef> {
    let only_named = JobFilter { jobs: Vec::new(), all_states: filter.all_states, ..filter.clone() };
    if !filter.jobs.is_empty() && only_named == (JobFilter { all_states: filter.all_states, ..JobFilter::default() }) {
        return filter.jobs.clone();
    }
    let name = |chosen: Chosen<'_>| match (&chosen.job.role, chosen.part) {
        (Role::Single | Role::Component(_), _) => JobRef::from(chosen.job.id),
        (Role::Pending { indices, group_of }, part) => {
            let elements = Some(part.unwrap_or_else(|| indices.clone()));
            JobRef { job: group_of.unwrap_or(chosen.job.id), elements, component: None }
        }
        (Role::Element { array, index }, _) => {
            JobRef { job: *array, elements: Some([*index].into_iter().collect()), component: None }
        }
    };
    matching(cluster, filter).map(name).collect()
}
