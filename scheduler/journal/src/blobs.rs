//! Scripts and environments: stored once by digest, compressed where that helps, outside memory.
//!
//! A blob is named by the specs that need it. One that none names any more, or none ever named (its submission was refused
//! after all), is swept.

use crate::JournalError;
use crate::options::MAX_BLOB_BYTES;
use lz4_flex::block::{compress, decompress};
use rusqlite::{Connection, OptionalExtension, params};
use sha2::{Digest, Sha256};
use squall_types::{BlobDigest, Timestamp};
use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Below this, compression gains nothing worth the time.
const MIN_PACKED: usize = 256;
/// How many blobs are known again, and how large they may be as they are stored: half a MiB of memory in all.
const RECENT: usize = 64;
const RECENT_BYTES: usize = 8 << 10;

/// A blob ready to be stored. Made where the submission arrives, so that the commit neither hashes nor compresses. LZ4,
/// because every submission pays for it: an environment of 4 KiB takes microseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreparedBlob {
    digest: BlobDigest,
    size: usize,
    packed: bool,
    content: Arc<[u8]>,
}

impl PreparedBlob {
    /// # Errors
    /// `BadQuery` where it is larger than any that can be stored.
    pub fn new(content: &[u8]) -> Result<PreparedBlob, JournalError> {
        digest(content).map(|digest| PreparedBlob::of(digest, content))
    }

    fn of(digest: BlobDigest, content: &[u8]) -> PreparedBlob {
        let packed = pack(content);
        let kept = packed.as_deref().unwrap_or(content);
        PreparedBlob { digest, size: content.len(), packed: packed.is_some(), content: kept.into() }
    }

    pub fn digest(&self) -> BlobDigest {
        self.digest
    }
}

/// The small ones that were prepared last. From one shell the same environment comes again and again, and to know it again
/// costs less than to compress it.
#[derive(Default)]
pub struct RecentBlobs(Mutex<VecDeque<PreparedBlob>>);

impl RecentBlobs {
    /// # Errors
    /// As those of [`PreparedBlob::new`].
    pub fn prepare(&self, content: &[u8]) -> Result<PreparedBlob, JournalError> {
        let digest = digest(content)?;
        let known = self.blobs().iter().find(|blob| blob.digest == digest).cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let blob = PreparedBlob::of(digest, content);
        if blob.content.len() <= RECENT_BYTES {
            let mut blobs = self.blobs();
            blobs.truncate(RECENT - 1);
            blobs.push_front(blob.clone());
        }
        Ok(blob)
    }

    fn blobs(&self) -> MutexGuard<'_, VecDeque<PreparedBlob>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn digest(content: &[u8]) -> Result<BlobDigest, JournalError> {
    if content.len() > MAX_BLOB_BYTES {
        let size = content.len();
        let text = format!("a script or environment has {size} bytes, at most {MAX_BLOB_BYTES} can be stored");
        return Err(JournalError::BadQuery(text));
    }
    Ok(BlobDigest(Sha256::digest(content).into()))
}

fn pack(content: &[u8]) -> Option<Vec<u8>> {
    if content.len() < MIN_PACKED {
        return None;
    }
    Some(compress(content)).filter(|packed| packed.len() < content.len())
}

/// Stores a blob unless it is there already.
pub(crate) fn store(connection: &Connection, blob: &PreparedBlob, at: Timestamp) -> rusqlite::Result<()> {
    let sql = "INSERT INTO blobs (digest, size, packed, refs, added_at, content) VALUES (?1, ?2, ?3, 0, ?4, ?5) \
               ON CONFLICT (digest) DO NOTHING";
    let row = params![&blob.digest.0[..], blob.size as i64, blob.packed, at.0, blob.content];
    connection.prepare_cached(sql)?.execute(row).map(|_| ())
}

/// So many more specs name it, or fewer; `false` where it is not stored. It is left to the sweep even where that was the
/// last one: a submission that has found it there may wait to be accounted for.
pub(crate) fn name(connection: &Connection, digest: BlobDigest, more: i64) -> rusqlite::Result<bool> {
    let sql = "UPDATE blobs SET refs = refs + ?2 WHERE digest = ?1";
    connection.prepare_cached(sql)?.execute(params![&digest.0[..], more]).map(|rows| rows == 1)
}

/// Deletes blobs that were added before that time and that nothing names, while nothing waits to be accounted for; returns
/// how many.
pub(crate) fn sweep(connection: &Connection, before: Timestamp, limit: u32) -> rusqlite::Result<usize> {
    let sql = "DELETE FROM blobs WHERE id IN \
               (SELECT id FROM blobs WHERE refs = 0 AND added_at < ?1 ORDER BY added_at LIMIT ?2)";
    connection.prepare_cached(sql)?.execute(params![before.0, limit])
}

/// The content, verified against its digest.
///
/// # Errors
/// `Damaged` where it is not what was stored.
pub(crate) fn read(connection: &Connection, db: &Path, digest: BlobDigest) -> Result<Option<Vec<u8>>, JournalError> {
    let find = || {
        let mut statement = connection.prepare_cached("SELECT size, packed, content FROM blobs WHERE digest = ?1")?;
        let row =
            |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, bool>(1)?, row.get::<_, Vec<u8>>(2)?));
        statement.query_row([&digest.0[..]], row).optional()
    };
    let Some((size, packed, stored)) = find().map_err(JournalError::sql("reading a blob", db))? else {
        return Ok(None);
    };
    unpack(size, packed, stored)
        .filter(|content| <[u8; 32]>::from(Sha256::digest(content)) == digest.0)
        .map(Some)
        .ok_or_else(|| JournalError::damaged(db, format!("the blob {digest} is not what was stored")))
}

fn unpack(size: i64, packed: bool, stored: Vec<u8>) -> Option<Vec<u8>> {
    let size = usize::try_from(size).ok().filter(|size| *size <= MAX_BLOB_BYTES)?;
    if !packed {
        return (stored.len() == size).then_some(stored);
    }
    // Damaged input may unpack to anything: no more is read than there should be.
    decompress(&stored, size).ok().filter(|content| content.len() == size)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn store_with_tables() -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        crate::schema::create_tables(&connection).unwrap();
        connection
    }

    proptest! {
        #[test]
        fn a_blob_is_read_byte_for_byte(content in prop::collection::vec(any::<u8>(), 0..2_000), times in 1usize..20) {
            let connection = store_with_tables();
            let content = content.repeat(times);
            let blob = PreparedBlob::new(&content).unwrap();
            store(&connection, &blob, Timestamp(1)).unwrap();
            store(&connection, &blob, Timestamp(2)).unwrap();
            let count: i64 = connection.query_row("SELECT count(*) FROM blobs", [], |row| row.get(0)).unwrap();
            prop_assert_eq!(count, 1);
            prop_assert_eq!(read(&connection, Path::new("x"), blob.digest()).unwrap(), Some(content));
        }
    }

    #[test]
    fn a_blob_stays_while_a_spec_names_it_and_is_swept_after_the_last() {
        let connection = store_with_tables();
        let [kept, swept] = ["#!/bin/sh\n", "never submitted"].map(|text| PreparedBlob::new(text.as_bytes()).unwrap());
        store(&connection, &kept, Timestamp(1)).unwrap();
        store(&connection, &swept, Timestamp(1)).unwrap();
        assert!(name(&connection, kept.digest(), 1).unwrap());
        assert!(name(&connection, kept.digest(), 1).unwrap());
        assert!(!name(&connection, BlobDigest([7; 32]), 1).unwrap());
        assert_eq!(sweep(&connection, Timestamp(1), 10).unwrap(), 0);
        assert_eq!(sweep(&connection, Timestamp(2), 10).unwrap(), 1);
        let db = Path::new("x");
        assert_eq!(read(&connection, db, swept.digest()).unwrap(), None);
        for _ in 0..2 {
            assert!(name(&connection, kept.digest(), -1).unwrap());
            assert!(read(&connection, db, kept.digest()).unwrap().is_some());
        }
        assert_eq!(sweep(&connection, Timestamp(2), 10).unwrap(), 1);
        assert_eq!(read(&connection, db, kept.digest()).unwrap(), None);
    }

    #[test]
    fn a_blob_that_is_known_again_is_the_same() {
        let recent = RecentBlobs::default();
        let environment = |user: usize| format!("HOME=/home/{user}\0").repeat(300).into_bytes();
        for user in [0, 0, 1, 0, 1].into_iter().chain(0..3 * RECENT).chain([0, 3 * RECENT - 1]) {
            let content = environment(user);
            assert_eq!(recent.prepare(&content).unwrap(), PreparedBlob::new(&content).unwrap());
        }
        assert_eq!(recent.blobs().len(), RECENT);
        // What is large is not kept, nor what cannot be stored.
        let noise: Vec<u8> =
            (0..4 * RECENT_BYTES as u32).flat_map(|i| i.wrapping_mul(0x9e37_79b9).to_be_bytes()).collect();
        assert_eq!(recent.prepare(&noise).unwrap(), PreparedBlob::new(&noise).unwrap());
        assert!(recent.blobs().iter().all(|blob| blob.content.len() <= RECENT_BYTES));
        assert!(recent.prepare(&vec![0; MAX_BLOB_BYTES + 1]).is_err());
    }

    #[test]
    fn a_damaged_blob_is_refused() {
        let connection = store_with_tables();
        let blob = PreparedBlob::new(&b"environment=1\0".repeat(100)).unwrap();
        assert!(blob.packed);
        store(&connection, &blob, Timestamp(1)).unwrap();
        for at in 0..blob.content.len() {
            let mut content = blob.content.to_vec();
            content[at] ^= 4;
            connection.execute("UPDATE blobs SET content = ?1", [content]).unwrap();
            // In what repeats itself, another place to copy from may hold the same bytes.
            match read(&connection, Path::new("journal.db"), blob.digest()) {
                Err(JournalError::Damaged { .. }) => {}
                Ok(Some(content)) => assert_eq!(content, b"environment=1\0".repeat(100)),
                other => panic!("{other:?}"),
            }
        }
    }
}
