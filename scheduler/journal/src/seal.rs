//! Checksums of stored rows and records: the storage engine has none of its own, and a wrong answer is worse than none.

use crc32fast::Hasher;
use squall_types::{Epoch, Seq};

/// Collects the columns of a row into one checksum.
pub(crate) struct Seal(Hasher);

impl Seal {
    /// Rows of different tables never pass for each other.
    pub fn of(table: &str) -> Self {
        let mut hasher = Hasher::new();
        hasher.update(table.as_bytes());
        Seal(hasher)
    }

    pub fn int(mut self, value: i64) -> Self {
        self.0.update(&value.to_le_bytes());
        self
    }

    pub fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.update(bytes);
        self
    }

    pub fn end(self) -> u32 {
        self.0.finalize()
    }
}

/// The checksum of a record, which covers every record before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, minicbor::Encode, minicbor::Decode)]
#[cbor(transparent)]
pub struct Chain(#[n(0)] pub u32);

impl Chain {
    /// Before the first record.
    pub const START: Chain = Chain(0);

    pub fn next(self, seq: Seq, epoch: Epoch, at: i64, version: u32, payload: &[u8]) -> Chain {
        let mut hasher = Hasher::new();
        hasher.update(&self.0.to_le_bytes());
        hasher.update(&seq.0.to_le_bytes());
        hasher.update(&epoch.0.to_le_bytes());
        hasher.update(&at.to_le_bytes());
        hasher.update(&version.to_le_bytes());
        hasher.update(payload);
        Chain(hasher.finalize())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_flipped_bit_breaks_the_chain(payload in prop::collection::vec(any::<u8>(), 1..200), bit in any::<prop::sample::Index>()) {
            let honest = Chain(7).next(Seq(3), Epoch(2), 99, 1, &payload);
            let mut flipped = payload.clone();
            let bit = bit.index(payload.len() * 8);
            flipped[bit / 8] ^= 1 << (bit % 8);
            prop_assert_ne!(honest, Chain(7).next(Seq(3), Epoch(2), 99, 1, &flipped));
            prop_assert_ne!(honest, Chain(6).next(Seq(3), Epoch(2), 99, 1, &payload));
            prop_assert_ne!(honest, Chain(7).next(Seq(4), Epoch(2), 99, 1, &payload));
        }
    }
}
