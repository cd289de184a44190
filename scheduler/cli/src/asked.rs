//! What is written behind `squall demo`, `squall up`, `squall down`, `squall replay` and
//! `squall simulate`.

use crate::failure::Failure;
use crate::terminal::escaped;
use squall_types::did_you_mean;
use std::collections::BTreeMap;
use std::fmt::Write;

/// One option of a subcommand.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    pub long: &'static str,
    /// What its value is called; `None` for a flag.
    pub value: Option<&'static str>,
    pub help: &'static str,
}

/// A subcommand: what it is called with, and what it is for.
#[derive(Clone, Copy, Debug)]
pub struct Subcommand {
    pub name: &'static str,
    /// What stands behind the options, for the usage line.
    pub operands: &'static str,
    pub about: &'static str,
    pub rows: &'static [Row],
}

/// The words of one call, understood.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    given: BTreeMap<&'static str, Vec<String>>,
    pub operands: Vec<String>,
}

impl Subcommand {
    /// Reads the words behind the subcommand's name; `None` where only help was wanted, which [`Subcommand::help`] is.
    ///
    /// # Errors
    /// The first word that means nothing here.
    pub fn read(&self, words: &[String]) -> Result<Option<Asked>, Failure> {
        let mut asked = Asked::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match word.strip_prefix("--") {
                Some("help") => return Ok(None),
                Some("") => asked.operands.extend(words.by_ref().cloned()),
                Some(long) => {
                    let (name, value) = match long.split_once('=') {
                        Some((name, value)) => (name, Some(value.to_owned())),
                        None => (long, None),
                    };
                    let row = self.row(name)?;
                    let value = match (row.value, value) {
                        (None, None) => String::new(),
                        (None, Some(_)) => {
                            return Err(self.wrong(format!("option '--{name}' doesn't allow an argument")));
                        }
                        (Some(_), Some(value)) => value,
                        (Some(_), None) => match words.next() {
                            Some(value) => value.clone(),
                            None => return Err(self.wrong(format!("option '--{name}' requires an argument"))),
                        },
                    };
                    asked.given.entry(row.long).or_default().push(value);
                }
                None if word == "-h" => return Ok(None),
                None if word.len() > 1 && word.starts_with('-') => {
                    return Err(self.wrong(format!("unrecognized option '{}'", escaped(word))));
                }
                None => asked.operands.push(word.clone()),
            }
        }
        Ok(Some(asked))
    }

    fn row(&self, name: &str) -> Result<&'static Row, Failure> {
        let rows = self.rows;
        rows.iter().find(|row| row.long == name).ok_or_else(|| {
            let failure = self.wrong(format!("unrecognized option '--{}'", escaped(name)));
            match did_you_mean::closest(name, rows.iter().map(|row| row.long)) {
                Some(near) => failure.and_line(format!("squall {}: did you mean '--{near}'?", self.name)),
                None => failure,
            }
        })
    }

    /// A failure that names the subcommand and where its help is.
    pub fn wrong(&self, text: impl std::fmt::Display) -> Failure {
        let name = self.name;
        Failure::error(&format!("squall {name}"), text)
            .and_line(format!("Try \"squall {name} --help\" for more information"))
    }

    pub fn help(&self) -> String {
        let mut text = format!("Usage: squall {} [OPTIONS...]", self.name);
        if !self.operands.is_empty() {
            text.push(' ');
            text.push_str(self.operands);
        }
        let _ = writeln!(text, "\n\n{}\n", self.about);
        let head = |row: &Row| match row.value {
            Some(value) => format!("--{}={value}", row.long),
            None => format!("--{}", row.long),
        };
        for row in self.rows {
            let _ = writeln!(text, "  {:<24} {}", head(row), row.help);
        }
        let _ = writeln!(text, "  {:<24} show this help message", "--help");
        text
    }
}

impl Asked {
    pub fn has(&self, long: &str) -> bool {
        self.given.contains_key(long)
    }

    /// The value of an option; of several the last.
    pub fn text(&self, long: &str) -> Option<&str> {
        self.given.get(long)?.last().map(String::as_str)
    }
}

/// For what is not in the program with the commands alone.
#[cfg(feature = "embed")]
impl Asked {
    /// Every value of an option that may be given several times.
    pub fn texts(&self, long: &str) -> &[String] {
        self.given.get(long).map_or(&[], Vec::as_slice)
    }

    /// A value that is read by its type, where it was given.
    ///
    /// # Errors
    /// What cannot be read, with `expected` as what would be.
    pub fn parsed<T: std::str::FromStr>(
        &self,
        of: &Subcommand,
        long: &str,
        expected: &str,
    ) -> Result<Option<T>, Failure> {
        let Some(text) = self.text(long) else { return Ok(None) };
        let wrong = |_| of.wrong(format!("--{long}={}: expected {expected}", escaped(text)));
        text.parse().map(Some).map_err(wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASK: Subcommand = Subcommand {
        name: "try",
        operands: "FILE",
        about: "Tries.",
        rows: &[
            Row { long: "plain", value: None, help: "log lines" },
            Row { long: "speed", value: Some("FACTOR"), help: "how fast" },
        ],
    };

    fn read(words: &[&str]) -> Result<Option<Asked>, Failure> {
        ASK.read(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn flags_values_and_operands_are_told_apart() {
        let asked = read(&["--plain", "--speed", "4", "a.csv", "--", "--b"]).unwrap().unwrap();
        assert!(asked.has("plain"));
        assert_eq!(asked.parsed::<f64>(&ASK, "speed", "a number").unwrap(), Some(4.0));
        assert_eq!(asked.operands, ["a.csv", "--b"]);
        let twice = read(&["--speed=8", "--speed=9"]).unwrap().unwrap();
        assert_eq!((twice.text("speed"), twice.texts("speed")), (Some("9"), &["8".to_owned(), "9".to_owned()][..]));
        assert!(twice.texts("plain").is_empty());
        assert_eq!(read(&["x", "--help"]).unwrap(), None);
    }

    #[test]
    fn what_means_nothing_is_refused_with_what_was_meant() {
        let failure = read(&["--plian"]).unwrap_err();
        assert!(failure.lines().iter().any(|line| line.contains("did you mean '--plain'?")), "{failure}");
        assert!(read(&["--speed"]).is_err());
        assert!(read(&["--plain=yes"]).is_err());
        assert!(read(&["-x"]).is_err());
        let asked = read(&["--speed=fast"]).unwrap().unwrap();
        assert!(asked.parsed::<f64>(&ASK, "speed", "a number").unwrap_err().to_string().contains("a number"));
    }
}
