//! The gRPC service: each handler finds the store, has the question decided and writes the answer.

use std::{
    sync::Arc,
    time::{Instant, SystemTime},
};

use prost::Message;
use tonic::{Request, Status, codegen::Bytes};

use super::{
    ServerOptions,
    calls::Framed,
    convert::{self, Question, Response},
    decision_id::DecisionId,
    errors::{bad_request, no_store},
    message::{self, framed},
    metrics::{Metrics, Rpc},
    recording::{self, Asked, Recording},
    traced::CallSpan,
    verification, wire,
    work::{FACTS_OF_SHORT, Workshop},
};
use crate::{
    audit::{DecisionLog, Record},
    engine::{self, Decision},
    model::Timestamp,
    proto,
    reload::Live,
    request::{self, FieldPath, RequestInput, Violation},
    store::PolicyStore,
};

/// The policy decision point.
pub(super) struct Authorization {
    pub live: Arc<Live>,
    pub options: Arc<ServerOptions>,
    pub metrics: Arc<Metrics>,
    pub decision_log: DecisionLog,
    pub workshop: Workshop,
}

/// The answer to one question, with its record where there is to be one.
pub(super) type Answer = Result<(Response, Option<Record>), Vec<Violation>>;

/// One question on its way.
pub(super) struct Asking {
    pub question: proto::IsAuthorizedRequest,
    pub now: Timestamp,
    pub id: DecisionId,
    pub rpc: Rpc,
    pub item: Option<usize>,
    pub recording: Recording,
    /// What a question that must have the same answer was answered: to be verified.
    pub known: Option<Decision>,
}

impl Authorization {
    /// The message that those bytes are.
    fn read<T: Message + Default>(&self, bytes: Bytes) -> Result<T, Status> {
        self.parts_fit(&bytes)?;
        message::decode(bytes)
    }

    /// Whether a message has no more parts than it may.
    pub(super) fn parts_fit(&self, bytes: &[u8]) -> Result<(), Status> {
        let limit = self.options.message_parts;
        if wire::has_more_parts(bytes, limit) {
            self.metrics.limit_hit("message_parts");
            return Err(Status::invalid_argument(format!(
                "the request has more than {limit} parts: send less of them"
            )));
        }
        Ok(())
    }

    /// The store as it is at this moment. A call asks once, so all of it is decided by one revision.
    pub(super) fn store(&self, name: &str) -> Result<Arc<PolicyStore>, Status> {
        self.live.stores().get(name).map(Arc::clone).map_err(no_store)
    }

    /// Answers by the store as it is at this moment.
    fn answer_short(
        &self,
        asking: Asking,
        span: &CallSpan,
        started: Instant,
    ) -> Result<Answer, Status> {
        let stores = self.live.stores();
        let store = stores.get(&asking.question.policy_store).map_err(no_store)?;
        span.store(store);
        let rpc = asking.rpc;
        let answer = answer(store, asking, &self.options, &self.metrics);
        self.metrics.took(store.name(), rpc, started.elapsed());
        Ok(answer)
    }

    pub(super) async fn answer(
        &self,
        store: &Arc<PolicyStore>,
        asking: Asking,
    ) -> Result<Answer, Status> {
        if asking.is_short() {
            return Ok(answer(store, asking, &self.options, &self.metrics));
        }
        let store = Arc::clone(store);
        let (options, metrics) = (Arc::clone(&self.options), Arc::clone(&self.metrics));
        let answer = move || answer(&store, asking, &options, &metrics);
        self.workshop.run(answer).await
    }
}

impl Asking {
    /// Whether the decision is over in no time.
    fn is_short(&self) -> bool {
        let question = &self.question;
        let facts = question.entities.len() + question.role_assignments.len();
        !question.explain && facts <= FACTS_OF_SHORT
    }
}

/// Decides one question. From here to the answer nothing waits.
fn answer(
    store: &PolicyStore,
    asking: Asking,
    options: &ServerOptions,
    metrics: &Metrics,
) -> Answer {
    let started = Instant::now();
    let Asking { question, now, id, rpc, item, recording, known } = asking;
    let explain = question.explain;
    let (request, input) =
        Question::of_request(question, &options.limits).check(store, now, &options.limits)?;
    let decision = match known {
        None => verification::decide(store, &request, rpc, options, metrics),
        Some(known) => verification::verified(store, &request, rpc, options, metrics, known),
    };
    metrics.decided(store.name(), rpc, &decision);
    let explanation =
        explain.then(|| engine::explain(store, &request, &decision, options.on_forbid_error));
    let asked =
        Asked { input, now: request.now, on_forbid_error: options.on_forbid_error, started };
    let record = recording.decided(store, asked, &decision, &id, item);
    Ok((Response::new(decision, explanation, id), record))
}

/// The methods. Each reads its message, decides, and writes the answer's message; `started` is when
/// the message was there.
impl Authorization {
    /// Answers one question.
    ///
    /// # Errors
    /// Why there is no answer.
    pub async fn is_authorized(&self, request: Request<Bytes>, started: Instant) -> Framed {
        let now = now();
        let span = CallSpan::of(&request);
        let id = DecisionId::sent(request.metadata()).unwrap_or_else(|| DecisionId::new(now));
        let rpc = Rpc::IsAuthorized;
        let recording = Recording::of(&self.decision_log, rpc, &request);
        let question: proto::IsAuthorizedRequest = self.read(request.into_inner())?;
        let asking = Asking {
            question,
            now,
            id,
            rpc,
            item: None,
            recording: recording.clone(),
            known: None,
        };
        // Nearly all are short, and such a call neither waits nor keeps the store.
        let answer = if asking.is_short() {
            self.answer_short(asking, &span, started)?
        } else {
            let store = self.store(&asking.question.policy_store)?;
            span.store(&store);
            let answer = Box::pin(self.answer(&store, asking)).await?;
            self.metrics.took(store.name(), rpc, started.elapsed());
            answer
        };
        match answer {
            Ok((response, record)) => {
                span.decision(response.is_allow());
                if record.is_some() {
                    let submitted = Box::pin(recording.submit(record)).await?;
                    Box::pin(recording::written(submitted)).await?;
                }
                framed(response.encoded_len(), |bytes| response.encode(bytes))
            }
            Err(violations) => Err(self.refused(violations)),
        }
    }

    /// Lists what a principal may do.
    ///
    /// # Errors
    /// Why there is no answer.
    pub async fn list_actions(&self, request: Request<Bytes>, started: Instant) -> Framed {
        let span = CallSpan::of(&request);
        let recording = Recording::of(&self.decision_log, Rpc::ListActions, &request);
        let question: proto::ListActionsRequest = self.read(request.into_inner())?;
        let store = self.store(&question.policy_store)?;
        span.store(&store);
        let (deciding, options) = (Arc::clone(&store), Arc::clone(&self.options));
        let (now, metrics) = (now(), Arc::clone(&self.metrics));
        let list = move || {
            let decide = |request: &_| {
                verification::decide(&deciding, request, Rpc::ListActions, &options, &metrics)
            };
            list(&deciding, question, now, &options, decide)
        };
        let listed = self.workshop.run(list).await?;
        self.metrics.took(store.name(), Rpc::ListActions, started.elapsed());
        let (listed, input) = listed.map_err(|violations| self.refused(violations))?;
        span.decisions(listed.allowed.len(), listed.denied);
        let on_forbid_error = self.options.on_forbid_error;
        let asked = Asked { input, now, on_forbid_error, started };
        let record = recording.listed(&store, asked, &listed);
        recording::written(recording.submit(record).await?).await?;
        self.metrics.listed(store.name(), &listed);
        encoded(&proto::ListActionsResponse {
            actions: listed.allowed.iter().map(convert::uid).collect(),
            undecided: listed.undecided.into_iter().map(convert::undecided).collect(),
            revision: store.revision().to_string(),
        })
    }
}

impl Authorization {
    pub(super) fn items_fit(&self, count: usize) -> Result<(), Status> {
        let limit = self.options.batch_items;
        if count <= limit {
            return Ok(());
        }
        let description =
            format!("{count} elements, more than the limit of {limit}: send several batches");
        let violation = FieldPath::Field("items").violation(description).of_limit("batch_items");
        Err(self.refused(vec![violation]))
    }

    fn refused(&self, violations: Vec<Violation>) -> Status {
        self.metrics.refused(&violations);
        bad_request(violations)
    }
}

fn encoded(message: &impl Message) -> Framed {
    framed(message.encoded_len(), |bytes| message.encode_raw(bytes))
}

pub(super) fn list(
    store: &PolicyStore,
    question: proto::ListActionsRequest,
    now: Timestamp,
    options: &ServerOptions,
    decide: impl FnMut(&request::Request) -> engine::Decision,
) -> Result<(engine::ListedActions, RequestInput), Vec<Violation>> {
    let question = Question::of_list(question, &options.limits);
    let listed = engine::list_actions_by(store, &question.input, now, &options.limits, decide);
    question.with_violations_of(listed, &options.limits)
}

pub(super) fn now() -> Timestamp {
    let millis = |duration: std::time::Duration| i64::try_from(duration.as_millis());
    let now = match SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => millis(since),
        Err(before) => millis(before.duration()).map(|millis| -millis),
    };
    Timestamp::from_millis(now.unwrap_or(i64::MAX))
}
