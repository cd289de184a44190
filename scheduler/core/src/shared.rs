//! CBOR of values that are shared with snapshots, which the codec does not know: behind an `Arc`, and in pages.

use minicbor::{Decode, Decoder, Encode, Encoder};
use std::sync::Arc;

/// Maps in copy-on-write pages, written like any other map.
pub mod pages {
    use imbl::OrdMap;
    use minicbor::{Decode, Decoder, Encode, Encoder};
    use std::collections::BTreeMap;

    pub fn encode<C, K: Encode<C> + Ord + Clone, V: Encode<C> + Clone, W: minicbor::encode::Write>(
        map: &OrdMap<K, V>,
        e: &mut Encoder<W>,
        ctx: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.map(map.len() as u64)?;
        map.iter().try_for_each(|(key, value)| {
            key.encode(e, ctx)?;
            value.encode(e, ctx)
        })
    }

    pub fn decode<'b, C, K: Decode<'b, C> + Ord + Clone, V: Decode<'b, C> + Clone>(
        d: &mut Decoder<'b>,
        ctx: &mut C,
    ) -> Result<OrdMap<K, V>, minicbor::decode::Error> {
        BTreeMap::decode(d, ctx).map(OrdMap::from_iter)
    }
}

pub fn encode<C, T: Encode<C>, W: minicbor::encode::Write>(
    value: &Arc<T>,
    e: &mut Encoder<W>,
    ctx: &mut C,
) -> Result<(), minicbor::encode::Error<W::Error>> {
    value.as_ref().encode(e, ctx)
}

pub fn decode<'b, C, T: Decode<'b, C>>(d: &mut Decoder<'b>, ctx: &mut C) -> Result<Arc<T>, minicbor::decode::Error> {
    T::decode(d, ctx).map(Arc::new)
}
