//! Lists of actions: what the candidate would list otherwise.

use std::collections::BTreeMap;

use cedar_policy_core::ast::EntityUID;

use super::{
    ShadowOptions,
    answer::{ShadowAnswer, Shadowed},
    question::{Given, GivenList, ShadowQuestion},
};
use crate::{engine, model::Effect, request::RequestInput, request::Violation, store::PolicyStore};

/// The actions that the candidate looked at, or why it refuses the question.
pub(super) type List = Result<BTreeMap<EntityUID, Shadowed>, Vec<Violation>>;

/// Lists the actions with the candidate.
pub(super) fn candidate(
    candidate: &PolicyStore,
    question: &ShadowQuestion,
    input: &RequestInput,
    options: &ShadowOptions,
) -> List {
    let (engine, held) = (candidate.engine(), question.held.as_ref());
    let mut list = BTreeMap::new();
    let decide = |request: &crate::request::Request| {
        let decision = engine::decide(engine, request, options.on_forbid_error);
        list.insert(request.action.clone(), Shadowed::Decided(ShadowAnswer::from(&decision)));
        decision
    };
    let limits = &options.limits;
    let listed = engine::list_actions_by(engine, held, input, question.now, limits, decide)?;
    let undecided = listed.undecided.into_iter();
    list.extend(undecided.map(|one| (one.action, Shadowed::Refused(one.field))));
    Ok(list)
}

/// Returns the answers to compare. An action that neither lists is denied by both, whatever the
/// reason; one that only the candidate lists was denied by no policy.
pub(super) fn compared(given: &GivenList, list: List) -> Vec<(Given, Shadowed)> {
    let mut list = match list {
        Ok(list) => list,
        Err(violations) => {
            let refused = Shadowed::refused(violations);
            let all = given.actions.iter();
            return all
                .map(|(action, answer)| (given.of(action, answer.clone()), refused.clone()))
                .collect();
        }
    };
    let denied = || ShadowAnswer { decision: Effect::Deny, policies: Vec::new() };
    let mut compared = Vec::with_capacity(given.actions.len());
    for (action, answer) in &given.actions {
        let shadowed = match (answer.decision, list.remove(action)) {
            (_, Some(decided @ Shadowed::Decided(_))) => decided,
            (Effect::Deny, _) => Shadowed::Decided(denied()),
            (Effect::Allow, Some(refused)) => refused,
            (Effect::Allow, None) => Shadowed::Refused("action".to_owned()),
        };
        compared.push((given.of(action, answer.clone()), shadowed));
    }
    let is_listed = |shadowed: &Shadowed| {
        matches!(shadowed, Shadowed::Decided(ShadowAnswer { decision: Effect::Allow, .. }))
    };
    let added = list.into_iter().filter(|(_, shadowed)| is_listed(shadowed));
    compared.extend(added.map(|(action, shadowed)| (given.of(&action, denied()), shadowed)));
    compared
}
