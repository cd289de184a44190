//! Folding names into brackets.

use std::cmp::Ordering;

use super::MAX_DIGITS;

/// Folds names that follow each other, in the order given, as `scontrol show hostlist` does: `n[1-3,7],gpu-01`.
///
/// Expanding the text gives the same names in the same order, so rank order survives.
pub fn compress(names: &[impl AsRef<str>]) -> String {
    fold(names.iter().map(|name| Name::split(name.as_ref())))
}

/// The same after sorting by prefix and number, as in NodeList columns and `scontrol show hostlistsorted`.
pub fn compress_sorted(names: &[impl AsRef<str>]) -> String {
    let mut names: Vec<_> = names.iter().map(|name| Name::split(name.as_ref())).collect();
    names.sort_by(Name::cmp);
    fold(names.into_iter())
}

/// A name in two: what comes before its last digits, and these.
#[derive(Clone, Copy)]
struct Name<'a> {
    prefix: &'a str,
    digits: &'a str,
    /// The value of `digits`.
    number: u64,
}

impl<'a> Name<'a> {
    fn split(name: &'a str) -> Self {
        let letters = name.trim_end_matches(|c: char| c.is_ascii_digit()).len();
        // Only as many of the digits as a bracket may hold; those before count as prefix.
        let (prefix, digits) = name.split_at(letters.max(name.len().saturating_sub(MAX_DIGITS)));
        Self { prefix, digits, number: digits.parse().unwrap_or(0) }
    }

    /// Slurm sorts unpadded names before padded ones of the same value; comparing lengths first does that
    /// and agrees with the values among names of one padding.
    fn cmp(&self, other: &Self) -> Ordering {
        natural(self.prefix, other.prefix)
            .then(self.digits.len().cmp(&other.digits.len()))
            .then(self.number.cmp(&other.number))
    }
}

/// Compares so that `r2n` comes before `r10n`; a run of digits with a leading zero sorts like a fraction.
fn natural(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a.as_bytes(), b.as_bytes());
    loop {
        let digits = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (run_a, run_b) = (digits(a), digits(b));
        let (ahead_a, ahead_b) = (run_a.max(1).min(a.len()), run_b.max(1).min(b.len()));
        let (token_a, rest_a) = a.split_at(ahead_a);
        let (token_b, rest_b) = b.split_at(ahead_b);
        let whole = run_a > 0 && run_b > 0 && token_a[0] != b'0' && token_b[0] != b'0';
        let by_length = if whole { run_a.cmp(&run_b) } else { Ordering::Equal };
        let order = by_length.then_with(|| token_a.cmp(token_b));
        if order.is_ne() || a.is_empty() {
            return order;
        }
        (a, b) = (rest_a, rest_b);
    }
}

/// Numbers of one prefix that count up by one in one padding.
struct Run<'a> {
    first: Name<'a>,
    last: Name<'a>,
}

impl Run<'_> {
    fn continues_with(&self, next: &Name<'_>) -> bool {
        let natural_width = next.number.checked_ilog10().map_or(1, |log| log as usize + 1);
        self.last.number.checked_add(1) == Some(next.number)
            && next.digits.len() == natural_width.max(self.first.digits.len())
    }
}

fn fold<'a>(names: impl Iterator<Item = Name<'a>>) -> String {
    let mut text = String::new();
    let mut group: Vec<Run<'a>> = Vec::new();
    for name in names {
        // A name without digits stands alone: it cannot be in a bracket.
        let joins = !name.digits.is_empty()
            && group.first().is_some_and(|run| run.first.prefix == name.prefix && !run.first.digits.is_empty());
        if !joins {
            write_group(&mut text, &group);
            group.clear();
        }
        match group.last_mut() {
            Some(run) if run.continues_with(&name) => run.last = name,
            _ => group.push(Run { first: name, last: name }),
        }
    }
    write_group(&mut text, &group);
    text
}

fn write_group(text: &mut String, group: &[Run<'_>]) {
    let Some(start) = group.first() else { return };
    if !text.is_empty() {
        text.push(',');
    }
    text.push_str(start.first.prefix);
    let alone = group.len() == 1 && start.first.number == start.last.number;
    if !alone {
        text.push('[');
    }
    for (at, run) in group.iter().enumerate() {
        if at > 0 {
            text.push(',');
        }
        text.push_str(run.first.digits);
        if run.first.number != run.last.number {
            text.push('-');
            text.push_str(run.last.digits);
        }
    }
    if !alone {
        text.push(']');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(names: &str, kept: &str, sorted: &str) {
        let names: Vec<&str> = names.split(',').collect();
        assert_eq!(compress(&names), kept);
        assert_eq!(compress_sorted(&names), sorted);
    }

    /// Each line was run on Slurm 22.05 with `scontrol show hostlist` and `hostlistsorted`.
    #[test]
    fn names_fold_as_slurm_folds_them() {
        check("n1,n2,n3,n7,gpu-01", "n[1-3,7],gpu-01", "gpu-01,n[1-3,7]");
        check("n7,n3,n1,n2", "n[7,3,1-2]", "n[1-3,7]");
        check("n1,m1,n2", "n1,m1,n2", "m1,n[1-2]");
        check("n1,n1,n2", "n[1,1-2]", "n[1,1-2]");
        check("n01,n1,n02,n2,n10", "n[01,1,02,2,10]", "n[1-2,01-02,10]");
        check("n9,n10,n11", "n[9-11]", "n[9-11]");
        check("n1000,n099,n100", "n[1000,099-100]", "n[099-100,1000]");
        check("r1n1,r1n2,r2n1", "r1n[1-2],r2n1", "r1n[1-2],r2n1");
        check("r10n1,r2n1", "r10n1,r2n1", "r2n1,r10n1");
        check("r02n1,r1n1,r01n1", "r02n1,r1n1,r01n1", "r01n1,r02n1,r1n1");
        check("a1,a,b", "a1,a,b", "a,a1,b");
        check("n,n1,n10x,n9x", "n,n1,n10x,n9x", "n,n1,n9x,n10x");
        check("n99999999999,n100000000000", "n[99999999999-100000000000]", "n[99999999999-100000000000]");
        check("n0,n00", "n[0,00]", "n[0,00]");
        check("1,2,3", "[1-3]", "[1-3]");
    }

    #[test]
    fn a_number_of_any_length_is_kept() {
        let (nines, power) = (format!("n{}", "9".repeat(30)), format!("n1{}", "0".repeat(30)));
        check(&format!("{power},{nines}"), &format!("{power},{nines}"), &format!("{nines},{power}"));
        assert_eq!(compress(&[""; 0]), "");
    }
}
