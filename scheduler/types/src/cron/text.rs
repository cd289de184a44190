//! The five fields, as people type them.

use super::{Cron, Zone};
use crate::Timestamp;
use std::fmt;

/// A field that cannot be read, or times that never come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CronError {
    /// Which field.
    pub field: &'static str,
    /// What stands there.
    pub text: String,
    /// What could.
    pub limit: String,
}

impl fmt::Display for CronError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: `{}`: {}", self.field, self.text, self.limit)
    }
}

impl std::error::Error for CronError {}

/// What one field takes.
struct Field {
    name: &'static str,
    least: u32,
    most: u32,
    /// Three letters each, from `least` on.
    names: &'static [&'static str],
}

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
const FIELDS: [Field; 5] = [
    Field { name: "minute", least: 0, most: 59, names: &[] },
    Field { name: "hour", least: 0, most: 23, names: &[] },
    Field { name: "day of month", least: 1, most: 31, names: &[] },
    Field { name: "month", least: 1, most: 12, names: &MONTHS },
    // Sunday has two numbers.
    Field { name: "day of week", least: 0, most: 7, names: &WEEKDAYS },
];

/// Words in place of the five fields; the last three are Slurm's.
const WORDS: [(&str, &str); 10] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
    ("@elevenses", "0 11 * * *"),
    ("@fika", "0 15 * * *"),
    ("@teatime", "0 16 * * *"),
];

impl Cron {
    /// Reads the times at the beginning of a line; what follows them is the command.
    ///
    /// # Errors
    /// The first field that cannot be read.
    pub fn of_line(line: &str, zone: Zone) -> Result<(Cron, &str), CronError> {
        let line = line.trim_start();
        if line.starts_with('@') {
            let (word, rest) = first_word(line);
            let meant = WORDS.iter().find(|(name, _)| name.eq_ignore_ascii_case(word)).ok_or_else(|| CronError {
                field: "time",
                text: shown(word),
                limit: format!("one of {}", WORDS.map(|(name, _)| name).join(", ")),
            })?;
            let (cron, _) = Cron::of_line(meant.1, zone)?;
            return Ok((Cron { text: word.to_owned(), ..cron }, rest));
        }
        let mut sets = [0u64; 5];
        let mut texts = [""; 5];
        let mut rest = line;
        for (at, field) in FIELDS.iter().enumerate() {
            (texts[at], rest) = first_word(rest);
            sets[at] = field.read(texts[at])?;
        }
        let said = |text: &str| !text.starts_with('*');
        let cron = Cron {
            minutes: sets[0],
            hours: sets[1] as u32,
            days: sets[2] as u32,
            months: sets[3] as u32,
            weekdays: (sets[4] | sets[4] >> 7) as u32 & 0x7f,
            either_day: said(texts[2]) && said(texts[4]),
            zone,
            text: texts.join(" "),
        };
        if cron.next(Timestamp::ZERO).is_none() {
            let limit = "no month that is named has such a day".to_owned();
            return Err(CronError { field: "day of month", text: shown(texts[2]), limit });
        }
        Ok((cron, rest))
    }
}

fn first_word(text: &str) -> (&str, &str) {
    let text = text.trim_start();
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    (&text[..end], text[end..].trim_start())
}

fn shown(text: &str) -> String {
    text.chars().take(64).collect()
}

impl Field {
    fn wrong(&self, text: &str) -> CronError {
        let names = match (self.names.first(), self.names.last()) {
            (Some(first), Some(last)) => format!(" or {first} to {last}"),
            _ => String::new(),
        };
        let limit = format!(
            "* or numbers from {} to {}{names}, as lists (1,2), ranges (1-5) and steps (*/10)",
            self.least, self.most
        );
        CronError { field: self.name, text: shown(text), limit }
    }

    fn read(&self, text: &str) -> Result<u64, CronError> {
        let mut parts = text.split(',').map(|part| self.part(part).ok_or_else(|| self.wrong(text)));
        parts.try_fold(0, |set, part| Ok(set | part?))
    }

    /// `*`, `*/2`, `5`, `1-5`, `1-5/2`, `5/10`.
    fn part(&self, text: &str) -> Option<u64> {
        let (range, step) = match text.split_once('/') {
            Some((range, step)) => (range, Some(number(step)?).filter(|step| *step > 0)?),
            None => (text, 0),
        };
        // A Sunday at the end of a week that is not named is the one at its beginning.
        let last = if self.names.len() == 7 { 6 } else { self.most };
        let (first, last) = match range.split_once('-') {
            _ if range == "*" => (self.least, last),
            Some((first, last)) => (self.value(first)?, self.value(last)?),
            None if step > 0 => (self.value(range)?, last),
            None => (self.value(range)?, self.value(range)?),
        };
        (first <= last).then(|| (first..=last).step_by(step.max(1) as usize).fold(0, |set, value| set | 1 << value))
    }

    fn value(&self, text: &str) -> Option<u32> {
        let named = self.names.iter().position(|name| name.eq_ignore_ascii_case(text));
        let value = match named {
            Some(at) => self.least + at as u32,
            None => number(text)?,
        };
        (self.least..=self.most).contains(&value).then_some(value)
    }
}

fn number(text: &str) -> Option<u32> {
    let digits = (1..=4).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}
