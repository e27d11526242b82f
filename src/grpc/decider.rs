//! Deciding what a message asks. Nothing here waits, and all of a call is decided on one revision.

use std::{
    sync::Arc,
    time::{Instant, SystemTime},
};

use tonic::codegen::http::{Extensions, HeaderMap};

use super::{
    GrpcOptions,
    call_span::CallSpan,
    convert::{self, ReadInput},
    decision_id::DecisionId,
    metrics::{Metrics, Rpc},
    recording::{DecidedQuestion, Recording},
    verification,
};
use crate::{
    audit::{DecisionLog, Record, RecordDirectory, RecordInput},
    engine::{self, Decision, Explanation},
    model::Timestamp,
    proto,
    reload::InForce,
    request::{self, Request, RequestInput, Violation},
    shadow::{Asked, Given, GivenList, Shadow, ShadowAnswer, ShadowQuestion},
    store::PolicyStore,
};

/// Decides questions and counts the decisions.
pub(crate) struct Decider {
    pub options: Arc<GrpcOptions>,
    pub metrics: Arc<Metrics>,
    pub shadow: Shadow,
}

/// A call whose message has been read.
#[derive(Clone)]
pub(crate) struct CallContext {
    pub rpc: Rpc,
    pub now: Timestamp,
    /// When the message had been read.
    pub started: Instant,
    /// The caller's own id of the request.
    pub sent_id: Option<DecisionId>,
    pub span: CallSpan,
    pub recording: Recording,
}

/// The answer to one question.
pub(crate) struct DecisionAnswer {
    pub decision: Decision,
    /// Set if it was asked for.
    pub explanation: Option<Explanation>,
    pub id: DecisionId,
    /// For the decision log.
    pub record: Option<Record>,
}

impl DecisionAnswer {
    /// Returns the answer that is compared with that of the candidate policies.
    pub fn given(&self, request: &Request) -> Given {
        Given {
            action: AsRef::<str>::as_ref(request.action.eid()).to_owned(),
            answer: ShadowAnswer::from(&self.decision),
            decision_id: self.id.clone().into(),
        }
    }

    /// Returns the answer in protobuf, and the record.
    pub(super) fn into_proto(
        self,
        in_force: &InForce,
        request: &Request,
    ) -> (proto::IsAuthorizedResponse, Option<Record>) {
        let response = convert::is_authorized_response(
            self.decision,
            self.explanation,
            request.facts.held.as_deref(),
            in_force.store.revision(),
            self.id,
        );
        (response, self.record)
    }
}

/// The answer to a call.
pub(super) struct Decided<T> {
    pub response: T,
    pub allowed: usize,
    pub denied: usize,
    /// For the decision log.
    pub records: Vec<Record>,
}

impl Decided<()> {
    /// Adds the response.
    pub fn with<T>(self, response: T) -> Decided<T> {
        let Self { allowed, denied, records, response: () } = self;
        Decided { response, allowed, denied, records }
    }
}

impl CallContext {
    /// Begins a call now.
    pub fn new(rpc: Rpc, headers: &HeaderMap, extensions: &Extensions, log: &DecisionLog) -> Self {
        Self {
            rpc,
            now: now(),
            started: Instant::now(),
            sent_id: DecisionId::sent(headers),
            span: CallSpan::of(extensions),
            recording: Recording::new(log, rpc, headers, extensions),
        }
    }

    /// Returns the id of a decision: the caller's, or a new one.
    pub fn decision_id(&self) -> DecisionId {
        self.sent_id.clone().unwrap_or_else(|| DecisionId::new(self.now))
    }
}

impl Decider {
    /// Decides one question.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub(super) fn is_authorized(
        &self,
        in_force: &InForce,
        sent: proto::IsAuthorizedRequest,
        call: &CallContext,
    ) -> Result<Decided<proto::IsAuthorizedResponse>, Vec<Violation>> {
        let limits = &self.options.limits;
        let explain = sent.explain;
        let read = ReadInput::request(sent, limits);
        let known = in_force.store.known(in_force.held());
        let (request, input) =
            read.check(limits, |input| request::check(known, input, call.now, limits))?;
        let shadowed = self.shadow.wants(&in_force.store, 1).then(|| Box::new(input.clone()));
        let answer =
            self.decide(in_force, &request, explain, call, None, || RecordInput::Request(input));
        if let Some(input) = shadowed {
            let asked = Asked::One(input, answer.given(&request));
            self.compare(in_force, asked, call);
        }
        let allowed = usize::from(answer.decision.is_allow());
        let (mut response, record) = answer.into_proto(in_force, &request);
        response.directory_version = in_force.directory_version();
        let records = record.into_iter().collect();
        Ok(Decided { response, allowed, denied: 1 - allowed, records })
    }

    /// Lists what a principal may do.
    ///
    /// # Errors
    /// Everything that is wrong with the question.
    pub(super) fn list_actions(
        &self,
        in_force: &InForce,
        sent: proto::ListActionsRequest,
        call: &CallContext,
    ) -> Result<Decided<proto::ListActionsResponse>, Vec<Violation>> {
        let (options, metrics) = (&self.options, &self.metrics);
        let store = &in_force.store;
        let limits = &options.limits;
        let mut given = self.shadow.compares(store).then(Vec::new);
        let decide = |request: &Request| {
            let decision = self.judge(store, request, call.rpc);
            if let Some(given) = &mut given {
                given.push((request.action.clone(), ShadowAnswer::from(&decision)));
            }
            decision
        };
        let held = in_force.held();
        let list = |input: &_| {
            engine::list_actions_by(store.engine(), held, input, call.now, limits, decide)
        };
        let (listed, input) = ReadInput::list(sent, limits).check(limits, list)?;
        metrics.listed(store.name(), call.rpc, listed.allowed.len(), listed.denied);
        let id = call.decision_id();
        if let Some(actions) = given.filter(|given| self.shadow.wants(store, given.len())) {
            let given = GivenList { actions, decision_id: id.clone().into() };
            self.compare(in_force, Asked::Actions(Box::new(input.clone()), given), call);
        }
        let record = call.recording.listed(store, &listed, || DecidedQuestion {
            id,
            ..self.question_of_list(in_force, input, call)
        });
        Ok(Decided {
            allowed: listed.allowed.len(),
            denied: listed.denied,
            response: proto::ListActionsResponse {
                actions: listed.allowed.iter().map(convert::uid).collect(),
                undecided: listed.undecided.into_iter().map(convert::undecided).collect(),
                revision: store.revision().to_string(),
                directory_version: in_force.directory_version(),
            },
            records: record.into_iter().collect(),
        })
    }

    /// Decides a checked request, and verifies the decision where it is one of the sample.
    pub fn judge(&self, store: &PolicyStore, request: &Request, rpc: Rpc) -> Decision {
        let options = &self.options;
        let decision = engine::decide(store.engine(), request, options.on_forbid_error);
        if options.verify_sample.takes() {
            return verification::verify(store, request, rpc, options, &self.metrics, decision);
        }
        decision
    }

    /// Has the candidate policies decide what was answered, later.
    pub(crate) fn compare(&self, in_force: &InForce, asked: Asked, call: &CallContext) {
        let store = in_force.store.name().clone();
        let revision = *in_force.store.revision();
        let held = in_force.held().cloned();
        self.shadow.compare(ShadowQuestion { store, revision, now: call.now, held, asked });
    }

    /// Returns what the decision log records of a list besides its results.
    pub(crate) fn question_of_list(
        &self,
        in_force: &InForce,
        input: RequestInput,
        call: &CallContext,
    ) -> DecidedQuestion {
        DecidedQuestion {
            input: RecordInput::Request(input),
            now: call.now,
            on_forbid_error: self.options.on_forbid_error,
            started: call.started,
            id: call.decision_id(),
            item: None,
            directory: in_force.directory.as_ref().map(|directory| RecordDirectory {
                version: directory.version_text.clone(),
                question: None,
            }),
        }
    }

    /// Decides a checked request, explains the decision where `explain` is set, and makes its record
    /// where there is to be one.
    pub(crate) fn decide(
        &self,
        in_force: &InForce,
        request: &Request,
        explain: bool,
        call: &CallContext,
        item: Option<usize>,
        input: impl FnOnce() -> RecordInput,
    ) -> DecisionAnswer {
        let options = &self.options;
        let store = &in_force.store;
        let on_forbid_error = options.on_forbid_error;
        let started = if item.is_some() { Instant::now() } else { call.started };
        let decision = self.judge(store, request, call.rpc);
        self.metrics.decided(store.name(), call.rpc, &decision);
        let explanation = explain.then(|| store.explain(request, &decision, on_forbid_error));
        let id = call.decision_id();
        let record = call.recording.decided(store, &decision, || DecidedQuestion {
            input: input(),
            now: request.now,
            on_forbid_error,
            started,
            id: id.clone(),
            item,
            directory: in_force.directory.as_ref().map(|directory| RecordDirectory {
                version: directory.version_text.clone(),
                question: Some((Arc::clone(store), request.clone())),
            }),
        });
        DecisionAnswer { decision, explanation, id, record }
    }
}

fn now() -> Timestamp {
    let millis = |duration: std::time::Duration| i64::try_from(duration.as_millis());
    let now = match SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => millis(since),
        Err(before) => millis(before.duration()).map(|millis| -millis),
    };
    Timestamp::from_millis(now.unwrap_or(i64::MAX))
}
