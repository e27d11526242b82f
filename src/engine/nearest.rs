//! The permits that came nearest to allowing a request, and the clause of each that was false.

use std::cmp::Reverse;

use cedar_policy_core::ast::{BinaryOp, Expr, ExprKind, Literal};

use super::{
    Engine,
    clause_note::{ClauseEvaluation, ClauseNote},
    clauses::clauses,
    slices::PreparedPolicy,
};
use crate::request::Request;

/// Permits in one explanation.
const PERMITS: usize = 3;

/// A permit that did not apply, with more true clauses than others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NearPermit {
    /// The policy's id.
    pub policy_id: String,
    /// The file that it is written in, a link that of its template.
    pub file: Option<String>,
    /// Clauses that held before the first that did not.
    pub clauses_held: usize,
    /// The first clause that was false, or failed.
    pub clause: ClauseNote,
}

/// Finds the permits on the action with the most clauses true before the first false one. Ties: first
/// those whose false clause asks for no role, since the explanation has more about roles; then by id.
/// At most `budget` clauses are evaluated.
pub(super) fn nearest(
    engine: &Engine,
    request: &Request,
    evaluation: &ClauseEvaluation<'_>,
    file_of: &dyn Fn(&str) -> Option<String>,
    mut budget: usize,
) -> Vec<NearPermit> {
    let slices = engine.slices();
    let fits = |policy: &&PreparedPolicy| {
        let types =
            [(policy.principal(), &request.principal), (policy.resource(), &request.resource)];
        !policy.is_forbid()
            && types.iter().all(|(scope, uid)| {
                scope.entity_type.as_deref().is_none_or(|ty| ty == uid.entity_type())
            })
    };
    let on_action = slices.of_action(&request.action).chain(slices.of_any());
    let mut policies: Vec<_> = on_action.map(|policy| &**policy).filter(fits).collect();
    // The budget goes to those on everybody and everything first: of the others most are on
    // somebody else.
    let names = |policy: &PreparedPolicy| {
        policy.principal().entity.is_some() || policy.resource().entity.is_some()
    };
    policies.sort_by_key(|policy| (names(policy), policy.index()));
    let mut near = Vec::new();
    for policy in policies {
        for (held, clause) in clauses(policy.policy()).iter().enumerate() {
            let Some(left) = budget.checked_sub(1) else { break };
            budget = left;
            let holds = evaluation.holds(clause);
            if holds != Ok(true) {
                let asks_for_a_role = asks_for_a_role(engine, &clause.expr());
                near.push(Near { policy, held, holds, asks_for_a_role });
                break;
            }
        }
    }
    near.sort_by_key(|near| (Reverse(near.held), near.asks_for_a_role, near.policy.index()));
    let noted =
        near.into_iter().take(PERMITS).filter_map(|Near { policy, held, holds, .. }| {
            Some(NearPermit {
                policy_id: policy.id().to_owned(),
                file: file_of(policy.written_as()),
                clauses_held: held,
                clause: evaluation.note(clauses(policy.policy()).get(held)?, &holds),
            })
        });
    noted.collect()
}

/// A permit up to its first clause that is not true.
struct Near<'a> {
    policy: &'a PreparedPolicy,
    held: usize,
    holds: Result<bool, String>,
    asks_for_a_role: bool,
}

/// Returns whether an expression asks whether something is in a role.
fn asks_for_a_role(engine: &Engine, expr: &Expr) -> bool {
    let schema = engine.schema();
    let is_role = |part: &Expr| match part.expr_kind() {
        ExprKind::Lit(Literal::EntityUID(uid)) => schema.is_role(uid),
        ExprKind::GetAttr { attr, .. } => {
            schema.entities().any(|shape| shape.slots.contains_key(attr.as_str()))
        }
        _ => false,
    };
    expr.subexpressions().any(|part| match part.expr_kind() {
        ExprKind::BinaryApp { op: BinaryOp::In, arg2, .. } => arg2.subexpressions().any(is_role),
        _ => false,
    })
}
