//! `/access/v1/evaluation`: one question.

use serde_json::{Value as Json, json};

use super::{
    answer::{AuthzenAnswer, AuthzenCall, EvaluatedQuestion, Evaluation},
    error::AuthzenError,
    form::{AuthzenQuestion, Object, Parts, mistyped, object},
    input::{CheckedQuestion, ReadQuestion},
};
use crate::{
    audit::RecordInput, engine::PolicyNote, grpc::DecisionAnswer, request::Violation, shadow::Asked,
};

/// The status of a question that has the right form and does not fit the store's schema.
const SCHEMA_FAULT: u16 = 422;

/// Answers a request.
///
/// # Errors
/// It does not have the form of one.
pub(super) fn answer(
    call: &AuthzenCall<'_>,
    mut form: Object,
) -> Result<AuthzenAnswer, AuthzenError> {
    let options = object(&mut form, "", "options")?.unwrap_or_default();
    answer_one(call, form, explains(&options)?)
}

/// Answers a request whose options have been read.
///
/// # Errors
/// It does not have the form of one.
pub(super) fn answer_one(
    call: &AuthzenCall<'_>,
    mut form: Object,
    explain: bool,
) -> Result<AuthzenAnswer, AuthzenError> {
    let parts = Parts::take(&mut form)?;
    let none = Parts::default();
    let question = parts.question(&none)?;
    let mut answered = AuthzenAnswer::default();
    let evaluation = answered.add(evaluate(call, &question, explain, None));
    answered.body = json!(evaluation);
    Ok(answered)
}

/// Reads whether the options ask for explanations.
///
/// # Errors
/// `explain` is no boolean.
pub(super) fn explains(options: &Object) -> Result<bool, AuthzenError> {
    match options.get("explain") {
        None | Some(Json::Null) => Ok(false),
        Some(Json::Bool(explain)) => Ok(*explain),
        Some(other) => Err(mistyped("options", "explain", "a boolean", other)),
    }
}

/// Decides one question. One that does not fit the schema is not allowed, and its answer says why.
pub(super) fn evaluate(
    call: &AuthzenCall<'_>,
    question: &AuthzenQuestion<'_>,
    explain: bool,
    item: Option<usize>,
) -> EvaluatedQuestion {
    let limits = &call.decider.options.limits;
    let read = ReadQuestion::new(call.in_force, question, limits);
    match read.check(call.in_force, call.context.now, limits) {
        Ok(checked) => decide(call, checked, explain, item),
        Err(violations) => {
            call.decider.metrics.refused(&violations);
            EvaluatedQuestion::failed(SCHEMA_FAULT, message(&violations))
        }
    }
}

fn decide(
    call: &AuthzenCall<'_>,
    question: CheckedQuestion,
    explain: bool,
    item: Option<usize>,
) -> EvaluatedQuestion {
    let CheckedQuestion { request, input, ignored } = question;
    let store = &call.in_force.store;
    let shadowed = call.decider.shadow.wants(store, 1).then(|| Box::new(input.clone()));
    let answer = call.decider.decide(call.in_force, &request, explain, call.context, item, || {
        RecordInput::Request(input)
    });
    if let Some(input) = shadowed {
        let asked = Asked::One(input, answer.given(&request));
        call.decider.compare(call.in_force, asked, call.context);
    }
    EvaluatedQuestion {
        evaluation: Evaluation {
            decision: answer.decision.is_allow(),
            context: explain.then(|| context(call, &answer, &ignored)),
        },
        is_decided: true,
        record: answer.record,
    }
}

/// Returns the `context` of a decision, where an explanation was asked for.
fn context(call: &AuthzenCall<'_>, answer: &DecisionAnswer, ignored: &[String]) -> Json {
    let policies: Vec<_> = answer.decision.determining.iter().map(PolicyNote::id).collect();
    let advice =
        answer.decision.determining.iter().filter_map(|policy| policy.annotation("advice"));
    let mut context = Object::new();
    let mut tell = |name: &str, value: Json| drop(context.insert(name.to_owned(), value));
    tell("revision", call.in_force.store.revision().as_str().into());
    tell("decision_id", String::from(answer.id.clone()).into());
    tell("policies", policies.into());
    tell("reason", answer.explanation.as_ref().map_or("", |told| &told.summary).into());
    tell("advice", advice.collect::<Vec<_>>().into());
    let version = call.in_force.directory_version();
    if !version.is_empty() {
        tell("directory_version", version.into());
    }
    if !ignored.is_empty() {
        tell("ignored", ignored.into());
    }
    let errors = answer.decision.errors.iter();
    let errors: Vec<_> =
        errors.map(|error| json!({"policy": error.policy_id, "message": error.message})).collect();
    if !errors.is_empty() {
        tell("errors", errors.into());
    }
    context.into()
}

/// Returns every violation in one text.
pub(super) fn message(violations: &[Violation]) -> String {
    violations.iter().map(Violation::to_string).collect::<Vec<_>>().join("; ")
}
