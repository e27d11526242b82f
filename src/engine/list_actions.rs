//! What a principal may do on a resource.

use std::collections::HashSet;

use cedar_policy_core::ast::EntityUID;

use super::{Decision, OnForbidError, decide};
use crate::{
    request::{FieldPath, Request, RequestInput, RequestLimits, Uid, Violation},
    store::{ActionSchema, PolicyStore},
    time::Timestamp,
};

/// The actions that are allowed, and those that could not be decided.
#[derive(Debug, Default)]
pub struct ListedActions {
    /// Allowed, by id.
    pub allowed: Vec<EntityUID>,
    /// How many are denied.
    pub denied: usize,
    /// Not decided, by id. They are not allowed.
    pub undecided: Vec<UndecidedAction>,
}

/// An action that could not be decided with the facts that were sent.
#[derive(Debug, Clone)]
pub struct UndecidedAction {
    /// The action.
    pub action: EntityUID,
    /// What is missing.
    pub reason: String,
}

/// Decides every action that applies to the types of the principal and the resource. Each is given
/// those facts of the context that the schema declares for it. `input.action` is not looked at.
///
/// # Errors
/// Violations that every action has, among them a fact that no action declares.
pub fn list_actions(
    store: &PolicyStore,
    input: &RequestInput,
    now: Timestamp,
    limits: &RequestLimits,
    on_forbid_error: OnForbidError,
) -> Result<ListedActions, Vec<Violation>> {
    list_actions_by(store, input, now, limits, |request| decide(store, request, on_forbid_error))
}

/// The same, each action decided by `decide`.
///
/// # Errors
/// The same.
pub fn list_actions_by(
    store: &PolicyStore,
    input: &RequestInput,
    now: Timestamp,
    limits: &RequestLimits,
    mut decide: impl FnMut(&Request) -> Decision,
) -> Result<ListedActions, Vec<Violation>> {
    let actions = applicable(store, input);
    let declared: HashSet<&str> = actions
        .iter()
        .flat_map(|action| action.context.fields.keys().map(|name| name.as_str()))
        .collect();
    let undeclared = input.context.iter().filter(|(name, _)| !declared.contains(name.as_str()));
    let mut violations: Vec<_> = undeclared
        .take(limits.violations)
        .map(|(name, _)| {
            FieldPath::Of(&FieldPath::Field("context"), name)
                .violation("no action on this resource declares it")
        })
        .collect();
    let mut listed = ListedActions::default();
    let mut common: Option<Vec<Violation>> = None;
    // Entities and role assignments fit or do not fit whatever the action is: they are checked once.
    let mut facts = None;
    for action in &actions {
        match store.check(&input_for(input, action, facts.is_none()), now, limits) {
            Ok(mut request) => {
                if let Some(checked) = facts.take() {
                    (request.entities, request.role_assignments) = checked;
                }
                common = Some(Vec::new());
                let decision = decide(&request);
                facts = Some((request.entities, request.role_assignments));
                if decision.is_allow() {
                    listed.allowed.push(action.uid.clone());
                } else {
                    listed.denied += 1;
                }
            }
            Err(found) => {
                let reason = found.iter().map(Violation::to_string).collect::<Vec<_>>().join("; ");
                listed.undecided.push(UndecidedAction { action: action.uid.clone(), reason });
                common = Some(match common {
                    None => found,
                    Some(common) => {
                        common.into_iter().filter(|violation| found.contains(violation)).collect()
                    }
                });
            }
        }
    }
    violations.extend(common.unwrap_or_default());
    if actions.is_empty() {
        violations.extend(nothing_applies(store, input, now, limits));
    }
    if violations.is_empty() { Ok(listed) } else { Err(violations) }
}

fn applicable<'a>(store: &'a PolicyStore, input: &RequestInput) -> Vec<&'a ActionSchema> {
    let schema = store.schema();
    let type_of =
        |uid: &Option<Uid>| uid.as_ref().and_then(|uid| schema.entity_type(&uid.type_name));
    let (Some(principal), Some(resource)) = (type_of(&input.principal), type_of(&input.resource))
    else {
        return Vec::new();
    };
    let applies = |action: &&ActionSchema| {
        action.principals.contains(principal) && action.resources.contains(resource)
    };
    let mut actions: Vec<_> = schema.actions().filter(applies).collect();
    actions.sort_by(|a, b| a.uid.cmp(&b.uid));
    actions
}

fn input_for(input: &RequestInput, action: &ActionSchema, with_facts: bool) -> RequestInput {
    let facts = if with_facts {
        (input.entities.clone(), input.role_assignments.clone())
    } else {
        Default::default()
    };
    let declared = |(name, _): &&(String, _)| action.context.fields.contains_key(name.as_str());
    RequestInput {
        action: Some(Uid::new(
            action.uid.entity_type().to_string(),
            AsRef::<str>::as_ref(action.uid.eid()),
        )),
        principal: input.principal.clone(),
        resource: input.resource.clone(),
        context: input.context.iter().filter(declared).cloned().collect(),
        entities: facts.0,
        role_assignments: facts.1,
    }
}

/// Why no action applies: a bad principal or resource, or two types that have no action in common.
fn nothing_applies(
    store: &PolicyStore,
    input: &RequestInput,
    now: Timestamp,
    limits: &RequestLimits,
) -> Vec<Violation> {
    let input = RequestInput { action: None, context: Vec::new(), ..input.clone() };
    let found = store.check(&input, now, limits).err().unwrap_or_default();
    let found: Vec<_> = found.into_iter().filter(|violation| violation.field != "action").collect();
    if found.is_empty() {
        return vec![
            FieldPath::Field("resource")
                .violation("no action applies to this principal and resource"),
        ];
    }
    found
}
