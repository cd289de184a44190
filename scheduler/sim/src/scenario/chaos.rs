//! What goes wrong, and when.

use super::{Kinds, cluster::Drawn};
use crate::dice::Dice;
use crate::points::{Point, Sniper};
use squall_types::{Span, Timestamp};

/// Something that strikes at its time. Machines are named by number among those that exist then.
#[derive(Clone, Copy, Debug)]
pub enum Chaos {
    KillController {
        down: Span,
    },
    PauseController {
        pause: Span,
    },
    /// The paused one is taken for dead; it comes back to find that another has the journal.
    Failover {
        pause: Span,
    },
    RestoreBackup,
    KillAgent {
        nth: usize,
    },
    PauseAgent {
        nth: usize,
        pause: Span,
    },
    CloneAgent {
        nth: usize,
    },
    AgentClock {
        nth: usize,
        by: Span,
    },
    Reboot {
        nth: usize,
    },
    PowerLoss {
        nth: usize,
        down: Span,
    },
    Health {
        nth: usize,
        lasting: Span,
    },
    /// `None` cuts all agents off.
    Cut {
        nth: Option<usize>,
        up: bool,
        down: bool,
        lasting: Span,
    },
    Reset {
        nth: usize,
    },
    DiskReserve {
        lasting: Span,
    },
    DiskRefuses,
    Stranger {
        site: usize,
    },
    KillInstance {
        nth: usize,
    },
    PriceChange {
        site: usize,
        percent: i64,
    },
}

/// Chances in thousandths of what can go wrong at any time before the healing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Weather {
    pub request_lost: u32,
    pub reply_lost: u32,
    pub slow_disk: u32,
    /// Of a crash: the unsynced batch reached the disk.
    pub batch_survives: u32,
    pub batch_torn: u32,
    pub clock_behind: u32,
    pub records_survive: u32,
    pub record_damaged: u32,
    pub prepare_fails: u32,
    pub shim_fails: u32,
    pub ignores_term: u32,
    pub unkillable: u32,
    /// Of a set or delta for an agent: a copy of it arrives again later.
    pub replayed: u32,
    /// Longest delay of a message.
    pub delay: Span,
}

pub fn draw(
    dice: &mut Dice,
    kinds: &Kinds,
    cluster: &Drawn,
    start: Timestamp,
    length: Span,
) -> (Vec<(Timestamp, Chaos)>, Vec<Sniper>, Weather) {
    let mut chaos = Vec::new();
    let mut add = |dice: &mut Dice, times: i64, make: &dyn Fn(&mut Dice) -> Chaos| {
        for _ in 0..dice.between(0, times) {
            chaos.push((start + dice.millis(1000, length.0), make(dice)));
        }
    };
    if kinds.controller {
        add(dice, 3, &|dice| Chaos::KillController { down: outage(dice) });
        add(dice, 1, &|dice| Chaos::PauseController { pause: outage(dice) });
        add(dice, 1, &|dice| Chaos::Failover { pause: dice.secs(5, 120) });
    }
    if kinds.agents {
        add(dice, 3, &|dice| Chaos::KillAgent { nth: dice.below(8) });
        add(dice, 1, &|dice| Chaos::PauseAgent { nth: dice.below(8), pause: dice.secs(1, 120) });
        add(dice, 1, &|dice| Chaos::AgentClock { nth: dice.below(8), by: dice.secs(-45, 45) });
        add(dice, 1, &|dice| Chaos::CloneAgent { nth: dice.below(8) });
    }
    if kinds.nodes {
        add(dice, 2, &|dice| Chaos::Reboot { nth: dice.below(8) });
        add(dice, 1, &|dice| Chaos::PowerLoss { nth: dice.below(8), down: dice.secs(10, 900) });
        add(dice, 1, &|dice| Chaos::Health { nth: dice.below(8), lasting: dice.secs(10, 600) });
    }
    if kinds.network {
        add(dice, 4, &|dice| {
            let (up, down) = *dice.pick(&[(true, false), (false, true), (true, true)]);
            let nth = dice.chance(700).then(|| dice.below(8));
            Chaos::Cut { nth, up, down, lasting: dice.secs(1, 300) }
        });
        add(dice, 3, &|dice| Chaos::Reset { nth: dice.below(8) });
    }
    if kinds.disk {
        add(dice, 1, &|dice| Chaos::DiskReserve { lasting: dice.secs(10, 300) });
        add(dice, 1, &|_| Chaos::DiskRefuses);
    }
    if kinds.cloud {
        let sites = cluster.sites.len();
        add(dice, 1, &|dice| Chaos::Stranger { site: dice.below(sites) });
        add(dice, 2, &|dice| Chaos::KillInstance { nth: dice.below(8) });
        add(dice, 1, &|dice| Chaos::PriceChange { site: dice.below(sites), percent: dice.between(20, 300) });
    }
    if kinds.restore {
        chaos.push((start + dice.millis(60_000, length.0), Chaos::RestoreBackup));
    }
    (chaos, snipers(dice, kinds), weather(dice, kinds))
}

fn outage(dice: &mut Dice) -> Span {
    match dice.below(4) {
        0 => dice.millis(10, 1000),
        1 | 2 => dice.secs(1, 60),
        _ => dice.secs(60, 1500),
    }
}

fn snipers(dice: &mut Dice, kinds: &Kinds) -> Vec<Sniper> {
    let mut snipers = Vec::new();
    let concerned = |point: &Point| if is_agents(*point) { kinds.agents } else { kinds.controller };
    let points: Vec<Point> = Point::ALL.iter().copied().filter(concerned).collect();
    if !points.is_empty() {
        for _ in 0..dice.between(0, 6) {
            let most = if dice.chance(500) { 4 } else { 40 };
            snipers.push(Sniper { point: *dice.pick(&points), nth: dice.between(1, most) as u32 });
        }
    }
    snipers
}

pub fn is_agents(point: Point) -> bool {
    point >= Point::AgentRecording
}

fn weather(dice: &mut Dice, kinds: &Kinds) -> Weather {
    let mut weather = Weather { delay: Span(50), batch_survives: 300, records_survive: 300, ..Weather::default() };
    if kinds.clients {
        weather.request_lost = dice.between(0, 150) as u32;
        weather.reply_lost = dice.between(0, 300) as u32;
    }
    if kinds.disk {
        weather.slow_disk = dice.between(0, 50) as u32;
        weather.batch_torn = 300;
    }
    if kinds.controller {
        weather.clock_behind = 200;
    }
    if kinds.agents {
        weather.record_damaged = dice.between(0, 60) as u32;
        weather.prepare_fails = dice.between(0, 60) as u32;
        weather.shim_fails = dice.between(0, 60) as u32;
    }
    if kinds.nodes {
        weather.ignores_term = dice.between(0, 300) as u32;
        weather.unkillable = dice.between(0, 200) as u32;
    }
    if kinds.network {
        weather.delay = dice.millis(50, 3000);
    }
    weather
}
