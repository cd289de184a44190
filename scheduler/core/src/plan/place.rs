//! The one placer: which nodes, how many units on each, and what that holds there.
//!
//! Asked to place (on what is free), to grow (with empty nodes that could be bought) and to reserve (on what will be
//! free); the answer depends on nothing but the rooms that it is given, in the order in which they are given.
//!
//! That order does not change with time, and what is free is no part of it: small shapes first, so that large ones
//! stay whole and GPU nodes are left to jobs with GPUs, then by age, so that the newest nodes fall idle first. A job
//! that was promised a start finds the same nodes first when that time comes, whatever was placed in between, and so
//! does not push aside what was promised to others beside it.

use super::share::{Sharing, Taker, share_near};
use super::topology::Location;
use crate::kept::KeptSpec;
use squall_types::constraint::CountedFeature;
use squall_types::{Constraint, GpuModel, NodeId, Resources, Shape};
use std::cmp::Reverse;

/// Room on one node, existing or to be bought.
#[derive(Clone, Debug)]
pub struct Room<'a> {
    pub node: NodeId,
    pub name: &'a str,
    pub shape: &'a Shape,
    pub free: Resources,
    /// Free GPUs by index; where only a number is known (a later time), the first so many.
    pub gpus: Vec<u16>,
    /// Nothing is on it.
    pub empty: bool,
    pub location: Location,
}

/// A chosen node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pick {
    /// Index into the rooms that were offered.
    pub room: usize,
    pub units: u32,
    pub need: Resources,
    pub gpus: Vec<u16>,
}

/// Places a job on all of the nodes that it needs, or not at all.
pub fn place(spec: &KeptSpec, rooms: &[Room<'_>]) -> Option<Vec<Pick>> {
    match &spec.constraint {
        None => place_among(spec, rooms, &|_| true, &[]),
        Some(Constraint::Counted(parts)) => {
            let of = |roomiest| place_among(spec, rooms, &|_| true, &counted(spec, rooms, parts, roomiest)?);
            // The first nodes with the features may have too little where others would do.
            of(false).or_else(|| of(true))
        }
        Some(constraint) => constraint
            .alternatives()
            .iter()
            .find_map(|one| place_among(spec, rooms, &|shape: &Shape| one.matches(&shape.features), &[])),
    }
}

/// So many rooms with each feature: the first in order, or those that take most.
fn counted(spec: &KeptSpec, rooms: &[Room<'_>], parts: &[CountedFeature], roomiest: bool) -> Option<Vec<usize>> {
    let mut required = Vec::new();
    for part in parts {
        let having = |at: &usize| rooms[*at].shape.features.contains(&part.feature) && !required.contains(at);
        let caps = (0..rooms.len()).filter(having).map(|at| (at, most_units(spec, &rooms[at])));
        let mut caps: Vec<(usize, u32)> = caps.filter(|(_, cap)| *cap > 0).collect();
        if caps.len() < part.nodes as usize {
            return None;
        }
        if roomiest {
            caps.sort_by_key(|(_, cap)| Reverse(*cap));
        }
        required.extend(caps.into_iter().take(part.nodes as usize).map(|(at, _)| at));
    }
    Some(required)
}

/// Whether the first room in order that takes all of the job is the answer, so that the others need no look.
pub fn may_stand_alone(spec: &KeptSpec) -> bool {
    let one_choice = !matches!(spec.constraint, Some(Constraint::Same(_) | Constraint::Counted(_)));
    one_choice && spec.node_list.is_empty() && spec.ask.min_nodes().min(spec.ask.units().total.max(1)) <= 1
}

/// What a request leaves to be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// All of it goes on one node: the first that takes it.
    One { units: u32 },
    /// So many nodes with as many units on each: the first that take their share.
    Gang { nodes: u32, units: u32 },
    /// Rooms have to be compared.
    Any,
}

/// `flat` where no node is nearer to another than any other is: the first are as good as any.
pub fn mode(spec: &KeptSpec, flat: bool) -> Mode {
    let units = spec.ask.units();
    let total = units.total.max(1);
    let (least, most) = (spec.ask.min_nodes().min(total), spec.ask.max_nodes().min(total));
    let one_choice = !matches!(spec.constraint, Some(Constraint::Same(_) | Constraint::Counted(_)));
    if !one_choice || !spec.node_list.is_empty() || least != most {
        return Mode::Any;
    }
    let each = total / least;
    match least {
        1 => Mode::One { units: total },
        _ if !flat => Mode::Any,
        _ if each * least == total && (each == 1 || units.per_node == Some(each)) => {
            Mode::Gang { nodes: least, units: each }
        }
        _ => Mode::Any,
    }
}

/// All of the job in one room, if it fits there.
pub fn place_alone(spec: &KeptSpec, room: &Room<'_>) -> Option<Pick> {
    place_part(spec, room, spec.ask.units().total)
}

/// So many units in one room that the job may use, if they fit there.
pub fn place_part(spec: &KeptSpec, room: &Room<'_>, units: u32) -> Option<Pick> {
    if may_use(spec, room.name, room.shape) && takes(spec, room, units) {
        pick(spec, std::slice::from_ref(room), 0, units)
    } else {
        None
    }
}

/// Whether a node can be one of the job's, whatever is free on it.
pub fn may_use(spec: &KeptSpec, name: &str, shape: &Shape) -> bool {
    let matches = match &spec.constraint {
        // Beside the counted nodes there may be others.
        None | Some(Constraint::Counted(_)) => true,
        Some(constraint) => constraint.matches(&shape.features),
    };
    matches && !spec.exclude.iter().any(|excluded| excluded == name)
}

/// Where a shape stands in the order in which nodes are looked at.
pub fn order_key(shape: &Shape) -> (u16, u32, u64) {
    let Resources { cpus, memory_mib, gpus } = shape.resources();
    (gpus, cpus, memory_mib)
}

/// Whether a room takes at least so many units.
pub fn takes(spec: &KeptSpec, room: &Room<'_>, units: u32) -> bool {
    match spec.ask.units().per_node {
        Some(exact) => units <= exact && fits(spec, room, exact),
        None => fits(spec, room, units),
    }
}

fn fits(spec: &KeptSpec, room: &Room<'_>, units: u32) -> bool {
    let need = || spec.ask.need(room.shape, units);
    let of_model = |need: &Resources| need.gpus <= count_model(room, spec.ask.gpus.model());
    (room.empty || !spec.ask.exclusive) && need().is_some_and(|need| need.fits_in(&room.free) && of_model(&need))
}

/// The units that fit into one room; 0 where none do.
pub fn most_units(spec: &KeptSpec, room: &Room<'_>) -> u32 {
    let units = spec.ask.units();
    match units.per_node {
        Some(exact) => {
            if fits(spec, room, exact) {
                exact
            } else {
                0
            }
        }
        None => largest(units.total, |count| fits(spec, room, count)),
    }
}

/// The largest count up to `most` that fits, where every smaller one fits too.
fn largest(most: u32, fits: impl Fn(u32) -> bool) -> u32 {
    let (mut low, mut high) = (0, most);
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        if fits(middle) { low = middle } else { high = middle - 1 }
    }
    low
}

fn count_model(room: &Room<'_>, model: Option<&GpuModel>) -> u16 {
    match model {
        None => room.gpus.len() as u16,
        Some(_) => room.gpus.iter().filter(|gpu| room.shape.gpus.model_of(**gpu) == model).count() as u16,
    }
}

fn place_among(
    spec: &KeptSpec,
    rooms: &[Room<'_>],
    usable: &dyn Fn(&Shape) -> bool,
    chosen: &[usize],
) -> Option<Vec<Pick>> {
    let listed = |at: &usize| !spec.exclude.iter().any(|name| name == rooms[*at].name) && usable(rooms[*at].shape);
    let mut required = chosen.to_vec();
    for name in &spec.node_list {
        required.push((0..rooms.len()).find(|at| rooms[*at].name == name.as_str())?);
    }
    required.sort_unstable();
    required.dedup();
    let taker = |room: usize| Taker { room, most: most_units(spec, &rooms[room]), location: rooms[room].location };
    let takers: Vec<Taker> = (0..rooms.len()).filter(listed).map(taker).filter(|taker| taker.most > 0).collect();
    let units = spec.ask.units();
    let least = spec.ask.min_nodes().max(required.len() as u32).min(units.total.max(1));
    let most = spec.ask.max_nodes().min(units.total.max(1)).max(required.len() as u32);
    let shares = share_near(&takers, Sharing { units: units.total, least, most, required: &required })?;
    shares.into_iter().map(|(at, count)| pick(spec, rooms, at, count)).collect()
}

fn pick(spec: &KeptSpec, rooms: &[Room<'_>], at: usize, units: u32) -> Option<Pick> {
    let room = &rooms[at];
    let need = spec.ask.need(room.shape, units)?;
    let model = spec.ask.gpus.model();
    let of_model = |gpu: &u16| model.is_none() || room.shape.gpus.model_of(*gpu) == model;
    let whole = need.gpus == room.shape.gpus.count();
    let free: Vec<u16> = room.gpus.iter().copied().filter(|gpu| whole || of_model(gpu)).collect();
    let gpus = neighbours(&free, usize::from(need.gpus));
    (gpus.len() == usize::from(need.gpus)).then_some(Pick { room: at, units, need, gpus })
}

/// Devices that are near each other, and of those the ones that are worth least to others.
///
/// Devices with neighbouring indices share a switch or a socket, in pairs, fours and eights. The smallest such group
/// that has enough free is taken, and among groups of one size the one with the least to spare around it.
fn neighbours(free: &[u16], count: usize) -> Vec<u16> {
    let around = |gpu: u16, size: usize| {
        free.iter().filter(|other| usize::from(**other) / size == usize::from(gpu) / size).count()
    };
    let mut size = count.max(1).next_power_of_two();
    while count < free.len() && size <= 1 << 15 {
        let groups = free.chunk_by(|a, b| usize::from(*a) / size == usize::from(*b) / size);
        if let Some(group) = groups
            .filter(|group| group.len() >= count)
            .min_by_key(|group| [1, 2, 4, 8].map(|times| around(group[0], size * times)))
        {
            return group[..count].to_vec();
        }
        size *= 2;
    }
    free.iter().copied().take(count).collect()
}

/// Tasks on each picked node: what its units bring, or one where units bring none.
pub fn tasks_of(spec: &KeptSpec, picks: &[Pick]) -> Vec<u32> {
    let each = spec.ask.units().tasks;
    if each > 0 {
        return picks.iter().map(|pick| pick.units.saturating_mul(each)).collect();
    }
    let (tasks, nodes) = (spec.ask.tasks.unwrap_or(picks.len() as u32).max(picks.len() as u32), picks.len() as u32);
    (0..nodes).map(|rank| tasks / nodes + u32::from(rank < tasks % nodes)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use squall_types::{Ask, CpuAsk, GpuAsk, GpuGroup, Gpus, NodeCount};

    fn shape(cpus: u32, gpus: u16) -> Shape {
        let group = GpuGroup { model: "h100".into(), count: gpus, memory_mib: 0, declared: true };
        let gpus = Gpus(if gpus > 0 { vec![group] } else { vec![] });
        Shape { cpus, cores: cpus, memory_mib: 64_000, gpus, features: Default::default() }
    }

    fn room<'a>(node: u64, shape: &'a Shape, gpus: &[u16], cpus: u32) -> Room<'a> {
        let free = Resources { cpus, memory_mib: shape.memory_mib, gpus: gpus.len() as u16 };
        let (gpus, empty) = (gpus.to_vec(), cpus == shape.cpus);
        Room { node: NodeId(node), name: "n", shape, free, gpus, empty, location: Location::default() }
    }

    fn spec(ask: Ask) -> KeptSpec {
        let mut spec = KeptSpec::default();
        spec.ask = ask;
        spec
    }

    #[test]
    fn the_first_node_that_fits_is_taken() {
        let (large, small) = (shape(64, 8), shape(16, 4));
        let rooms = [room(2, &small, &[3], 12), room(1, &large, &[0, 1, 2, 3], 16)];
        let ask = Ask { gpus: GpuAsk::PerNode(1, None), ..Ask::default() };
        let picks = place(&spec(ask), &rooms);
        assert_eq!(picks.map(|picks| (picks[0].room, picks[0].gpus.clone())), Some((0, vec![3])));
    }

    #[test]
    fn a_job_for_one_node_is_placed_alike_with_and_without_a_look_at_the_others() {
        let (large, small) = (shape(64, 8), shape(16, 4));
        let rooms = [room(2, &small, &[3], 12), room(3, &small, &[1, 2], 1), room(1, &large, &[0, 1, 2, 3], 16)];
        let asks = (0..=5).flat_map(|gpus| [1, 2, 13, 16].map(|cpus| (gpus, cpus)));
        for (gpus, cpus) in asks {
            let spec = spec(Ask { gpus: GpuAsk::PerNode(gpus, None), cpus: CpuAsk::PerTask(cpus), ..Ask::default() });
            assert!(may_stand_alone(&spec));
            let alone =
                (0..rooms.len()).find_map(|at| place_alone(&spec, &rooms[at]).map(|pick| Pick { room: at, ..pick }));
            assert_eq!(alone.map(|pick| vec![pick]), place(&spec, &rooms), "{gpus} GPUs, {cpus} CPUs");
        }
    }

    #[test]
    fn devices_of_a_job_are_near_each_other_and_leave_near_ones_to_others() {
        let all: Vec<u16> = (0..8).collect();
        assert_eq!(neighbours(&all, 2), [0, 1]);
        assert_eq!(neighbours(&[1, 2, 3, 4, 5], 2), [4, 5], "a pair, and the one that breaks no four");
        assert_eq!(neighbours(&[0, 1, 2, 3, 6], 1), [6], "the one without a neighbour");
        assert_eq!(neighbours(&[0, 1, 2, 3, 4, 5, 6], 3), [4, 5, 6], "the four that is no longer whole");
        assert_eq!(neighbours(&[1, 2, 5], 2), [1, 2], "else under the next switch up");
        assert_eq!(neighbours(&[3, 4], 2), [3, 4], "else what there is");
    }

    #[test]
    fn a_gang_is_all_or_nothing() {
        let shape = shape(16, 4);
        let rooms = [room(1, &shape, &[0, 1, 2, 3], 16), room(2, &shape, &[1, 2, 3], 12)];
        let four = Ask { nodes: Some(NodeCount { min: 2, max: 2 }), gpus: GpuAsk::PerNode(4, None), ..Ask::default() };
        assert_eq!(place(&spec(four.clone()), &rooms), None);
        let three = Ask { gpus: GpuAsk::PerNode(3, None), ..four };
        assert_eq!(place(&spec(three), &rooms).map(|picks| picks.len()), Some(2));
    }

    #[test]
    fn tasks_spread_over_as_few_nodes_as_will_do() {
        let shape = shape(16, 0);
        let rooms = [room(1, &shape, &[], 16), room(2, &shape, &[], 16), room(3, &shape, &[], 16)];
        let ask = Ask { tasks: Some(20), cpus: CpuAsk::PerTask(1), ..Ask::default() };
        let picks = place(&spec(ask), &rooms).expect("20 tasks fit on 48 CPUs");
        assert_eq!(picks.iter().map(|pick| pick.units).collect::<Vec<_>>(), [10, 10]);
    }

    #[test]
    fn uneven_rooms_take_what_they_can() {
        let shape = shape(16, 0);
        let rooms = [room(1, &shape, &[], 3), room(2, &shape, &[], 13)];
        let ask = Ask {
            nodes: Some(NodeCount { min: 2, max: 2 }),
            tasks: Some(16),
            cpus: CpuAsk::PerTask(1),
            ..Ask::default()
        };
        let picks = place(&spec(ask), &rooms).expect("16 tasks fit on 3 and 13 CPUs");
        assert_eq!(picks.iter().map(|pick| pick.units).sum::<u32>(), 16);
    }

    #[test]
    fn an_exclusive_job_needs_an_empty_node() {
        let shape = shape(16, 4);
        let ask = Ask { exclusive: true, ..Ask::default() };
        assert_eq!(place(&spec(ask.clone()), &[room(1, &shape, &[0, 1, 2, 3], 15)]), None);
        let picks = place(&spec(ask), &[room(1, &shape, &[0, 1, 2, 3], 16)]).expect("an empty node");
        assert_eq!(picks[0].need, shape.resources());
    }
}
