//! Slurm's lists of host names: `n[1-3,07],gpu[1-2]x[0-1],login`.
//!
//! A few bytes can name billions of hosts, so every list is counted before a single name is made.

mod fold;

pub use fold::{compress, compress_sorted};

use crate::quoted::{Quoted, digits};

/// The most bytes of text that are looked at.
pub const MAX_TEXT: usize = 4 << 20;
/// The most hosts that one list can name.
pub const MAX_HOSTS: usize = 65_536;
/// The most bracket pairs in one name.
pub const MAX_BRACKETS: usize = 8;
/// The most digits of a number in brackets; it then always fits 64 bits.
pub const MAX_DIGITS: usize = 18;
/// The longest host name.
pub const MAX_NAME: usize = 255;

/// Why a text is no host list.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostlistError {
    #[error("the host list has {given} bytes, at most {MAX_TEXT} are read")]
    TooLong { given: usize },
    #[error("the host list names more than {MAX_HOSTS} hosts (at {item})")]
    TooManyHosts { item: Quoted },
    #[error("{item} has more than {MAX_BRACKETS} pairs of brackets")]
    TooManyBrackets { item: Quoted },
    #[error("brackets do not match or are nested in {item}")]
    Brackets { item: Quoted },
    #[error("invalid range {range} in {item}: expected numbers like \"3\" or \"01-16\"")]
    Range { range: Quoted, item: Quoted },
    #[error("{item} has a character that host names cannot have")]
    Character { item: Quoted },
    #[error("{item} makes names longer than {MAX_NAME} characters")]
    NameTooLong { item: Quoted },
}

/// All names in the order of the list, the last bracket of a name running fastest. Repeated names stay.
/// Items are separated by commas or blanks; an empty text is an empty list.
pub fn parse(text: &str) -> Result<Vec<String>, HostlistError> {
    let mut names = Vec::with_capacity(count(text)?);
    for item in items(text) {
        names.append(&mut Pattern::parse(item)?.expand());
    }
    Ok(names)
}

/// How many names [`parse`] would give, without making them.
pub fn count(text: &str) -> Result<usize, HostlistError> {
    if text.len() > MAX_TEXT {
        return Err(HostlistError::TooLong { given: text.len() });
    }
    items(text).try_fold(0, |total: usize, item| {
        let sum = Pattern::parse(item)?.count().and_then(|hosts| total.checked_add(hosts));
        sum.filter(|sum| *sum <= MAX_HOSTS).ok_or_else(|| HostlistError::TooManyHosts { item: Quoted::new(item) })
    })
}

/// Splits at commas and blanks that are not inside brackets.
fn items(text: &str) -> impl Iterator<Item = &str> {
    let mut inside = false;
    let separates = move |c: char| {
        inside = (inside || c == '[') && c != ']';
        !inside && (c == ',' || c.is_ascii_whitespace())
    };
    text.split(separates).filter(|item| !item.is_empty())
}

/// One item of a list: literal pieces and brackets in turn.
struct Pattern<'a>(Vec<Part<'a>>);

enum Part<'a> {
    Literal(&'a str),
    Numbers(Vec<Range>),
}

/// Numbers from `first` to `last`, padded with zeros to `width`, which is what the first was written with.
struct Range {
    first: u64,
    last: u64,
    width: usize,
}

impl<'a> Pattern<'a> {
    fn parse(item: &'a str) -> Result<Self, HostlistError> {
        let mut parts = Vec::new();
        let mut longest = 0;
        let mut rest = Some(item);
        while let Some(piece) = rest {
            let (literal, bracket) =
                piece.split_once('[').map_or((piece, None), |(before, after)| (before, Some(after)));
            check_literal(literal, item)?;
            longest += literal.len();
            parts.push(Part::Literal(literal));
            rest = None;
            if let Some(bracket) = bracket {
                let (inside, after) =
                    bracket.split_once(']').ok_or_else(|| HostlistError::Brackets { item: Quoted::new(item) })?;
                if parts.len() > MAX_BRACKETS * 2 {
                    return Err(HostlistError::TooManyBrackets { item: Quoted::new(item) });
                }
                longest += inside.split([',', '-']).map(str::len).max().unwrap_or(0);
                parts.push(Part::Numbers(parse_ranges(inside, item)?));
                rest = Some(after);
            }
        }
        if longest > MAX_NAME {
            return Err(HostlistError::NameTooLong { item: Quoted::new(item) });
        }
        Ok(Self(parts))
    }

    /// `None` where the product is beyond counting.
    fn count(&self) -> Option<usize> {
        self.0.iter().try_fold(1, |product: usize, part| match part {
            Part::Literal(_) => Some(product),
            // A sum of at most MAX_HOSTS ranges of at most MAX_HOSTS numbers.
            Part::Numbers(ranges) => product.checked_mul(ranges.iter().map(Range::count).sum()),
        })
    }

    /// Each part multiplies what is there, so no step holds more names than the counted whole.
    fn expand(&self) -> Vec<String> {
        self.0.iter().fold(vec![String::new()], |mut names, part| match part {
            Part::Literal(literal) => {
                names.iter_mut().for_each(|name| name.push_str(literal));
                names
            }
            Part::Numbers(ranges) => {
                let numbered = |name: &String| ranges.iter().flat_map(|range| range.names(name)).collect::<Vec<_>>();
                names.iter().flat_map(numbered).collect()
            }
        })
    }
}

impl Range {
    fn count(&self) -> usize {
        (self.last - self.first + 1) as usize
    }

    fn names<'n>(&self, prefix: &'n str) -> impl Iterator<Item = String> + use<'n> {
        let width = self.width;
        (self.first..=self.last).map(move |number| format!("{prefix}{number:0width$}"))
    }
}

fn check_literal(literal: &str, item: &str) -> Result<(), HostlistError> {
    if literal.contains(']') {
        return Err(HostlistError::Brackets { item: Quoted::new(item) });
    }
    // Names go into logs, paths and environments: nothing invisible may hide in one.
    if !literal.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(HostlistError::Character { item: Quoted::new(item) });
    }
    Ok(())
}

fn parse_ranges(inside: &str, item: &str) -> Result<Vec<Range>, HostlistError> {
    if inside.contains('[') {
        return Err(HostlistError::Brackets { item: Quoted::new(item) });
    }
    // Each range is a host at least, so more ranges than hosts need not be collected.
    if inside.bytes().filter(|byte| *byte == b',').count() >= MAX_HOSTS {
        return Err(HostlistError::TooManyHosts { item: Quoted::new(item) });
    }
    let wrong = |range| HostlistError::Range { range: Quoted::new(range), item: Quoted::new(item) };
    let number = |text: &str| digits(text).filter(|_| text.len() <= MAX_DIGITS);
    let parse_range = |range| {
        let (first, last) = str::split_once(range, '-').unwrap_or((range, range));
        let width = first.len();
        let (Some(first), Some(last)) = (number(first), number(last)) else { return Err(wrong(range)) };
        match last.checked_sub(first) {
            None => Err(wrong(range)),
            Some(more) if more >= MAX_HOSTS as u64 => Err(HostlistError::TooManyHosts { item: Quoted::new(item) }),
            Some(_) => Ok(Range { first, last, width }),
        }
    };
    inside.split(',').map(parse_range).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, names: &str) {
        let parsed = parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(parsed.join(" "), names, "{text}");
        assert_eq!(count(text), Ok(parsed.len()));
    }

    #[test]
    fn lists_expand_as_slurm_expands_them() {
        check("", "");
        check("n[1-3,7],gpu-01", "n1 n2 n3 n7 gpu-01");
        check("n[09-11]", "n09 n10 n11");
        check("n[001-3]", "n001 n002 n003");
        check("n[1-2,01]", "n1 n2 n01");
        check("n[1-2]m[1-2]", "n1m1 n1m2 n2m1 n2m2");
        check("n[1-2]-[3]", "n1-3 n2-3");
        check("[1-3]", "1 2 3");
        check(",n1,,n2 n3\tn1\n", "n1 n2 n3 n1");
        check("n[1-2]-ib", "n1-ib n2-ib");
    }

    #[test]
    fn what_is_wrong_is_named() {
        let error = |text| parse(text).expect_err(text).to_string();
        assert_eq!(error("n[3-1]"), r#"invalid range "3-1" in "n[3-1]": expected numbers like "3" or "01-16""#);
        for text in ["n[1", "n1]", "n[[1]]", "n[1-2]]", "n[1-2"] {
            assert!(error(text).starts_with("brackets"), "{text}");
        }
        for text in ["n[]", "n[1,,2]", "n[1-]", "n[-1]", "n[a-b]", "n[1-3:2]", "n[ 1]", "n[1234567890123456789]"] {
            assert!(error(text).starts_with("invalid range"), "{text}");
        }
        for text in ["n\0", "n\u{1b}[1]", "nä", "n\u{202e}1"] {
            assert!(error(text).contains("character"), "{text:?}");
        }
        assert!(matches!(parse(&"n".repeat(256)), Err(HostlistError::NameTooLong { .. })));
        assert!(matches!(parse(&"n[1]".repeat(9)), Err(HostlistError::TooManyBrackets { .. })));
        assert!(matches!(parse(&" ".repeat(MAX_TEXT + 1)), Err(HostlistError::TooLong { .. })));
    }

    #[test]
    fn bombs_are_refused_before_they_go_off() {
        assert_eq!(parse("n[0-65535]").map(|names| names.len()), Ok(MAX_HOSTS));
        let product = "n[1-9999][1-9999][1-9999][1-9999][1-9999]";
        let many = "1,".repeat(MAX_HOSTS);
        for bomb in ["n[0-65536]", "n[0-999999999]", product, "n[0-65535],m", &format!("n[{many}1]")] {
            assert!(matches!(parse(bomb), Err(HostlistError::TooManyHosts { .. })), "{:.40}", bomb);
        }
    }
}
