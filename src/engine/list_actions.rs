//! The list of actions that a principal may do on a resource.

use cedar_policy_core::ast::EntityUID;

use super::{Decision, Engine, decide};
use crate::{
    model::{OnForbidError, Timestamp, Uid},
    request::{
        Facts, FieldPath, Held, Known, Request, RequestInput, RequestLimits, Violation, check,
        check_facts, check_with_facts, now_with_directory,
    },
    schema::{ActionSchema, Schema},
};

/// The actions that are allowed, and those that could not be decided.
#[derive(Debug, Default)]
pub struct ListedActions {
    /// Allowed, by id.
    pub allowed: Vec<EntityUID>,
    /// The number of denied actions.
    pub denied: usize,
    /// Not decided, by id. They are not allowed.
    pub undecided: Vec<UndecidedAction>,
}

/// An action that could not be decided with the facts that were sent.
#[derive(Debug, Clone)]
pub struct UndecidedAction {
    /// The action.
    pub action: EntityUID,
    /// The facts that are missing.
    pub reason: String,
    /// The field of the first of them.
    pub field: String,
}

/// Decides every action that applies to the types of the principal and the resource. Each is given
/// those facts of the context that the schema declares for it. `input.action` is not looked at.
///
/// # Errors
/// Violations that every action has, among them a fact that no action declares.
pub fn list_actions(
    engine: &Engine,
    held: Option<&Held>,
    input: &RequestInput,
    now: Timestamp,
    limits: &RequestLimits,
    on_forbid_error: OnForbidError,
) -> Result<ListedActions, Vec<Violation>> {
    list_actions_by(engine, held, input, now, limits, |request| {
        decide(engine, request, on_forbid_error)
    })
}

/// Lists actions as [`list_actions`] does, with each action decided by `decide`.
///
/// # Errors
/// As [`list_actions`].
pub fn list_actions_by(
    engine: &Engine,
    held: Option<&Held>,
    input: &RequestInput,
    now: Timestamp,
    limits: &RequestLimits,
    mut decide: impl FnMut(&Request) -> Decision,
) -> Result<ListedActions, Vec<Violation>> {
    let known = engine.known(held);
    let actions = applicable(known.schema, input);
    let mut violations = undeclared_facts(&actions, input, limits);
    if held.is_some() && sends_now(&actions, input) {
        violations.push(now_with_directory());
    }
    if actions.is_empty() {
        violations.extend(nothing_applies(known, input, now, limits));
        return Err(violations);
    }
    let facts = check_facts(known, input, limits).unwrap_or_else(|found| {
        violations.extend(found);
        Facts::default()
    });
    let mut listed = ListedActions::default();
    let mut common: Option<Vec<Violation>> = None;
    for action in &actions {
        let question = question(input, action);
        match check_with_facts(known, &question, facts.clone(), now, limits) {
            Ok(request) => {
                common = Some(Vec::new());
                if decide(&request).is_allow() {
                    listed.allowed.push(action.uid.clone());
                } else {
                    listed.denied += 1;
                }
            }
            Err(found) => {
                let reason = found.iter().map(Violation::to_string).collect::<Vec<_>>().join("; ");
                let field = found.first().map(|violation| violation.field.clone());
                listed.undecided.push(UndecidedAction {
                    action: action.uid.clone(),
                    reason,
                    field: field.unwrap_or_default(),
                });
                common = Some(match common {
                    None => found,
                    Some(common) => {
                        common.into_iter().filter(|violation| found.contains(violation)).collect()
                    }
                });
            }
        }
    }
    for violation in common.unwrap_or_default() {
        if !violations.contains(&violation) {
            violations.push(violation);
        }
    }
    if violations.is_empty() { Ok(listed) } else { Err(violations) }
}

/// Returns a violation for each fact of the context that no action declares.
fn undeclared_facts(
    actions: &[&ActionSchema],
    input: &RequestInput,
    limits: &RequestLimits,
) -> Vec<Violation> {
    let is_declared =
        |name: &str| actions.iter().any(|action| action.context.fields.contains_key(name));
    let undeclared = input.context.iter().filter(|(name, _)| !is_declared(name));
    let violation = |name: &str| {
        FieldPath::Of(&FieldPath::Field("context"), name)
            .violation("no action on this resource declares it")
    };
    undeclared.take(limits.violations).map(|(name, _)| violation(name)).collect()
}

/// Returns whether the time is sent, and an action declares it.
fn sends_now(actions: &[&ActionSchema], input: &RequestInput) -> bool {
    actions.iter().any(|action| action.wants_now)
        && input.context.iter().any(|(name, _)| name == "now")
}

fn applicable<'a>(schema: &'a Schema, input: &RequestInput) -> Vec<&'a ActionSchema> {
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

/// Returns the question for one action, with those facts of the context that it declares.
fn question(input: &RequestInput, action: &ActionSchema) -> RequestInput {
    let declared = |(name, _): &&(String, _)| action.context.fields.contains_key(name.as_str());
    let id: &str = action.uid.eid().as_ref();
    RequestInput {
        action: Some(Uid::new(action.uid.entity_type().to_string(), id)),
        principal: input.principal.clone(),
        resource: input.resource.clone(),
        context: input.context.iter().filter(declared).cloned().collect(),
        ..RequestInput::default()
    }
}

/// Explains why no action applies: a bad principal or resource, or two types that have no action in
/// common.
fn nothing_applies(
    known: Known<'_>,
    input: &RequestInput,
    now: Timestamp,
    limits: &RequestLimits,
) -> Vec<Violation> {
    let input = RequestInput { action: None, context: Vec::new(), ..input.clone() };
    let found = check(known, &input, now, limits).err().unwrap_or_default();
    let found: Vec<_> = found.into_iter().filter(|violation| violation.field != "action").collect();
    if found.is_empty() {
        return vec![
            FieldPath::Field("resource")
                .violation("no action applies to this principal and resource"),
        ];
    }
    found
}
