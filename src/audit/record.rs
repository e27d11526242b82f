//! What a record holds, before it is JSON.

use std::{
    borrow::Cow,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use cedar_policy_core::ast::EntityUID;

use super::TraceContext;
use crate::{
    engine::{EvaluationFailure, PolicyNote, UndecidedAction},
    model::{Effect, OnForbidError, Revision, StoreName, Timestamp},
    request::{BatchItemInput, RequestInput},
};

/// Says what a line is, and in which version: the value of its field `record`.
pub const RECORD_KIND: &str = "humbaba.decision.v1";

/// One decision, with everything that is needed to make it again.
#[derive(Debug)]
pub struct Record {
    /// When it was made.
    pub time: SystemTime,
    /// The call that asked for it.
    pub call: Arc<Call>,
    /// The name of the decision, which the answer carries too.
    pub decision_id: String,
    /// Which item of a batch it was, from 0.
    pub item: Option<usize>,
    /// The store that decided.
    pub store: StoreName,
    /// Which policies and entities decided.
    pub revision: Revision,
    /// The question as it was sent.
    pub input: RecordInput,
    /// The time as which the decision was made.
    pub now: Timestamp,
    /// What a forbid whose evaluation failed did.
    pub on_forbid_error: OnForbidError,
    /// The answer.
    pub outcome: Outcome,
    /// From the question that was read to the answer.
    pub latency: Duration,
}

/// The question of a record.
#[derive(Debug)]
pub enum RecordInput {
    /// A question by itself.
    Request(RequestInput),
    /// An item of a batch. What the items share is held once, and put into each record when that is
    /// written.
    Item {
        /// What the items share.
        shared: Arc<RequestInput>,
        /// What the item sends itself.
        item: BatchItemInput,
        /// How many items share it.
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
pub enum Outcome {
    /// To one question.
    Decision {
        /// The answer.
        effect: Effect,
        /// The policies that made it.
        determining: Vec<PolicyNote>,
        /// The policies whose evaluation failed.
        errors: Vec<EvaluationFailure>,
    },
    /// To the question which actions are allowed.
    Actions {
        /// Allowed.
        allowed: Vec<EntityUID>,
        /// How many are denied.
        denied: usize,
        /// Not decided, and so not allowed.
        undecided: Vec<UndecidedAction>,
    },
}

/// A call, which may have asked for many decisions.
#[derive(Debug, Default)]
pub struct Call {
    /// The method, e.g. `IsAuthorized`.
    pub rpc: &'static str,
    /// The caller's own name for the request.
    pub request_id: Option<String>,
    /// The trace that it belongs to.
    pub trace: Option<TraceContext>,
    /// Who called.
    pub caller: Caller,
}

/// Who called, as far as the connection tells.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Caller {
    /// The other end of a TCP connection.
    pub address: Option<SocketAddr>,
    /// The other end of a Unix socket: process id and user id.
    pub process: Option<(Option<i32>, u32)>,
    /// The name that a client's certificate proves.
    pub identity: Option<Arc<str>>,
}
