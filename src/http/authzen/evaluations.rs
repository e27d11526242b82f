//! `/access/v1/evaluations`: many questions, decided on one revision.

use serde_json::{Value as Json, json};

use super::{
    answer::{AuthzenAnswer, AuthzenCall, EvaluatedQuestion},
    error::AuthzenError,
    evaluation,
    form::{Object, Parts, kind, mistyped, object},
};

/// When to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Semantic {
    /// At the end.
    ExecuteAll,
    /// After the first that is not allowed.
    DenyOnFirstDeny,
    /// After the first that is allowed.
    PermitOnFirstPermit,
}

/// Answers a request. One without evaluations is a question by itself.
///
/// # Errors
/// It does not have the form of one, its defaults included.
pub(super) fn answer(
    call: &AuthzenCall<'_>,
    mut form: Object,
) -> Result<AuthzenAnswer, AuthzenError> {
    let items = match form.remove("evaluations") {
        None | Some(Json::Null) => Vec::new(),
        Some(Json::Array(items)) => items,
        Some(other) => return Err(mistyped("", "evaluations", "an array", &other)),
    };
    let options = object(&mut form, "", "options")?.unwrap_or_default();
    let (explain, semantic) = (evaluation::explains(&options)?, Semantic::read(&options)?);
    if items.is_empty() {
        return evaluation::answer_one(call, form, explain);
    }
    let limit = call.decider.options.batch_items;
    if items.len() > limit {
        call.decider.metrics.limit_hit("batch_items");
        return Err(AuthzenError::form(format!(
            "`evaluations`: {} elements, more than the limit of {limit}: send several requests",
            items.len()
        )));
    }
    let defaults = Parts::take(&mut form)?;
    let mut answered = AuthzenAnswer::default();
    let mut evaluations = Vec::with_capacity(items.len());
    for (number, item) in items.into_iter().enumerate() {
        let evaluated = evaluate(call, item, &defaults, explain, number).unwrap_or_else(|fault| {
            EvaluatedQuestion::failed(fault.status.as_u16(), fault.message)
        });
        let is_allowed = evaluated.evaluation.decision;
        evaluations.push(answered.add(evaluated));
        if semantic.stops_after(is_allowed) {
            break;
        }
    }
    answered.body = json!({"evaluations": evaluations});
    Ok(answered)
}

fn evaluate(
    call: &AuthzenCall<'_>,
    item: Json,
    defaults: &Parts,
    explain: bool,
    number: usize,
) -> Result<EvaluatedQuestion, AuthzenError> {
    let Json::Object(mut item) = item else {
        return Err(AuthzenError::form(format!("an object is expected, not {}", kind(&item))));
    };
    let parts = Parts::take(&mut item)?;
    let question = parts.question(defaults)?;
    Ok(evaluation::evaluate(call, &question, explain, Some(number)))
}

impl Semantic {
    fn read(options: &Object) -> Result<Self, AuthzenError> {
        match options.get("evaluations_semantic") {
            None | Some(Json::Null) => Ok(Self::ExecuteAll),
            Some(Json::String(name)) => match name.as_str() {
                "execute_all" => Ok(Self::ExecuteAll),
                "deny_on_first_deny" => Ok(Self::DenyOnFirstDeny),
                "permit_on_first_permit" => Ok(Self::PermitOnFirstPermit),
                _ => Err(AuthzenError::form(
                    "`options.evaluations_semantic`: write `execute_all`, `deny_on_first_deny` or \
                     `permit_on_first_permit`",
                )),
            },
            Some(other) => Err(mistyped("options", "evaluations_semantic", "a string", other)),
        }
    }

    fn stops_after(self, is_allowed: bool) -> bool {
        match self {
            Self::ExecuteAll => false,
            Self::DenyOnFirstDeny => !is_allowed,
            Self::PermitOnFirstPermit => is_allowed,
        }
    }
}
