//! The log of records: appended to, synced once for everything that came together, and written anew when most of it is
//! out of date.
//!
//! Each entry is [`sealed`]. What is damaged is skipped, up to the next entry that is whole. Behind the last one are zeros, to
//! be overwritten: to sync a file that has grown is to write its inode too, and on most file systems to wait for that.

use super::sealed::{self, MAGIC};
use crate::duty::Record;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// No log grows so large: it is written anew long before. More than this is not ours, and not read.
const MAX_READ: u64 = 1 << 30;

/// So much room is made at once, and more where less than this is left.
const ROOM: u64 = 256 << 10;
const LITTLE: u64 = 16 << 10;

#[derive(Debug)]
pub(super) struct Log {
    path: PathBuf,
    file: File,
    /// Of all entries.
    pub bytes: u64,
    /// Where the room ends.
    room: u64,
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
        match sealed::first(rest) {
            Some((record, length)) => {
                contents.records.push(record);
                rest = &rest[length..];
            }
            None if rest.iter().all(|byte| *byte == 0) => break,
            None => {
                let next = rest[1..].windows(MAGIC.len()).position(|window| window == MAGIC);
                // The room behind it is not damaged.
                let last = || rest.iter().rposition(|byte| *byte != 0).unwrap_or_default();
                let skipped = next.unwrap_or_else(last) + 1;
                contents.damaged += skipped;
                rest = &rest[skipped..];
            }
        }
    }
    Ok(contents)
}

impl Log {
    /// Writes a log anew with these records in it.
    ///
    /// # Errors
    /// As the file system says; the old log is then still there.
    pub fn begin<'r>(path: &Path, records: impl Iterator<Item = &'r Record>) -> io::Result<Log> {
        let bytes = sealed_all(records)?;
        let aside = path.with_extension("new");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&aside)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        fs::rename(&aside, path)?;
        sealed::sync_dir(path.parent().unwrap_or(Path::new(".")))?;
        let bytes = bytes.len() as u64;
        Ok(Log { path: path.to_owned(), file, bytes, room: bytes })
    }

    /// The same in place of this one.
    ///
    /// # Errors
    /// As [`Log::begin`].
    pub fn begin_again<'r>(&mut self, records: impl Iterator<Item = &'r Record>) -> io::Result<()> {
        *self = Log::begin(&self.path, records)?;
        Ok(())
    }

    /// Writes records; they are durable after the next [`Log::sync`].
    ///
    /// # Errors
    /// Any failure. What is in the file then is some of the records, whole.
    pub fn append<'r>(&mut self, records: impl Iterator<Item = &'r Record>) -> io::Result<()> {
        let bytes = sealed_all(records)?;
        self.file.write_all_at(&bytes, self.bytes)?;
        self.bytes += bytes.len() as u64;
        if self.bytes + LITTLE > self.room {
            let (begin, end) = (self.bytes.max(self.room), self.bytes + ROOM);
            // Where there can be none, entries make what they need.
            let _ = self.file.write_all_at(&vec![0; (end - begin) as usize], begin);
            self.room = end;
        }
        Ok(())
    }

    /// Makes all records durable.
    ///
    /// # Errors
    /// Any failure: nothing is certain then but what was durable before.
    pub fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }
}

fn sealed_all<'r>(records: impl Iterator<Item = &'r Record>) -> io::Result<Vec<u8>> {
    let each = records.map(sealed::seal).collect::<io::Result<Vec<_>>>()?;
    Ok(each.concat())
}
