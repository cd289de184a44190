//! Array indices as text: `0-3%4`, `1-7:3`, `1,3,5-9:2%2`.

use super::IndexSet;
use crate::quoted::{Quoted, digits, digits_u32};
use crate::spec::ArraySpec;
use std::fmt;

/// The most bytes of text that are looked at.
pub const MAX_TEXT: usize = 1 << 20;

/// How large an array may be; both come from configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArrayLimits {
    /// Slurm's MaxArraySize: indices are below it.
    pub size: u32,
    /// The most elements, as written: indices that are named twice count twice.
    pub elements: u64,
}

impl ArrayLimits {
    /// Slurm's own ceiling for MaxArraySize, and a million elements.
    pub const DEFAULT: ArrayLimits = ArrayLimits { size: 4_000_001, elements: 1_000_000 };
}

impl Default for ArrayLimits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Why a text is no set of array indices.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArrayError {
    #[error("the array indices have {given} bytes, at most {MAX_TEXT} are read")]
    TooLong { given: usize },
    #[error("invalid array indices {given}: expected for example 0-15, 1,3,5 or 0-15:4%2")]
    Form { given: Quoted },
    #[error("the array index {given} is too large: indices are below {size} (MaxArraySize)")]
    Index { given: Quoted, size: u32 },
    #[error("the array {given} has more than {limit} elements")]
    TooManyElements { given: Quoted, limit: u64 },
    #[error("invalid limit %{given} of an array: expected how many elements may run at once, at least 1")]
    RunLimit { given: Quoted },
}

/// `--array`: indices, perhaps in brackets, and after `%` how many may run at once.
pub fn parse_array(text: &str, limits: ArrayLimits) -> Result<ArraySpec, ArrayError> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let (list, limit) = match bare.split_once('%') {
        None => (bare, None),
        Some((list, limit)) => {
            let parsed = digits_u32(limit).filter(|limit| *limit > 0);
            (list, Some(parsed.ok_or_else(|| ArrayError::RunLimit { given: Quoted::new(limit) })?))
        }
    };
    // A step holds for one range; in a list of several nothing can be said of the whole.
    let step = if list.contains(',') { None } else { list.split_once(':').and_then(|(_, step)| digits_u32(step)) };
    Ok(ArraySpec { indices: parse_indices(list, limits)?, limit, step: step.unwrap_or(1) })
}

/// The indices alone, as in `scancel 123_[0-3,7]` without the brackets.
pub fn parse_indices(text: &str, limits: ArrayLimits) -> Result<IndexSet, ArrayError> {
    if text.len() > MAX_TEXT {
        return Err(ArrayError::TooLong { given: text.len() });
    }
    let mut elements = 0u64;
    let mut ranges = Vec::new();
    for item in text.split(',') {
        let (first, last, step) = parse_item(item, limits)?;
        elements += u64::from((last - first) / step) + 1;
        if elements > limits.elements {
            return Err(ArrayError::TooManyElements { given: Quoted::new(text), limit: limits.elements });
        }
        // Only a step of more than one costs memory for each element.
        match step {
            1 => ranges.push((first, last)),
            _ => ranges.extend((first..=last).step_by(step as usize).map(|index| (index, index))),
        }
    }
    Ok(IndexSet::from_ranges(ranges))
}

/// `first[-last[:step]]` with `first <= last` and `step >= 1`.
fn parse_item(item: &str, limits: ArrayLimits) -> Result<(u32, u32, u32), ArrayError> {
    let form = || ArrayError::Form { given: Quoted::new(item) };
    let index = |text: &str| {
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(form());
        }
        let below_size = digits_u32(text).filter(|index| *index < limits.size);
        below_size.ok_or_else(|| ArrayError::Index { given: Quoted::new(text), size: limits.size })
    };
    let Some((first, rest)) = item.split_once('-') else {
        return index(item).map(|only| (only, only, 1));
    };
    let (last, step) = rest.split_once(':').unwrap_or((rest, "1"));
    let (first, last) = (index(first)?, index(last)?);
    // A step beyond the range leaves its first index, however large it is.
    let step = digits(step).filter(|step| *step > 0).ok_or_else(form)?.min(u64::from(u32::MAX)) as u32;
    if first <= last { Ok((first, last, step)) } else { Err(form()) }
}

impl IndexSet {
    /// The distance between neighbours where all indices, at least three, are equally far apart.
    pub fn even_step(&self) -> Option<u32> {
        match self.ranges() {
            [(first, last)] => (last - first >= 2).then_some(1),
            ranges => {
                let step = ranges.get(1)?.0 - ranges.first()?.0;
                let single = ranges.iter().all(|(first, last)| first == last);
                let even = ranges.windows(2).all(|pair| pair[1].0 - pair[0].0 == step);
                (ranges.len() >= 3 && single && even).then_some(step)
            }
        }
    }

    /// Like Display, but `1-7:2` where the whole set has one step.
    pub fn stepped(&self) -> String {
        match (self.even_step(), self.first(), self.last()) {
            (Some(step), Some(first), Some(last)) if step > 1 => format!("{first}-{last}:{step}"),
            _ => self.to_string(),
        }
    }
}

/// `0-3,7`.
impl fmt::Display for IndexSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (first, last)) in self.ranges().iter().enumerate() {
            f.write_str(if at > 0 { "," } else { "" })?;
            match first == last {
                true => write!(f, "{first}")?,
                false => write!(f, "{first}-{last}")?,
            }
        }
        Ok(())
    }
}

/// What stands in the brackets of a pending array: `1-7:2%2`.
impl fmt::Display for ArraySpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.indices.stepped())?;
        self.limit.map_or(Ok(()), |limit| write!(f, "%{limit}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, printed: &str, step: u32) {
        let spec = parse_array(text, ArrayLimits::DEFAULT).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!((spec.to_string().as_str(), spec.step), (printed, step), "{text}");
    }

    #[test]
    fn arrays_as_they_are_written() {
        check("0-3%4", "0-3%4", 1);
        check("1-7:3", "1-7:3", 3);
        check("1,3,5-9:2%2", "1-9:2%2", 1);
        check("[1-7:2%2]", "1-7:2%2", 2);
        check("7,3,1-2,2", "1-3,7", 1);
        check("0", "0", 1);
        check("1-4:3", "1,4", 3);
        check("5-9:18446744073709551615", "5", 1);
        check("3000001-4000000", "3000001-4000000", 1);
    }

    #[test]
    fn what_is_no_array_is_named() {
        let limits = ArrayLimits { size: 1001, elements: 500 };
        let error = |text: &str| parse_array(text, limits).expect_err(text).to_string();
        for text in ["", ",", "1,", "3-1", "-1", "1-", "a", "1:2", "1-5:0", "1-5:", "1--5", " 1", "1-2-3", "[1", "1+2"]
        {
            assert!(error(text).starts_with("invalid array indices"), "{text}: {}", error(text));
        }
        for text in ["1%0", "1%", "1%-1", "1%x", "1%2%3", "0-4000000:1%0", "1%99999999999"] {
            assert!(error(text).starts_with("invalid limit"), "{text}");
        }
        assert_eq!(error("1001"), "the array index \"1001\" is too large: indices are below 1001 (MaxArraySize)");
        assert!(error("99999999999999999999").contains("too large"));
        assert_eq!(error("0-500"), "the array \"0-500\" has more than 500 elements");
        assert!(error("0-1000:2").contains("more than 500"));
        let bomb = parse_array("0-4000000", ArrayLimits::DEFAULT);
        assert!(matches!(bomb, Err(ArrayError::TooManyElements { limit: 1_000_000, .. })));
        assert!(matches!(parse_array(&"1,".repeat(MAX_TEXT), limits), Err(ArrayError::TooLong { .. })));
    }

    #[test]
    fn ranges_in_any_order_melt() {
        let set = IndexSet::from_ranges(vec![(5, 6), (9, 3), (0, 1), (2, 4), (u32::MAX, u32::MAX), (6, 6)]);
        assert_eq!(set.to_string(), "0-6,4294967295");
        assert_eq!(set, [0, 1, 2, 3, 4, 5, 6, u32::MAX].into_iter().collect());
        assert_eq!(IndexSet::new().stepped(), "");
    }
}
