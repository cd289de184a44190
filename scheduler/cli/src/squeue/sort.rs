//! `--sort`: letters of fields, `-` before one turns it round.

use super::fields::by_letter;
use super::row::Row;
use squall_types::Timestamp;
use std::cmp::Ordering;

/// By partition, state, and falling priority.
pub const DEFAULT: &str = "P,t,-p";

/// What two rows are compared by.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Number(i64),
    Text(String),
}

/// Rows that compare equal stay in the controller's order.
///
/// # Errors
/// What is no letter of a field.
pub fn sort(rows: &mut [Row<'_>], order: &str) -> Result<(), String> {
    let mut keys = Vec::new();
    for item in order.split(',').map(str::trim).filter(|item| !item.is_empty()) {
        let (reverse, rest) = match item.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, item.strip_prefix('+').unwrap_or(item)),
        };
        let mut letters = rest.chars();
        match (letters.next(), letters.next()) {
            (Some(letter), None) if by_letter(letter).is_some() => keys.push((letter, reverse)),
            _ => return Err(rest.chars().next_back().map(String::from).unwrap_or_default()),
        }
    }
    let compare = |one: &Row<'_>, other: &Row<'_>| {
        keys.iter().fold(Ordering::Equal, |so_far, (letter, reverse)| {
            so_far.then_with(|| {
                let order = key(one, *letter).cmp(&key(other, *letter));
                if *reverse { order.reverse() } else { order }
            })
        })
    };
    rows.sort_by(compare);
    Ok(())
}

/// Amounts and moments by their size, everything else by its text; a moment that is not known comes last.
fn key(row: &Row<'_>, letter: char) -> Key {
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
        't' => Key::Text(job.state.compact().to_owned()),
        'T' => Key::Text(job.state.word().to_owned()),
        'U' => Key::Number(i64::from(job.uid.0)),
        'V' => moment(Some(job.submitted_at)),
        'y' => Key::Number(i64::from(job.nice)),
        _ => Key::Text(by_letter(letter).map(|field| (field.value)(row)).unwrap_or_default()),
    }
}

fn element(row: &Row<'_>) -> i64 {
    row.array_task().split(['-', ',', '%', ':']).next().and_then(|first| first.parse().ok()).unwrap_or(-1)
}
