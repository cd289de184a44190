//! When the first in the queue can start at the latest, and what it leaves to others then.

use super::baseline::Host;
use squall_types::{Resources, Timestamp};

/// The promise of EASY: the first starts by `at` if nobody takes more than `extra` beyond that time.
pub(super) struct Shadow {
    pub at: Timestamp,
    /// By machine: free at that time beside the first.
    pub extra: Vec<Resources>,
}

/// Follows the time limits of what runs, in their order, until `nodes` machines fit.
pub(super) fn shadow(
    hosts: &[Host],
    releases: impl Iterator<Item = (Timestamp, Vec<(usize, Resources)>)>,
    nodes: usize,
    need: impl Fn(&Host) -> Option<Resources>,
) -> Shadow {
    let mut free: Vec<Resources> = hosts.iter().map(|host| host.free).collect();
    let needs: Vec<Option<Resources>> = hosts.iter().map(need).collect();
    let fits = |at: usize, free: &Resources| needs[at].is_some_and(|need| need.fits_in(free));
    let mut fitting = (0..hosts.len()).filter(|at| fits(*at, &free[*at])).count();
    let mut found: Option<Timestamp> = None;
    for (at, parts) in releases {
        if found.is_some_and(|found| at > found) {
            break;
        }
        for (host, part) in parts {
            let before = fits(host, &free[host]);
            free[host] = free[host].plus(&part);
            fitting += usize::from(!before && fits(host, &free[host]));
        }
        if fitting >= nodes {
            found = Some(at);
        }
    }
    let left = |at: usize| Some((free[at].checked_sub(&needs[at]?)?, at));
    let mut chosen: Vec<_> = (0..hosts.len()).filter_map(left).collect();
    chosen.sort_unstable_by_key(|(left, at)| (left.gpus, left.cpus, *at));
    for (left, at) in chosen.into_iter().take(nodes) {
        free[at] = left;
    }
    Shadow { at: found.unwrap_or(Timestamp::NEVER), extra: free }
}

/// The lesser of each kind.
pub(super) fn lesser(a: Resources, b: Resources) -> Resources {
    Resources { cpus: a.cpus.min(b.cpus), memory_mib: a.memory_mib.min(b.memory_mib), gpus: a.gpus.min(b.gpus) }
}
