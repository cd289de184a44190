//! Values that mean nothing, told as Slurm tells them; and numbers.

use crate::failure::{Advice, EXIT_OPTION, Failure};
use crate::options::Given;
use squall_types::quoted::Quoted;
use std::fmt;

/// `Invalid --time specification`, with what was given, why it means nothing, and what would.
pub fn invalid(command: &str, long: &str, value: &str, why: impl fmt::Display, try_this: &str) -> Failure {
    Failure::error(command, format_args!("Invalid --{long} specification")).with_code(EXIT_OPTION).advising(Advice {
        asked: format!("--{long}={}", shortened(value)),
        limit: why.to_string(),
        try_this: try_this.to_owned(),
        code: "SQ0001",
        ..Advice::default()
    })
}

/// As much of what was given as a message repeats.
fn shortened(value: &str) -> String {
    const MAX: usize = 120;
    if value.chars().count() <= MAX { value.to_owned() } else { value.chars().take(MAX).chain(['…']).collect() }
}

/// A whole number from `least`; a trailing `k` or `m` multiplies by thousand or million, as in Slurm.
///
/// # Errors
/// Anything else, in Slurm's words.
pub fn number(command: &str, given: &Given, long: &str, least: u32) -> Result<Option<u32>, Failure> {
    let Some(text) = given.text(long) else { return Ok(None) };
    whole_number(text).filter(|number| *number >= least).map(Some).ok_or_else(|| {
        let first = format!("Invalid numeric value {} for --{long}.", Quoted::new(text));
        Failure::error(command, first).advising(Advice {
            limit: format!("it is a whole number from {least} to {}", u32::MAX),
            code: "SQ0001",
            ..Advice::default()
        })
    })
}

/// Digits, perhaps with `k` or `m`.
pub fn whole_number(text: &str) -> Option<u32> {
    let (digits, factor) = match text.as_bytes().last()? {
        b'k' | b'K' => (&text[..text.len() - 1], 1000),
        b'm' | b'M' => (&text[..text.len() - 1], 1_000_000),
        _ => (text, 1),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse::<u32>().ok()?.checked_mul(factor)
}
