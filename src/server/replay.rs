//! Answers the bytes of a message as if they had come in with a call, without a network. Fuzzing
//! begins here, and what it found is replayed here.

use bytes::BytesMut;
use prost::Message;
use tonic::codegen::Bytes;

use super::{
    ServerOptions, authorization,
    batch::{self, Answers, Classes, Item, Sent, Shared},
    convert::{self, Question},
    decision_id::DecisionId,
    message, wire,
};
use crate::{
    engine,
    model::Timestamp,
    proto::{self, batch_is_authorized_result::Result as ItemResult},
    store::PolicyStore,
};

/// What answers.
#[derive(Debug)]
pub struct Replay {
    store: PolicyStore,
    options: ServerOptions,
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answered {
    /// It is no message, or too large a one.
    Unreadable,
    /// It does not fit the schema or the limits.
    Refused,
    /// It was decided.
    Decided,
}

impl Replay {
    /// Answers with that store.
    #[must_use]
    pub fn new(store: PolicyStore) -> Self {
        Self { store, options: ServerOptions::default() }
    }

    /// Answers the message as each of the calls that it may be, the first byte saying which.
    #[must_use]
    pub fn answer(&self, bytes: &[u8], now: Timestamp) -> Answered {
        match bytes.split_first() {
            Some((0, message)) => self.is_authorized(message, now),
            Some((1, message)) => self.batch(message, now),
            Some((2, message)) => self.list(message, now),
            _ => Answered::Unreadable,
        }
    }

    fn is_authorized(&self, message: &[u8], now: Timestamp) -> Answered {
        let Some(question) = self.read(message) else { return Answered::Unreadable };
        self.decide(question, now).map_or(Answered::Refused, |answer| {
            let mut written = BytesMut::new();
            answer.encode(&mut written);
            debug_assert_eq!(written.len(), answer.encoded_len());
            debug_assert_eq!(
                proto::IsAuthorizedResponse::decode(written.freeze()).ok(),
                Some(answer.into_message())
            );
            Answered::Decided
        })
    }

    fn decide(
        &self,
        question: proto::IsAuthorizedRequest,
        now: Timestamp,
    ) -> Option<convert::Response> {
        let ServerOptions { limits, on_forbid_error, .. } = &self.options;
        let explain = question.explain;
        let checked = Question::of_request(question, limits).check(&self.store, now, limits);
        let (request, _) = checked.ok()?;
        let decision = engine::decide(&self.store, &request, *on_forbid_error);
        let explained = || engine::explain(&self.store, &request, &decision, *on_forbid_error);
        let explanation = explain.then(explained);
        Some(convert::Response::new(decision, explanation, DecisionId::new(now)))
    }

    fn read<T: Message + Default>(&self, message: &[u8]) -> Option<T> {
        let is_too_much = wire::has_more_parts(message, self.options.message_parts);
        let message = Bytes::copy_from_slice(message);
        (!is_too_much).then(|| message::decode(message).ok()).flatten()
    }

    fn batch(&self, message: &[u8], now: Timestamp) -> Answered {
        if wire::has_more_parts(message, self.options.message_parts) {
            return Answered::Unreadable;
        }
        let Ok(batch) = Sent::read(message) else { return Answered::Unreadable };
        let shared = Shared::new(batch.shared, &self.store);
        let facts = shared.facts(&self.options.limits);
        let mut classes = Classes::new(&self.store, &facts, &self.options.limits);
        for item in batch.items.into_iter().take(self.options.batch_items) {
            let Ok(item) = Item::read(item, &mut "") else { return Answered::Unreadable };
            let parties = item.parties();
            let answer = self.decide(shared.question(item.into_message()), now);
            let Some(class) = parties.as_ref().and_then(|parties| classes.of(parties)) else {
                continue;
            };
            let known = class.answer().map(|known| known.written().to_owned());
            let is_new = known.is_none();
            // No question of a class is refused of which another is answered.
            debug_assert!(known.is_none() || answer.is_some());
            let Some(answer) = answer else { continue };
            let mut answers = Answers::new(1);
            let written = answers.add(&answer);
            let decision = |written: &[u8]| {
                let sent = proto::BatchIsAuthorizedResponse::decode(written).ok()?;
                match sent.items.into_iter().next()?.result? {
                    ItemResult::Response(response) => {
                        Some(proto::IsAuthorizedResponse { decision_id: String::new(), ..response })
                    }
                    ItemResult::Error(_) => None,
                }
            };
            debug_assert!(known.is_none_or(|known| decision(&known) == decision(written)));
            if is_new
                && let Some(class) = parties.as_ref().and_then(|parties| classes.of(parties))
                && let Some(answer) = batch::Answer::of_all_like(answer, written)
            {
                class.keep(answer);
            }
        }
        Answered::Decided
    }

    fn list(&self, message: &[u8], now: Timestamp) -> Answered {
        let Some(question) = self.read(message) else { return Answered::Unreadable };
        let decide =
            |request: &_| engine::decide(&self.store, request, self.options.on_forbid_error);
        match authorization::list(&self.store, question, now, &self.options, decide) {
            Ok(_) => Answered::Decided,
            Err(_) => Answered::Refused,
        }
    }
}
