//! The least change of roles that would turn a deny into an allow.

use super::{Decision, variations::Variations};
use crate::request::RoleAssignment;

/// Hints in one explanation.
const HINTS: usize = 3;

/// A change of the principal's roles that would turn the deny into an allow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hint {
    /// The role to give.
    pub add: RoleAssignment,
    /// The roles to take away with it, where a rule of the least privilege makes adding useless.
    pub instead_of: Vec<RoleAssignment>,
}

/// Finds the changes of one role that would help, those that grant least first. `decisions` are
/// those with each candidate added.
pub(super) fn hints(
    variations: &Variations<'_>,
    candidates: &[(RoleAssignment, Decision)],
) -> Vec<Hint> {
    let helpful = candidates.iter().filter_map(|(candidate, with)| {
        let hint = |instead_of| Hint { add: candidate.clone(), instead_of };
        if with.is_allow() {
            return Some(hint(Vec::new()));
        }
        let is_replaced = |role: &&RoleAssignment| {
            role.principal == candidate.principal && role.scope == candidate.scope
        };
        let replaced: Vec<_> = variations.roles().filter(is_replaced).cloned().collect();
        if replaced.is_empty() {
            return None;
        }
        let hint = hint(replaced);
        variations.decide(changed(variations, &hint))?.is_allow().then_some(hint)
    });
    let mut ranked: Vec<_> = helpful
        .map(|hint| (variations.actions_allowed(&changed(variations, &hint)), hint))
        .collect();
    // If the budget does not suffice for all, the candidates keep their order, which begins with the
    // resource itself.
    if ranked.iter().all(|(actions, _)| actions.is_some()) {
        ranked.sort_by_key(|(actions, hint)| (*actions, hint.instead_of.len()));
    }
    ranked.into_iter().map(|(_, hint)| hint).take(HINTS).collect()
}

fn changed(variations: &Variations<'_>, hint: &Hint) -> Vec<RoleAssignment> {
    let kept = variations.roles().filter(|role| !hint.instead_of.contains(role));
    kept.chain([&hint.add]).cloned().collect()
}
