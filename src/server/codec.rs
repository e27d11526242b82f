//! Protobuf on the wire, with bad bytes answered as bad input.

use std::marker::PhantomData;

use prost::{Message, bytes::Buf as _};
use tonic::{
    Status,
    codec::{Codec as TonicCodec, DecodeBuf, Decoder as TonicDecoder},
};
use tonic_prost::{ProstCodec, ProstEncoder};

use super::wire;

/// Prost's codec, but bytes that are no message are INVALID_ARGUMENT. Prost's own calls them
/// INTERNAL, which would page somebody for a caller's mistake.
#[derive(Debug, Clone)]
pub struct Codec<T, U>(PhantomData<(T, U)>);

/// The decoding half of [`Codec`].
#[derive(Debug, Clone)]
pub struct Decoder<U>(PhantomData<U>);

impl<T, U> Default for Codec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> TonicCodec for Codec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = ProstEncoder<T>;
    type Decoder = Decoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstCodec::<T, U>::default().encoder()
    }

    fn decoder(&mut self) -> Self::Decoder {
        Decoder(PhantomData)
    }
}

impl<U: Message + Default> TonicDecoder for Decoder<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        if wire::has_too_many_parts(buffer.chunk()) {
            return Err(Status::invalid_argument(format!(
                "the request has more than {} parts: send less of them",
                wire::PARTS
            )));
        }
        let message = U::decode(buffer).map_err(|error| {
            Status::invalid_argument(format!("the request is not a valid message: {error}"))
        })?;
        Ok(Some(message))
    }
}
