//! How a directive's line falls into words, as Slurm reads it: quotes hold blanks together, a backslash takes the next
//! character as it is, `#` outside quotes ends the line.

use crate::terminal::escaped;

/// Why a directive's line cannot be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum WordError {
    #[error("Unmatched `{quote}` in [{}]", escaped(.rest))]
    Unmatched { quote: char, rest: String },
    #[error("Unexpected `:` in [{}]", escaped(.rest))]
    Colon { rest: String },
}

/// The words of `line`.
///
/// # Errors
/// A quote that is never closed, or a word that begins with a colon (which would begin another part of a
/// heterogeneous job).
pub fn words(line: &str) -> Result<Vec<String>, WordError> {
    let mut found = Vec::new();
    let mut letters = line.char_indices().peekable();
    loop {
        while letters.next_if(|(_, letter)| letter.is_whitespace()).is_some() {}
        let Some((begins, first)) = letters.peek().copied() else { return Ok(found) };
        match first {
            '#' => return Ok(found),
            ':' => return Err(WordError::Colon { rest: line[begins..].to_owned() }),
            _ => {}
        }
        let (mut word, mut quote) = (String::new(), None);
        while let Some((_, letter)) = letters.peek().copied() {
            match (letter, quote) {
                ('\\', _) => {
                    letters.next();
                    word.extend(letters.next().map(|(_, literal)| literal));
                    continue;
                }
                (letter, Some(open)) if letter == open => quote = None,
                (letter, Some(_)) => word.push(letter),
                ('"' | '\'', None) => quote = Some(letter),
                ('#', None) => break,
                (letter, None) if letter.is_whitespace() => break,
                (letter, None) => word.push(letter),
            }
            letters.next();
        }
        if let Some(quote) = quote {
            return Err(WordError::Unmatched { quote, rest: line[begins..].to_owned() });
        }
        found.push(word);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Vec<String> {
        words(line).expect("a line that can be read")
    }

    #[test]
    fn words_are_read_as_slurm_reads_them() {
        // Each of these was tried on Slurm 22.05.8.
        assert_eq!(read(" --job-name=a#b"), ["--job-name=a"]);
        assert_eq!(read(" -J a #b -n 3"), ["-J", "a"]);
        assert_eq!(read(" --job-name='a b'c"), ["--job-name=a bc"]);
        assert_eq!(read(r#" --job-name="a\"b""#), [r#"--job-name=a"b"#]);
        assert_eq!(read(r" --job-name='a\\b'"), [r"--job-name=a\b"]);
        assert_eq!(read("\t-n\t3"), ["-n", "3"]);
        assert_eq!(read(r#" --comment="a#b" -n2"#), ["--comment=a#b", "-n2"]);
        assert_eq!(read(r#" --job-name="""#), ["--job-name="]);
        assert_eq!(read("--exclusive   "), ["--exclusive"]);
        assert_eq!(read(""), Vec::<String>::new());
    }

    #[test]
    fn an_open_quote_and_a_lone_colon_are_errors() {
        assert_eq!(words(r#" --job-name="open"#).unwrap_err().to_string(), r#"Unmatched `"` in [--job-name="open]"#);
        assert_eq!(words(" -n3 : -n4").unwrap_err().to_string(), "Unexpected `:` in [: -n4]");
    }
}
