//! `--dependency` as text: `afterok:1:2,afterany:3`, `after:5+10`, `aftercorr:12`, `singleton`, `20?21`.

use super::{Dependency, DependencyKind, DependencyTerm, TargetJob};
use crate::quoted::{Quoted, digits_u32};
use crate::{JobId, Span, did_you_mean};
use std::fmt;

/// The most bytes of text that are looked at.
pub const MAX_TEXT: usize = 512 << 10;
/// The most terms of one dependency.
pub const MAX_TERMS: usize = 10_000;

const WORDS: [&str; 7] = ["after", "afterany", "afterok", "afternotok", "aftercorr", "afterburstbuffer", "singleton"];

/// Why a text is no dependency.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DependencyError {
    #[error("the dependency has {given} bytes, at most {MAX_TEXT} are read")]
    TooLong { given: usize },
    #[error("the dependency names more than {MAX_TERMS} jobs")]
    TooManyTerms,
    #[error("a dependency is joined either by \",\" (all) or by \"?\" (any), not by both")]
    Mixed,
    #[error("unknown dependency type {given}{}", meant.map(|word| format!("; did you mean {word}?")).unwrap_or_default())]
    Kind { given: Quoted, meant: Option<&'static str> },
    #[error("jobs cannot be expanded, so the dependency {given} cannot be met")]
    Expand { given: Quoted },
    #[error("invalid job id {given} in a dependency: expected for example 123 or 123_4")]
    Target { given: Quoted },
    #[error("invalid delay {given} in a dependency: expected minutes, and only with \"after\", as in after:123+10")]
    Delay { given: Quoted },
    #[error("invalid dependency {given}: expected for example afterok:123:124 or singleton")]
    Form { given: Quoted },
}

impl std::str::FromStr for Dependency {
    type Err = DependencyError;

    /// An empty text is no dependency. A bare id means `afterany`, also after another term: `afterok:1,2` is
    /// `afterok:1,afterany:2`.
    fn from_str(text: &str) -> Result<Self, DependencyError> {
        if text.len() > MAX_TEXT {
            return Err(DependencyError::TooLong { given: text.len() });
        }
        let any = text.contains('?');
        if any && text.contains(',') {
            return Err(DependencyError::Mixed);
        }
        let mut terms = Vec::new();
        for item in text.split([',', '?']).filter(|_| !text.is_empty()) {
            parse_item(item, &mut terms)?;
        }
        Ok(Dependency { terms, any })
    }
}

/// `kind:id[:id…]`, a bare id, or `singleton`.
fn parse_item(item: &str, terms: &mut Vec<DependencyTerm>) -> Result<(), DependencyError> {
    if item.starts_with(|c: char| c.is_ascii_digit()) {
        let (target, delay) = parse_target(item)?;
        let kind = match delay {
            None => DependencyKind::AfterAny,
            Some(_) => return Err(DependencyError::Delay { given: Quoted::new(item) }),
        };
        return push(terms, DependencyTerm { kind, target: Some(target) });
    }
    let (word, targets) = item.split_once(':').map_or((item, None), |(word, targets)| (word, Some(targets)));
    let kind = parse_kind(word, item)?;
    let Some(targets) = targets else {
        let term = DependencyTerm { kind, target: None };
        return if kind == DependencyKind::Singleton { push(terms, term) } else { Err(form(item)) };
    };
    if kind == DependencyKind::Singleton {
        return Err(form(item));
    }
    for given in targets.split(':') {
        let kind = match (kind, parse_target(given)?) {
            (kind, (target, None)) => DependencyTerm { kind, target: Some(target) },
            (DependencyKind::After(_), (target, Some(delay))) => {
                DependencyTerm { kind: DependencyKind::After(delay), target: Some(target) }
            }
            _ => return Err(DependencyError::Delay { given: Quoted::new(given) }),
        };
        push(terms, kind)?;
    }
    Ok(())
}

fn form(item: &str) -> DependencyError {
    DependencyError::Form { given: Quoted::new(item) }
}

fn push(terms: &mut Vec<DependencyTerm>, term: DependencyTerm) -> Result<(), DependencyError> {
    if terms.len() == MAX_TERMS {
        return Err(DependencyError::TooManyTerms);
    }
    terms.push(term);
    Ok(())
}

fn parse_kind(word: &str, item: &str) -> Result<DependencyKind, DependencyError> {
    Ok(match word.to_ascii_lowercase().as_str() {
        "" => return Err(form(item)),
        "after" => DependencyKind::After(Span::ZERO),
        "afterany" => DependencyKind::AfterAny,
        "afterok" => DependencyKind::AfterOk,
        "afternotok" => DependencyKind::AfterNotOk,
        "aftercorr" => DependencyKind::AfterCorr,
        "afterburstbuffer" => DependencyKind::AfterBurstBuffer,
        "singleton" => DependencyKind::Singleton,
        // It would make the job a part of another; dropping it would change what the job means.
        "expand" => return Err(DependencyError::Expand { given: Quoted::new(item) }),
        _ => {
            return Err(DependencyError::Kind { given: Quoted::new(word), meant: did_you_mean::closest(word, WORDS) });
        }
    })
}

/// `123`, `123_4`, `123_*`, each perhaps with `+minutes`.
fn parse_target(given: &str) -> Result<(TargetJob, Option<Span>), DependencyError> {
    let (id, delay) = given.split_once('+').map_or((given, None), |(id, delay)| (id, Some(delay)));
    let minutes = |text| digits_u32(text).map(|minutes| Span::from_mins(i64::from(minutes)));
    let wrong_delay = || DependencyError::Delay { given: Quoted::new(given) };
    let delay = delay.map(|delay| minutes(delay).ok_or_else(wrong_delay)).transpose()?;
    let (job, index) = id.split_once('_').map_or((id, None), |(job, index)| (job, Some(index)));
    let wrong = || DependencyError::Target { given: Quoted::new(given) };
    let job = digits_u32(job).filter(|job| *job > 0).map(JobId).ok_or_else(wrong)?;
    let index = match index {
        None | Some("*") => None,
        Some(index) => Some(digits_u32(index).ok_or_else(wrong)?),
    };
    Ok((TargetJob { job, index }, delay))
}

impl DependencyKind {
    /// Slurm's word for it.
    pub fn word(self) -> &'static str {
        match self {
            DependencyKind::After(_) => "after",
            DependencyKind::AfterAny => "afterany",
            DependencyKind::AfterOk => "afterok",
            DependencyKind::AfterNotOk => "afternotok",
            DependencyKind::AfterCorr => "aftercorr",
            DependencyKind::AfterBurstBuffer => "afterburstbuffer",
            DependencyKind::Singleton => "singleton",
        }
    }
}

/// `123` or `123_4`.
impl fmt::Display for TargetJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.index {
            None => write!(f, "{}", self.job),
            Some(index) => write!(f, "{}_{index}", self.job),
        }
    }
}

/// `afterok:123`, `after:5+10`, `singleton`.
impl fmt::Display for DependencyTerm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.word())?;
        if let Some(target) = self.target {
            write!(f, ":{target}")?;
        }
        match self.kind {
            DependencyKind::After(delay) if delay > Span::ZERO => write!(f, "+{}", delay.as_secs() / 60),
            _ => Ok(()),
        }
    }
}

/// One term after another, as it could be given again.
impl fmt::Display for Dependency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, term) in self.terms.iter().enumerate() {
            match (at, self.any) {
                (0, _) => write!(f, "{term}")?,
                (_, false) => write!(f, ",{term}")?,
                (_, true) => write!(f, "?{term}")?,
            }
        }
        Ok(())
    }
}

impl Dependency {
    /// As `squeue`'s `%E` prints it: `afterok:189(unfulfilled),afterany:190(failed)`. `state` gives the word for a
    /// term, or `None` to leave the term out, which Slurm does once it is fulfilled.
    pub fn with_states(&self, state: impl Fn(&DependencyTerm) -> Option<&'static str>) -> String {
        let terms = self.terms.iter().filter_map(|term| state(term).map(|word| format!("{term}({word})")));
        terms.collect::<Vec<_>>().join(if self.any { "?" } else { "," })
    }
}

#[cfg(test)]
mod tests;
