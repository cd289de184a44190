//! Protobuf in calls, read from one piece.

use prost::Message;
use std::marker::PhantomData;
use tonic::Status;
use tonic::codec::{BufferSettings, DecodeBuf, Decoder};
use tonic_prost::{ProstCodec, ProstDecoder, ProstEncoder};

/// As [`ProstCodec`], but messages are read as a slice: tonic hands over whole ones, and asking its buffer for each byte
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
        FromSlice(ProstCodec::<T, U>::raw_decoder(BufferSettings::default()))
    }
}

/// Reads messages where they lie.
pub(crate) struct FromSlice<U>(ProstDecoder<U>);

impl<U: Message + Default> Decoder for FromSlice<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        use prost::bytes::Buf;
        let length = buffer.remaining();
        let whole = buffer.chunk();
        if whole.len() < length {
            return self.0.decode(buffer);
        }
        let message = U::decode(whole).map_err(|error| Status::internal(error.to_string()))?;
        buffer.advance(length);
        Ok(Some(message))
    }
}
