//! Sealed rows: a body in CBOR, and a checksum over it and the columns beside it.

use crate::JournalError;
use minicbor::{Decode, Encode};
use std::path::Path;

pub(crate) fn encode<T: Encode<()>>(row: &T) -> Vec<u8> {
    minicbor::to_vec(row).expect("writing to memory cannot fail")
}

pub(crate) fn decode<T: for<'b> Decode<'b, ()>>(body: &[u8]) -> Option<T> {
    minicbor::decode(body).ok()
}

/// Opens a row whose checksum was computed anew as `expected`.
///
/// # Errors
/// `Damaged`, naming table and row.
pub(crate) fn open<T: for<'b> Decode<'b, ()>>(
    path: &Path,
    table: &str,
    row: i64,
    body: &[u8],
    sum: i64,
    expected: u32,
) -> Result<T, JournalError> {
    let honest = sum == i64::from(expected);
    honest
        .then(|| decode(body))
        .flatten()
        .ok_or_else(|| JournalError::damaged(path, format!("row {row} of {table} is not what was written")))
}
