//! Mutations of a condition, on Cedar's JSON form of expressions.

use cedar_policy::{Effect, Policy};
use serde_json::{Map, Value, json};

/// A part that was left out of an expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dropped {
    /// An element of a set on the right of `in`.
    Element,
    /// An operand of `&&`.
    Conjunct,
    /// An operand of `||`.
    Disjunct,
}

/// An expression of which something was left out.
#[derive(Debug, Clone)]
pub(super) struct Mutated {
    pub dropped: Dropped,
    /// The part that was left out.
    pub part: Value,
    pub expression: Value,
}

/// Every mutation of an expression, in the order of its text.
pub(super) fn mutations(expression: &Value) -> Vec<Mutated> {
    for (operator, dropped) in [("&&", Dropped::Conjunct), ("||", Dropped::Disjunct)] {
        if expression.get(operator).is_some() {
            return of_chain(operator, dropped, expression);
        }
    }
    let mut all = Vec::new();
    for (path, child) in children(expression) {
        if path == ["in", "right"] {
            all.extend(without_elements(child).map(|(part, set)| Mutated {
                dropped: Dropped::Element,
                part,
                expression: with(expression, &path, set),
            }));
        }
        all.extend(mutations(child).into_iter().map(|mutated| Mutated {
            expression: with(expression, &path, mutated.expression),
            ..mutated
        }));
    }
    all
}

fn of_chain(operator: &str, dropped: Dropped, expression: &Value) -> Vec<Mutated> {
    let operands = operands(operator, expression);
    let mut all = Vec::new();
    for (index, operand) in operands.iter().enumerate() {
        let others = |replacement: Option<Value>| {
            let before = operands.iter().take(index).map(|operand| (*operand).clone());
            let after = operands.iter().skip(index + 1).map(|operand| (*operand).clone());
            chain(operator, before.chain(replacement).chain(after))
        };
        all.extend(others(None).map(|expression| Mutated {
            dropped,
            part: (*operand).clone(),
            expression,
        }));
        all.extend(mutations(operand).into_iter().filter_map(|mutated| {
            let expression = others(Some(mutated.expression.clone()))?;
            Some(Mutated { expression, ..mutated })
        }));
    }
    all
}

/// The operands of a chain of one operator, from the left.
pub(super) fn operands<'a>(operator: &str, expression: &'a Value) -> Vec<&'a Value> {
    let side = |name| expression.get(operator).and_then(|sides| sides.get(name));
    match (side("left"), side("right")) {
        (Some(left), Some(right)) => [operands(operator, left), operands(operator, right)].concat(),
        _ => vec![expression],
    }
}

fn chain(operator: &str, operands: impl Iterator<Item = Value>) -> Option<Value> {
    let join = |left, right| {
        let mut expression = Map::new();
        expression.insert(operator.to_owned(), json!({ "left": left, "right": right }));
        Value::Object(expression)
    };
    operands.reduce(join)
}

/// The set without each of its elements; nothing where there is only one, for Cedar's validation
/// refuses the empty set.
fn without_elements(set: &Value) -> impl Iterator<Item = (Value, Value)> {
    let elements: Vec<Value> =
        set.get("Set").and_then(Value::as_array).cloned().unwrap_or_default();
    let count = if elements.len() > 1 { elements.len() } else { 0 };
    (0..count).filter_map(move |index| {
        let mut rest = elements.clone();
        let part = if index < rest.len() { Some(rest.remove(index)) } else { None };
        Some((part?, json!({ "Set": rest })))
    })
}

/// The expressions directly in an expression, each with its path.
fn children(expression: &Value) -> Vec<(Vec<String>, &Value)> {
    // A literal may be a record that looks like an expression.
    let Some((operator, inner)) = expression.as_object().and_then(|map| map.iter().next()) else {
        return Vec::new();
    };
    match (operator.as_str(), inner) {
        ("Value" | "Var" | "Slot" | "Unknown", _) => Vec::new(),
        ("Record", Value::Object(fields)) => fields
            .iter()
            .map(|(name, child)| (vec![operator.clone(), name.clone()], child))
            .collect(),
        (_, Value::Array(arguments)) => arguments
            .iter()
            .enumerate()
            .map(|(index, child)| (vec![operator.clone(), index.to_string()], child))
            .collect(),
        (_, Value::Object(fields)) => ["left", "arg", "if", "then", "else", "right", "in"]
            .into_iter()
            .filter_map(|name| Some((vec![operator.clone(), name.to_owned()], fields.get(name)?)))
            .collect(),
        _ => Vec::new(),
    }
}

/// The expression with another one at that path.
fn with(expression: &Value, path: &[String], child: Value) -> Value {
    let mut expression = expression.clone();
    let mut place = Some(&mut expression);
    for step in path {
        place = place.and_then(|place| match place {
            Value::Array(elements) => {
                step.parse().ok().and_then(|index: usize| elements.get_mut(index))
            }
            place => place.get_mut(step),
        });
    }
    if let Some(place) = place {
        *place = child;
    }
    expression
}

/// An expression in Cedar's syntax.
pub(super) fn text(expression: &Value) -> String {
    let policy = Policy::from_json(
        None,
        json!({
            "effect": Effect::Permit.to_string(),
            "principal": { "op": "All" },
            "action": { "op": "All" },
            "resource": { "op": "All" },
            "conditions": [{ "kind": "when", "body": expression }],
        }),
    );
    let text = policy.map(|policy| policy.to_string()).unwrap_or_default();
    let inner = text.split_once("when {").and_then(|(_, rest)| rest.rsplit_once('}'));
    inner.map_or_else(|| expression.to_string(), |(inner, _)| inner.trim().to_owned())
}
