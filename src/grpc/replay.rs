//! Answering the bytes of a message as if they had come in with a call, without a network. Fuzzing
//! begins here, and what it found is replayed here.

use std::{sync::Arc, time::Instant};

use prost::Message;

use super::{
    GrpcOptions,
    call_span::CallSpan,
    decider::{CallContext, Decided, Decider},
    message_parts::has_more_parts,
    metrics::{Metrics, Rpc},
    recording::Recording,
};
use crate::{
    audit::DecisionLog,
    model::Timestamp,
    net::ConcurrencyLimit,
    proto::codec::decode_request,
    reload::{InForce, Live},
    request::Violation,
    shadow::Shadow,
    store::PolicyStore,
    telemetry::MetricsProvider,
};

/// Answers messages with one store.
pub struct Replay {
    in_force: InForce,
    decider: Decider,
}

/// The outcome of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplayOutcome {
    /// The bytes do not decode, or have too many parts.
    Unreadable,
    /// The message does not fit the schema or the limits.
    Refused,
    /// The message was decided.
    Decided,
}

impl Replay {
    /// Answers with that store.
    #[must_use]
    pub fn new(store: PolicyStore) -> Self {
        let limit = Arc::new(ConcurrencyLimit::new("concurrent_requests", 1, 0));
        let (provider, live) = (MetricsProvider::default(), Arc::new(Live::default()));
        let metrics = Metrics::new(&provider, &live, [&limit, &limit], &DecisionLog::off());
        let options = Arc::new(GrpcOptions::default());
        let (metrics, shadow) = (Arc::new(metrics), Shadow::off());
        let in_force = InForce { store: Arc::new(store), directory: None };
        Self { in_force, decider: Decider { options, metrics, shadow } }
    }

    /// Answers the message as each of the calls that it may be, the first byte saying which.
    #[must_use]
    pub fn answer(&self, bytes: &[u8], now: Timestamp) -> ReplayOutcome {
        let (in_force, decider) = (&self.in_force, &self.decider);
        let call = |rpc| CallContext {
            rpc,
            now,
            started: Instant::now(),
            sent_id: None,
            span: CallSpan::none(),
            recording: Recording::off(),
        };
        match bytes.split_first() {
            Some((0, message)) => self.answer_as(Rpc::IsAuthorized, message, |rpc, sent| {
                decider.is_authorized(in_force, sent, &call(rpc))
            }),
            Some((1, message)) => self.answer_as(Rpc::BatchIsAuthorized, message, |rpc, sent| {
                decider.batch_is_authorized(in_force, sent, &call(rpc))
            }),
            Some((2, message)) => self.answer_as(Rpc::ListActions, message, |rpc, sent| {
                decider.list_actions(in_force, sent, &call(rpc))
            }),
            Some((3, message)) => self.answer_as(Rpc::ListResources, message, |rpc, sent| {
                decider.list_resources(in_force, sent, &call(rpc))
            }),
            Some((4, message)) => self.answer_as(Rpc::ListPrincipals, message, |rpc, sent| {
                decider.list_principals(in_force, sent, &call(rpc))
            }),
            _ => ReplayOutcome::Unreadable,
        }
    }

    fn answer_as<S: Message + Default, R: Message>(
        &self,
        rpc: Rpc,
        message: &[u8],
        decide: impl FnOnce(Rpc, S) -> Result<Decided<R>, Vec<Violation>>,
    ) -> ReplayOutcome {
        if has_more_parts(rpc.name(), message, self.decider.options.message_parts) {
            return ReplayOutcome::Unreadable;
        }
        let Ok(sent) = decode_request(message) else { return ReplayOutcome::Unreadable };
        match decide(rpc, sent) {
            Ok(decided) => {
                let _ = decided.response.encode_to_vec();
                ReplayOutcome::Decided
            }
            Err(_) => ReplayOutcome::Refused,
        }
    }
}
