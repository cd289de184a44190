//! The log of records: appended to, synced once for everything that came together, and written anew when most of it is
//! out of date.
//!
//! Each entry has a mark, a length and a checksum. What is damaged is skipped, up to the next entry that is whole.

use crate::duty::Record;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

const MARK: [u8; 4] = *b"SQL1";
/// Mark, length, checksum: four bytes each.
const HEADER: usize = 12;
/// No log grows so large: it is written anew long before. More than this is not ours, and not read.
const MAX_READ: u64 = 1 << 30;

#[derive(Debug)]
pub(super) struct Log {
    path: PathBuf,
    file: File,
    /// Of the file.
    pub bytes: u64,
}

/// What stands in a log.
#[derive(Debug, Default)]
pub(super) struct Contents {
    /// In the order of writing.
    pub records: Vec<Record>,
    /// Bytes that belong to no whole entry.
    pub damaged: usize,
}

/// Reads a log; one that is not there is empty.
///
/// # Errors
/// Where there is a file and it cannot be read. What is damaged is no error.
pub(super) fn read(path: &Path) -> io::Result<Contents> {
    let mut bytes = Vec::new();
    match File::open(path) {
        Ok(file) => file.take(MAX_READ).read_to_end(&mut bytes).map(|_| ())?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Contents::default()),
        Err(error) => return Err(error),
    }
    let mut contents = Contents::default();
    let mut rest = bytes.as_slice();
    while !rest.is_empty() {
        match entry(rest) {
            Some((record, length)) => {
                contents.records.push(record);
                rest = &rest[length..];
            }
            None => {
                let next = rest[1..].windows(MARK.len()).position(|window| window == MARK);
                let skipped = next.map_or(rest.len(), |at| at + 1);
                contents.damaged += skipped;
                rest = &rest[skipped..];
            }
        }
    }
    Ok(contents)
}

/// The entry at the beginning of `bytes`, and its length; nothing where there is no whole one.
fn entry(bytes: &[u8]) -> Option<(Record, usize)> {
    let (header, rest) = bytes.split_at_checked(HEADER)?;
    let number = |at: usize| Some(u32::from_le_bytes(header.get(at..at + 4)?.try_into().ok()?));
    let content = rest.get(..number(4)? as usize)?;
    let whole = header[..4] == MARK && number(8)? == crc32fast::hash(content);
    let record = whole.then(|| minicbor::decode(content).ok()).flatten()?;
    Some((record, HEADER + content.len()))
}

impl Log {
    /// Writes a log anew with these records in it.
    ///
    /// # Errors
    /// As the file system says; the old log is then still there.
    pub fn begin<'r>(path: &Path, records: impl Iterator<Item = &'r Record>) -> io::Result<Log> {
        let mut bytes = Vec::new();
        for record in records {
            encode(record, &mut bytes)?;
        }
        let aside = path.with_extension("new");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&aside)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        fs::rename(&aside, path)?;
        super::sealed::sync_dir(path.parent().unwrap_or(Path::new(".")))?;
        let file = OpenOptions::new().append(true).open(path)?;
        Ok(Log { path: path.to_owned(), file, bytes: bytes.len() as u64 })
    }

    /// The same in place of this one.
    ///
    /// # Errors
    /// As [`Log::begin`].
    pub fn begin_again<'r>(&mut self, records: impl Iterator<Item = &'r Record>) -> io::Result<()> {
        *self = Log::begin(&self.path, records)?;
        Ok(())
    }

    /// Makes records durable, all with one sync.
    ///
    /// # Errors
    /// Any failure. What is on disk then is some of the records, whole.
    pub fn append<'r>(&mut self, records: impl Iterator<Item = &'r Record>) -> io::Result<()> {
        let mut bytes = Vec::new();
        for record in records {
            encode(record, &mut bytes)?;
        }
        self.file.write_all(&bytes)?;
        self.bytes += bytes.len() as u64;
        self.file.sync_data()
    }
}

fn encode(record: &Record, into: &mut Vec<u8>) -> io::Result<()> {
    let content = minicbor::to_vec(record).map_err(io::Error::other)?;
    let length = u32::try_from(content.len()).map_err(io::Error::other)?;
    into.extend_from_slice(&MARK);
    into.extend_from_slice(&length.to_le_bytes());
    into.extend_from_slice(&crc32fast::hash(&content).to_le_bytes());
    into.extend_from_slice(&content);
    Ok(())
}
