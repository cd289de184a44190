//! A set of array indices as ascending, disjoint ranges: 100,000 pending elements are one range.

mod text;

pub use text::{ArrayError, ArrayLimits, MAX_TEXT, parse_array, parse_indices};

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

/// Inclusive, ascending, disjoint and not adjacent ranges.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize, Deserialize)]
#[cbor(transparent)]
#[serde(transparent)]
pub struct IndexSet(#[n(0)] Vec<(u32, u32)>);

impl IndexSet {
    pub fn new() -> Self {
        Self::default()
    }

    /// The union of inclusive ranges in any order; those that are empty are left out.
    pub fn from_ranges(mut ranges: Vec<(u32, u32)>) -> Self {
        ranges.retain(|(first, last)| first <= last);
        ranges.sort_unstable();
        ranges.dedup_by(|next, kept| {
            let melts = u64::from(next.0) <= u64::from(kept.1) + 1;
            if melts {
                kept.1 = kept.1.max(next.1);
            }
            melts
        });
        Self(ranges)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many indices there are.
    pub fn len(&self) -> u64 {
        self.0.iter().map(|(first, last)| u64::from(last - first) + 1).sum()
    }

    pub fn first(&self) -> Option<u32> {
        self.0.first().map(|(first, _)| *first)
    }

    pub fn last(&self) -> Option<u32> {
        self.0.last().map(|(_, last)| *last)
    }

    pub fn ranges(&self) -> &[(u32, u32)] {
        &self.0
    }

    pub fn contains(&self, index: u32) -> bool {
        self.position(index).is_ok()
    }

    pub fn iter(&self) -> impl Iterator<Item = u32> {
        self.0.iter().flat_map(|(first, last)| *first..=*last)
    }

    pub fn insert(&mut self, index: u32) {
        self.insert_range(index, index);
    }

    /// Adds `first..=last`; nothing if the range is empty.
    pub fn insert_range(&mut self, first: u32, last: u32) {
        if first > last {
            return;
        }
        // Ranges that touch or overlap the new one melt into it.
        let start = self.0.partition_point(|(_, end)| u64::from(*end) + 1 < u64::from(first));
        let stop = self.0.partition_point(|(begin, _)| u64::from(*begin) <= u64::from(last) + 1);
        let merged = self.0[start..stop].iter().fold((first, last), |(a, b), (c, d)| (a.min(*c), b.max(*d)));
        self.0.splice(start..stop, [merged]);
    }

    /// Removes one index; says whether it was there.
    pub fn remove(&mut self, index: u32) -> bool {
        let Ok(at) = self.position(index) else { return false };
        let (first, last) = self.0[at];
        let mut left = Vec::with_capacity(2);
        if first < index {
            left.push((first, index - 1));
        }
        if index < last {
            left.push((index + 1, last));
        }
        self.0.splice(at..=at, left);
        true
    }

    /// The indices that are in both. Linear in the number of ranges, however many indices they hold.
    pub fn intersection(&self, other: &IndexSet) -> IndexSet {
        let (mut mine, mut theirs) = (self.0.as_slice(), other.0.as_slice());
        let mut both = IndexSet::new();
        while let (Some((first, last)), Some((begin, end))) = (mine.first(), theirs.first()) {
            both.insert_range(*first.max(begin), *last.min(end));
            if last <= end { mine = &mine[1..] } else { theirs = &theirs[1..] }
        }
        both
    }

    /// The indices that are in either. Linear in the number of ranges.
    pub fn union(&self, other: &IndexSet) -> IndexSet {
        IndexSet::from_ranges(self.0.iter().chain(&other.0).copied().collect())
    }

    /// The indices that are here and not there. Linear in the number of ranges.
    pub fn difference(&self, other: &IndexSet) -> IndexSet {
        let mut theirs = other.0.as_slice();
        let mut left = Vec::with_capacity(self.0.len());
        for (first, last) in &self.0 {
            let mut from = Some(*first);
            while let (Some(begin), Some((cut, end))) = (from, theirs.first()) {
                if end < &begin {
                    theirs = &theirs[1..];
                    continue;
                }
                if cut > last {
                    break;
                }
                if *cut > begin {
                    left.push((begin, cut - 1));
                }
                from = end.checked_add(1).filter(|next| next <= last);
            }
            left.extend(from.map(|begin| (begin, *last)));
        }
        IndexSet(left)
    }

    fn position(&self, index: u32) -> Result<usize, usize> {
        self.0.binary_search_by(|(first, last)| {
            if *last < index {
                std::cmp::Ordering::Less
            } else if *first > index {
                std::cmp::Ordering::Greater
            } else {
                std::cmp::Ordering::Equal
            }
        })
    }
}

impl FromIterator<u32> for IndexSet {
    fn from_iter<I: IntoIterator<Item = u32>>(indices: I) -> Self {
        let mut set = Self::new();
        indices.into_iter().for_each(|index| set.insert(index));
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_intersection_holds_what_both_hold() {
        let set = |ranges: &[(u32, u32)]| IndexSet::from_ranges(ranges.to_vec());
        let check = |mine: &[(u32, u32)], theirs: &[(u32, u32)], both: &[(u32, u32)]| {
            assert_eq!(set(mine).intersection(&set(theirs)), set(both), "{mine:?} and {theirs:?}");
            assert_eq!(set(theirs).intersection(&set(mine)), set(both), "{theirs:?} and {mine:?}");
        };
        check(&[(0, 9)], &[(3, 3), (7, u32::MAX)], &[(3, 3), (7, 9)]);
        check(&[(0, 2), (4, 6), (8, 8)], &[(2, 4), (6, 8)], &[(2, 2), (4, 4), (6, 6), (8, 8)]);
        check(&[(0, 2)], &[(3, 5)], &[]);
        check(&[(0, u32::MAX)], &[], &[]);
    }

    #[test]
    fn a_difference_holds_what_only_the_first_holds_and_a_union_what_either_holds() {
        let mut dice = 1u32;
        let mut draw = |below: u32| {
            dice = dice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (dice >> 8) % below
        };
        for _ in 0..500 {
            let mut some = |count: u32| (0..count).map(|_| draw(24)).collect::<IndexSet>();
            let (mine, theirs) = (some(12), some(9));
            let only: IndexSet = mine.iter().filter(|index| !theirs.contains(*index)).collect();
            assert_eq!(mine.difference(&theirs), only, "{mine:?} without {theirs:?}");
            let either: IndexSet = mine.iter().chain(theirs.iter()).collect();
            assert_eq!(mine.union(&theirs), either, "{mine:?} or {theirs:?}");
        }
        let all = IndexSet::from_ranges(vec![(0, u32::MAX)]);
        assert_eq!(all.difference(&IndexSet::from_ranges(vec![(3, u32::MAX)])).ranges(), [(0, 2)]);
        assert!(all.difference(&all).is_empty());
    }
}
