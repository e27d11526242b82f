//! The outcomes of the conditions of policies for a request, by which tests are measured.

use std::sync::Arc;

use super::{
    Engine,
    clause_note::ClauseEvaluation,
    clauses::{Clause, clauses},
    graph,
    slices::PreparedPolicy,
};
use crate::request::Request;

/// Returns the clauses of a policy that are conditions: the conjuncts of each `when`, and each
/// `unless`.
pub(crate) fn conditions_of(policy: &PreparedPolicy) -> Vec<Clause<'_>> {
    let mut clauses = clauses(policy.policy());
    clauses.retain(|clause| clause.condition().is_some());
    clauses
}

/// The outcomes of the conditions of a policy for a request.
#[derive(Debug)]
pub(crate) struct ClauseOutcomes<'a> {
    /// The policy.
    pub policy: &'a Arc<PreparedPolicy>,
    /// True for each condition that held, in their order up to the first that did not. One whose
    /// evaluation fails is left out.
    pub held: Vec<bool>,
}

/// Returns the outcomes of the policies whose scope matches a request.
///
/// # Errors
/// The entities of the request make no graph.
pub(crate) fn clause_outcomes<'a>(
    engine: &'a Engine,
    request: &Request,
) -> Result<Vec<ClauseOutcomes<'a>>, String> {
    let entities = graph::entities(engine, request)?;
    let evaluation = ClauseEvaluation::new(engine, request, &entities);
    let mut outcomes = Vec::new();
    let uids = (&request.principal, &request.action, &request.resource);
    engine.slices().matching(uids.0, uids.1, uids.2, &entities, |policy| {
        let mut held = Vec::new();
        for clause in conditions_of(policy) {
            held.extend(evaluation.holds(&clause).ok());
            if held.last() != Some(&true) {
                break;
            }
        }
        outcomes.push(ClauseOutcomes { policy, held });
    });
    Ok(outcomes)
}
