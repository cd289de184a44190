//! How long what comes may wait for more of it.
//!
//! What a short call costs the controller is mostly what it costs to begin anew for each: wake-ups of its threads, a plan, a
//! sync to disk, caches that others have filled meanwhile. What comes in together is decided, written and answered
//! together. To wait for company costs hardly anybody anything while the processors of the machine have other work, which is
//! mostly that of the clients that will call next; where waiting leaves a fifth of them idle, less is waited, and soon nothing.

use nix::unistd::{SysconfVar, sysconf};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Between two looks at the processors.
const LOOK_AFTER: Duration = Duration::from_millis(100);
/// With less news between two looks there is nobody to wait for.
const CROWD: usize = 8;
/// Milliseconds at most.
const WIDEST: u32 = 8;
/// Shares of all processors: with less of them idle the time grows, by a step or, with hardly any, to twice as much; with more
/// it is halved.
const FULL: f64 = 0.06;
const BUSY: f64 = 0.12;
const IDLE: f64 = 0.20;
/// Of the counters of `/proc/stat`: what every Linux shows to programs.
const TICK_MILLIS: u64 = 10;

/// Read by all threads.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    millis: AtomicU32,
}

impl Pace {
    /// For how long after the last ones those that come now may wait for others.
    pub fn width(&self) -> Duration {
        Duration::from_millis(self.millis.load(Ordering::Relaxed).into())
    }

    #[cfg(test)]
    pub fn of(width: Duration) -> Pace {
        Pace { millis: AtomicU32::new(width.as_millis() as u32) }
    }
}

/// Sets the pace by the processors of this machine.
pub(crate) struct PaceMaker {
    /// `None` where the system tells nothing of them: then nothing waits.
    processors: Option<Processors>,
    news: usize,
    looked: Instant,
    /// Of all processors together, since the machine started.
    idle: Duration,
}

impl PaceMaker {
    pub fn new() -> PaceMaker {
        let processors = Processors::of_machine();
        let idle = processors.as_ref().and_then(Processors::idle).unwrap_or_default();
        PaceMaker { processors, news: 0, looked: Instant::now(), idle }
    }

    /// So much came; now and then the pace changes by it.
    pub fn came(&mut self, news: usize, now: Instant, pace: &Pace) {
        self.news += news;
        let passed = now - self.looked;
        let Some(processors) = self.processors.as_ref().filter(|_| passed >= LOOK_AFTER) else { return };
        let idle = processors.idle();
        let all = passed * processors.count;
        let share = idle.map(|idle| idle.saturating_sub(self.idle).as_secs_f64() / all.as_secs_f64());
        // What comes after a pause is alone.
        let crowd = self.news >= CROWD && passed < 2 * LOOK_AFTER;
        let millis = share.filter(|_| crowd).map_or(0, |share| next(pace.millis.load(Ordering::Relaxed), share));
        pace.millis.store(millis, Ordering::Relaxed);
        (self.news, self.looked, self.idle) = (0, now, idle.unwrap_or_default());
    }
}

/// After a time in which so large a share of the processors was idle: as the window of TCP.
fn next(millis: u32, idle: f64) -> u32 {
    match idle {
        ..=FULL => (2 * millis).clamp(1, WIDEST),
        ..=BUSY => (millis + 1).min(WIDEST),
        ..=IDLE => millis,
        _ => millis / 2,
    }
}

struct Processors {
    count: u32,
    counters: File,
}

impl Processors {
    fn of_machine() -> Option<Processors> {
        let online = sysconf(SysconfVar::_NPROCESSORS_ONLN).ok().flatten()?;
        Some(Processors { count: online.try_into().ok()?, counters: File::open("/proc/stat").ok()? })
    }

    fn idle(&self) -> Option<Duration> {
        let mut text = [0; 256];
        let length = self.counters.read_at(&mut text, 0).ok()?;
        idle(std::str::from_utf8(&text[..length]).ok()?)
    }
}

/// The idle time in the first line of `/proc/stat` (proc(5)): that in which something waited for a disk is idle too.
fn idle(text: &str) -> Option<Duration> {
    let mut ticks = text.strip_prefix("cpu ")?.split_ascii_whitespace().skip(3);
    let mut next = || ticks.next()?.parse::<u64>().ok();
    Some(Duration::from_millis(next()?.saturating_add(next()?).saturating_mul(TICK_MILLIS)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_while_all_are_busy_and_is_halved_when_one_idles() {
        let paces = |shares: &[f64]| {
            let mut millis = 0;
            let mut next = |share: &f64| {
                millis = next(millis, *share);
                millis
            };
            shares.iter().map(&mut next).collect::<Vec<_>>()
        };
        assert_eq!(paces(&[0.0, 0.12, 0.1, 0.15, 0.0, 0.07, 0.3, 0.5, 0.5, 1.0]), [1, 2, 3, 3, 6, 7, 3, 1, 0, 0]);
        assert_eq!(paces(&[0.0; 5]), [1, 2, 4, 8, 8]);
        assert_eq!(paces(&[0.1; 9])[7..], [8; 2]);
    }

    #[test]
    fn idle_is_what_the_system_says_it_is() {
        let text = "cpu  10132153 290696 3084719 46828483 16683 0 25195 0 175628 0\ncpu0 1393280 32966";
        assert_eq!(idle(text), Some(Duration::from_millis(468_451_660)));
        for text in ["", "cpu", "cpu  1 2 3 x 5", "intr 7 8 9 10 11", "cpu  1 2 3 4"] {
            assert_eq!(idle(text), None, "{text}");
        }
        let processors = Processors::of_machine().unwrap();
        assert!(processors.idle().unwrap() > Duration::ZERO && processors.count > 0);
    }

    #[test]
    fn few_and_those_after_a_pause_wait_for_nobody() {
        for (news, passed) in [(CROWD - 1, LOOK_AFTER), (100 * CROWD, 2 * LOOK_AFTER)] {
            let (mut maker, pace) = (PaceMaker::new(), Pace::of(Duration::from_millis(5)));
            let begun = maker.looked;
            maker.came(news, begun + LOOK_AFTER / 2, &pace);
            assert_eq!(pace.width(), Duration::from_millis(5));
            maker.came(0, begun + passed, &pace);
            assert_eq!(pace.width(), Duration::ZERO);
        }
    }
}
