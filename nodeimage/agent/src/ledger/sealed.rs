//! Small files that are either whole or known to be damaged: a length and a checksum, written aside, synced, and renamed.

use minicbor::{Decode, Encode};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// How a sealed value begins.
pub const MAGIC: [u8; 4] = *b"SQA1";
const HEADER: usize = 12;
/// The largest content of a sealed file, in bytes.
pub const MAX_CONTENT: usize = 64 << 20;

/// Why a sealed file gives no value.
#[derive(Debug, thiserror::Error)]
pub enum SealedError {
    #[error("there is no such file")]
    Missing,
    #[error("the file is damaged: {0}")]
    Damaged(String),
    #[error("the file cannot be read")]
    Unreadable(#[source] io::Error),
}

/// Writes `value` so that the file holds either what it held or all of it. Readable by the owner alone.
///
/// # Errors
/// Any failure to write or to sync; the old content is then still there.
pub fn write<T: Encode<()>>(path: &Path, value: &T) -> io::Result<()> {
    let aside = aside(path, value, true)?;
    fs::rename(&aside, path)?;
    sync_parent(path)
}

/// As [`write`], but for what only a process that is started next will read: lost with the machine, and checked all the same.
pub fn write_unsynced<T: Encode<()>>(path: &Path, value: &T) -> io::Result<()> {
    fs::rename(aside(path, value, false)?, path)
}

/// As [`write_unsynced`], but only where there is no such file yet: `false` where there is.
pub fn write_new<T: Encode<()>>(path: &Path, value: &T) -> io::Result<bool> {
    let aside = aside(path, value, false)?;
    let linked = fs::hard_link(&aside, path);
    fs::remove_file(&aside)?;
    match linked {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

/// `value` with its length and checksum.
///
/// # Errors
/// A value that is larger than a sealed file may be.
pub fn seal<T: Encode<()>>(value: &T) -> io::Result<Vec<u8>> {
    let content = minicbor::to_vec(value).map_err(io::Error::other)?;
    if content.len() > MAX_CONTENT {
        return Err(io::Error::other(format!("{} bytes are more than a sealed file holds", content.len())));
    }
    let mut bytes = Vec::with_capacity(HEADER + content.len());
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&(content.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&crc32fast::hash(&content).to_le_bytes());
    bytes.extend_from_slice(&content);
    Ok(bytes)
}

/// The sealed values that stand one after the other in a file.
#[derive(Debug)]
pub struct Frames<T> {
    /// Up to the first that is not whole.
    pub values: Vec<T>,
    /// Nothing follows them.
    pub whole: bool,
}

/// Reads a file of sealed values; none where there is no such file.
pub fn read_all<T>(path: &Path) -> Frames<T>
where
    T: for<'b> Decode<'b, ()>,
{
    match File::open(path) {
        Ok(file) => read_all_of(&file),
        Err(error) => Frames { values: Vec::new(), whole: error.kind() == io::ErrorKind::NotFound },
    }
}

/// The same of a file that is open, and was neither read nor written to since.
pub fn read_all_of<T>(file: &File) -> Frames<T>
where
    T: for<'b> Decode<'b, ()>,
{
    let mut bytes = Vec::new();
    let read = whole(file, &mut bytes);
    let mut values = Vec::new();
    let mut rest = bytes.as_slice();
    while let Some((value, length)) = first(rest) {
        values.push(value);
        rest = &rest[length..];
    }
    Frames { values, whole: read.is_ok() && rest.is_empty() }
}

/// The sealed value at the beginning of `bytes`, and its length there; nothing where there is no whole one.
pub fn first<T>(bytes: &[u8]) -> Option<(T, usize)>
where
    T: for<'b> Decode<'b, ()>,
{
    let content = u32::from_le_bytes(bytes.get(4..8)?.try_into().ok()?);
    let length = HEADER.checked_add(content as usize)?;
    Some((unseal(bytes.get(..length)?).ok()?, length))
}

/// Reads what [`write`] wrote.
pub fn read<T>(path: &Path) -> Result<T, SealedError>
where
    T: for<'b> Decode<'b, ()>,
{
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(SealedError::Missing),
        Err(error) => return Err(SealedError::Unreadable(error)),
    };
    let mut bytes = Vec::new();
    whole(&file, &mut bytes).map_err(SealedError::Unreadable)?;
    unseal(&bytes)
}

/// Reads a file, in one piece where it does not grow meanwhile, and no more of it than there may be.
fn whole(file: &File, bytes: &mut Vec<u8>) -> io::Result<()> {
    let most = HEADER + MAX_CONTENT;
    let length = usize::try_from(file.metadata()?.len()).unwrap_or(most).min(most);
    // One more, so that the end is seen without another growth.
    bytes.reserve_exact(length + 1);
    file.take(most as u64).read_to_end(bytes).map(drop)
}

fn unseal<T>(bytes: &[u8]) -> Result<T, SealedError>
where
    T: for<'b> Decode<'b, ()>,
{
    let damaged = |why: &str| SealedError::Damaged(why.to_owned());
    let (header, content) = bytes.split_at_checked(HEADER).ok_or_else(|| damaged("it is too short"))?;
    if header[..4] != MAGIC {
        return Err(damaged("it does not begin as it should"));
    }
    let number = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    if number(4) as usize != content.len() {
        return Err(damaged("its length is not what it says"));
    }
    if number(8) != crc32fast::hash(content) {
        return Err(damaged("its checksum does not match"));
    }
    minicbor::decode(content).map_err(|error| SealedError::Damaged(error.to_string()))
}

/// Makes a directory's entries durable.
pub fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

fn sync_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), sync_dir)
}

fn aside<T: Encode<()>>(path: &Path, value: &T, synced: bool) -> io::Result<std::path::PathBuf> {
    let bytes = seal(value)?;
    let name = path.file_name().ok_or_else(|| io::Error::other("a path without a file name"))?;
    let mut aside = std::ffi::OsString::from(".");
    aside.push(name);
    // Two processes may write the same name at once: an agent and a shim that it has not found yet.
    aside.push(format!(".{}", std::process::id()));
    let aside = path.with_file_name(aside);
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&aside)?;
    file.write_all(&bytes)?;
    if synced {
        file.sync_all()?;
    }
    Ok(aside)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("record");
        write(&path, &"one".to_owned()).unwrap();
        write(&path, &"two".to_owned()).unwrap();
        assert_eq!(read::<String>(&path).unwrap(), "two");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left aside");
    }

    #[test]
    fn every_bit_that_flips_and_every_cut_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("record");
        write(&path, &"a value".to_owned()).unwrap();
        let whole = fs::read(&path).unwrap();
        for bit in 0..whole.len() * 8 {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            fs::write(&path, bytes).unwrap();
            assert!(matches!(read::<String>(&path), Err(SealedError::Damaged(_))), "bit {bit}");
        }
        for length in 0..whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            assert!(matches!(read::<String>(&path), Err(SealedError::Damaged(_))), "cut at {length}");
        }
    }

    #[test]
    fn only_one_of_two_writers_of_a_new_file_wins() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("claim");
        assert!(write_new(&path, &1u32).unwrap());
        assert!(!write_new(&path, &2u32).unwrap());
        assert_eq!(read::<u32>(&path).unwrap(), 1);
    }
}
