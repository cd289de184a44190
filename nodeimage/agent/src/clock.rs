//! Reading the machine's clocks.

use crate::duty::Now;
use crate::sys::read_short;
use nix::time::{ClockId, clock_gettime};
use squall_types::{Span, Timestamp};
use std::path::Path;
use std::sync::OnceLock;

/// Both clocks, now.
pub fn now() -> Now {
    let millis = |clock: ClockId| {
        clock_gettime(clock).map_or(0, |time| time.tv_sec().saturating_mul(1000) + time.tv_nsec() / 1_000_000)
    };
    Now { wall: Timestamp(millis(ClockId::CLOCK_REALTIME)), uptime: Span(millis(ClockId::CLOCK_BOOTTIME)) }
}

/// What tells one boot of the machine from the next; empty where the kernel does not say. No process sees two.
pub fn boot_id() -> String {
    static BOOT_ID: OnceLock<String> = OnceLock::new();
    let read = || read_short(Path::new("/proc/sys/kernel/random/boot_id")).map(|text| text.trim().to_owned());
    BOOT_ID.get_or_init(|| read().unwrap_or_default()).clone()
}
