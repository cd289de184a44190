//! How the units of a job are shared out over nodes: on as few as will do, near each other, and evenly.

use super::topology::{LEVELS, Location};
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// A node that takes some units.
#[derive(Clone, Copy, Debug)]
pub struct Taker {
    /// Index into the rooms that were offered.
    pub room: usize,
    /// How many it takes at most; not 0.
    pub most: u32,
    pub location: Location,
}

/// What is to be shared out.
#[derive(Clone, Copy, Debug)]
pub struct Sharing<'a> {
    pub units: u32,
    /// Nodes, at least and at most.
    pub least: u32,
    pub most: u32,
    /// Rooms that have to be among them.
    pub required: &'a [usize],
}

/// Units by room, in rank order.
type Shares = Vec<(usize, u32)>;

/// Shares on as few nodes as will do; of those that are as few, under one switch or in one zone where that is possible,
/// the one with the least room to spare, so that others stay whole; else over few of them.
pub fn share_near(takers: &[Taker], sharing: Sharing<'_>) -> Option<Shares> {
    let anywhere = share_out(takers, sharing)?;
    let nodes = anywhere.len();
    let no_worse = |takers: &[Taker]| share_out(takers, sharing).filter(|shares| shares.len() == nodes);
    if nodes < 2 || takers.iter().all(|taker| taker.location == takers[0].location) {
        return Some(anywhere);
    }
    for level in (0..LEVELS).rev() {
        let mut blocks = blocks(takers, |location| Some(location.0[level]).filter(|block| *block != 0));
        blocks.sort_by_key(|block| room_in(block));
        if let Some((shares, block)) = blocks.iter().find_map(|block| Some((no_worse(block)?, block))) {
            return Some(if level + 1 < LEVELS { over_few(block, &no_worse).unwrap_or(shares) } else { shares });
        }
    }
    Some(over_few(takers, &no_worse).unwrap_or(anywhere))
}

/// Shares over few of the smallest blocks: the largest are filled, and what is left goes to the one that it fits best.
fn over_few(takers: &[Taker], share: &impl Fn(&[Taker]) -> Option<Shares>) -> Option<Shares> {
    let narrowest =
        |location: &Location| (0..LEVELS).rev().map(|level| (level, location.0[level])).find(|(_, block)| *block != 0);
    let mut blocks = blocks(takers, narrowest);
    blocks.sort_by_key(|block| Reverse(room_in(block)));
    let mut full: Vec<Taker> = Vec::new();
    for rank in 0..blocks.len() {
        let with = |block: &Vec<Taker>| {
            let mut both = [&full[..], block].concat();
            both.sort_unstable_by_key(|taker| taker.room);
            share(&both)
        };
        if with(&blocks[rank]).is_some() {
            return blocks[rank..].iter().rev().find_map(with);
        }
        full.extend(&blocks[rank]);
    }
    None
}

/// Takers that are together, in the order of the first of each; those of which nothing is known are apart.
fn blocks<K: Ord>(takers: &[Taker], of: impl Fn(&Location) -> Option<K>) -> Vec<Vec<Taker>> {
    let mut at = BTreeMap::new();
    let mut blocks: Vec<Vec<Taker>> = Vec::new();
    for taker in takers {
        let Some(block) = of(&taker.location) else { continue };
        let place = *at.entry(block).or_insert(blocks.len());
        if place == blocks.len() {
            blocks.push(Vec::new());
        }
        blocks[place].push(*taker);
    }
    blocks
}

fn room_in(block: &[Taker]) -> u64 {
    block.iter().map(|taker| u64::from(taker.most)).sum()
}

/// Units for each node: even shares where they fit, else as many as each can take.
fn share_out(takers: &[Taker], sharing: Sharing<'_>) -> Option<Shares> {
    let Sharing { units, least, most, required } = sharing;
    let is_required = |taker: &Taker| required.contains(&taker.room);
    if takers.iter().filter(|taker| is_required(taker)).count() < required.len() {
        return None;
    }
    // With the largest rooms the fewest nodes are enough; more may be asked for.
    let mut largest = takers.to_vec();
    largest.sort_by_key(|taker| (!is_required(taker), Reverse(taker.most)));
    let mut sum = 0u64;
    let enough = largest.iter().position(|taker| {
        sum += u64::from(taker.most);
        sum >= u64::from(units)
    })? as u32
        + 1;
    let nodes = enough.max(least);
    if nodes > most || nodes as usize > takers.len() {
        return None;
    }
    let even = units.div_ceil(nodes);
    let rest = units - (even - 1) * nodes;
    // The first rooms that take an even share; the first `rest` of them take one more than the others.
    let fits =
        |taker: &Taker| taker.most >= even || (is_required(taker) && taker.most >= even.saturating_sub(1).max(1));
    let mut evenly: Vec<&Taker> = takers.iter().filter(|taker| fits(taker)).collect();
    evenly.sort_by_key(|taker| !is_required(taker));
    evenly.truncate(nodes as usize);
    if evenly.len() == nodes as usize && evenly.iter().all(|taker| taker.most >= even) {
        let share = |rank: usize| if (rank as u32) < rest { even } else { even - 1 };
        return Some(evenly.into_iter().enumerate().map(|(rank, taker)| (taker.room, share(rank))).collect());
    }
    let mut left = units.checked_sub(nodes)?;
    let mut shares = Vec::with_capacity(nodes as usize);
    for taker in largest.iter().take(nodes as usize) {
        let extra = left.min(taker.most - 1);
        left -= extra;
        shares.push((taker.room, 1 + extra));
    }
    (left == 0).then_some(shares)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nodes that take so many units, by zone, spine and leaf.
    fn takers(nodes: &[(u32, [u16; 3])]) -> Vec<Taker> {
        let taker = |(room, (most, [zone, spine, leaf])): (usize, &(u32, [u16; 3]))| Taker {
            room,
            most: *most,
            location: Location([*zone, 0, *spine, *leaf]),
        };
        nodes.iter().enumerate().map(taker).collect()
    }

    fn rooms(nodes: &[(u32, [u16; 3])], units: u32, least: u32) -> Vec<usize> {
        let sharing = Sharing { units, least, most: units, required: &[] };
        let mut rooms: Vec<usize> =
            share_near(&takers(nodes), sharing).expect("there is room").into_iter().map(|(room, _)| room).collect();
        rooms.sort_unstable();
        rooms
    }

    #[test]
    fn a_gang_goes_under_the_switch_with_the_least_to_spare() {
        let (a, b, c) = ([1, 9, 1], [1, 9, 2], [1, 9, 3]);
        let nodes = [(1, a), (1, a), (1, a), (1, b), (1, c), (1, c)];
        assert_eq!(rooms(&nodes, 2, 2), [4, 5]);
        assert_eq!(rooms(&nodes, 3, 3), [0, 1, 2]);
    }

    #[test]
    fn what_no_switch_holds_goes_under_one_spine_and_there_under_few_switches() {
        let (a, b, c, d) = ([1, 8, 1], [1, 8, 2], [1, 8, 3], [1, 9, 4]);
        let nodes = [(1, a), (1, d), (1, d), (1, b), (1, b), (1, c), (1, c), (1, c)];
        assert_eq!(rooms(&nodes, 4, 4), [0, 5, 6, 7], "three of one switch, and the switch with one");
        assert_eq!(rooms(&nodes, 5, 5), [3, 4, 5, 6, 7], "three and two");
        assert_eq!(rooms(&nodes, 7, 7), [1, 2, 3, 4, 5, 6, 7], "over both spines, and without the one that is alone");
    }

    #[test]
    fn fewer_nodes_come_before_nearer_ones() {
        let nodes = [(1, [1, 1, 1]), (1, [1, 1, 1]), (1, [1, 1, 1]), (2, [1, 1, 2]), (2, [2, 2, 3])];
        assert_eq!(rooms(&nodes, 4, 1), [3, 4]);
        assert_eq!(rooms(&nodes, 3, 3), [0, 1, 2], "as many as were asked for");
    }

    #[test]
    fn of_nodes_of_which_nothing_is_known_the_first_are_taken() {
        let nodes = [(1, [0, 0, 0]), (1, [0, 0, 0]), (1, [0, 0, 0])];
        assert_eq!(rooms(&nodes, 2, 2), [0, 1]);
        let some_known = [(1, [0, 0, 0]), (1, [1, 0, 0]), (1, [1, 0, 0])];
        assert_eq!(rooms(&some_known, 2, 2), [1, 2]);
        assert_eq!(rooms(&some_known, 3, 3), [0, 1, 2]);
    }
}
