//! Mutants: policies with one thing changed, made on Cedar's JSON form of policies.

use std::collections::{HashMap, HashSet};

use cedar_policy::{Policy, PolicyId, PolicySet, SlotId, Template};
use cedar_policy_core::parser::Loc;
use serde_json::{Value, json};

use super::mutate_expression::{Dropped, Mutated, mutations, operands, text};
use crate::store::PolicyStore;

/// A policy with one thing changed.
#[derive(Debug)]
pub struct Mutant {
    /// The policy and the change, e.g. `site-view/drop-slot:resource.viewer`.
    pub id: String,
    /// The policy or template.
    pub policy: String,
    /// Its place: the file, relative to the store's folder, and the line if it is known.
    pub place: String,
    /// The change, in words.
    pub change: String,
    /// The policies that are replaced: the policy itself, or every link of the template.
    pub(super) replaced: HashSet<String>,
    /// The replacement; an error where Cedar cannot even read it.
    pub(super) by: Result<PolicySet, String>,
}

/// A change of a policy.
struct PolicyMutation {
    /// The part of the mutant's id after the policy.
    name: String,
    words: String,
    /// The policy as it is now; none where it is gone.
    json: Option<Value>,
}

/// Every mutant of a set of policies, in the order of their ids.
pub(super) fn mutants(store: &PolicyStore) -> Vec<Mutant> {
    let policies = store.policies();
    let mut mutants = Vec::new();
    for policy in policies.policies() {
        match policy.template_id() {
            None => {
                let Ok(json) = policy.to_json() else { continue };
                let place = place(store, policy.id(), policy.as_ref().loc());
                let changes = changes(&json).into_iter();
                mutants.extend(changes.map(|change| of_policy(policy, &place, change)));
            }
            Some(_) => mutants.push(of_policy(policy, &place(store, policy.id(), None), delete())),
        }
    }
    for template in policies.templates() {
        let Ok(json) = template.to_json() else { continue };
        let links: Vec<_> = policies
            .policies()
            .filter(|policy| policy.template_id() == Some(template.id()))
            .collect();
        let place = place(store, template.id(), template.as_ref().loc());
        let changes = changes(&json).into_iter();
        mutants.extend(changes.map(|change| of_template(template, &place, &links, change)));
    }
    mutants.sort_by(|a, b| a.policy.cmp(&b.policy));
    mutants
}

fn place(store: &PolicyStore, policy: &PolicyId, loc: Option<&Loc>) -> String {
    let file = store.file_of(policy).unwrap_or_default();
    match loc {
        Some(loc) => format!("{file}:{}", store.files().shared_text(file).line_number(loc.start())),
        None => file.to_owned(),
    }
}

fn of_policy(policy: &Policy, place: &str, change: PolicyMutation) -> Mutant {
    let id = policy.id().to_string();
    let by = match change.json {
        None => Ok(PolicySet::new()),
        Some(json) => Policy::from_json(Some(policy.id().clone()), json)
            .map_err(|error| error.to_string())
            .and_then(|policy| {
                PolicySet::from_policies([policy]).map_err(|error| error.to_string())
            }),
    };
    Mutant {
        id: format!("{id}/{}", change.name),
        place: place.to_owned(),
        change: change.words,
        replaced: HashSet::from([id.clone()]),
        policy: id,
        by,
    }
}

fn of_template(
    template: &Template,
    place: &str,
    links: &[&Policy],
    change: PolicyMutation,
) -> Mutant {
    let id = template.id().to_string();
    let by = match change.json {
        None => Ok(PolicySet::new()),
        Some(json) => relink(template.id(), json, links),
    };
    Mutant {
        id: format!("{id}/{}", change.name),
        place: place.to_owned(),
        change: change.words,
        replaced: links.iter().map(|link| link.id().to_string()).collect(),
        policy: id,
        by,
    }
}

/// The links of a changed template.
fn relink(id: &PolicyId, json: Value, links: &[&Policy]) -> Result<PolicySet, String> {
    let mut set = PolicySet::new();
    let slots: Vec<SlotId> = match Template::from_json(Some(id.clone()), json.clone()) {
        Ok(template) => {
            let slots = template.slots().cloned().collect();
            set.add_template(template).map_err(|error| error.to_string())?;
            slots
        }
        // Without a slot it is a template no more: each link becomes a policy of its own.
        Err(_) => {
            for link in links {
                let policy = Policy::from_json(Some(link.id().clone()), json.clone());
                let policy = policy.map_err(|error| error.to_string())?;
                set.add(policy).map_err(|error| error.to_string())?;
            }
            return Ok(set);
        }
    };
    for link in links {
        let mut values: HashMap<_, _> = link.template_links().unwrap_or_default();
        values.retain(|slot, _| slots.contains(slot));
        set.link(id.clone(), link.id().clone(), values).map_err(|error| error.to_string())?;
    }
    Ok(set)
}

fn delete() -> PolicyMutation {
    PolicyMutation { name: "delete".to_owned(), words: "deleted".to_owned(), json: None }
}

/// Every change of a policy.
fn changes(json: &Value) -> Vec<PolicyMutation> {
    let mut changes = vec![delete()];
    changes.extend(flip(json));
    changes.extend(drop_actions(json));
    changes.extend(conditions(json));
    for scope in ["principal", "action", "resource"] {
        changes.extend(widen(json, scope));
    }
    unique(&mut changes);
    changes
}

fn flip(json: &Value) -> Option<PolicyMutation> {
    let (effect, flipped) = match json.get("effect")?.as_str()? {
        "permit" => ("permit", "forbid"),
        _ => ("forbid", "permit"),
    };
    Some(PolicyMutation {
        name: "flip".to_owned(),
        words: format!("`{flipped}` instead of `{effect}`"),
        json: Some(with(json, "effect", json!(flipped))),
    })
}

fn widen(json: &Value, scope: &str) -> Option<PolicyMutation> {
    let constraint = json.get(scope)?;
    if constraint.get("op")?.as_str()? == "All" {
        return None;
    }
    Some(PolicyMutation {
        name: format!("widen-{scope}"),
        words: format!("any {scope}"),
        json: Some(with(json, scope, json!({ "op": "All" }))),
    })
}

fn drop_actions(json: &Value) -> Vec<PolicyMutation> {
    let action = json.get("action");
    let listed = action.and_then(|action| action.get("entities")).and_then(Value::as_array);
    let Some(listed) = listed.filter(|listed| listed.len() > 1) else { return Vec::new() };
    let drop = |index: usize, dropped: &Value| {
        let rest = listed.iter().enumerate().filter(|(at, _)| *at != index);
        let rest: Vec<_> = rest.map(|(_, action)| action.clone()).collect();
        let id = dropped.get("id").and_then(Value::as_str).unwrap_or_default();
        PolicyMutation {
            name: format!("drop-action:{id}"),
            words: format!("without the action `{id}`"),
            json: Some(with(json, "action", json!({ "op": "in", "entities": rest }))),
        }
    };
    listed.iter().enumerate().map(|(index, action)| drop(index, action)).collect()
}

fn conditions(json: &Value) -> Vec<PolicyMutation> {
    let clauses = json.get("conditions").and_then(Value::as_array).cloned().unwrap_or_default();
    let (mut conjuncts, mut disjuncts) = (0, 0);
    let mut changes = Vec::new();
    for (index, clause) in clauses.iter().enumerate() {
        let Some(body) = clause.get("body") else { continue };
        let kind = clause.get("kind").and_then(Value::as_str).unwrap_or_default();
        let others = |replacement: Option<Value>| {
            let before = clauses.iter().take(index).cloned();
            let after = clauses.iter().skip(index + 1).cloned();
            let clauses: Vec<_> = before.chain(replacement).chain(after).collect();
            with(json, "conditions", Value::Array(clauses))
        };
        // A clause is a conjunct itself; a `when` that is a chain of them consists of conjuncts.
        if kind == "unless" || operands("&&", body).len() == 1 {
            conjuncts += 1;
            changes.push(PolicyMutation {
                name: format!("drop-conjunct:{conjuncts}"),
                words: format!("without `{kind} {{ {} }}`", text(body)),
                json: Some(others(None)),
            });
        }
        for mutated in mutations(body) {
            let clause = json!({ "kind": kind, "body": mutated.expression });
            let json = Some(others(Some(clause)));
            let (name, words) = describe(&mutated, &mut conjuncts, &mut disjuncts);
            changes.push(PolicyMutation { name, words, json });
        }
    }
    changes
}

fn describe(mutated: &Mutated, conjuncts: &mut usize, disjuncts: &mut usize) -> (String, String) {
    let part = text(&mutated.part);
    match mutated.dropped {
        Dropped::Conjunct => {
            *conjuncts += 1;
            (format!("drop-conjunct:{conjuncts}"), format!("without the condition `{part}`"))
        }
        Dropped::Disjunct => {
            *disjuncts += 1;
            (format!("drop-disjunct:{disjuncts}"), format!("without the alternative `{part}`"))
        }
        Dropped::Element => match action_id(&mutated.part) {
            Some(id) => (format!("drop-action:{id}"), format!("without the action `{id}`")),
            None => (format!("drop-slot:{part}"), format!("without `{part}` in the set")),
        },
    }
}

/// The id of an action that is written as a literal.
fn action_id(expression: &Value) -> Option<&str> {
    let entity = expression.get("Value")?.get("__entity")?;
    let type_name = entity.get("type")?.as_str()?;
    let is_action = type_name == "Action" || type_name.ends_with("::Action");
    if is_action { entity.get("id")?.as_str() } else { None }
}

fn with(json: &Value, key: &str, value: Value) -> Value {
    let mut json = json.clone();
    if let Some(fields) = json.as_object_mut() {
        fields.insert(key.to_owned(), value);
    }
    json
}

/// Numbers changes that would have the same name: the second one is `…#2`.
fn unique(changes: &mut [PolicyMutation]) {
    let mut seen: HashMap<String, usize> = HashMap::new();
    for change in changes {
        let count = seen.entry(change.name.clone()).or_default();
        *count += 1;
        if *count > 1 {
            change.name = format!("{}#{count}", change.name);
        }
    }
}
