//! The codec of the generated service and client: prost with small buffers, and with a check of each
//! message before it is decoded.

use std::marker::PhantomData;

use prost::{Message, bytes::Buf};
use tonic::{
    Status,
    codec::{BufferSettings, Codec, DecodeBuf, Decoder},
};
use tonic_prost::ProstEncoder;

/// Bytes that a buffer has room for at first. Most messages are below, and tonic's default of 8 KiB
/// would be allocated twice for each call.
const BUFFER_BYTES: usize = 512;
/// Bytes of encoded messages that are sent together.
const YIELD_BYTES: usize = 32 * 1024;

/// A check of the bytes of a message, decompressed and not yet decoded.
pub type MessageCheck = Box<dyn Fn(&[u8]) -> Result<(), Status> + Send + Sync>;

tokio::task_local! {
    /// The check of the call that is being answered. tonic makes codecs by `Default`, so this is the
    /// way by which one learns of the call.
    static MESSAGE_CHECK: MessageCheck;
}

/// Answers a call, checking each message before it is decoded.
#[cfg(feature = "server")]
pub fn checking<F: Future>(check: MessageCheck, call: F) -> impl Future<Output = F::Output> {
    MESSAGE_CHECK.scope(check, call)
}

/// Decodes a request.
///
/// # Errors
/// INVALID_ARGUMENT: the bytes are not a message of that type.
pub fn decode_request<T: Message + Default>(bytes: impl Buf) -> Result<T, Status> {
    T::decode(bytes).map_err(|error| {
        Status::invalid_argument(format!("the request is not a valid message: {error}"))
    })
}

/// Encodes `T` and decodes `U`.
#[derive(Debug)]
pub struct ProstCodec<T, U>(PhantomData<(T, U)>);

/// Decodes `T` once it has been checked.
#[derive(Debug)]
pub struct CheckingDecoder<T>(PhantomData<T>);

impl<T, U> Default for ProstCodec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> Codec for ProstCodec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = ProstEncoder<T>;
    type Decoder = CheckingDecoder<U>;

    fn encoder(&mut self) -> ProstEncoder<T> {
        ProstEncoder::new(BufferSettings::new(BUFFER_BYTES, YIELD_BYTES))
    }

    fn decoder(&mut self) -> CheckingDecoder<U> {
        CheckingDecoder(PhantomData)
    }
}

impl<T: Message + Default> Decoder for CheckingDecoder<T> {
    type Item = T;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<T>, Status> {
        // The whole message is one chunk.
        match MESSAGE_CHECK.try_with(|check| check(buffer.chunk())) {
            Ok(checked) => {
                checked?;
                decode_request(buffer).map(Some)
            }
            // Outside of a call that is answered, this is a client.
            Err(_) => T::decode(buffer).map(Some).map_err(|error| {
                Status::internal(format!("the response is not a valid message: {error}"))
            }),
        }
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(BUFFER_BYTES, YIELD_BYTES)
    }
}
