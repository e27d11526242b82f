//! Evaluates the policies that a request can touch, with Cedar's evaluator.

use std::sync::Arc;

use cedar_policy_core::{
    ast::{self, Literal, ValueKind},
    entities::Entities,
    evaluator::{EvaluationError, Evaluator},
    extensions::Extensions,
};

use super::slices::{PreparedPolicy, Slices};
use crate::model::{Effect, OnForbidError};

/// The error of a policy that reads a value which nobody knows.
const READS_UNKNOWN: &str =
    "it reads an attribute or tag that names an entity which cannot be read";

/// A decision as Cedar's authorizer would give it.
#[derive(Debug)]
pub struct CedarDecision {
    /// The answer.
    pub effect: Effect,
    /// True where a permit applied, whatever the forbids say.
    pub(super) permitted: bool,
    pub(super) determining: Vec<Arc<PreparedPolicy>>,
    /// True where a policy read a value that nobody knows.
    pub(super) reads_unknown: bool,
    /// The policies whose evaluation failed, by id.
    pub errors: Vec<EvaluationFailure>,
}

/// A policy whose evaluation failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EvaluationFailure {
    /// The policy's id.
    pub policy_id: String,
    /// The error, in Cedar's words.
    pub message: String,
}

impl CedarDecision {
    /// Denies a request that could not be evaluated at all.
    pub(super) fn undecidable(message: String) -> Self {
        let failure = EvaluationFailure { policy_id: String::new(), message };
        Self {
            effect: Effect::Deny,
            permitted: false,
            determining: Vec::new(),
            reads_unknown: false,
            errors: vec![failure],
        }
    }

    /// Returns the ids of the policies that made the answer, in order.
    pub fn determining(&self) -> impl Iterator<Item = &str> {
        self.determining.iter().map(|policy| policy.id())
    }
}

/// Decides a request over entities that are transitively closed.
///
/// With [`OnForbidError::Skip`] the answer, its reasons and errors are those of Cedar's
/// `Authorizer::is_authorized` on all policies. A forbid that reads a value which nobody knows denies
/// whatever the mode, for it may apply.
#[must_use]
pub fn evaluate(
    slices: &Slices,
    request: &ast::Request,
    entities: &Entities,
    on_forbid_error: OnForbidError,
) -> CedarDecision {
    let (mut permits, mut forbids, mut errors) = (Vec::new(), Vec::new(), Vec::new());
    let mut reads_unknown = false;
    let uids = (request.principal().uid(), request.action().uid(), request.resource().uid());
    if let (Some(principal), Some(action), Some(resource)) = uids {
        let evaluator = Evaluator::new(request.clone(), entities, Extensions::all_available());
        slices.matching(principal, action, resource, entities, |policy| {
            let applies = match is_satisfied(&evaluator, policy) {
                Ok(satisfied) => satisfied,
                Err(error) => {
                    let is_unknown = matches!(error, EvaluationError::NonValue(_));
                    reads_unknown |= is_unknown;
                    let message =
                        if is_unknown { READS_UNKNOWN.to_owned() } else { error.to_string() };
                    errors.push(EvaluationFailure { policy_id: policy.id().to_owned(), message });
                    policy.is_forbid() && (is_unknown || on_forbid_error == OnForbidError::Deny)
                }
            };
            if applies {
                let satisfied = if policy.is_forbid() { &mut forbids } else { &mut permits };
                satisfied.push(Arc::clone(policy));
            }
        });
    }
    errors.sort_by(|a, b| a.policy_id.cmp(&b.policy_id));
    let permitted = !permits.is_empty();
    let effect = if permitted && forbids.is_empty() { Effect::Allow } else { Effect::Deny };
    let mut determining = if effect == Effect::Allow { permits } else { forbids };
    determining.sort_by(|a, b| a.id().cmp(b.id()));
    CedarDecision { effect, permitted, determining, reads_unknown, errors }
}

/// Returns whether the condition of a policy holds.
#[expect(clippy::result_large_err, reason = "the error is Cedar's own")]
fn is_satisfied(
    evaluator: &Evaluator<'_>,
    policy: &PreparedPolicy,
) -> Result<bool, EvaluationError> {
    let Some(condition) = policy.condition() else { return Ok(true) };
    let value = evaluator.interpret(condition, policy.variables())?;
    match value.value {
        ValueKind::Lit(Literal::Bool(satisfied)) => Ok(satisfied),
        // Not a boolean: let Cedar say so in its own words.
        _ => {
            let as_condition = ast::Expr::and(ast::Expr::val(true), condition.clone());
            evaluator.interpret(&as_condition, policy.variables()).map(|_| false)
        }
    }
}
