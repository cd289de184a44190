//! Which known word was meant by a misspelt one.

/// Longer words are not compared, which bounds the work that a word can cause.
pub const MAX_WORD: usize = 64;

/// The candidate nearest to `word`, if one is near enough: up to a third of the word's letters may be wrong.
/// Case does not count. Of equally near candidates it is the first.
pub fn closest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = letters(word)?;
    let near = (wanted.len() / 3).max(1);
    let distances = candidates.into_iter().filter_map(|candidate| {
        let letters = letters(candidate)?;
        // What differs in length differs at least as much in letters.
        (letters.len().abs_diff(wanted.len()) <= near).then(|| (distance(&wanted, &letters), candidate))
    });
    let nearest = distances.min_by_key(|(distance, _)| *distance)?;
    // One letter is no evidence for another.
    (nearest.0 <= near && nearest.0 < wanted.len()).then_some(nearest.1)
}

fn letters(word: &str) -> Option<Vec<char>> {
    // The length in bytes is checked first, as it costs nothing.
    (word.len() <= MAX_WORD * 4)
        .then(|| word.chars().map(|c| c.to_ascii_lowercase()).collect::<Vec<_>>())
        .filter(|letters| (1..=MAX_WORD).contains(&letters.len()))
}

/// Insertions, deletions, changes and swaps of neighbours (optimal string alignment).
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.iter().enumerate() {
        let mut row = Vec::with_capacity(above.len());
        row.push(i + 1);
        for (j, to) in b.iter().enumerate() {
            let mut best = (above[j] + usize::from(from != to)).min(above[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *from == b[j - 1] && a[i - 1] == *to {
                best = best.min(before[j - 1] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_found() {
        let options = ["partition", "parsable", "nodes", "ntasks", "gpus", "gres"];
        let check = |word, meant| assert_eq!(closest(word, options), meant, "{word}");
        check("partiton", Some("partition"));
        check("PARTITION", Some("partition"));
        check("ndoes", Some("nodes"));
        check("gpu", Some("gpus"));
        check("nodelist", None);
        check("", None);
        check("x", None);
        check(&"p".repeat(10_000), None);
    }

    #[test]
    fn the_first_of_equals_wins() {
        assert_eq!(closest("a200", ["a100", "a300"]), Some("a100"));
        assert_eq!(closest("h1", ["x", "h2"]), Some("h2"));
    }

    #[test]
    fn a_swap_of_neighbours_counts_once() {
        let distance = |a: &str, b: &str| distance(&letters(a).unwrap(), &letters(b).unwrap());
        assert_eq!(distance("ab", "ba"), 1);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("abc", "abc"), 0);
    }
}
