//! Time as the decorators see it: an argument, so that tests decide what it is.

use squall_types::Timestamp;
use std::time::Instant;

/// Tells the time; expected never to go backwards.
pub trait Clock: Send + Sync {
    fn now(&self) -> Timestamp;
}

impl<F: Fn() -> Timestamp + Send + Sync> Clock for F {
    fn now(&self) -> Timestamp {
        self()
    }
}

/// Milliseconds since this clock was made, unmoved by changes of the wall clock. Good for
/// measuring and limiting, useless as a date.
#[derive(Clone, Copy, Debug)]
pub struct ProcessClock(Instant);

impl Default for ProcessClock {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Clock for ProcessClock {
    fn now(&self) -> Timestamp {
        Timestamp(i64::try_from(self.0.elapsed().as_millis()).unwrap_or(i64::MAX))
    }
}
