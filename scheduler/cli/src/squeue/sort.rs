//! `--sort`: letters of fields, `-` before one turns it round.

use super::fields::{Field, by_letter};
use super::row::Row;
use squall_types::Timestamp;
use std::borrow::Cow;

/// By partition, state, and falling priority.
pub const DEFAULT: &str = "P,t,-p";

/// What rows are compared by: letters of fields, and whether each is turned round.
pub struct Order(Vec<(char, bool)>);

impl Order {
    /// # Errors
    /// What is no letter of a field.
    pub fn parse(text: &str) -> Result<Order, String> {
        let mut order = Vec::new();
        for item in text.split(',').map(str::trim).filter(|item| !item.is_empty()) {
            let (reverse, rest) = match item.strip_prefix('-') {
                Some(rest) => (true, rest),
                None => (false, item.strip_prefix('+').unwrap_or(item)),
            };
            let mut letters = rest.chars();
            match (letters.next(), letters.next()) {
                (Some(letter), None) if by_letter(letter).is_some() => order.push((letter, reverse)),
                _ => return Err(rest.chars().next_back().map(String::from).unwrap_or_default()),
            }
        }
        Ok(Order(order))
    }

    /// Whether brief views are enough to sort by.
    pub fn is_brief(&self) -> bool {
        self.0.iter().all(|(letter, _)| by_letter(*letter).is_some_and(Field::is_brief))
    }

    /// Appends bytes that compare as the rows do.
    pub fn key(&self, row: &Row<'_>, bytes: &mut Vec<u8>) {
        for (letter, reverse) in &self.0 {
            let begin = bytes.len();
            match key(row, *letter) {
                // Negative numbers come first.
                Key::Number(number) => bytes.extend((number ^ i64::MIN).to_be_bytes()),
                Key::Text(text) => {
                    bytes.extend(text.as_bytes());
                    bytes.push(0);
                }
            }
            if *reverse {
                bytes[begin..].iter_mut().for_each(|byte| *byte = !*byte);
            }
        }
    }
}

/// Lines and what they are sorted by, in two blocks of memory rather than in two for each line.
#[derive(Default)]
pub struct Lines {
    keys: Vec<u8>,
    text: String,
    /// Where the key and the text of each line end.
    ends: Vec<(usize, usize)>,
}

impl Lines {
    pub fn push(&mut self, key: impl FnOnce(&mut Vec<u8>), text: impl FnOnce(&mut String)) {
        key(&mut self.keys);
        text(&mut self.text);
        self.ends.push((self.keys.len(), self.text.len()));
    }

    /// Those that compare equal stay in the controller's order.
    pub fn sorted(&self) -> impl Iterator<Item = &str> {
        let begins = std::iter::once(&(0, 0)).chain(&self.ends);
        let mut lines: Vec<(&[u8], &str)> = begins
            .zip(&self.ends)
            .map(|((key, text), (key_end, text_end))| (&self.keys[*key..*key_end], &self.text[*text..*text_end]))
            .collect();
        lines.sort_by_key(|(key, _)| *key);
        lines.into_iter().map(|(_, text)| text)
    }
}

enum Key<'a> {
    Number(i64),
    Text(Cow<'a, str>),
}

/// Amounts and moments by their size, everything else by its text; a moment that is not known comes last.
fn key<'a>(row: &'a Row<'_>, letter: char) -> Key<'a> {
    let job = row.job;
    let moment = |at: Option<Timestamp>| Key::Number(at.map_or(i64::MAX, |at| at.0));
    match letter {
        'A' => Key::Number(i64::from(job.job.0)),
        // A job that is no element comes before all elements.
        'i' | 'F' => Key::Number((row.array_job().parse::<i64>().unwrap_or(0) << 32) + element(row) + 1),
        'C' => Key::Number(i64::from(job.cpus)),
        'D' => Key::Number(i64::from(job.node_count)),
        'e' => moment(job.end_at),
        'G' => Key::Number(i64::from(job.gid.0)),
        'K' => Key::Number(element(row)),
        'l' => Key::Number(job.time_limit.map_or(i64::MAX, |limit| limit.0)),
        'L' => Key::Number(job.time_limit.map_or(i64::MAX, |limit| (limit - row.elapsed()).0)),
        'm' => Key::Number(job.memory_mib.min(i64::MAX as u64) as i64),
        'M' => Key::Number(row.elapsed().0),
        'p' | 'Q' => Key::Number(i64::from(job.priority)),
        'S' => moment(job.start_at),
        // By the word that is shown, as Slurm does.
        't' => Key::Text(job.state.compact().into()),
        'T' => Key::Text(job.state.word().into()),
        'P' => Key::Text(row.partition.into()),
        'U' => Key::Number(i64::from(job.uid.0)),
        'V' => moment(Some(job.submitted_at)),
        'y' => Key::Number(i64::from(job.nice)),
        _ => Key::Text(by_letter(letter).map(|field| field.text(row)).unwrap_or_default()),
    }
}

fn element(row: &Row<'_>) -> i64 {
    row.array_task().split(['-', ',', '%', ':']).next().and_then(|first| first.parse().ok()).unwrap_or(-1)
}
