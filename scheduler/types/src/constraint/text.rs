//! `--constraint` as text: `a&b`, `a|b`, `(a|b)&c`, `[rack1|rack2]`, `a*2&b*1`.

use super::{Constraint, CountedFeature};
use crate::quoted::{Quoted, digits_u32};
use std::fmt;

/// The most bytes of text that are looked at.
pub const MAX_TEXT: usize = 4096;
/// How deep parentheses may nest.
pub const MAX_DEPTH: usize = 16;
/// The most features in one expression.
pub const MAX_FEATURES: usize = 256;

/// Why a text is no constraint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConstraintError {
    #[error("the constraint has {given} bytes, at most {MAX_TEXT} are read")]
    TooLong { given: usize },
    #[error("the constraint {given} nests deeper than {MAX_DEPTH} parentheses")]
    TooDeep { given: Quoted },
    #[error("the constraint {given} names more than {MAX_FEATURES} features")]
    TooManyFeatures { given: Quoted },
    #[error("invalid constraint {given}: expected {expected} at {rest}")]
    Form { given: Quoted, expected: &'static str, rest: Quoted },
    #[error("invalid count of nodes in the constraint {given} at {rest}: expected a number from 1")]
    Count { given: Quoted, rest: Quoted },
    #[error("the constraint {given} counts only some of its features: expected feature*count joined by \"&\"")]
    MixedCounts { given: Quoted },
    #[error("the constraint {given} has brackets inside another group: expected one pair, joined to the rest by \"&\"")]
    Brackets { given: Quoted },
}

impl std::str::FromStr for Constraint {
    type Err = ConstraintError;

    /// The result is flat: no group holds another of its own kind or a single part. What is joined to brackets
    /// moves into each alternative, `[a|b]&c` into `[a&c|b&c]`, so that brackets are always outermost.
    fn from_str(text: &str) -> Result<Self, ConstraintError> {
        if text.len() > MAX_TEXT {
            return Err(ConstraintError::TooLong { given: text.len() });
        }
        let mut parser = Parser { text, rest: text, features: 0 };
        let tree = parser.any(0)?;
        if !parser.rest.is_empty() {
            return Err(parser.expected("\"&\", \"|\" or the end"));
        }
        Ok(tree)
    }
}

struct Parser<'a> {
    text: &'a str,
    rest: &'a str,
    features: usize,
}

impl<'a> Parser<'a> {
    fn given(&self) -> Quoted {
        Quoted::new(self.text)
    }

    fn expected(&self, expected: &'static str) -> ConstraintError {
        ConstraintError::Form { given: self.given(), expected, rest: Quoted::new(self.rest) }
    }

    fn take(&mut self, operators: &[char]) -> bool {
        let after = self.rest.strip_prefix(operators);
        self.rest = after.unwrap_or(self.rest);
        after.is_some()
    }

    fn any(&mut self, depth: usize) -> Result<Constraint, ConstraintError> {
        let mut parts = vec![self.all(depth)?];
        while self.take(&['|']) {
            parts.push(self.all(depth)?);
        }
        if parts.len() == 1 {
            return Ok(parts.remove(0));
        }
        let mut flat = Vec::new();
        for part in parts {
            match part {
                Constraint::Any(inner) => flat.extend(inner),
                Constraint::Same(_) => return Err(ConstraintError::Brackets { given: self.given() }),
                Constraint::Counted(_) => return Err(ConstraintError::MixedCounts { given: self.given() }),
                part => flat.push(part),
            }
        }
        Ok(Constraint::Any(flat))
    }

    fn all(&mut self, depth: usize) -> Result<Constraint, ConstraintError> {
        let mut parts = vec![self.part(depth)?];
        while self.take(&['&', ',']) {
            parts.push(self.part(depth)?);
        }
        if parts.len() == 1 {
            return Ok(parts.remove(0));
        }
        let (mut plain, mut counted, mut same) = (Vec::new(), Vec::new(), None);
        for part in parts {
            match part {
                Constraint::All(inner) => plain.extend(inner),
                Constraint::Counted(inner) => counted.extend(inner),
                Constraint::Same(alternatives) => {
                    if same.replace(alternatives).is_some() {
                        return Err(ConstraintError::Brackets { given: self.given() });
                    }
                }
                part => plain.push(part),
            }
        }
        match (counted.is_empty(), same) {
            (true, None) => Ok(Constraint::All(plain)),
            (true, Some(alternatives)) => Ok(Constraint::Same(distribute(alternatives, &plain))),
            (false, None) if plain.is_empty() => Ok(Constraint::Counted(counted)),
            (false, _) => Err(ConstraintError::MixedCounts { given: self.given() }),
        }
    }

    fn part(&mut self, depth: usize) -> Result<Constraint, ConstraintError> {
        if depth > MAX_DEPTH {
            return Err(ConstraintError::TooDeep { given: self.given() });
        }
        if self.take(&['(']) {
            let inner = self.any(depth + 1)?;
            return if self.take(&[')']) { Ok(inner) } else { Err(self.expected("\")\"")) };
        }
        if self.take(&['[']) {
            if depth > 0 {
                return Err(ConstraintError::Brackets { given: self.given() });
            }
            let inner = self.any(depth + 1)?;
            if !self.take(&[']']) {
                return Err(self.expected("\"]\""));
            }
            return Ok(match inner {
                Constraint::Any(alternatives) => Constraint::Same(alternatives),
                inner => inner,
            });
        }
        self.feature()
    }

    fn feature(&mut self) -> Result<Constraint, ConstraintError> {
        let in_name = |c: char| c.is_ascii_alphanumeric() || "_-.:=/+#@%".contains(c);
        let feature = self.word(in_name);
        if feature.is_empty() {
            return Err(self.expected("a feature"));
        }
        self.features += 1;
        if self.features > MAX_FEATURES {
            return Err(ConstraintError::TooManyFeatures { given: self.given() });
        }
        let feature = feature.to_owned();
        let star = self.rest;
        if !self.take(&['*']) {
            return Ok(Constraint::Feature(feature));
        }
        let nodes = digits_u32(self.word(|c| c.is_ascii_digit())).filter(|nodes| *nodes > 0);
        let nodes = nodes.ok_or_else(|| ConstraintError::Count { given: self.given(), rest: Quoted::new(star) })?;
        Ok(Constraint::Counted(vec![CountedFeature { feature, nodes }]))
    }

    fn word(&mut self, belongs: impl Fn(char) -> bool) -> &'a str {
        let (word, rest) = self.rest.split_at(self.rest.find(|c| !belongs(c)).unwrap_or(self.rest.len()));
        self.rest = rest;
        word
    }
}

/// At most `MAX_FEATURES` alternatives times as many parts, which is small.
fn distribute(alternatives: Vec<Constraint>, others: &[Constraint]) -> Vec<Constraint> {
    let join = |alternative| {
        let mut parts = match alternative {
            Constraint::All(parts) => parts,
            part => vec![part],
        };
        parts.extend_from_slice(others);
        Constraint::All(parts)
    };
    alternatives.into_iter().map(join).collect()
}

/// With as few parentheses as will do; what is printed reads back as the same constraint.
impl fmt::Display for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Constraint::Feature(name) => f.write_str(name),
            Constraint::All(parts) => join(f, parts, "&", |part| matches!(part, Constraint::Any(_))),
            Constraint::Any(parts) => join(f, parts, "|", |_| false),
            Constraint::Same(parts) => {
                f.write_str("[")?;
                join(f, parts, "|", |_| false)?;
                f.write_str("]")
            }
            Constraint::Counted(parts) => parts.iter().enumerate().try_for_each(|(at, part)| {
                write!(f, "{}{}*{}", if at > 0 { "&" } else { "" }, part.feature, part.nodes)
            }),
        }
    }
}

fn join(
    f: &mut fmt::Formatter<'_>,
    parts: &[Constraint],
    operator: &str,
    grouped: impl Fn(&Constraint) -> bool,
) -> fmt::Result {
    for (at, part) in parts.iter().enumerate() {
        f.write_str(if at > 0 { operator } else { "" })?;
        if grouped(part) { write!(f, "({part})")? } else { write!(f, "{part}")? }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
