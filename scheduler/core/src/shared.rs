//! CBOR of values behind an `Arc`, which the codec does not know.

use minicbor::{Decode, Decoder, Encode, Encoder};
use std::sync::Arc;

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
