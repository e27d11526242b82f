//! Answers the bytes of a message as if they had come in with a call, without a network. Fuzzing
//! begins here, and what it found is replayed here.

use std::sync::Arc;

use prost::Message;

use super::{
    ServerOptions,
    admission::Gate,
    authorization::{self, answer},
    batch,
    connections::Connections,
    decision_id::DecisionId,
    metrics::{Metrics, Rpc},
    wire,
};
use crate::{live::Live, proto, store::PolicyStore, time::Timestamp};

/// What answers.
#[derive(Debug)]
pub struct Replay {
    store: PolicyStore,
    options: ServerOptions,
    metrics: Metrics,
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
        let options = ServerOptions::default();
        let gate = Arc::new(Gate::new(&options));
        let none = Connections::new(0, options.connections.patience);
        let metrics = Metrics::new(&Arc::new(Live::default()), &gate, [&none, &none]);
        Self { store, options, metrics }
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
        let Some(question) = read(message) else { return Answered::Unreadable };
        self.decide(question, now)
    }

    fn decide(&self, question: proto::IsAuthorizedRequest, now: Timestamp) -> Answered {
        let (options, metrics) = (&self.options, &self.metrics);
        let id = DecisionId::new();
        let answer = answer(&self.store, question, now, id, Rpc::IsAuthorized, options, metrics);
        match answer {
            Ok(answer) if answer.decision() == proto::Decision::Unspecified => Answered::Unreadable,
            Ok(_) => Answered::Decided,
            Err(_) => Answered::Refused,
        }
    }

    fn batch(&self, message: &[u8], now: Timestamp) -> Answered {
        let Some(mut batch) = read::<proto::BatchIsAuthorizedRequest>(message) else {
            return Answered::Unreadable;
        };
        let items = std::mem::take(&mut batch.items);
        let shared = batch::Shared::new(batch, &self.store);
        let answers = items
            .into_iter()
            .take(self.options.batch_items)
            .map(|item| self.decide(shared.question(item), now));
        answers.last().unwrap_or(Answered::Decided)
    }

    fn list(&self, message: &[u8], now: Timestamp) -> Answered {
        let Some(question) = read(message) else { return Answered::Unreadable };
        match authorization::list(&self.store, question, now, &self.options) {
            Ok(_) => Answered::Decided,
            Err(_) => Answered::Refused,
        }
    }
}

fn read<T: Message + Default>(message: &[u8]) -> Option<T> {
    if wire::has_too_many_parts(message) {
        return None;
    }
    T::decode(message).ok()
}
