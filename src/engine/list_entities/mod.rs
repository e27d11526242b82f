//! The list of entities for which a question with an open side is allowed.

mod entities_of_type;
mod missing;
mod outcomes;
mod possible_contexts;

use cedar_policy_core::ast::EntityUID;

use self::{entities_of_type::EntitiesOfType, missing::MissingFacts};
use super::{Decision, Engine, variations::facts_in};
use crate::{
    model::{OnForbidError, Timestamp},
    request::{Held, ListInput, ListRequest, Request, RequestLimits, Violation, check_list},
};

/// Decisions that one page takes at most: a tenth of a second of compiled ones.
const DECISIONS: usize = 10_000;
/// Facts that one page looks at, counted anew for each decision.
const FACTS: usize = 2_000_000;

/// A page of a list.
#[derive(Debug, Clone, Copy)]
pub struct Page<'a> {
    /// The id after which it begins; nothing: at the first.
    pub after: Option<&'a str>,
    /// The most entities, at least 1.
    pub size: usize,
}

/// The options of a list, beside its question.
#[derive(Debug, Clone, Copy)]
pub struct ListOptions<'a> {
    /// The facts that the directory of the store holds.
    pub held: Option<&'a Held>,
    /// The time of the decisions.
    pub now: Timestamp,
    /// Limits on the question.
    pub limits: &'a RequestLimits,
    /// The effect of a forbid whose evaluation fails.
    pub on_forbid_error: OnForbidError,
}

/// A page of the entities of a list, in the order of their ids.
#[derive(Debug, Default)]
pub struct ListedEntities {
    /// Allowed.
    pub allowed: Vec<EntityUID>,
    /// Not decided. They are not allowed.
    pub conditional: Vec<UndecidedEntity>,
    /// The number of entities that were decided and denied. Those for which no permit can apply are
    /// not decided at all.
    pub denied: usize,
    /// The id after which the next page begins; nothing: this page is the last.
    pub next: Option<String>,
}

/// An entity for which a question could not be decided with the facts that were sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UndecidedEntity {
    /// The entity.
    pub entity: EntityUID,
    /// The facts that are missing.
    pub reason: String,
}

/// Lists the entities for which a question is allowed, a page at a time, among the entities of the type
/// that the store or the directory holds or that the question names. Returns exactly the entities that a
/// single question would allow. `decide` decides each.
///
/// A page may end before it is full, where finding the rest takes too many decisions.
///
/// # Errors
/// Everything that is wrong with the question but required facts of the context that were not sent:
/// without them nothing is allowed, and what some values of them could allow is conditional. More than
/// that is conditional where the policies read a fact of the context of which not a few values stand for
/// all (`PossibleContexts`), and where an attribute of an entity is missing that could be sent.
pub fn list_entities(
    engine: &Engine,
    input: &ListInput,
    page: Page<'_>,
    options: ListOptions<'_>,
    mut decide: impl FnMut(&Request) -> Decision,
) -> Result<ListedEntities, Vec<Violation>> {
    let known = engine.known(options.held);
    let list = check_list(known, input, options.now, options.limits)?;
    let missing = MissingFacts::new(engine, options.held, options.on_forbid_error, &list);
    let most = (FACTS / facts_in(list.shared())).min(DECISIONS) / missing.evaluations();
    let most = most.max(1);
    let (candidates, mut is_last) = candidates(engine, &list, page.after, most);
    let mut listed = ListedEntities::default();
    let mut after = None;
    for candidate in candidates {
        let request = list.of(candidate.clone());
        let answer = answer(&list, &request, &missing, &mut decide);
        let is_listed = !matches!(answer, EntityAnswer::Deny);
        if is_listed && listed.allowed.len() + listed.conditional.len() >= page.size.max(1) {
            is_last = false;
            break;
        }
        after = Some(AsRef::<str>::as_ref(candidate.eid()).to_owned());
        match answer {
            EntityAnswer::Allow => listed.allowed.push(candidate),
            EntityAnswer::Deny => listed.denied += 1,
            EntityAnswer::Undecided(reason) => {
                listed.conditional.push(UndecidedEntity { entity: candidate, reason });
            }
        }
    }
    listed.next = after.filter(|_| !is_last);
    Ok(listed)
}

/// The answer for one entity.
enum EntityAnswer {
    Allow,
    Deny,
    Undecided(String),
}

fn answer(
    list: &ListRequest,
    request: &Request,
    missing: &MissingFacts<'_>,
    decide: &mut impl FnMut(&Request) -> Decision,
) -> EntityAnswer {
    let undecided = || missing.of(request).map_or(EntityAnswer::Deny, EntityAnswer::Undecided);
    if !list.missing().is_empty() {
        return undecided();
    }
    let decision = decide(request);
    match decision.is_allow() {
        true => EntityAnswer::Allow,
        false if decision.errors.is_empty() => EntityAnswer::Deny,
        false => undecided(),
    }
}

/// Returns the first entities after an id for which a permit can apply, in the order of their ids, and
/// whether these are all.
fn candidates(
    engine: &Engine,
    list: &ListRequest,
    after: Option<&str>,
    most: usize,
) -> (Vec<EntityUID>, bool) {
    fn id(uid: &EntityUID) -> &str {
        uid.eid().as_ref()
    }
    let mut candidates = EntitiesOfType::new(engine, list).candidates(list);
    candidates.retain(|uid| after.is_none_or(|after| id(uid) > after));
    let are_all = candidates.len() <= most;
    if !are_all {
        candidates.select_nth_unstable_by(most, |a, b| id(a).cmp(id(b)));
        candidates.truncate(most);
    }
    candidates.sort_unstable_by(|a, b| id(a).cmp(id(b)));
    (candidates, are_all)
}

#[cfg(test)]
mod tests;
