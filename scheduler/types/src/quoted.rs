//! What the parsers share: a piece of the input fit to be shown, and plain decimal digits.

use std::fmt;

/// How much of the input an error repeats.
pub const MAX_QUOTED: usize = 48;

/// A piece of what was given, in quotes, cut to [`MAX_QUOTED`] characters. Control characters and
/// other invisible ones are escaped, so that a message cannot forge a second line or colour a terminal.
#[derive(Clone, PartialEq, Eq)]
pub struct Quoted(String);

impl Quoted {
    pub fn new(given: &str) -> Self {
        Self(given.chars().take(MAX_QUOTED + 1).collect())
    }
}

impl fmt::Display for Quoted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        for c in self.0.chars().take(MAX_QUOTED) {
            // An apostrophe needs no escape between double quotes.
            if c == '\'' { f.write_str("'")? } else { write!(f, "{}", c.escape_debug())? }
        }
        f.write_str(if self.0.chars().nth(MAX_QUOTED).is_some() { "…\"" } else { "\"" })
    }
}

impl fmt::Debug for Quoted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An unsigned number of nothing but ASCII digits; `str::parse` would also take a `+`.
pub(crate) fn digits(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// The same for 32 bits.
pub(crate) fn digits_u32(text: &str) -> Option<u32> {
    digits(text).and_then(|number| u32::try_from(number).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quote_is_short_and_shows_what_cannot_be_seen() {
        assert_eq!(Quoted::new("it's\n\u{1b}[2J\u{202e}").to_string(), r#""it's\n\u{1b}[2J\u{202e}""#);
        assert_eq!(Quoted::new(&"x".repeat(1000)).to_string().chars().count(), MAX_QUOTED + 3);
    }

    #[test]
    fn digits_are_only_digits() {
        assert_eq!(digits("007"), Some(7));
        for bad in ["", "+1", "-1", " 1", "1_0", "٣", "18446744073709551616"] {
            assert_eq!(digits(bad), None, "{bad}");
        }
    }
}
