//! Heterogeneous jobs: several requests, the components, that are placed together or not at all.

use crate::JobId;
use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

/// A heterogeneous job has at most so many components, as with Slurm.
pub const MAX_COMPONENTS: usize = 128;

/// Which component of which heterogeneous job a record is. The ids of components follow on one another; that of the
/// first, the leader, names the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize, Deserialize)]
pub struct HetPlace {
    #[n(0)]
    pub leader: JobId,
    /// 0 for the leader.
    #[n(1)]
    pub offset: u32,
    /// Components in all.
    #[n(2)]
    pub size: u32,
}

impl HetPlace {
    pub fn is_leader(self) -> bool {
        self.offset == 0
    }

    /// The ids of all components, the leader's first.
    pub fn ids(self) -> impl Iterator<Item = JobId> {
        let JobId(first) = self.leader;
        (first..first.saturating_add(self.size)).map(JobId)
    }
}
