//! A record, before it is written as JSON.

use std::{
    borrow::Cow,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use cedar_policy_core::ast::EntityUID;
use opentelemetry::trace::SpanContext;

use crate::{
    engine::{EvaluationFailure, PolicyNote, UndecidedAction, UndecidedEntity},
    model::{Effect, OnForbidError, Revision, StoreName, Timestamp},
    request::{BatchItemInput, Request, RequestInput, Side},
    store::PolicyStore,
};

/// A decision, with everything that is needed to make it again.
#[derive(Debug)]
pub struct Record {
    /// The time of the decision.
    pub time: SystemTime,
    /// The call that asked for it.
    pub call: Arc<RecordedCall>,
    /// The id of the decision, as in the answer.
    pub decision_id: String,
    /// The number of the item in its batch, from 0.
    pub item: Option<usize>,
    /// The store that decided.
    pub store: StoreName,
    /// The revision of the store that decided.
    pub revision: Revision,
    /// The question as it was sent.
    pub input: RecordInput,
    /// The directory that decided, where the store has one.
    pub directory: Option<RecordDirectory>,
    /// The time that the policies saw.
    pub now: Timestamp,
    /// The effect of a forbid whose evaluation fails.
    pub on_forbid_error: OnForbidError,
    /// The answer.
    pub outcome: RecordedOutcome,
    /// The time from the question that was read to the answer.
    pub latency: Duration,
}

/// The directory that decided.
#[derive(Debug)]
pub struct RecordDirectory {
    /// Its version.
    pub version: String,
    /// The store and the checked question, from which is told what the directory held of it; nothing
    /// for a list.
    pub question: Option<(Arc<PolicyStore>, Request)>,
}

/// The question of a record.
#[derive(Debug)]
pub enum RecordInput {
    /// A question by itself.
    Request(RequestInput),
    /// An item of a batch. What the items share is held once, and put into each record when that is
    /// written.
    Item {
        /// The facts and defaults that the items share.
        shared: Arc<RequestInput>,
        /// The item's own part.
        item: BatchItemInput,
        /// The number of items that share it.
        items: usize,
    },
}

impl RecordInput {
    /// Returns one of `items` items that share something.
    #[must_use]
    pub fn item(shared: &Arc<RequestInput>, item: BatchItemInput, items: usize) -> Self {
        Self::Item { shared: Arc::clone(shared), item, items }
    }

    /// Returns the question as one by itself.
    #[must_use]
    pub fn complete(&self) -> Cow<'_, RequestInput> {
        match self {
            Self::Request(request) => Cow::Borrowed(request),
            Self::Item { shared, item, .. } => Cow::Owned(item.complete(shared)),
        }
    }
}

/// An answer.
#[derive(Debug)]
pub enum RecordedOutcome {
    /// The answer to one question.
    Decision {
        /// Allow or deny.
        effect: Effect,
        /// The policies that made it.
        determining: Vec<PolicyNote>,
        /// The policies whose evaluation failed.
        errors: Vec<EvaluationFailure>,
    },
    /// A list of actions.
    Actions {
        /// The allowed actions.
        allowed: Vec<EntityUID>,
        /// The number of denied actions.
        denied: usize,
        /// Actions that could not be decided, and so are not allowed.
        undecided: Vec<UndecidedAction>,
    },
    /// A page of a list of entities.
    Entities {
        /// The side of the question that the list leaves open.
        side: Side,
        /// The type of the entities as it was sent.
        entity_type: String,
        /// The allowed entities.
        allowed: Vec<EntityUID>,
        /// The number of entities that were decided and denied.
        denied: usize,
        /// Entities that could not be decided, and so are not allowed.
        conditional: Vec<UndecidedEntity>,
        /// True where no page follows.
        is_last: bool,
    },
}

/// A call, which may have asked for many decisions.
#[derive(Debug, Default)]
pub struct RecordedCall {
    /// The method, e.g. `IsAuthorized`.
    pub rpc: &'static str,
    /// The caller's id of the request, from `x-request-id`.
    pub request_id: Option<String>,
    /// The span of the call, else that of the caller.
    pub trace: Option<SpanContext>,
    /// The caller.
    pub caller: Caller,
}

/// A caller, as far as the connection shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Caller {
    /// The other end of a TCP connection.
    pub address: Option<SocketAddr>,
    /// The other end of a Unix socket: process id and user id.
    pub process: Option<(Option<i32>, u32)>,
    /// The name that a client's certificate proves.
    pub identity: Option<Arc<str>>,
}
