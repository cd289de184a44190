//! An index over the nodes of a pool in their order: which is the first that has so much free, and when could one have
//! so much again. A segment tree: each cell knows the most that is free below it, and the earliest times below it at
//! which certain amounts will be free. It answers with candidates, never with a promise: whoever asks looks at the
//! node itself, and what the tree leaves out can hold nothing of what was asked.

use squall_types::{Resources, Timestamp};
use std::ops::ControlFlow;

/// Amounts whose times are kept: powers of two of GPUs, then of CPUs.
const GPU_LEVELS: usize = 5;
const CPU_LEVELS: usize = 9;
const LEVELS: usize = GPU_LEVELS + CPU_LEVELS;

/// The most that is free in each kind on any of some nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    /// Now, for what is over before `begin`.
    pub free: Resources,
    /// The last time at which a first reservation begins.
    pub begin: Timestamp,
    /// For what is not.
    pub kept: Resources,
}

/// When so much of each kind is free at the earliest, on any of some nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach([Timestamp; LEVELS]);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// Of nodes that can be used now.
    pub now: Bound,
    /// Of nodes that can be used now or are on their way.
    pub coming: Bound,
    pub reach: Reach,
}

/// Which nodes are sought.
#[derive(Clone, Copy, Debug)]
pub struct Probe {
    /// No node with less than this can be of use.
    pub need: Resources,
    pub until: Timestamp,
    pub coming: bool,
}

#[derive(Clone, Debug, Default)]
pub struct Tree {
    /// The root at 1, the children of `i` at `2i` and `2i + 1`, leaves from `width` on.
    cells: Vec<Leaf>,
    width: usize,
}

impl Bound {
    pub const NONE: Bound = Bound { free: NOTHING, begin: Timestamp::ZERO, kept: NOTHING };

    fn over(&self, other: &Bound) -> Bound {
        let (free, kept) = (self.free.most(&other.free), self.kept.most(&other.kept));
        Bound { free, begin: self.begin.max(other.begin), kept }
    }

    fn may_hold(&self, probe: &Probe) -> bool {
        probe.need.fits_in(if probe.until <= self.begin { &self.free } else { &self.kept })
    }
}

const NOTHING: Resources = Resources { cpus: 0, memory_mib: 0, gpus: 0 };

impl Reach {
    pub const NEVER: Reach = Reach([Timestamp::NEVER; LEVELS]);

    /// So much is free at that time.
    pub fn lower(&mut self, cpus: i64, gpus: i64, at: Timestamp) {
        let levels = |amount: i64, most: usize| (u64::BITS - (amount.max(0) as u64).leading_zeros()).min(most as u32);
        let (gpus, cpus) = (levels(gpus, GPU_LEVELS) as usize, levels(cpus, CPU_LEVELS) as usize);
        let (of_gpus, of_cpus) = self.0.split_at_mut(GPU_LEVELS);
        for time in of_gpus[..gpus].iter_mut().chain(&mut of_cpus[..cpus]) {
            *time = (*time).min(at);
        }
    }

    /// Before this no node has so much.
    fn earliest(&self, need: &Resources) -> Timestamp {
        let level = |amount: u32, most: usize| (amount.ilog2() as usize).min(most - 1);
        let gpus = if need.gpus > 0 { self.0[level(u32::from(need.gpus), GPU_LEVELS)] } else { Timestamp::ZERO };
        let cpus = if need.cpus > 0 { self.0[GPU_LEVELS + level(need.cpus, CPU_LEVELS)] } else { Timestamp::ZERO };
        gpus.max(cpus)
    }

    fn over(&self, other: &Reach) -> Reach {
        let mut least = self.0;
        least.iter_mut().zip(&other.0).for_each(|(time, other)| *time = (*time).min(*other));
        Reach(least)
    }
}

impl Leaf {
    pub const NONE: Leaf = Leaf { now: Bound::NONE, coming: Bound::NONE, reach: Reach::NEVER };

    fn over(&self, other: &Leaf) -> Leaf {
        Leaf {
            now: self.now.over(&other.now),
            coming: self.coming.over(&other.coming),
            reach: self.reach.over(&other.reach),
        }
    }
}

impl Tree {
    pub fn new(leaves: impl ExactSizeIterator<Item = Leaf>) -> Tree {
        let width = leaves.len().next_power_of_two();
        let mut cells = vec![Leaf::NONE; width];
        cells.extend(leaves);
        cells.resize(2 * width, Leaf::NONE);
        for at in (1..width).rev() {
            cells[at] = cells[2 * at].over(&cells[2 * at + 1]);
        }
        Tree { cells, width }
    }

    /// How many leaves it has room for.
    pub fn width(&self) -> usize {
        self.width
    }

    pub fn set(&mut self, position: usize, leaf: Leaf) {
        let mut at = self.width + position;
        self.cells[at] = leaf;
        while at > 1 {
            at /= 2;
            let above = self.cells[2 * at].over(&self.cells[2 * at + 1]);
            if self.cells[at] == above {
                return;
            }
            self.cells[at] = above;
        }
    }

    /// Shows the nodes that may have enough, in order, until told to stop.
    pub fn visit(&self, probe: &Probe, mut show: impl FnMut(usize) -> ControlFlow<()>) {
        if self.width > 0 {
            let _ = self.descend(1, probe, &mut show);
        }
    }

    fn descend(&self, at: usize, probe: &Probe, show: &mut impl FnMut(usize) -> ControlFlow<()>) -> ControlFlow<()> {
        let cell = &self.cells[at];
        if !(if probe.coming { &cell.coming } else { &cell.now }).may_hold(probe) {
            return ControlFlow::Continue(());
        }
        if at >= self.width {
            return show(at - self.width);
        }
        self.descend(2 * at, probe, show)?;
        self.descend(2 * at + 1, probe, show)
    }

    /// The cell over all nodes, for [`Tree::open`]; `None` where there is none.
    pub fn root(&self) -> Option<usize> {
        (self.width > 0).then_some(1)
    }

    /// Before this no node below the cell has so much free.
    pub fn earliest(&self, cell: usize, need: &Resources) -> Timestamp {
        self.cells[cell].reach.earliest(need)
    }

    /// Before this the node itself has not so much free.
    pub fn earliest_of(&self, position: usize, need: &Resources) -> Timestamp {
        self.earliest(self.width + position, need)
    }

    /// What is below a cell: the node itself, or two cells.
    pub fn open(&self, cell: usize) -> Result<usize, [usize; 2]> {
        if cell >= self.width { Ok(cell - self.width) } else { Err([2 * cell, 2 * cell + 1]) }
    }
}
