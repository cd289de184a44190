//! The limits that this test sets, said plainly: every active job is looked at for each of them.

use squall_core::Cluster;
use squall_core::accounts::Amounts;
use squall_core::kept::KeptSpec;
use squall_types::Uid;
use squall_types::accounts::{Bounds, TresLimits};

#[derive(Clone)]
pub struct Limits<'a> {
    cluster: &'a Cluster,
    /// Whose is active, with what it holds.
    active: Vec<(Uid, Amounts)>,
}

impl<'a> Limits<'a> {
    pub fn new(cluster: &'a Cluster) -> Limits<'a> {
        let active = cluster.live_jobs().filter(|job| job.claim().is_some() || job.placement().is_some());
        let active = active.map(|job| (job.spec.uid, Amounts::held(job.allocations()))).collect();
        Limits { cluster, active }
    }

    /// Whether what one may do the other may.
    pub fn alike(a: &KeptSpec, b: &KeptSpec) -> bool {
        (a.uid, &a.account, &a.qos) == (b.uid, &b.account, &b.qos)
    }

    /// Whether a job may not start that would hold so much.
    pub fn forbid(&self, spec: &KeptSpec, amounts: Amounts) -> bool {
        let root = &self.cluster.accounts.accounts.get(&"root".into()).expect("it is always there").terms.limits;
        let normal = &self.cluster.accounts.qos.get(&"normal".into()).expect("it is always there").limits;
        let user = |uid: Uid| uid == spec.uid;
        let each_user = Bounds { jobs: root.user.jobs, ..normal.user };
        exceeds(&root.job, Amounts::default(), amounts)
            || self.exceeds(&root.group, |_| true, amounts)
            || self.exceeds(&each_user, user, amounts)
    }

    pub fn start(&mut self, spec: &KeptSpec, amounts: Amounts) {
        self.active.push((spec.uid, amounts));
    }

    fn exceeds(&self, bounds: &Bounds, counts: impl Fn(Uid) -> bool, amounts: Amounts) -> bool {
        let counted: Vec<Amounts> =
            self.active.iter().filter(|(uid, _)| counts(*uid)).map(|(_, amounts)| *amounts).collect();
        let sum = counted.iter().fold(Amounts::default(), |sum, amounts| sum.plus(*amounts));
        bounds.jobs.is_some_and(|limit| counted.len() >= limit as usize) || exceeds(&bounds.tres, sum, amounts)
    }
}

fn exceeds(limits: &TresLimits, used: Amounts, wanted: Amounts) -> bool {
    limits.iter().any(|(kind, limit)| wanted.get(kind) > 0 && used.get(kind) + wanted.get(kind) > limit)
}
