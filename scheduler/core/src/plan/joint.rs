//! Whether all components of a heterogeneous job could ever run at once. Each of them alone may, and all of them need
//! more than there can be; so a plan is made for them alone, on the cluster as it would be with nothing on it.

use super::feasible::Misfit;
use super::step::Step;
use crate::cluster::Cluster;
use crate::event::What;
use crate::kept::KeptSpec;
use crate::node::NodeState;
use squall_types::{Dependency, HetPlace, JobId, JobSpec, SubmitToken, Timestamp};
use std::sync::Arc;

/// `None` where they could, with everything bought that may be.
pub fn misfit_together(cluster: &Cluster, now: Timestamp, specs: &[KeptSpec]) -> Option<Misfit> {
    let bought = |name: &String| cluster.node_named(&name.as_str().into()).is_some_and(|node| !node.is_static());
    if specs.iter().any(|spec| spec.node_list.iter().any(bought)) {
        // Nodes that were bought are not there on an empty cluster.
        return None;
    }
    let mut empty = emptied(cluster, now);
    let (leader, size) = (empty.counters.next_job, specs.len() as u32);
    for (offset, spec) in (0..).zip(specs) {
        let job = JobId(leader.0.saturating_add(offset));
        let (hold, begin_at, dependency) = (false, None, Dependency::default());
        let spec = Box::new(JobSpec { hold, begin_at, dependency, ..spec.to_spec() });
        let (token, terms, eligible_at) = (SubmitToken::default(), Vec::new(), Some(now));
        let het = Some(HetPlace { leader, offset, size });
        empty.apply(&What::JobSubmitted { job, spec, token, terms, eligible_at, het }.at(now));
    }
    let planned = super::plan(&empty, now);
    if planned.steps.iter().any(|step| matches!(step, Step::Together { .. })) {
        return None;
    }
    Some(Misfit {
        slurm: "Requested node configuration is not available".to_owned(),
        asked: format!("{size} components at once"),
        limit: "each of them could run alone; together they need more than all nodes that there are or can be bought"
            .to_owned(),
        try_this: "fewer or smaller components, or a job for each".to_owned(),
    })
}

/// Every machine of one's own is there and empty, nothing is bought, and nothing but the pools' limits forbids it.
fn emptied(cluster: &Cluster, now: Timestamp) -> Cluster {
    let mut config = cluster.config.as_ref().clone();
    config.budgets.clear();
    let mut empty = Cluster { config: Arc::new(config), counters: cluster.counters.clone(), ..Cluster::new() };
    for node in cluster.live_nodes().filter(|node| node.is_static()) {
        let mut node = node.clone();
        (node.state, node.contact) = (NodeState::Ready { idle_since: Some(now) }, true);
        node.held.clear();
        node.claims.clear();
        node.holds.clear();
        empty.put_node(node);
    }
    for (name, pool) in cluster.pools.iter() {
        let offers: Vec<_> = pool.offers.values().filter(|known| !known.withdrawn).collect();
        let offers: Vec<_> = offers.into_iter().map(|known| known.offer.clone()).collect();
        empty.apply(&What::OffersSeen { pool: name.clone(), offers }.at(now));
    }
    empty
}
