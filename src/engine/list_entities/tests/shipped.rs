//! The shipped stores, with the facts of their cases in a directory.

use std::sync::Arc;

use super::{Asked, Tally};
use crate::{
    directory::Directory,
    engine::{
        Explanation,
        compiled::tests::held::{directory, name_holders, seen},
        decide, decide_by_cedar, decide_compiled,
    },
    model::{OnForbidError, Uid},
    request::{
        Held, ListInput, Request, RequestFacts, RequestInput, RequestLimits, RoleAssignment,
        RoleAssignmentInput, Side,
    },
    store::{Bounds, PolicyStore, embedded_stores},
    testing::{self, Case},
};

/// Cases of each store that are looked at.
const CASES: usize = 20;
/// Cases of which the roles are in the same directory.
const TOGETHER: usize = 6;

fn held(directory: Directory) -> Held {
    Held { facts: Arc::new(directory), request_facts: RequestFacts::Refuse }
}

/// Returns the question without what a directory holds. The server's clock counts.
fn question(input: &RequestInput) -> RequestInput {
    let mut question = input.clone();
    question.entities.clear();
    question.role_assignments.clear();
    question.context.retain(|(name, _)| name != "now");
    question
}

fn with_names(case: &Case) -> RequestInput {
    let mut input = case.input.clone();
    name_holders(&mut input);
    input
}

fn checked(
    store: &PolicyStore,
    held: Option<&Held>,
    input: &RequestInput,
    case: &Case,
) -> Option<Request> {
    store.check_with(held, input, case.now, &RequestLimits::default()).ok()
}

/// Holds compiled policies, Cedar's evaluator and, of a case by itself, the facts that were sent
/// against each other.
fn decides_alike(store: &PolicyStore, case: &Case, held: &Held, is_alone: bool) {
    let name = (&case.file, &case.name);
    let Some(request) = checked(store, Some(held), &question(&case.input), case) else { return };
    let engine = store.engine();
    let cedar = decide_by_cedar(engine, &request, OnForbidError::Deny);
    if let Some(compiled) = decide_compiled(engine, &request) {
        assert_eq!(seen(&compiled), seen(&cedar), "{name:?}");
    }
    let all_sent = RequestInput { context: question(&case.input).context, ..case.input.clone() };
    if let Some(sent) = checked(store, None, &all_sent, case).filter(|_| is_alone) {
        let sent = decide_by_cedar(engine, &sent, OnForbidError::Deny);
        assert_eq!(seen(&cedar), seen(&sent), "{name:?}");
    }
}

/// Holds the lists of both sides against asking for each entity.
fn lists_exactly(store: &PolicyStore, case: &Case, held: &Held, tally: &mut Tally) {
    let question = question(&case.input);
    if checked(store, Some(held), &question, case).is_none() {
        tally.refused += 1;
        return;
    }
    for (open, uid) in
        [(Side::Principal, &case.input.principal), (Side::Resource, &case.input.resource)]
    {
        let entity_type = uid.as_ref().unwrap().type_name.clone();
        let input = ListInput { question: question.clone(), open, entity_type };
        let asked = Asked { engine: store.engine(), held, now: case.now, input: &input };
        asked.compare(tally).unwrap_or_else(|e| panic!("{}: {}: {e}", case.file, case.name));
    }
}

fn role_input(role: &RoleAssignment) -> RoleAssignmentInput {
    let uid = |uid: &cedar_policy_core::ast::EntityUID| {
        Uid::new(uid.entity_type().to_string(), AsRef::<str>::as_ref(uid.eid()))
    };
    RoleAssignmentInput {
        principal: Some(uid(&role.principal)),
        role: role.slot.as_str().to_owned(),
        scope: Some(uid(&role.scope)),
        expires_at: role.expires_at,
    }
}

fn explained(store: &PolicyStore, held: &Held, case: &Case) -> Option<(bool, Explanation)> {
    let request = checked(store, Some(held), &question(&case.input), case)?;
    let decision = decide(store.engine(), &request, OnForbidError::Deny);
    let explanation = store.explain(&request, &decision, OnForbidError::Deny);
    Some((decision.is_allow(), explanation))
}

/// Follows the hints of a deny, and looks for what carried an allow among what is held.
fn explains_truly(store: &PolicyStore, case: &Case, followed: &mut usize, carried: &mut usize) {
    let input = with_names(case);
    let roles = &input.role_assignments;
    let of = |roles: &[RoleAssignmentInput]| held(directory(store, &input.entities, roles).0);
    let Some((is_allow, explanation)) = explained(store, &of(roles), case) else { return };
    for role in explanation.carried_by.iter().map(role_input) {
        assert!(is_allow);
        let is_same = |held: &&RoleAssignmentInput| {
            let last = |uid: &Option<Uid>| {
                let uid = uid.as_ref().unwrap();
                (uid.type_name.rsplit("::").next().unwrap().to_owned(), uid.id.clone())
            };
            last(&held.principal) == last(&role.principal)
                && last(&held.scope) == last(&role.scope)
                && held.role == role.role
        };
        assert!(roles.iter().find(is_same).is_some(), "{}: {role:?} is held", case.name);
        *carried += 1;
    }
    for hint in explanation.hints {
        assert!(!is_allow);
        let removed: Vec<_> = hint.instead_of.iter().map(role_input).collect();
        let is_removed = |role: &RoleAssignmentInput| {
            removed.iter().any(|gone| {
                let id = |uid: &Option<Uid>| uid.as_ref().map(|uid| uid.id.clone());
                gone.role == role.role
                    && id(&gone.principal) == id(&role.principal)
                    && id(&gone.scope) == id(&role.scope)
            })
        };
        let mut changed: Vec<_> = roles.iter().filter(|role| !is_removed(role)).cloned().collect();
        changed.push(role_input(&hint.add));
        let (is_allow, _) = explained(store, &of(&changed), case).unwrap();
        assert!(is_allow, "{}: {}: {hint:?}", case.file, case.name);
        *followed += 1;
    }
}

#[test]
fn shipped_stores_decide_list_and_explain_with_a_directory() {
    for files in embedded_stores() {
        let store = PolicyStore::load(Arc::new(files), &Bounds::default()).unwrap();
        let cases = testing::cases(&store).unwrap();
        let (mut tally, mut followed, mut carried) = (Tally::default(), 0, 0);
        for case in cases.iter().step_by(cases.len() / CASES) {
            let input = with_names(case);
            let (alone, faults) = directory(&store, &input.entities, &input.role_assignments);
            decides_alike(&store, case, &held(alone), faults.is_empty());
            explains_truly(&store, case, &mut followed, &mut carried);
        }
        for cases in cases.chunks(TOGETHER).step_by(cases.len() / TOGETHER / CASES + 1) {
            let inputs: Vec<_> = cases.iter().map(with_names).collect();
            let entities = inputs.iter().flat_map(|input| input.entities.clone());
            let roles = inputs.iter().flat_map(|input| input.role_assignments.clone());
            let (together, _) =
                directory(&store, &entities.collect::<Vec<_>>(), &roles.collect::<Vec<_>>());
            let held = held(together);
            for case in cases {
                decides_alike(&store, case, &held, false);
                lists_exactly(&store, case, &held, &mut tally);
            }
        }
        println!("{}: {tally:?}, {followed} hints, {carried} carried", store.name());
        assert!(tally.allowed > 0 && tally.decided < tally.all, "{tally:?}");
        assert!(carried > 0 && followed > 0, "{carried} {followed}");
    }
}
