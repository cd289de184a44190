//! What a crontab says: its entries, each with the options and variables that hold for it.

use crate::script::words;
use squall_types::cron::{Cron, Zone};
use std::fmt;

/// Before an entry: options of its job, as `#SBATCH` lines have them.
const OPTIONS: &str = "#SCRON";

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where it stands, its options included, from 1.
    pub first_line: u32,
    pub last_line: u32,
    pub options: Vec<String>,
    /// Set before it, the later of a name last.
    pub variables: Vec<(String, String)>,
    pub times: String,
    pub command: String,
}

/// What cannot be read, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    pub line: u32,
    /// A field of an entry, or what else it is.
    pub what: &'static str,
    pub text: String,
    pub limit: String,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: invalid {} `{}`", self.line, self.what, crate::terminal::escaped(&self.text))
    }
}

/// Reads a crontab.
///
/// # Errors
/// The first line that means nothing.
pub fn read(text: &str, zone: Zone) -> Result<Vec<Entry>, Wrong> {
    let mut entries = Vec::new();
    let mut variables: Vec<(String, String)> = Vec::new();
    // The first line of options, and all of them so far.
    let mut waiting: Option<(u32, Vec<String>)> = None;
    let mut lines = text.lines().zip(1u32..);
    while let Some((line, number)) = lines.next() {
        let trimmed = line.trim_start();
        if let Some(rest) =
            trimmed.strip_prefix(OPTIONS).filter(|rest| rest.is_empty() || rest.starts_with([' ', '\t']))
        {
            let read = words(rest);
            let more = read.map_err(|error| wrong(number, "options", trimmed, error.to_string()))?;
            waiting.get_or_insert_with(|| (number, Vec::new())).1.extend(more);
            continue;
        }
        if trimmed.is_empty() || trimmed.starts_with('#') {
            continue;
        }
        if let Some((name, value)) = variable(trimmed) {
            if let Some((first, _)) = waiting {
                return Err(without_entry(first));
            }
            variables.push((name.to_owned(), value.to_owned()));
            continue;
        }
        // What ends in a backslash goes on in the next line.
        let (mut whole, mut last) = (line.to_owned(), number);
        while whole.ends_with('\\') {
            whole.pop();
            let Some((more, at)) = lines.next() else { break };
            whole.push_str(more);
            last = at;
        }
        let read = Cron::of_line(&whole, zone);
        let (cron, command) = read.map_err(|error| wrong(number, error.field, &error.text, error.limit))?;
        let command = command.trim_end();
        if command.is_empty() {
            let limit = "five fields of times are followed by what is to be run".to_owned();
            return Err(wrong(number, "command", "", limit));
        }
        let (first_line, options) = waiting.take().unwrap_or((number, Vec::new()));
        entries.push(Entry {
            first_line,
            last_line: last,
            options,
            variables: variables.clone(),
            times: cron.text,
            command: command.to_owned(),
        });
    }
    match waiting {
        Some((first, _)) => Err(without_entry(first)),
        None => Ok(entries),
    }
}

fn wrong(line: u32, what: &'static str, text: &str, limit: String) -> Wrong {
    Wrong { line, what, text: text.chars().take(80).collect(), limit }
}

fn without_entry(line: u32) -> Wrong {
    wrong(line, "options", OPTIONS, "options hold for the entry that follows them, and none does".to_owned())
}

/// `NAME=value`, `NAME = "value"`.
fn variable(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.split_once('=')?;
    let (name, value) = (name.trim_end(), value.trim());
    let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && name.bytes().next().is_some_and(|first| !first.is_ascii_digit());
    let unquoted = ['"', '\''].into_iter().find_map(|quote| value.strip_prefix(quote)?.strip_suffix(quote));
    is_name.then_some((name, unquoted.unwrap_or(value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
# mine
MAILTO = \"ann\"

#SCRON --time=5 -p gpu
  #SCRON -J 'a b'
*/5 * * * * cd x && ./run 50%
#DISABLED: 61 * * * * no
@daily echo a \\
   b
A=1
0 0 1 jan * = x
";

    #[test]
    fn options_hold_for_one_entry_and_variables_for_all_that_follow() {
        let entries = read(TABLE, Zone::UTC).unwrap();
        let shown: Vec<_> = entries.iter().map(|entry| (entry.first_line, entry.last_line, &*entry.command)).collect();
        assert_eq!(shown, [(4, 6, "cd x && ./run 50%"), (8, 9, "echo a    b"), (11, 11, "= x")]);
        assert_eq!(entries[0].options, ["--time=5", "-p", "gpu", "-J", "a b"]);
        assert_eq!(entries[1].options, [""; 0]);
        let times: Vec<&str> = entries.iter().map(|entry| entry.times.as_str()).collect();
        assert_eq!(times, ["*/5 * * * *", "@daily", "0 0 1 jan *"]);
        assert_eq!(entries[0].variables, [("MAILTO".to_owned(), "ann".to_owned())]);
        assert_eq!(entries[2].variables.len(), 2);
    }

    #[test]
    fn what_is_wrong_is_named_by_its_line() {
        let said = |text: &str| read(text, Zone::UTC).unwrap_err().to_string();
        assert_eq!(said("\n61 * * * * x"), "line 2: invalid minute `61`");
        assert_eq!(said("* * * * *"), "line 1: invalid command ``");
        assert_eq!(said("# a\n#SCRON -t 1\n#SCRON -n 1"), "line 2: invalid options `#SCRON`");
        assert_eq!(said("#SCRON -t 1\nA=1\n* * * * * x"), "line 1: invalid options `#SCRON`");
        assert_eq!(said("#SCRON -J 'open\n* * * * * x"), "line 1: invalid options `#SCRON -J 'open`");
        assert_eq!(said("echo x"), "line 1: invalid minute `echo`");
    }
}
