//! The records of a call for the decision log.

use std::{
    sync::Arc,
    time::{Instant, SystemTime},
};

use tonic::{
    Status,
    codegen::http::{Extensions, HeaderMap},
};

use super::{
    call_span::{self, CallSpan},
    decision_id::DecisionId,
    metrics::Rpc,
};
use crate::{
    audit::{
        Caller, DecisionLog, NotRecorded, Record, RecordDirectory, RecordInput, RecordedCall,
        RecordedOutcome,
    },
    engine::{Decision, ListedActions, ListedEntities},
    model::{OnForbidError, Timestamp},
    net::Peer,
    request::ListInput,
    store::PolicyStore,
};

/// Makes the records of one call. It does nothing where the decision log is off.
#[derive(Debug, Clone)]
pub(crate) struct Recording {
    log: DecisionLog,
    call: Option<Arc<RecordedCall>>,
}

/// A question that was decided.
pub(crate) struct DecidedQuestion {
    pub input: RecordInput,
    pub now: Timestamp,
    pub on_forbid_error: OnForbidError,
    pub started: Instant,
    pub id: DecisionId,
    /// The number of an item of a batch.
    pub item: Option<usize>,
    /// The directory that decided.
    pub directory: Option<RecordDirectory>,
}

impl Recording {
    /// Begins to record a call.
    pub fn new(log: &DecisionLog, rpc: Rpc, headers: &HeaderMap, extensions: &Extensions) -> Self {
        let call = log.is_on().then(|| Arc::new(call(rpc, headers, extensions)));
        Self { log: log.clone(), call }
    }

    /// Records nothing.
    pub fn off() -> Self {
        Self { log: DecisionLog::off(), call: None }
    }

    /// Returns the record of a decision, if there is to be one.
    pub fn decided(
        &self,
        store: &PolicyStore,
        decision: &Decision,
        question: impl FnOnce() -> DecidedQuestion,
    ) -> Option<Record> {
        let call = self.call.as_ref().filter(|_| self.log.wants(decision))?;
        let outcome = RecordedOutcome::Decision {
            effect: decision.effect,
            determining: decision.determining.clone(),
            errors: decision.errors.clone(),
        };
        Some(record(call, store, question(), outcome))
    }

    /// Returns the record of a list of actions, if there is to be one.
    pub fn listed(
        &self,
        store: &PolicyStore,
        listed: &ListedActions,
        question: impl FnOnce() -> DecidedQuestion,
    ) -> Option<Record> {
        let call = self.call.as_ref().filter(|_| self.log.wants_list())?;
        let outcome = RecordedOutcome::Actions {
            allowed: listed.allowed.clone(),
            denied: listed.denied,
            undecided: listed.undecided.clone(),
        };
        Some(record(call, store, question(), outcome))
    }

    /// Returns the record of a page of entities, if there is to be one.
    pub fn listed_entities(
        &self,
        store: &PolicyStore,
        input: &ListInput,
        listed: &ListedEntities,
        question: impl FnOnce() -> DecidedQuestion,
    ) -> Option<Record> {
        let call = self.call.as_ref().filter(|_| self.log.wants_list())?;
        let outcome = RecordedOutcome::Entities {
            side: input.open,
            entity_type: input.entity_type.clone(),
            allowed: listed.allowed.clone(),
            denied: listed.denied,
            conditional: listed.conditional.clone(),
            is_last: listed.next.is_none(),
        };
        Some(record(call, store, question(), outcome))
    }

    /// Hands records to the log, and waits until they are on disk where that is required.
    ///
    /// # Errors
    /// UNAVAILABLE: a record is required and cannot be written.
    pub async fn submit(&self, records: Vec<Record>) -> Result<(), Status> {
        let mut receipts = Vec::with_capacity(records.len());
        for record in records {
            receipts.push(self.log.submit(record).await.map_err(not_recorded)?);
        }
        for receipt in receipts {
            receipt.written().await.map_err(not_recorded)?;
        }
        Ok(())
    }
}

fn not_recorded(error: NotRecorded) -> Status {
    Status::unavailable(format!(
        "{error}, and no answer is sent without its record: try again later"
    ))
}

fn record(
    call: &Arc<RecordedCall>,
    store: &PolicyStore,
    question: DecidedQuestion,
    outcome: RecordedOutcome,
) -> Record {
    Record {
        time: SystemTime::now(),
        call: Arc::clone(call),
        decision_id: question.id.into(),
        item: question.item,
        store: store.name().clone(),
        revision: *store.revision(),
        input: question.input,
        directory: question.directory,
        now: question.now,
        on_forbid_error: question.on_forbid_error,
        outcome,
        latency: question.started.elapsed(),
    }
}

fn call(rpc: Rpc, headers: &HeaderMap, extensions: &Extensions) -> RecordedCall {
    let peer = extensions.get::<Arc<Peer>>();
    RecordedCall {
        rpc: rpc.name(),
        request_id: DecisionId::sent(headers).map(String::from),
        // Our own span is nearer to the decision than the caller's.
        trace: CallSpan::of(extensions).context().or_else(|| call_span::caller_span(headers)),
        caller: peer.map(|peer| caller(peer)).unwrap_or_default(),
    }
}

fn caller(peer: &Peer) -> Caller {
    Caller { address: peer.address, process: peer.process, identity: peer.identity.clone() }
}
