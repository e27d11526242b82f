//! Random states of a store against enumeration: other policies on sets, records and texts, other action
//! groups and other entities that the store holds. What anybody gains or loses among the requests of a
//! small set of facts must be told.

use std::sync::Arc;

use proptest::prelude::*;

use crate::{
    analysis::{Direction, diff, taken_by},
    engine::decide,
    model::{Effect, OnForbidError, Uid, Value},
    request::{EntityInput, RequestInput, RequestLimits},
    store::{Bounds, PolicyStore, StoreFiles},
    testing::DEFAULT_NOW,
};

const SCHEMA: &str = r#"
entity Group in [Group];
entity User in [Group] { level?: Long };
entity Site { labels: Set<String>, kind?: String };
action reading;
action view in [reading] appliesTo { principal: User, resource: Site, context: Facts };
action edit GROUPS appliesTo { principal: User, resource: Site, context: Facts };
type Facts = { labels: Set<String>, box: { p: Bool, q: Long } };
"#;

/// Conditions that cannot fail.
const ATOMS: [&str; 16] = [
    "resource.labels == [\"a\", \"b\"]",
    "resource.labels.contains(\"a\")",
    "resource.labels.containsAll([\"a\", \"b\"])",
    "resource.labels.containsAny([\"b\", \"c\"])",
    "resource.labels.contains(\"c\")",
    "resource.labels.containsAll(context.labels)",
    "context.labels == resource.labels",
    "context.box == {p: true, q: 4}",
    "context.box.q > 3",
    "context.box.p",
    "(resource has kind && resource.kind like \"x*\")",
    "(resource has kind && resource.kind like \"*y\")",
    "(principal has level && principal.level == 3)",
    "principal in Group::\"top\"",
    "principal in Group::\"staff\"",
    "action in Action::\"reading\"",
];

fn condition() -> impl Strategy<Value = String> {
    let atom = (0..ATOMS.len(), any::<bool>()).prop_map(|(atom, not)| {
        if not { format!("!({})", ATOMS[atom]) } else { ATOMS[atom].to_owned() }
    });
    atom.prop_recursive(2, 4, 2, |inner| {
        (inner.clone(), inner, any::<bool>()).prop_map(|(one, other, and)| {
            format!("({one} {} {other})", if and { "&&" } else { "||" })
        })
    })
}

fn policy() -> impl Strategy<Value = String> {
    let action = prop_oneof![
        Just("action"),
        Just("action == Action::\"edit\""),
        Just("action in Action::\"reading\""),
    ];
    (prop::bool::weighted(0.7), action, condition()).prop_map(|(permit, action, when)| {
        let effect = if permit { "permit" } else { "forbid" };
        format!("{effect} (principal, {action}, resource) when {{ {when} }};\n")
    })
}

/// The files of a state that may differ between two.
#[derive(Debug, Clone)]
struct State {
    policies: Vec<String>,
    edit_reads: bool,
    /// The level and the group of a user that the store holds, if it does.
    zoe: Option<(Option<i64>, Option<&'static str>)>,
    staff_is_in_top: bool,
}

fn state() -> impl Strategy<Value = State> {
    let zoe = prop::option::of((
        prop::option::of(3..5_i64),
        prop::sample::select(&[None, Some("staff"), Some("top")][..]),
    ));
    let policies = prop::collection::vec(policy(), 1..4);
    (policies, any::<bool>(), zoe, any::<bool>()).prop_map(
        |(policies, edit_reads, zoe, staff_is_in_top)| State {
            policies,
            edit_reads,
            zoe,
            staff_is_in_top,
        },
    )
}

/// Two states that differ in some way, and often in one alone.
fn two_states() -> impl Strategy<Value = (State, State)> {
    (state(), state(), 0..5_u8).prop_map(|(old, mut new, kept)| {
        let other = new.clone();
        if kept > 0 {
            new = old.clone();
        }
        match kept {
            1 => new.edit_reads = !old.edit_reads,
            2 => new.zoe = other.zoe,
            3 => new.staff_is_in_top = !old.staff_is_in_top,
            4 => new.policies.extend(other.policies.into_iter().take(1)),
            _ => {}
        }
        (old, new)
    })
}

fn store(state: &State) -> PolicyStore {
    let schema = SCHEMA.replace("GROUPS", if state.edit_reads { "in [reading]" } else { "" });
    let numbered = state.policies.iter().enumerate();
    let policies: String =
        numbered.map(|(number, policy)| format!("@id(\"p{number}\")\n{policy}")).collect();
    let parent = |group: &str| format!(r#"{{"type": "Group", "id": "{group}"}}"#);
    let mut entities = Vec::new();
    if let Some((level, group)) = state.zoe {
        let level = level.map(|level| format!("\"level\": {level}")).unwrap_or_default();
        let group = group.map(parent).unwrap_or_default();
        entities.push(format!(
            r#"{{"uid": {{"type": "User", "id": "zoe"}}, "attrs": {{{level}}}, "parents": [{group}]}}"#
        ));
    }
    let top = if state.staff_is_in_top { parent("top") } else { String::new() };
    entities.push(format!(
        r#"{{"uid": {{"type": "Group", "id": "staff"}}, "attrs": {{}}, "parents": [{top}]}}"#
    ));
    let files = [
        ("schema.cedarschema", schema),
        ("policies.cedar", policies),
        ("held.cedarentities.json", format!("[{}]", entities.join(", "))),
    ];
    let files = files.map(|(path, text)| (path.to_owned(), Arc::from(text.into_bytes())));
    let files = StoreFiles::new("random".parse().unwrap(), files);
    PolicyStore::load(Arc::new(files), &Bounds::default())
        .unwrap_or_else(|problems| panic!("{problems:?}\n{state:?}"))
}

fn labels(bits: usize) -> Value {
    let all = ["a", "b", "c"].into_iter().enumerate();
    Value::Set(all.filter(|(at, _)| bits >> at & 1 == 1).map(|(_, label)| label.into()).collect())
}

/// The requests that are enumerated.
fn requests() -> Vec<RequestInput> {
    let mut all = Vec::new();
    let people = [
        ("zoe", None, None),
        ("alice", None, None),
        ("alice", Some(3), None),
        ("alice", None, Some("staff")),
        ("alice", Some(4), Some("top")),
    ];
    for (principal, level, group) in people {
        for action in ["view", "edit"] {
            for on_site in 0..8 {
                for sent in [0, 3, 5] {
                    for kind in [None, Some("x"), Some("xay"), Some("y")] {
                        for (p, q) in [(true, 4), (true, 3), (false, 4)] {
                            let fields = [("p", Value::Bool(p)), ("q", Value::Long(q))];
                            let fields = fields.map(|(name, value)| (name.to_owned(), value));
                            let mut site = vec![("labels".to_owned(), labels(on_site))];
                            site.extend(kind.map(|kind| ("kind".to_owned(), kind.into())));
                            let mut entities = vec![EntityInput {
                                uid: Some(Uid::new("Site", "1")),
                                attributes: site,
                                ..EntityInput::default()
                            }];
                            if level.is_some() || group.is_some() {
                                let level = level.map(|n: i64| ("level".to_owned(), n.into()));
                                entities.push(EntityInput {
                                    uid: Some(Uid::new("User", principal)),
                                    attributes: level.into_iter().collect(),
                                    parents: group
                                        .map(|id| Uid::new("Group", id))
                                        .into_iter()
                                        .collect(),
                                    ..EntityInput::default()
                                });
                            }
                            all.push(RequestInput {
                                principal: Some(Uid::new("User", principal)),
                                action: Some(Uid::action(action)),
                                resource: Some(Uid::new("Site", "1")),
                                context: vec![
                                    ("labels".to_owned(), labels(sent)),
                                    ("box".to_owned(), Value::Record(fields.into())),
                                ],
                                entities,
                                ..RequestInput::default()
                            });
                        }
                    }
                }
            }
        }
    }
    all
}

fn allows(store: &PolicyStore, input: &RequestInput) -> bool {
    let request = store.check(input, DEFAULT_NOW, &RequestLimits::default()).unwrap();
    decide(store.engine(), &request, OnForbidError::default()).effect == Effect::Allow
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn whatever_differs_between_two_states_a_gain_is_told_and_each_that_is_found_replays(
        (before, after) in two_states(),
    ) {
        let (old, new) = (store(&before), store(&after));
        let mut found = diff(&old, &new, OnForbidError::Deny).unwrap();
        let is_regrouped = before.edit_reads != after.edit_reads;
        prop_assert!(found.not_comparable.is_empty() || is_regrouped);
        // A step that cannot be compared is searched all the same.
        found.not_comparable.clear();
        for input in requests() {
            match (allows(&old, &input), allows(&new, &input)) {
                (false, true) => prop_assert!(found.has_gains(), "not told: {input:?}"),
                (true, false) => prop_assert!(found.has_losses(), "not told: {input:?}"),
                _ => {}
            }
        }
        let of_cells = found.cells.iter().flat_map(|cell| {
            let gain = cell.gain.iter().map(|witness| (Direction::Gain, witness));
            gain.chain(cell.loss.iter().map(|witness| (Direction::Loss, witness)))
        });
        let of_others = found.others.iter().map(|other| (other.direction, &other.witness));
        for (direction, witness) in of_cells.chain(of_others) {
            // A state that holds an entity is asked without what the request says of it.
            let answers = [(&old, &new), (&new, &old)].map(|(store, other)| {
                let asked = taken_by(store, other, witness);
                asked.decide(store).is_ok_and(|decision| decision.is_allow())
            });
            let is_gain = direction == Direction::Gain;
            prop_assert_eq!(answers, [!is_gain, is_gain], "{}", witness);
        }
    }
}
