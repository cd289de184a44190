//! Reads the write-ahead log before SQLite does.
//!
//! SQLite ends a log at the first frame whose checksum is wrong, as it must: the last transaction may have been torn.
//! But at most one transaction is ever in flight here, and every start empties the log. So two commits behind a bad
//! frame were both finished, at least one of them was acknowledged, and the bad frame is damage.

use crate::JournalError;
use crate::error::ACCEPT_LOSS;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

const HEADER: usize = 32;
const FRAME_HEADER: usize = 24;
/// Big-endian checksums; the other magic says little-endian.
const MAGIC_BIG: u32 = 0x377f_0683;
const MAGIC_LITTLE: u32 = 0x377f_0682;

/// # Errors
/// `Damaged` where finished transactions lie behind a frame that is not what was written; `Io`.
pub(crate) fn check(path: &Path) -> Result<(), JournalError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(JournalError::io("opening the write-ahead log", path)(error)),
    };
    match scan(BufReader::with_capacity(1 << 20, file)) {
        Ok(Scan { bad_frame: Some(frame), commits_behind: 2.. }) => Err(JournalError::Damaged {
            file: path.to_owned(),
            what: format!("frame {frame} is not what was written, and finished transactions lie behind it"),
            advice: ACCEPT_LOSS,
        }),
        Ok(_) => Ok(()),
        Err(error) => Err(JournalError::io("reading the write-ahead log", path)(error)),
    }
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Scan {
    /// The first frame of this log, from 1, that is not what was written.
    bad_frame: Option<u64>,
    /// Frames behind it that end a transaction of this log.
    commits_behind: u64,
}

fn scan(mut from: impl Read) -> std::io::Result<Scan> {
    let mut found = Scan::default();
    let mut header = [0; HEADER];
    if !fill(&mut from, &mut header)? {
        return Ok(found);
    }
    let big_endian = match word(&header, 0) {
        MAGIC_BIG => true,
        MAGIC_LITTLE => false,
        _ => return Ok(found),
    };
    let page = match word(&header, 8) {
        1 => 65_536,
        bytes if bytes.is_power_of_two() && (512..=32_768).contains(&bytes) => bytes as usize,
        _ => return Ok(found),
    };
    let salts = &header[16..24];
    let mut sum = checksum((0, 0), &header[..24], big_endian);
    if sum != (word(&header, 24), word(&header, 28)) {
        // A header is written and synced while every frame is already in the database: torn, it loses nothing.
        return Ok(found);
    }
    let mut frame = vec![0; FRAME_HEADER + page];
    for number in 1.. {
        if !fill(&mut from, &mut frame)? {
            break;
        }
        let ours = frame[8..16] == *salts;
        if found.bad_frame.is_none() {
            let next = checksum(checksum(sum, &frame[..8], big_endian), &frame[FRAME_HEADER..], big_endian);
            if ours && next == (word(&frame, 16), word(&frame, 20)) {
                sum = next;
                continue;
            }
            found.bad_frame = Some(number);
        }
        if ours && word(&frame, 4) != 0 {
            found.commits_behind += 1;
        }
    }
    Ok(found)
}

/// `false` at the end, also where it comes too early.
fn fill(from: &mut impl Read, bytes: &mut [u8]) -> std::io::Result<bool> {
    match from.read_exact(bytes) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    bytes[at..at + 4].iter().fold(0, |word, byte| word << 8 | u32::from(*byte))
}

/// The format's own checksum, over pairs of 32-bit words.
fn checksum((mut a, mut b): (u32, u32), bytes: &[u8], big_endian: bool) -> (u32, u32) {
    let read = |bytes: &[u8]| {
        let word = word(bytes, 0);
        if big_endian { word } else { word.swap_bytes() }
    };
    for pair in bytes.chunks_exact(8) {
        a = a.wrapping_add(read(&pair[..4])).wrapping_add(b);
        b = b.wrapping_add(read(&pair[4..])).wrapping_add(a);
    }
    (a, b)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A log with three transactions, as a crash would leave it.
    fn log() -> Vec<u8> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.db");
        let db = rusqlite::Connection::open(&path).unwrap();
        db.execute_batch("PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0; CREATE TABLE t (a)").unwrap();
        for text in ["one", "two"] {
            db.execute("INSERT INTO t VALUES (?1)", [text.repeat(50)]).unwrap();
        }
        std::fs::read(dir.path().join("a.db-wal")).unwrap()
    }

    #[test]
    fn a_whole_log_is_read_to_its_end() {
        assert_eq!(scan(&log()[..]).unwrap(), Scan::default());
    }

    #[test]
    fn a_torn_last_transaction_is_no_damage_and_a_bad_early_frame_is() {
        let log = log();
        let frames = (log.len() - HEADER) / (FRAME_HEADER + 4096);
        let mut torn = log.clone();
        let last = torn.len() - 100;
        torn[last] ^= 1;
        let found = scan(&torn[..]).unwrap();
        assert_eq!((found.bad_frame, found.commits_behind), (Some(frames as u64), 1));
        let mut damaged = log.clone();
        damaged[HEADER + FRAME_HEADER + 10] ^= 1;
        let found = scan(&damaged[..]).unwrap();
        assert_eq!(found.bad_frame, Some(1));
        assert!(found.commits_behind >= 2, "{found:?}");
    }

    #[test]
    fn a_cut_log_ends_where_it_was_cut() {
        let log = log();
        for length in [0, 5, HEADER, HEADER + 7, log.len() - 1] {
            assert!(scan(&log[..length]).unwrap().commits_behind < 2);
        }
    }
}
