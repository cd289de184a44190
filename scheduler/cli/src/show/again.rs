//! `--iterate`: a listing again and again, with the time above each.

use super::moments::Moments;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::options::Given;
use crate::request::whole_number;
use crate::terminal::escaped;
use std::time::Duration;

/// Shows it once, or as often as was asked for, until nobody reads any more.
///
/// # Errors
/// What cannot be understood, and what the listing fails with.
pub fn again(
    invocation: &mut Invocation<'_>,
    given: &Given,
    once: fn(&mut Invocation<'_>, &Given) -> Result<i32, Failure>,
) -> Result<i32, Failure> {
    let Some(seconds) = given.text("iterate") else { return once(invocation, given) };
    let every = whole_number(seconds)
        .filter(|seconds| *seconds > 0)
        .ok_or_else(|| Failure::error(invocation.command.name(), format_args!("--iterate={}", escaped(seconds))))?;
    loop {
        // A long listing has one of its own.
        if !given.has("long") {
            writeln!(invocation.out, "{}", Moments::of(invocation).headline())?;
        }
        once(invocation, given)?;
        writeln!(invocation.out)?;
        invocation.out.flush()?;
        std::thread::sleep(Duration::from_secs(u64::from(every)));
    }
}
