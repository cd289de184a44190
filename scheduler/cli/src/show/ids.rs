//! Ids of jobs, elements and steps, and lists of nodes.

use squall_types::api::ArrayView;
use squall_types::{HetPlace, IndexSet, JobId, NodeName, hostlist};

/// How many bytes of a pending array's indices are shown, unless `SLURM_BITSTR_LEN` says otherwise.
pub const INDICES_SHOWN: usize = 64;
/// From this distance between first and last, Slurm writes evenly spaced indices with their step.
const STEP_FROM: u32 = 10;

/// `123`, `123_4`, `123_[5-9%2]`, `123+1`.
pub fn job_id(job: JobId, array: Option<&ArrayView>, het: Option<HetPlace>, shown: usize) -> String {
    if let Some(HetPlace { leader, offset, .. }) = het {
        return format!("{leader}+{offset}");
    }
    match array {
        None => job.to_string(),
        Some(ArrayView::Element { array, index }) => format!("{array}_{index}"),
        // One that is left is shown as it will be once it runs.
        Some(ArrayView::Pending { array, indices, .. }) if indices.len() == 1 => {
            format!("{array}_{}", indices.first().unwrap_or_default())
        }
        Some(ArrayView::Pending { array, indices, limit }) => {
            format!("{array}_[{}]", pending(indices, *limit, shown))
        }
    }
}

/// `5-9%2`, cut with dots where it is longer than `shown` (0 shows all).
pub fn pending(indices: &IndexSet, limit: Option<u32>, shown: usize) -> String {
    let spread = indices.last().unwrap_or(0) - indices.first().unwrap_or(0);
    let mut text = if spread > STEP_FROM { indices.stepped() } else { indices.to_string() };
    // As Slurm: the end of the buffer and three dots.
    if shown > 4 && text.len() > shown - 3 {
        text.truncate(shown - 4);
        text.push_str("...");
    }
    match limit {
        Some(limit) => format!("{text}%{limit}"),
        None => text,
    }
}

/// `SLURM_BITSTR_LEN`: how much of the indices is shown.
pub fn indices_shown(environment: &crate::invocation::Environment) -> usize {
    environment.filled("SLURM_BITSTR_LEN").and_then(|text| text.parse().ok()).unwrap_or(INDICES_SHOWN)
}

/// `123-125`: the ids of all components.
pub fn het_set(place: HetPlace) -> String {
    let last = place.ids().last().unwrap_or(place.leader);
    format!("{}-{last}", place.leader)
}

/// `n[1-3]`.
pub fn nodes(names: &[NodeName]) -> String {
    let names: Vec<&str> = names.iter().map(NodeName::as_str).collect();
    hostlist::compress(&names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pending_array_is_written_as_slurm_writes_it() {
        let array = JobId(153);
        let pending = |indices: IndexSet, limit| {
            job_id(array, Some(&ArrayView::Pending { array, indices, limit }), None, INDICES_SHOWN)
        };
        assert_eq!(pending((2..=9).collect(), Some(2)), "153_[2-9%2]");
        assert_eq!(pending([1, 3, 5].into_iter().collect(), Some(2)), "153_[1,3,5%2]");
        assert_eq!(pending((0..100).step_by(2).collect(), None), "153_[0-98:2]");
        let long = pending((0..100).filter(|index| index % 3 != 1).collect(), Some(4));
        assert_eq!(long, "153_[0,2-3,5-6,8-9,11-12,14-15,17-18,20-21,23-24,26-27,29-30,32-3...%4]");
    }
}
