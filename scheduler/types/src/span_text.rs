//! Slurm's way to write lengths of time.

use crate::Span;
use crate::quoted::{Quoted, digits};
use std::fmt;

/// The longest limited time, in minutes: what Slurm's 32 bits hold.
pub const MAX_MINUTES: i64 = u32::MAX as i64 - 1;

/// `--time`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TimeLimit {
    Limited(Span),
    Unlimited,
}

/// Why a text is no length of time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpanTextError {
    #[error("invalid time {given}: expected minutes, M:S, H:M:S, D-H, D-H:M or D-H:M:S")]
    Form { given: Quoted },
    #[error("the time {given} is longer than {MAX_MINUTES} minutes; UNLIMITED asks for no limit")]
    TooLong { given: Quoted },
}

impl std::str::FromStr for TimeLimit {
    type Err = SpanTextError;

    /// Any form of [`parse_span`]; `UNLIMITED`, `INFINITE`, `-1` and, as in Slurm, a time of zero are no limit.
    fn from_str(text: &str) -> Result<Self, SpanTextError> {
        if text == "-1" || ["unlimited", "infinite"].iter().any(|word| text.eq_ignore_ascii_case(word)) {
            return Ok(TimeLimit::Unlimited);
        }
        parse_span(text).map(|span| if span == Span::ZERO { TimeLimit::Unlimited } else { TimeLimit::Limited(span) })
    }
}

impl TimeLimit {
    /// `None` where there is no limit.
    pub fn span(self) -> Option<Span> {
        match self {
            TimeLimit::Limited(span) => Some(span),
            TimeLimit::Unlimited => None,
        }
    }

    /// Slurm keeps limits in minutes and rounds up: `--time=0:01` runs, and shows, one minute.
    pub fn whole_minutes(self) -> Self {
        match self {
            TimeLimit::Limited(Span(millis)) => {
                TimeLimit::Limited(Span::from_mins(millis.max(0).saturating_add(59_999) / 60_000))
            }
            TimeLimit::Unlimited => TimeLimit::Unlimited,
        }
    }

    /// As `squeue` prints `%l`: `30:00`, `1:00:00`, `UNLIMITED`.
    pub fn short(self) -> String {
        self.span().map_or_else(|| "UNLIMITED".to_owned(), short)
    }
}

/// As `scontrol` and `sacct` print it: `01:00:00`, `UNLIMITED`.
impl fmt::Display for TimeLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.span().map_or_else(|| "UNLIMITED".to_owned(), clock))
    }
}

/// `M`, `M:S`, `H:M:S`, `D-H`, `D-H:M`, `D-H:M:S`; no part needs padding or is bounded by the next (`0:300`).
pub fn parse_span(text: &str) -> Result<Span, SpanTextError> {
    let form = || SpanTextError::Form { given: Quoted::new(text) };
    let too_long = || SpanTextError::TooLong { given: Quoted::new(text) };
    let (days, clock) = text.split_once('-').map_or((None, text), |(days, clock)| (Some(days), clock));
    let units: &[u64] = match (days, clock.bytes().filter(|byte| *byte == b':').count()) {
        (Some(_), 0..=2) => &[3600, 60, 1],
        (None, 0..=1) => &[60, 1],
        (None, 2) => &[3600, 60, 1],
        _ => return Err(form()),
    };
    let mut secs = 0u64;
    for (part, unit) in days.into_iter().zip([86_400]).chain(clock.split(':').zip(units.iter().copied())) {
        if part.is_empty() || !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(form());
        }
        let product = digits(part).and_then(|number| number.checked_mul(unit));
        secs = product.and_then(|product| secs.checked_add(product)).ok_or_else(too_long)?;
    }
    i64::try_from(secs).ok().filter(|secs| *secs <= MAX_MINUTES * 60).map(Span::from_secs).ok_or_else(too_long)
}

/// Days, hours, minutes and seconds; nothing below zero is shown.
fn parts(span: Span) -> (i64, i64, i64, i64) {
    let secs = span.as_secs().max(0);
    (secs / 86_400, secs / 3600 % 24, secs / 60 % 60, secs % 60)
}

/// `[D-]HH:MM:SS`: `sacct`'s Elapsed and Timelimit, `scontrol`'s RunTime.
pub fn clock(span: Span) -> String {
    match parts(span) {
        (0, hours, mins, secs) => format!("{hours:02}:{mins:02}:{secs:02}"),
        (days, hours, mins, secs) => format!("{days}-{hours:02}:{mins:02}:{secs:02}"),
    }
}

/// `0:05`, `1:02:03`, `2-03:04:05`: `squeue`'s `%M`, `%l` and `%L`, `sinfo`'s `%l`.
pub fn short(span: Span) -> String {
    match parts(span) {
        (0, 0, mins, secs) => format!("{mins}:{secs:02}"),
        (0, hours, mins, secs) => format!("{hours}:{mins:02}:{secs:02}"),
        _ => clock(span),
    }
}

/// `sacct`'s TotalCPU, UserCPU and SystemCPU: milliseconds below an hour (`00:05.250`), else as [`clock`].
pub fn cpu_time(span: Span) -> String {
    match parts(span) {
        (0, 0, mins, secs) => format!("{mins:02}:{secs:02}.{:03}", span.0.max(0) % 1000),
        _ => clock(span),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(text: &str) -> String {
        text.parse::<TimeLimit>().map_or_else(|error| error.to_string(), |limit| limit.to_string())
    }

    #[test]
    fn every_form_that_slurm_takes() {
        for (text, clock) in [
            ("1", "00:01:00"),
            ("90", "01:30:00"),
            ("1:2", "00:01:02"),
            ("0:300", "00:05:00"),
            ("1:2:3", "01:02:03"),
            ("1:90:90", "02:31:30"),
            ("00:30:00", "00:30:00"),
            ("1-2", "1-02:00:00"),
            ("1-2:3", "1-02:03:00"),
            ("1-2:3:4", "1-02:03:04"),
            ("7-00:00:00", "7-00:00:00"),
            ("4294967294", "2982616-04:14:00"),
        ] {
            assert_eq!(limit(text), clock, "{text}");
        }
        for text in ["UNLIMITED", "infinite", "-1", "0", "0:0", "0-0"] {
            assert_eq!(limit(text), "UNLIMITED", "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_named() {
        for text in ["", "NaN", "-2", "-", "1-", "1-:2", "1:", ":1", "1:2:3:4", " 5", "5 ", "1.5", "+5", "1:2:3-4", "٣"]
        {
            let error = limit(text);
            assert!(error.starts_with(&format!("invalid time \"{text}\"")), "{text}: {error}");
        }
        for text in ["4294967295", "99999999999999999999999:1", "18446744073709551615-0"] {
            assert!(limit(text).contains("is longer than"), "{text}");
        }
    }

    #[test]
    fn each_command_has_its_style() {
        let check = |millis, clock_text: &str, short_text: &str, cpu_text: &str| {
            let span = Span::from_millis(millis);
            assert_eq!([clock(span), short(span), cpu_time(span)], [clock_text, short_text, cpu_text]);
        };
        check(5_250, "00:00:05", "0:05", "00:05.250");
        check(3_723_000, "01:02:03", "1:02:03", "01:02:03");
        check(183_845_000, "2-03:04:05", "2-03:04:05", "2-03:04:05");
        check(-5, "00:00:00", "0:00", "00:00.000");
    }

    #[test]
    fn a_limit_is_kept_in_whole_minutes() {
        let limit = |secs| TimeLimit::Limited(Span::from_secs(secs)).whole_minutes();
        assert_eq!(limit(1).short(), "1:00");
        assert_eq!(limit(60).short(), "1:00");
        assert_eq!(limit(3_601).to_string(), "01:01:00");
        assert_eq!(TimeLimit::Unlimited.whole_minutes().short(), "UNLIMITED");
    }
}
