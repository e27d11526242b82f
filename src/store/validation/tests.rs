#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::sync::Arc;

use super::*;
use crate::store::{Bounds, PolicyStore, embedded_stores};

/// The findings, sorted.
fn sorted(findings: &Findings) -> [Vec<String>; 2] {
    use miette::Diagnostic;

    let line = |id: &PolicyId, diagnostic: &dyn Diagnostic| {
        let labels: Vec<_> = diagnostic.labels().into_iter().flatten().collect();
        let help = diagnostic.help().map(|help| help.to_string());
        format!("{id}: {diagnostic} {labels:?} {help:?}")
    };
    let mut errors: Vec<_> =
        findings.errors.iter().map(|error| line(error.policy_id(), error)).collect();
    let mut warnings: Vec<_> =
        findings.warnings.iter().map(|warning| line(warning.policy_id(), warning)).collect();
    errors.sort();
    warnings.sort();
    [errors, warnings]
}

fn found(
    schema: &Schema,
    set: &PolicySet,
    level: Option<u32>,
    is_known: impl Fn(&PolicyId) -> bool,
) -> Findings {
    let mut findings = Findings::default();
    let add = |found: Findings| {
        findings.errors.extend(found.errors);
        findings.warnings.extend(found.warnings);
    };
    validate(schema, set, level, usize::MAX, is_known, add).unwrap();
    findings
}

/// Validates as the product does, and holds it against Cedar's validator on the whole set.
fn check(schema: &Schema, set: &PolicySet, level: Option<u32>) -> Findings {
    let findings = found(schema, set, level, |_| false);
    let of_cedar = Findings::of(&Validator::new(schema.clone()), set, level);
    assert_eq!(sorted(&findings), sorted(&of_cedar));
    findings
}

fn shipped() -> Vec<PolicyStore> {
    let stores = embedded_stores().into_iter();
    stores.map(|files| PolicyStore::load(Arc::new(files), &Bounds::default()).unwrap()).collect()
}

/// Numbers that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    fn throw(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        usize::try_from(self.0 >> 33).unwrap() % sides
    }

    fn choose<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.throw(from.len())]
    }
}

/// Parts of policies on a store.
struct Words {
    types: Vec<String>,
    actions: Vec<String>,
    conditions: Vec<String>,
}

impl Words {
    fn of(store: &PolicyStore) -> Self {
        let schema = store.schema();
        let mut types: Vec<_> =
            schema.entities().map(|shape| shape.entity_type.to_string()).collect();
        types.sort();
        types.extend(["Unheard::Of".to_owned(), "Action".to_owned()]);
        let mut actions: Vec<_> = schema.actions().map(|action| action.uid.to_string()).collect();
        actions.sort();
        actions.push("Action::\"unheard of\"".to_owned());
        let broken = [
            "when { principal.unheard_of }",
            "when { resource.name + 1 == 2 }",
            "when { principal in resource }",
            "when { resource == principal }",
            "unless { context.now < datetime(\"2026-01-01\") }",
            "when { \"\u{43d}amed\" == \"named\" }",
            "when { false }",
            "",
        ];
        let own = store.policies().policies().filter_map(|policy| {
            let text = policy.to_string();
            text.find(") when")
                .or_else(|| text.find(") unless"))
                .map(|at| text[at + 1..].trim_end().trim_end_matches(';').to_owned())
        });
        let conditions = broken.map(str::to_owned).into_iter().chain(own).collect();
        Self { types, actions, conditions }
    }

    /// A clause on a variable, with `ID` where the id of an entity stands.
    fn scope(&self, dice: &mut Dice, variable: &str) -> String {
        let (ty, other) = (dice.choose(&self.types), dice.choose(&self.types));
        match dice.throw(6) {
            0 => variable.to_owned(),
            1 => format!("{variable} is {ty}"),
            2 | 3 => format!("{variable} == {ty}::\"ID\""),
            4 => format!("{variable} in {ty}::\"ID\""),
            _ => format!("{variable} is {other} in {ty}::\"ID\""),
        }
    }

    fn action(&self, dice: &mut Dice) -> String {
        match dice.throw(4) {
            0 => "action".to_owned(),
            1 => format!("action == {}", dice.choose(&self.actions)),
            2 => format!("action in {}", dice.choose(&self.actions)),
            _ => {
                format!(
                    "action in [{}, {}]",
                    dice.choose(&self.actions),
                    dice.choose(&self.actions)
                )
            }
        }
    }

    /// Policies of which some are alike.
    fn policies(&self, dice: &mut Dice, shapes: usize) -> String {
        let mut text = String::new();
        for _ in 0..shapes {
            let (principal, resource) =
                (self.scope(dice, "principal"), self.scope(dice, "resource"));
            let (action, condition) = (self.action(dice), dice.choose(&self.conditions));
            // Plain, of an enumerated type, with a letter that looks like another.
            for id in ["a", "b c", "active", "p\u{430}ge", "\\u{202e}x"] {
                let scope = format!("{principal}, {action}, {resource}").replace("ID", id);
                text += &format!("permit ({scope}) {condition};\n");
            }
        }
        text
    }
}

#[test]
fn what_cedar_says_is_said() {
    let mut dice = Dice(1);
    let (mut errors, mut warnings, mut alike) = (0, 0, 0);
    for store in shipped() {
        let schema = store.schema().cedar();
        check(schema, store.policies(), store.level);
        let words = Words::of(&store);
        for (shapes, level) in [(12, None), (12, Some(1)), (6, Some(0))] {
            let set: PolicySet = words.policies(&mut dice, shapes).parse().unwrap();
            let findings = check(schema, &set, level);
            errors += findings.errors.len();
            warnings += findings.warnings.len();
            let groups = Alike::new(schema.as_ref(), &set, |_| false).policies;
            alike += groups.iter().filter(|policies| policies.len() > 1).count();
        }
    }
    assert!(errors > 500 && warnings > 500 && alike > 50, "{errors} {warnings} {alike}");
}

#[test]
fn links_are_validated_like_cedar_does() {
    let mut dice = Dice(2);
    let (mut findings, mut alike) = (0, 0);
    for store in shipped() {
        let words = Words::of(&store);
        let mut set = PolicySet::new();
        for number in 0..8 {
            let principal = *dice.choose(&["principal == ?principal", "principal in ?principal"]);
            let resource = *dice.choose(&["resource == ?resource", "resource in ?resource"]);
            let (action, condition) = (words.action(&mut dice), dice.choose(&words.conditions));
            let text = format!("permit ({principal}, {action}, {resource}) {condition};");
            let id = PolicyId::new(format!("template {number}"));
            let template = cedar_policy::Template::parse(Some(id.clone()), text).unwrap();
            set.add_template(template).unwrap();
            for link in 0..6 {
                let (one, other) = (dice.choose(&words.types), dice.choose(&words.types));
                for entity in ["a", "b"] {
                    let uid = |ty: &str| format!("{ty}::\"{entity}\"").parse().unwrap();
                    let slots = [
                        (cedar_policy::SlotId::principal(), uid(one)),
                        (cedar_policy::SlotId::resource(), uid(other)),
                    ];
                    let link = PolicyId::new(format!("{id}, link {link} {entity}"));
                    set.link(id.clone(), link, slots.into()).unwrap();
                }
            }
        }
        let schema = store.schema().cedar();
        let found = check(schema, &set, None);
        findings += found.errors.len() + found.warnings.len();
        alike += Alike::new(schema.as_ref(), &set, |_| false).policies.len();
    }
    assert!(findings > 100 && alike > 0, "{findings} {alike}");
}

#[test]
fn what_is_known_is_left_out_and_nothing_else() {
    let store = shipped().into_iter().find(|store| store.name().as_str() == "hitkeep-v1").unwrap();
    let words = Words::of(&store);
    let set: PolicySet = words.policies(&mut Dice(3), 20).parse().unwrap();
    let schema = store.schema().cedar();
    let all = found(schema, &set, None, |_| false);
    let is_known = |id: &PolicyId| id.to_string().ends_with(['1', '4', '7']);
    let some = found(schema, &set, None, is_known);
    let mut left = all;
    left.errors.retain(|error| !is_known(error.policy_id()));
    left.warnings.retain(|warning| !is_known(warning.policy_id()));
    assert_eq!(sorted(&some), sorted(&left));
    let none = found(schema, &set, None, |_| true);
    assert_eq!(sorted(&none), [Vec::<String>::new(), Vec::new()]);
}
