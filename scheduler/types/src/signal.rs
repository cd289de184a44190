//! Signals by name and number, and `--signal`.

use crate::quoted::{Quoted, digits_u32};
use crate::{SignalSpec, Span, did_you_mean};
use std::fmt;

/// The highest signal number, real-time ones included.
pub const MAX_SIGNAL: i32 = 64;
/// How long before the end `--signal=USR1` warns.
pub const DEFAULT_BEFORE: Span = Span::from_secs(60);
/// The longest warning in seconds, as in Slurm.
pub const MAX_BEFORE_SECS: u32 = 65_535;

/// As Linux numbers them on x86-64 and ARM. The first of two names for a number is the one printed.
const SIGNALS: [(&str, i32); 34] = [
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("ILL", 4),
    ("TRAP", 5),
    ("ABRT", 6),
    ("IOT", 6),
    ("BUS", 7),
    ("FPE", 8),
    ("KILL", 9),
    ("USR1", 10),
    ("SEGV", 11),
    ("USR2", 12),
    ("PIPE", 13),
    ("ALRM", 14),
    ("TERM", 15),
    ("STKFLT", 16),
    ("CHLD", 17),
    ("CLD", 17),
    ("CONT", 18),
    ("STOP", 19),
    ("TSTP", 20),
    ("TTIN", 21),
    ("TTOU", 22),
    ("URG", 23),
    ("XCPU", 24),
    ("XFSZ", 25),
    ("VTALRM", 26),
    ("PROF", 27),
    ("WINCH", 28),
    ("IO", 29),
    ("POLL", 29),
    ("PWR", 30),
    ("SYS", 31),
];

/// Why a text is no signal or no `--signal`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignalError {
    #[error("unknown signal {given}{}", meant.map(|name| format!("; did you mean {name}?")).unwrap_or_default())]
    Unknown { given: Quoted, meant: Option<&'static str> },
    #[error("invalid time {given} in --signal: expected seconds, at most {MAX_BEFORE_SECS}")]
    Before { given: Quoted },
    #[error("unknown flag {given} in --signal: expected B or R before the colon")]
    Flag { given: Quoted },
}

/// The number of `USR1`, `SIGUSR1`, in any case.
pub fn signal_number(name: &str) -> Option<i32> {
    let bare = match name.split_at_checked(3) {
        Some((prefix, rest)) if prefix.eq_ignore_ascii_case("SIG") => rest,
        _ => name,
    };
    SIGNALS.iter().find(|(known, _)| known.eq_ignore_ascii_case(bare)).map(|(_, number)| *number)
}

/// The name without `SIG`.
pub fn signal_name(number: i32) -> Option<&'static str> {
    SIGNALS.iter().find(|(_, known)| *known == number).map(|(name, _)| *name)
}

/// A name or a number, as in `scancel --signal`.
pub fn parse_signal(text: &str) -> Result<i32, SignalError> {
    let number = digits_u32(text).and_then(|number| i32::try_from(number).ok());
    number.filter(|number| (1..=MAX_SIGNAL).contains(number)).or_else(|| signal_number(text)).ok_or_else(|| {
        let names = SIGNALS.iter().map(|(name, _)| *name);
        SignalError::Unknown { given: Quoted::new(text), meant: did_you_mean::closest(text, names) }
    })
}

impl std::str::FromStr for SignalSpec {
    type Err = SignalError;

    /// `[B:]SIGNAL[@SECONDS]`. `R`, which is about reservations that do not exist here, is read and dropped.
    fn from_str(text: &str) -> Result<Self, SignalError> {
        let (flags, rest) = text.split_once(':').unwrap_or(("", text));
        let is_flag = |c: char| matches!(c, 'B' | 'b' | 'R' | 'r');
        if !flags.chars().all(is_flag) || (flags.is_empty() && rest.len() < text.len()) {
            return Err(SignalError::Flag { given: Quoted::new(flags) });
        }
        let (signal, before) = match rest.split_once('@') {
            None => (rest, DEFAULT_BEFORE),
            Some((signal, secs)) => {
                let parsed = digits_u32(secs).filter(|secs| *secs <= MAX_BEFORE_SECS);
                let secs = parsed.ok_or_else(|| SignalError::Before { given: Quoted::new(secs) })?;
                (signal, Span::from_secs(i64::from(secs)))
            }
        };
        Ok(SignalSpec { signal: parse_signal(signal)?, before, batch_only: flags.contains(['B', 'b']) })
    }
}

/// `B:USR2@30`.
impl fmt::Display for SignalSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.batch_only { "B:" } else { "" })?;
        match signal_name(self.signal) {
            Some(name) => f.write_str(name)?,
            None => write!(f, "{}", self.signal)?,
        }
        write!(f, "@{}", self.before.as_secs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_in_all_its_forms() {
        for (text, printed) in [
            ("USR2@90", "USR2@90"),
            ("SIGUSR1@90", "USR1@90"),
            ("B:USR2@30", "B:USR2@30"),
            ("10@60", "USR1@60"),
            ("USR1", "USR1@60"),
            ("R:usr1", "USR1@60"),
            ("RB:sigterm@5", "B:TERM@5"),
            ("40@0", "40@0"),
            ("KILL@65535", "KILL@65535"),
        ] {
            assert_eq!(text.parse::<SignalSpec>().map(|spec| spec.to_string()), Ok(printed.to_owned()), "{text}");
        }
    }

    #[test]
    fn what_is_no_signal_is_named() {
        let error = |text: &str| text.parse::<SignalSpec>().expect_err(text).to_string();
        assert_eq!(error("URS1@3"), "unknown signal \"URS1\"; did you mean USR1?");
        for text in ["", "0", "65", "@3", "-1", "SIG", "NOSUCH", "B:"] {
            assert!(error(text).starts_with("unknown signal"), "{text}");
        }
        for text in ["USR1@", "USR1@65536", "USR1@-1", "USR1@1@1", "USR1@1m"] {
            assert!(error(text).starts_with("invalid time"), "{text}");
        }
        for text in ["X:USR1", ":USR1"] {
            assert!(error(text).starts_with("unknown flag"), "{text}");
        }
    }

    #[test]
    fn each_name_goes_to_its_number_and_back() {
        for (name, number) in SIGNALS {
            assert_eq!(signal_number(&format!("sig{name}")), Some(number));
            assert_eq!(signal_number(signal_name(number).unwrap()), Some(number));
        }
    }
}
