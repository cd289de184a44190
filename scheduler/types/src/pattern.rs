//! Slurm's patterns in names of output files: `slurm-%j.out`, `log/%x-%A_%4a.txt`.
//!
//! The pattern is the user's own and may lead anywhere the user may write. What is put into it is not:
//! a job name or a user name never adds a directory or leads out of one.

use crate::{JobId, StepId};
use std::fmt::Write as _;

/// Where a batch job writes unless it says otherwise.
pub const DEFAULT_JOB: &str = "slurm-%j.out";
/// The same for an array element.
pub const DEFAULT_ELEMENT: &str = "slurm-%A_%a.out";
/// The most bytes of a pattern and of what becomes of it: Linux takes no longer path.
pub const MAX_PATH: usize = 4096;
/// The most zeros that a width can ask for, as in Slurm.
pub const MAX_WIDTH: usize = 10;
/// What Slurm puts for `%a` where there is no array.
const NO_INDEX: u32 = u32::MAX - 1;

/// What the patterns stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PatternValues<'a> {
    /// `%j`; also `%A` outside an array.
    pub job: JobId,
    /// `%A` and `%a` of an array element.
    pub array: Option<(JobId, u32)>,
    /// `%s`, and in `%J` after the job id; [`StepId::BATCH`] leaves `%J` the plain id.
    pub step: StepId,
    /// `%t`: 0 in a batch script.
    pub task: u32,
    /// `%n`: the node's rank in the job.
    pub node_rank: u32,
    /// `%N`: cut at the first dot.
    pub node: &'a str,
    /// `%u`.
    pub user: &'a str,
    /// `%x`: the job's name.
    pub name: &'a str,
}

/// Why a pattern gives no path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    #[error("the file name is longer than {MAX_PATH} bytes")]
    TooLong,
    #[error("the file name contains a NUL byte")]
    Nul,
}

/// The path that `pattern` means. Unknown patterns stay as they are; a backslash anywhere switches all of them off,
/// and is itself dropped unless doubled.
pub fn expand(pattern: &str, values: &PatternValues<'_>) -> Result<String, PatternError> {
    if pattern.len() > MAX_PATH {
        return Err(PatternError::TooLong);
    }
    if pattern.contains('\0') {
        return Err(PatternError::Nul);
    }
    if pattern.contains('\\') {
        return Ok(unescape(pattern));
    }
    let mut path = String::new();
    let mut rest = pattern;
    while let Some((literal, after)) = rest.split_once('%') {
        path.push_str(literal);
        let digits = after.bytes().take_while(u8::is_ascii_digit).count();
        let (width, after) = after.split_at(digits);
        // A width too long to be a number is more than enough zeros.
        let zeros = if width.is_empty() { 0 } else { width.parse().unwrap_or(MAX_WIDTH).min(MAX_WIDTH) };
        let mut letters = after.chars();
        match letters.next().and_then(|letter| value(letter, zeros, values)) {
            Some(value) => {
                path.push_str(&value);
                rest = letters.as_str();
            }
            None => {
                path.push('%');
                path.push_str(width);
                rest = after;
            }
        }
        // Checked at every step: a pattern of nothing but `%x` could make a thousand times its length.
        if path.len() > MAX_PATH {
            return Err(PatternError::TooLong);
        }
    }
    path.push_str(rest);
    if path.len() > MAX_PATH { Err(PatternError::TooLong) } else { Ok(path) }
}

fn value(letter: char, zeros: usize, values: &PatternValues<'_>) -> Option<String> {
    let number = |number: u32| format!("{number:0zeros$}");
    let index = values.array.map_or(NO_INDEX, |(_, index)| index);
    Some(match letter {
        '%' => "%".to_owned(),
        'A' => number(values.array.map_or(values.job, |(array, _)| array).0),
        'a' => number(index),
        'b' => number(index % 10),
        'J' if values.step == StepId::BATCH => number(values.job.0),
        'J' => format!("{}.{}", number(values.job.0), values.step.suffix()),
        'j' => number(values.job.0),
        'N' => harmless(values.node.split('.').next().unwrap_or_default()),
        'n' => number(values.node_rank),
        's' if values.step < StepId::EXTERN => number(values.step.0),
        's' => values.step.suffix(),
        't' => number(values.task),
        'u' => harmless(values.user),
        'x' => harmless(values.name),
        _ => return None,
    })
}

/// One component of a path: no separators, nothing invisible, and never `.` or `..`, also not together with
/// dots beside it in the pattern.
fn harmless(text: &str) -> String {
    let only_dots = text.bytes().all(|byte| byte == b'.');
    // One byte beyond the limit is enough to be refused, whatever was given.
    let mut safe = String::new();
    for c in text.chars().take(MAX_PATH + 1) {
        let strange = c == '/' || c == '\\' || c.is_control() || (only_dots && c == '.') || is_invisible(c);
        // Writing to a String cannot fail.
        let _ = safe.write_char(if strange { '_' } else { c });
    }
    safe
}

/// Marks that turn or hide text, with which one name can be shown as another.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// Without the backslashes, of which a doubled one stands for itself.
fn unescape(pattern: &str) -> String {
    let mut path = String::with_capacity(pattern.len());
    let mut letters = pattern.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => path.extend(letters.next()),
            letter => path.push(letter),
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUES: PatternValues<'_> = PatternValues {
        job: JobId(128),
        array: None,
        step: StepId(0),
        task: 3,
        node_rank: 1,
        node: "n2.cluster.local",
        user: "ada",
        name: "train",
    };

    fn check(values: PatternValues<'_>, pattern: &str, path: &str) {
        assert_eq!(expand(pattern, &values), Ok(path.to_owned()), "{pattern}");
    }

    #[test]
    fn each_letter_has_its_meaning() {
        check(VALUES, "job%J.out", "job128.0.out");
        check(VALUES, "job%4j.out", "job0128.out");
        check(VALUES, "job%j-%2t.out", "job128-03.out");
        check(VALUES, "%u/%x/%N-%n.%s", "ada/train/n2-1.0");
        check(VALUES, "%5x %5N %%5j", "train n2 %5j");
        check(VALUES, "%99j %99999999999999999999999j", "0000000128 0000000128");
        check(VALUES, "%z %5z % 100%", "%z %5z % 100%");
        check(VALUES, "%é", "%é");
        check(VALUES, DEFAULT_JOB, "slurm-128.out");
        check(PatternValues { array: Some((JobId(125), 13)), ..VALUES }, DEFAULT_ELEMENT, "slurm-125_13.out");
        check(PatternValues { array: Some((JobId(125), 13)), ..VALUES }, "%4a %b", "0013 3");
        check(VALUES, "%A_%a", "128_4294967294");
        check(PatternValues { step: StepId::BATCH, task: 0, ..VALUES }, "%J %s %t", "128 batch 0");
    }

    #[test]
    fn a_backslash_switches_patterns_off() {
        check(VALUES, "\\%j", "%j");
        check(VALUES, "%j\\.out", "%j.out");
        check(VALUES, "a\\\\b", "a\\b");
        check(VALUES, "%j\\", "%j");
    }

    #[test]
    fn names_cannot_lead_elsewhere() {
        let named = |name| PatternValues { name, ..VALUES };
        check(named("../../etc/passwd"), "log/%x", "log/.._.._etc_passwd");
        check(named(".."), "log/%x/out", "log/__/out");
        check(named("."), "log/.%x/out", "log/._/out");
        check(named("a/b\0c\nd\u{1b}\u{202e}"), "%x", "a_b_c_d__");
        check(PatternValues { user: "..", ..VALUES }, "%u/x", "__/x");
        check(PatternValues { node: "", ..VALUES }, "a%Nb", "ab");
    }

    #[test]
    fn a_path_has_an_end() {
        let long = "n".repeat(MAX_PATH);
        let values = PatternValues { name: &long, ..VALUES };
        assert_eq!(expand("%x", &values).map(|path| path.len()), Ok(MAX_PATH));
        assert_eq!(expand("%x%x", &values), Err(PatternError::TooLong));
        assert_eq!(expand("%xx", &values), Err(PatternError::TooLong));
        assert_eq!(expand(&"x".repeat(MAX_PATH + 1), &VALUES), Err(PatternError::TooLong));
        assert_eq!(expand("a\0", &VALUES), Err(PatternError::Nul));
    }
}
