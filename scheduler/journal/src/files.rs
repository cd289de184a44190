//! Files that are there whole or not at all, and the directories that name them.

use crate::JournalError;
use sha2::{Digest, Sha256};
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Ending of a file that is still being written.
pub(crate) const PARTIAL: &str = "partial";

/// Makes a directory that only its owner reads, with those above it, and the entry durable.
pub(crate) fn make_dir(dir: &Path) -> Result<(), JournalError> {
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.map_err(JournalError::io("making the directory", dir))?;
    match dir.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => sync_dir(parent),
        _ => Ok(()),
    }
}

/// Makes the names in a directory durable.
pub(crate) fn sync_dir(dir: &Path) -> Result<(), JournalError> {
    let synced = File::open(dir).and_then(|dir| dir.sync_all());
    synced.map_err(JournalError::io("syncing the directory", dir))
}

/// Makes the content of a file durable.
pub(crate) fn sync_file(path: &Path) -> Result<(), JournalError> {
    let synced = OpenOptions::new().write(true).open(path).and_then(|file| file.sync_all());
    synced.map_err(JournalError::io("syncing", path))
}

/// Writes a file aside, syncs it and puts it in its place: it appears whole or not at all.
pub(crate) fn write_whole(path: &Path, parts: &[&[u8]]) -> Result<(), JournalError> {
    let aside = aside(path);
    let written = (|| {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&aside)?;
        parts.iter().try_for_each(|part| file.write_all(part))?;
        file.sync_all()?;
        std::fs::rename(&aside, path)
    })();
    if let Err(error) = written {
        // What is left of it must not take the space that others need.
        let _ = std::fs::remove_file(&aside);
        return Err(JournalError::io("writing", path)(error));
    }
    sync_dir(path.parent().unwrap_or(path))
}

pub(crate) fn aside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(PARTIAL);
    PathBuf::from(name)
}

/// Copies a file and syncs the copy; returns its length and SHA-256.
pub(crate) fn copy_synced(from: &Path, to: &Path) -> Result<(u64, [u8; 32]), JournalError> {
    let mut source = File::open(from).map_err(JournalError::io("opening", from))?;
    let open = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to);
    let mut target = open.map_err(JournalError::io("creating", to))?;
    let mut summed = Summed { hash: Sha256::new(), length: 0, target: &mut target };
    std::io::copy(&mut source, &mut summed).map_err(JournalError::io("copying to", to))?;
    let (hash, length) = (summed.hash, summed.length);
    target.sync_all().map_err(JournalError::io("syncing", to))?;
    Ok((length, hash.finalize().into()))
}

/// Length and SHA-256 of a file.
pub(crate) fn sum_of(path: &Path) -> Result<(u64, [u8; 32]), JournalError> {
    let mut source = File::open(path).map_err(JournalError::io("opening", path))?;
    let mut summed = Summed { hash: Sha256::new(), length: 0, target: &mut std::io::sink() };
    std::io::copy(&mut source, &mut summed).map_err(JournalError::io("reading", path))?;
    Ok((summed.length, summed.hash.finalize().into()))
}

/// At most `limit` bytes; a file that is longer is not what it claims to be.
pub(crate) fn read_limited(path: &Path, limit: u64) -> Result<Vec<u8>, JournalError> {
    let read = (|| {
        let file = File::open(path)?;
        let mut bytes = Vec::new();
        file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
        Ok(bytes)
    })();
    let bytes = read.map_err(JournalError::io("reading", path))?;
    if bytes.len() as u64 > limit {
        return Err(JournalError::damaged(path, format!("it is longer than the {limit} bytes that it may have")));
    }
    Ok(bytes)
}

struct Summed<'a, W> {
    hash: Sha256,
    length: u64,
    target: &'a mut W,
}

impl<W: Write> Write for Summed<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.target.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.length += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.target.flush()
    }
}
