//! The cluster's clock: monotonic, drawn slowly toward the wall clock, so that a jump of the latter fires nothing.

use squall_types::Timestamp;
use std::sync::Mutex;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// At most one part in so many is gained or lost while drawing near: a minute off is made up in about 20 minutes.
const SLEW: i64 = 20;

pub struct Clock {
    state: Mutex<State>,
}

struct State {
    at: Timestamp,
    read: Instant,
    /// What is left of a millisecond after whole ones were counted, in microseconds.
    rest: i64,
}

impl Clock {
    /// Never earlier than the last event: a wall clock that was set back does not go on from before it.
    pub fn starting_at(last: Timestamp) -> Self {
        let state = State { at: wall().max(last), read: Instant::now(), rest: 0 };
        Clock { state: Mutex::new(state) }
    }

    pub fn now(&self) -> Timestamp {
        let mut state = self.state.lock().expect("no code panics while it holds the clock");
        let read = Instant::now();
        let micros = read.duration_since(state.read).as_micros() as i64 + state.rest;
        let drift = wall().0.saturating_sub(state.at.0 + micros / 1000).saturating_mul(1000);
        let micros = micros + drift.clamp(-micros / SLEW, micros / SLEW);
        state.at = Timestamp(state.at.0 + micros / 1000);
        state.rest = micros % 1000;
        state.read = read;
        state.at
    }
}

/// The wall clock, in milliseconds; 1970 where it is set before that.
pub fn wall() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(since.as_millis().min(i64::MAX as u128 / 8) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_starts_no_earlier_than_the_last_event_and_never_goes_back() {
        let future = Timestamp(wall().0 + 3_600_000);
        let clock = Clock::starting_at(future);
        let mut last = clock.now();
        assert!(last >= future);
        for _ in 0..1000 {
            let now = clock.now();
            assert!(now >= last);
            last = now;
        }
    }
}
