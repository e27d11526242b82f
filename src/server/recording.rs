//! What the decision log is told of a call and of its decisions.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use tonic::{Request, Status, transport::server::UdsConnectInfo};

use super::{
    decision_id::DecisionId,
    metrics::Rpc,
    tls::EncryptedPeer,
    traced::{self, CallSpan},
};
use crate::{
    decision_log::{Call, Caller, DecisionLog, NotRecorded, Outcome, Receipt, Record},
    engine::{Decision, ListedActions, OnForbidError},
    request::RequestInput,
    store::PolicyStore,
    time::Timestamp,
};

/// The records of one call. Where the log is off it holds nothing and does nothing.
#[derive(Clone)]
pub(super) struct Recording {
    log: DecisionLog,
    call: Option<Arc<Call>>,
}

/// A question that was decided.
pub(super) struct Asked {
    pub input: RequestInput,
    pub now: Timestamp,
    pub on_forbid_error: OnForbidError,
    pub started: Instant,
}

impl Recording {
    /// Begins to record a call.
    pub fn of<T>(log: &DecisionLog, rpc: Rpc, request: &Request<T>) -> Self {
        let call = log.is_on().then(|| Arc::new(call(rpc, request)));
        Self { log: log.clone(), call }
    }

    /// The record of a decision, if there is to be one.
    pub fn decided(
        &self,
        store: &PolicyStore,
        asked: Asked,
        decision: &Decision,
        id: &DecisionId,
        item: Option<usize>,
    ) -> Option<Record> {
        let call = self.call.as_ref().filter(|_| self.log.wants(decision))?;
        let outcome = Outcome::Decision {
            effect: decision.effect,
            determining: decision.determining.clone(),
            errors: decision.errors.clone(),
        };
        Some(record(call, store, asked, outcome, id, item))
    }

    /// The record of a list of actions, if there is to be one.
    pub fn listed(
        &self,
        store: &PolicyStore,
        asked: Asked,
        listed: &ListedActions,
    ) -> Option<Record> {
        let call = self.call.as_ref().filter(|_| self.log.wants_list())?;
        let outcome = Outcome::Actions {
            allowed: listed.allowed.clone(),
            denied: listed.denied,
            undecided: listed.undecided.clone(),
        };
        let id =
            call.request_id.clone().map_or_else(|| DecisionId::new(asked.now), DecisionId::from);
        Some(record(call, store, asked, outcome, &id, None))
    }

    /// Hands a record over.
    ///
    /// # Errors
    /// UNAVAILABLE: it is required and cannot be written.
    pub async fn submit(&self, record: Option<Record>) -> Result<Option<Receipt>, Status> {
        match record {
            None => Ok(None),
            Some(record) => self.log.submit(record).await.map(Some).map_err(not_recorded),
        }
    }
}

/// Waits until a record is on disk, where that is required.
///
/// # Errors
/// UNAVAILABLE: it cannot be written.
pub(super) async fn written(receipt: Option<Receipt>) -> Result<(), Status> {
    match receipt {
        None => Ok(()),
        Some(receipt) => receipt.written().await.map_err(not_recorded),
    }
}

fn not_recorded(error: NotRecorded) -> Status {
    Status::unavailable(format!("{error}, and none may leave without: try again later"))
}

fn record(
    call: &Arc<Call>,
    store: &PolicyStore,
    asked: Asked,
    outcome: Outcome,
    id: &DecisionId,
    item: Option<usize>,
) -> Record {
    let latency: Duration = asked.started.elapsed();
    Record {
        time: SystemTime::now(),
        call: Arc::clone(call),
        decision_id: id.clone().into(),
        item,
        store: store.name().clone(),
        revision: *store.revision(),
        input: asked.input,
        now: asked.now,
        on_forbid_error: asked.on_forbid_error,
        outcome,
        latency,
    }
}

fn call<T>(rpc: Rpc, request: &Request<T>) -> Call {
    let metadata = request.metadata();
    Call {
        rpc: rpc.name(),
        request_id: DecisionId::sent(metadata).map(String::from),
        // Our own span is nearer to the decision than the caller's.
        trace: CallSpan::of(request).context().or_else(|| traced::caller_span(metadata.as_ref())),
        caller: caller(request),
    }
}

fn caller<T>(request: &Request<T>) -> Caller {
    if let Some(peer) = request.extensions().get::<EncryptedPeer>() {
        return Caller { address: peer.address, process: None, identity: peer.identity.clone() };
    }
    let socket = request.extensions().get::<UdsConnectInfo>();
    let credentials = socket.and_then(|socket| socket.peer_cred);
    Caller {
        address: request.remote_addr(),
        process: credentials.map(|credentials| (credentials.pid(), credentials.uid())),
        identity: None,
    }
}
