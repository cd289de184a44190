//! What clients were told, and what must therefore be so.

use super::history::History;
use squall_types::api::JobRef;
use squall_types::{JobId, SubmitToken};
use std::collections::BTreeMap;

/// Answers that left the controller. A lost one binds as well: it was given.
#[derive(Default)]
pub struct Promises {
    submitted: BTreeMap<SubmitToken, JobId>,
}

impl Promises {
    /// J1, J2: a printed id is durable, and stays the same for its submission.
    pub fn submitted(&mut self, history: &History, token: &SubmitToken, job: JobId) -> Option<String> {
        if history.tokens.get(token) != Some(&job) {
            return Some(format!("J1: job {job} is promised and not durable"));
        }
        match self.submitted.insert(token.clone(), job) {
            Some(before) if before != job => Some(format!("J2: one submission was answered with {before} and {job}")),
            _ => None,
        }
    }

    /// J7: from now on no attempt of these begins.
    pub fn cancelled(&self, history: &mut History, named: &JobRef) {
        let (now, job, elements) = (history.length, named.job, named.elements.as_ref());
        for (id, facts) in &mut history.jobs {
            // All components end with the first, whether or not it alone was named.
            let all = |component: Option<u32>| component.is_none_or(|offset| offset == 0);
            let place = history.together.place_of(*id).filter(|place| place.leader == job);
            let named = match (facts.array, elements) {
                _ if place.is_some() => {
                    elements.is_none() && (all(named.component) || named.component == place.map(|place| place.offset))
                }
                _ if named.component.is_some() => false,
                (Some((array, Some(index))), Some(elements)) => array == job && elements.contains(index),
                (Some((array, _)), None) => array == job,
                (None, None) => *id == job,
                _ => false,
            };
            if named {
                facts.cancelled_at.get_or_insert(now);
            }
        }
    }

    /// After a recovery every promised job is still there.
    pub fn kept(&self, history: &History) -> Vec<String> {
        let lost = self.submitted.iter().filter(|(token, job)| history.tokens.get(token) != Some(job));
        lost.map(|(token, job)| format!("J1: job {job} of submission {token} is lost")).collect()
    }

    /// A backup was restored: what came after it is gone, and nobody promised otherwise.
    pub fn restored(&mut self, history: &History) {
        self.submitted.retain(|token, job| history.tokens.get(token) == Some(job));
    }
}
