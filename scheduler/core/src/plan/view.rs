//! What plans are made from: a state, and what is derived from it for planning. Kept up with the state by asking what
//! differs from the state seen before; pages that both share are skipped, and nothing has to remember to say that it
//! changed something.

use super::classes::Classes;
use super::fleet::Fleet;
use crate::cluster::Cluster;
use crate::job::Job;
use squall_types::{NodeId, PoolName, Timestamp};
use std::collections::BTreeSet;
use std::sync::Arc;

#[derive(Clone, Debug)]
pub struct View {
    pub seen: Cluster,
    pub fleet: Fleet,
    pub classes: Classes,
    at: Timestamp,
}

impl View {
    pub fn new(cluster: &Cluster, now: Timestamp) -> View {
        let mut view =
            View { seen: cluster.clone(), fleet: Fleet::new(cluster, now), classes: Classes::new(cluster), at: now };
        for job in cluster.queue() {
            view.classes.enter(cluster, now, job, &pool_of(&view.fleet));
        }
        view
    }

    /// Takes in what changed since. `false` where all of it had to be built anew.
    pub fn follow(&mut self, cluster: &Cluster, now: Timestamp) -> bool {
        let same_rules =
            Arc::ptr_eq(&self.seen.config, &cluster.config) && Arc::ptr_eq(&self.seen.accounts, &cluster.accounts);
        if !same_rules || now < self.at {
            *self = View::new(cluster, now);
            return false;
        }
        let mut nodes: BTreeSet<NodeId> = BTreeSet::new();
        for (job, before, after) in self.seen.jobs.changes(&cluster.jobs) {
            // What it holds is given back at another time now.
            let held = |job: &Arc<Job>| job.allocations().iter().map(|held| held.node).collect::<Vec<_>>();
            nodes.extend(before.into_iter().chain(after).flat_map(held));
            self.classes.look_at(cluster, now, *job, &pool_of(&self.fleet));
            // What changes in a component may let its leader go, or keep it.
            let place = before.or(after).and_then(|job| job.het()).filter(|place| !place.is_leader());
            if let Some(place) = place {
                self.classes.look_at(cluster, now, place.leader, &pool_of(&self.fleet));
            }
        }
        let changed = self.seen.nodes.changes(&cluster.nodes).map(|(node, ..)| *node);
        for id in changed {
            nodes.insert(id);
            // A gang that waits for this node holds its other nodes until it is there.
            let claims = cluster.nodes.get(&id).into_iter().flat_map(|node| node.claims.keys());
            let whole = claims.filter_map(|job| cluster.jobs.get(job)).flat_map(|job| cluster.together(job));
            nodes.extend(whole.flat_map(Job::allocations).map(|held| held.node));
        }
        self.fleet.refresh(cluster, now, nodes);
        self.classes.advance(cluster, now, pool_of(&self.fleet));
        self.seen = cluster.clone();
        self.at = now;
        true
    }
}

fn pool_of(fleet: &Fleet) -> impl Fn(&PoolName) -> usize + '_ {
    |pool| fleet.pool_index(pool).expect("the fleet knows every configured pool")
}
