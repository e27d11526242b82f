//! The answers of a batch, written one by one.

use prost::encoding::{self, WireType, encode_varint, encoded_len_varint};
use tonic_types::pb;

use super::Answer;
use crate::{
    model::Revision,
    proto::{BatchIsAuthorizedResult, batch_is_authorized_result::Result as ItemResult},
    server::{calls::Framed, convert::Response, decision_id::DecisionIds, message::Unframed},
};

/// The numbers of the fields of a batch's answer, and of the response in an item's result.
const ITEMS: u32 = 1;
const REVISION: u32 = 2;
const RESPONSE: u32 = 1;

/// Room for more than one answer is made for so many bytes at most: a first answer may be long.
const ROOM: usize = 1_024 * 1_024;

/// The answers of a batch.
pub(in crate::server) struct Answers {
    message: Unframed,
    /// How many are still to come.
    missing: usize,
}

impl Answers {
    /// So many.
    pub fn new(count: usize) -> Self {
        Self { message: Unframed::new(), missing: count }
    }

    /// Adds the answer to an item. What was written is returned; the text of the decision's name
    /// ends it.
    pub fn add(&mut self, response: &Response) -> &[u8] {
        let length = response.encoded_len();
        let result = 1 + encoded_len_varint(length as u64) + length;
        let begin = self.message.bytes.len();
        self.make_room(2 + encoded_len_varint(result as u64) + result);
        let bytes = &mut self.message.bytes;
        encoding::encode_key(ITEMS, WireType::LengthDelimited, bytes);
        encode_varint(result as u64, bytes);
        encoding::encode_key(RESPONSE, WireType::LengthDelimited, bytes);
        encode_varint(length as u64, bytes);
        response.encode(bytes);
        bytes.get(begin..).unwrap_or_default()
    }

    /// Adds what was added before, for a decision of another name.
    #[inline]
    pub fn again(&mut self, answer: &Answer, ids: &mut DecisionIds) {
        self.make_room(answer.written().len());
        self.message.bytes.extend_from_slice(answer.written());
        ids.next_at_end(&mut self.message.bytes);
    }

    #[inline]
    fn make_room(&mut self, length: usize) {
        let bytes = &self.message.bytes;
        if bytes.capacity() - bytes.len() < length {
            self.grow(length);
        }
        self.missing = self.missing.saturating_sub(1);
    }

    /// Makes room for an answer of that length, and for those that are still to come should they be
    /// as long.
    #[cold]
    fn grow(&mut self, length: usize) {
        let all = length.saturating_mul(self.missing).min(ROOM);
        self.message.bytes.reserve(all.max(length));
    }

    /// Adds why there is no answer to an item.
    pub fn add_error(&mut self, error: pb::Status) {
        let result = BatchIsAuthorizedResult { result: Some(ItemResult::Error(error)) };
        self.missing = self.missing.saturating_sub(1);
        encoding::message::encode(ITEMS, &result, &mut self.message.bytes);
    }

    /// The whole answer.
    ///
    /// # Errors
    /// It is too long.
    pub fn finish(mut self, revision: &Revision) -> Framed {
        let bytes = &mut self.message.bytes;
        encoding::encode_key(REVISION, WireType::LengthDelimited, bytes);
        encode_varint(revision.as_str().len() as u64, bytes);
        bytes.extend_from_slice(revision.as_str().as_bytes());
        self.message.framed()
    }
}
