//! What people do, and when.

use super::{Kinds, Work, cluster::Drawn};
use crate::dice::Dice;
use squall_core::ClusterConfig;
use squall_types::accounts::AccountsEdit;
use squall_types::api::{JobUpdate, NodeAction};
use squall_types::{IndexSet, JobKind, Span, Timestamp, Uid};

/// One thing that somebody asks of the controller.
#[derive(Clone, Debug)]
pub enum Act {
    Submit(usize),
    /// Of a submission, or of some of its elements.
    Change {
        work: usize,
        elements: Option<IndexSet>,
        change: Change,
        admin: bool,
    },
    CancelAll {
        uid: Uid,
    },
    /// To the n-th node that lives then.
    Node {
        nth: usize,
        action: NodeAction,
    },
    Configure(Box<ClusterConfig>),
    Accounts(Vec<AccountsEdit>),
    /// What a user wants from then on, by the times of each entry.
    Crontab {
        uid: Uid,
        entries: Vec<&'static str>,
    },
}

#[derive(Clone, Debug)]
pub enum Change {
    Cancel,
    Hold,
    Release,
    Requeue { hold: bool },
    Suspend,
    Resume,
    Update(Box<JobUpdate>),
}

pub fn draw(
    dice: &mut Dice,
    kinds: &Kinds,
    cluster: &Drawn,
    work: &[Work],
    start: Timestamp,
    length: Span,
) -> Vec<(Timestamp, Act)> {
    let mut acts = Vec::new();
    // In bursts, as people and scripts do.
    let mut at = start + dice.secs(1, 30);
    for (number, one) in work.iter().enumerate() {
        acts.push((at, Act::Submit(number)));
        change(dice, kinds, number, one, at, &mut acts);
        at = match dice.below(3) {
            0 => at + dice.millis(0, 500),
            1 => at + dice.secs(1, 60),
            _ => at + dice.secs(1, length.as_secs() / 8),
        };
        at = at.min(start + Span(length.0 * 9 / 10));
    }
    if kinds.nodes {
        for _ in 0..dice.between(1, 3) {
            let (from, nth) = (start + dice.secs(30, length.as_secs()), dice.below(6));
            let reason = "maintenance".to_owned();
            let action = if dice.chance(300) { NodeAction::Down { reason } } else { NodeAction::Drain { reason } };
            acts.push((from, Act::Node { nth, action }));
            if dice.chance(600) {
                acts.push((from + dice.secs(30, 300), Act::Node { nth, action: NodeAction::Resume }));
            }
        }
    }
    if dice.chance(if kinds.clients { 200 } else { 50 }) {
        for _ in 0..dice.between(1, 3) {
            let entries = (0..dice.below(4)).map(|_| *dice.pick(&TIMES)).collect();
            let when = start + dice.secs(1, length.as_secs());
            acts.push((when, Act::Crontab { uid: Uid(1000), entries }));
        }
    }
    if kinds.config {
        configure(dice, cluster, start, length, &mut acts);
    }
    if kinds.clients && dice.chance(200) {
        acts.push((start + dice.secs(60, length.as_secs()), Act::CancelAll { uid: Uid(1000) }));
    }
    acts
}

fn change(dice: &mut Dice, kinds: &Kinds, number: usize, one: &Work, at: Timestamp, acts: &mut Vec<(Timestamp, Act)>) {
    let element = |dice: &mut Dice| one.spec.array.is_some().then(|| dice.below(4) as u32).filter(|_| dice.chance(500));
    if one.spec.hold || dice.chance(60) {
        let admin = dice.chance(300);
        let held_at = at + dice.secs(1, 60);
        acts.push((held_at, act(number, None, Change::Hold, admin)));
        acts.push((held_at + dice.secs(10, 300), act(number, None, Change::Release, true)));
    }
    if dice.chance(if kinds.clients { 250 } else { 60 }) {
        let when = at + dice.secs(0, 400);
        acts.push((when, act(number, element(dice), Change::Cancel, dice.chance(200))));
    }
    if one.spec.kind == JobKind::Batch && dice.chance(if kinds.clients { 150 } else { 30 }) {
        let hold = dice.chance(200);
        let when = at + dice.secs(10, 500);
        acts.push((when, act(number, element(dice), Change::Requeue { hold }, false)));
        if hold {
            acts.push((when + dice.secs(10, 200), act(number, None, Change::Release, true)));
        }
    }
    if dice.chance(if kinds.clients { 120 } else { 40 }) {
        let (mut when, element) = (at + dice.secs(10, 400), element(dice));
        for _ in 0..dice.between(1, 3) {
            acts.push((when, act(number, element, Change::Suspend, true)));
            when += dice.secs(1, 400);
            acts.push((when, act(number, element, Change::Resume, true)));
            when += dice.secs(1, 200);
        }
    }
    if kinds.clients && dice.chance(300) {
        let update = JobUpdate {
            time_limit: dice.chance(400).then(|| dice.secs(10, 600)),
            nice: dice.chance(300).then(|| dice.between(0, 100) as i32),
            begin_at: dice.chance(200).then(|| at + dice.secs(0, 300)),
            array_limit: dice.chance(300).then(|| dice.between(1, 4) as u32),
            priority: dice.chance(200).then(|| dice.between(1, 2_000_000) as u32),
            requeue: dice.chance(100).then(|| dice.chance(500)),
            ..JobUpdate::default()
        };
        let (when, element) = (at + dice.secs(0, 300), element(dice));
        acts.push((when, act(number, element, Change::Update(Box::new(update)), true)));
    }
}

/// Of entries of crontabs.
const TIMES: [&str; 3] = ["* * * * *", "*/3 * * * *", "@hourly"];

fn act(work: usize, element: Option<u32>, change: Change, admin: bool) -> Act {
    let elements = element.map(|index| IndexSet::from_ranges(vec![(index, index)]));
    Act::Change { work, elements, change, admin }
}

/// What people do to some elements of arrays while the others wait as they did.
pub fn parts(dice: &mut Dice, work: &[Work], acts: &mut Vec<(Timestamp, Act)>) {
    let of_array = |(at, act): &(Timestamp, Act)| match act {
        Act::Submit(number) => work[*number].spec.array.as_ref().map(|_| (*at, *number)),
        _ => None,
    };
    let arrays: Vec<(Timestamp, usize)> = acts.iter().filter_map(of_array).collect();
    for (at, number) in arrays {
        if !dice.chance(600) {
            continue;
        }
        let mut when = at + dice.millis(0, 20_000);
        for _ in 0..dice.between(1, 6) {
            let change = match dice.below(8) {
                0..=2 => Change::Hold,
                3 => Change::Release,
                4 => Change::Cancel,
                5 => Change::Update(Box::new(JobUpdate { array_limit: Some(2), ..JobUpdate::default() })),
                _ => Change::Update(Box::new(JobUpdate {
                    nice: Some(dice.between(0, 50) as i32),
                    begin_at: dice.chance(300).then(|| when + dice.secs(0, 200)),
                    ..JobUpdate::default()
                })),
            };
            let mut elements = IndexSet::new();
            for _ in 0..dice.between(1, 2) {
                let first = dice.below(6) as u32;
                elements.insert_range(first, first + dice.below(4) as u32);
            }
            let (elements, admin) = (Some(elements), dice.chance(500));
            acts.push((when, Act::Change { work: number, elements, change, admin }));
            when += dice.millis(100, 90_000);
        }
        if dice.chance(700) {
            acts.push((when, act(number, None, Change::Release, true)));
        }
    }
}

/// Pools shrink and come back, or go away for a while.
fn configure(dice: &mut Dice, cluster: &Drawn, start: Timestamp, length: Span, acts: &mut Vec<(Timestamp, Act)>) {
    let mut at = start;
    for _ in 0..dice.between(1, 3) {
        at += dice.secs(60, length.as_secs() / 2);
        let mut config = cluster.config.clone();
        let names: Vec<_> = config.pools.keys().cloned().collect();
        let name = dice.pick(&names).clone();
        match dice.below(4) {
            0 => {
                if let Some(pool) = config.pools.get_mut(&name) {
                    // Never above what it is in the end: what was taken in meanwhile has to fit then.
                    pool.max_nodes = pool.max_nodes.min(dice.between(0, 2) as u32);
                    pool.min_nodes = pool.min_nodes.min(pool.max_nodes);
                }
            }
            1 => {
                config.pools.remove(&name);
            }
            2 => {
                if let Some(partition) = config.partitions.get_mut(&"main".into()) {
                    partition.up = false;
                }
            }
            _ => {
                config.partitions.remove(&"gpu".into());
            }
        }
        acts.push((at, Act::Configure(Box::new(config))));
        at += dice.secs(30, 600);
        acts.push((at, Act::Configure(Box::new(cluster.config.clone()))));
    }
}
