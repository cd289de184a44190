//! Protobuf in calls, read from one piece.

use prost::Message;
use prost::bytes::Buf;
use std::marker::PhantomData;
use tonic::Status;
use tonic::codec::{DecodeBuf, Decoder};
use tonic_prost::ProstEncoder;

/// As [`ProstCodec`](tonic_prost::ProstCodec), but messages are read as a slice: tonic hands over whole ones, and asking its buffer for each byte
/// anew is a good part of what a listing of thousands of jobs costs a client.
pub(crate) struct Codec<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for Codec<T, U> {
    fn default() -> Self {
        Codec(PhantomData)
    }
}

impl<T, U> tonic::codec::Codec for Codec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = ProstEncoder<T>;
    type Decoder = FromSlice<U>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstEncoder::default()
    }

    fn decoder(&mut self) -> Self::Decoder {
        FromSlice(PhantomData)
    }
}

/// Reads messages where they lie.
pub(crate) struct FromSlice<U>(PhantomData<U>);

impl<U: Message + Default> Decoder for FromSlice<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        let whole = buffer.chunk().len() == buffer.remaining();
        let read = if whole { U::decode(buffer.chunk()) } else { U::decode(&mut *buffer) };
        buffer.advance(buffer.remaining());
        read.map(Some).map_err(|error| Status::internal(error.to_string()))
    }
}
