//! What people do to the cluster, as the scenario has it.

use crate::rpc::{JobChange, Wanted};
use crate::scenario::{Act, Change};
use crate::world::World;
use squall_core::Caller;
use squall_types::api::{JobRef, NodeAction};
use squall_types::{IndexSet, NodeId, NodeName, Uid};

impl World {
    pub fn act(&mut self, number: usize) {
        if self.healed {
            return;
        }
        match self.scenario.acts[number].1.clone() {
            Act::Submit(work) => self.request(Wanted::Submit { work }),
            Act::Change { work, elements, change, admin } => self.change(work, elements, change, admin),
            Act::CancelAll { uid } => self.request(Wanted::CancelAll { uid }),
            Act::Node { nth, action } => {
                let nodes: Vec<(NodeId, NodeName)> =
                    self.shadow.live_nodes().map(|node| (node.id, node.name.clone())).collect();
                if nodes.is_empty() {
                    return;
                }
                let (id, name) = nodes[nth % nodes.len()].clone();
                if matches!(action, NodeAction::Down { .. }) {
                    // From now on the admin answers for it.
                    self.excused.insert(id);
                    self.declared.insert(name.clone());
                }
                self.request(Wanted::Node { name, action });
            }
            Act::Crontab { uid, entries } => self.request(Wanted::Crontab { uid, entries }),
            Act::Accounts(edits) => self.request(Wanted::Accounts { edits }),
            Act::Configure(config) => {
                self.config = *config;
                self.reload_leader();
            }
        }
    }

    pub fn reload_leader(&mut self) {
        if let Some(leader) = self.leader {
            self.reload(leader);
        }
    }

    fn change(&mut self, work: usize, elements: Option<IndexSet>, change: Change, admin: bool) {
        // Who does not know the id cannot name the job.
        let Some(job) = self.jobs.get(&work).copied() else { return };
        let uid = self.scenario.work[work].spec.uid;
        let caller = if admin { Caller::Admin(Uid(0)) } else { Caller::User(uid) };
        let change = match change {
            Change::Cancel => JobChange::Cancel,
            Change::Hold => JobChange::Hold,
            Change::Release => JobChange::Release,
            Change::Requeue { hold } => JobChange::Requeue { hold },
            Change::Suspend => JobChange::Suspend,
            Change::Resume => JobChange::Resume,
            Change::Update(update) => JobChange::Update(update),
        };
        let (elements, component) = match (self.scenario.work[work].others.len(), &change) {
            (0, _) => (elements, None),
            // One component alone may be cancelled once they run; which one is as good as drawn.
            (count, JobChange::Cancel) if !admin => (None, Some((work % (count + 1)) as u32)),
            _ => (None, None),
        };
        self.request(Wanted::Change { caller, job: JobRef { job, elements, component }, change });
    }
}
