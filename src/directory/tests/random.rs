//! Random changes, held against the model.

use std::collections::{BTreeMap, BTreeSet};

use cedar_policy_core::ast::{Eid, EntityUID};
use proptest::prelude::*;

use super::{
    model::{Model, named},
    support::{BARE, FULL, LESS, Store, at, directory, store, with},
};
use crate::{
    directory::{Assignment, AssignmentFilter, AssignmentKey, Change, Directory, EntityRow},
    model::{Timestamp, Uid},
    request::{Grant, HeldFacts, HeldPlace, HeldRole, RequestLimits},
};

#[derive(Debug, Clone)]
enum Step {
    Apply(Vec<Change>),
    /// Deletes rows: those of each place in the order of rows that is `true`.
    Delete(Vec<bool>),
    Schema(usize),
}

const TYPES: [&str; 10] =
    ["User", "App::User", "Group", "Site", "App::Site", "Team", "Plan", "Nothing", "X::User", ""];
const TEXT_BYTES: usize = 100;
const NOWS: [i64; 3] = [0, 5, 10];

fn uid() -> impl Strategy<Value = Uid> {
    let ids = prop_oneof![
        20 => (0..4).prop_map(|n| format!("u{n}")),
        1 => Just("free".to_owned()),
        1 => Just(String::new()),
        1 => Just("long".repeat(30)),
    ];
    let types = prop_oneof![
        10 => proptest::sample::select(&TYPES[..5]),
        1 => proptest::sample::select(&TYPES[5..]),
    ];
    (types, ids).prop_map(|(type_name, id)| Uid::new(type_name, id))
}

fn key() -> impl Strategy<Value = AssignmentKey> {
    let roles = proptest::sample::select(vec!["editor", "viewer", "owner", "none"]);
    (uid(), roles, uid()).prop_map(|(principal, role, scope)| AssignmentKey {
        principal,
        role: role.to_owned(),
        scope,
    })
}

fn moment() -> impl Strategy<Value = Option<Timestamp>> {
    proptest::option::of((0..12_i64).prop_map(at))
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        20 => proptest::sample::select(vec!["", "root", "ticket 7"]).prop_map(str::to_owned),
        1 => Just("words".repeat(30)),
    ]
}

fn assignment() -> impl Strategy<Value = Assignment> {
    let grant = (moment(), text(), text());
    (key(), moment(), grant).prop_map(|(key, expires_at, (granted_at, granted_by, reason))| {
        Assignment { key, expires_at, grant: Grant { granted_at, granted_by, reason } }
    })
}

fn entity() -> impl Strategy<Value = EntityRow> {
    let parent = (proptest::sample::select(vec!["Group", "App::Group", "Role", "User"]), 0..4);
    let parents = proptest::collection::vec(parent, 0..3);
    let attrs = prop_oneof![
        4 => Just("{}"),
        1 => Just(r#"{"plan": "free"}"#),
        1 => Just(r#"{"editor": "x"}"#),
        2 => Just(r#"{"manager": {"type": "User", "id": "u1"}}"#),
        1 => Just(
            r#"{
                "manager": {"type": "User", "id": "u2"},
                "teams": [{"type": "Group", "id": "u1"}, {"type": "Group", "id": "named"}],
                "desk": {"neighbour": {"type": "User", "id": "u2"}}
            }"#
        ),
    ];
    let wrong = prop_oneof![
        10 => Just(None),
        1 => Just(Some("[]")),
        1 => Just(Some("{")),
        1 => Just(Some(r#"{"uid": {"type": "User", "id": "another"}}"#)),
    ];
    (uid(), parents, attrs, wrong).prop_map(|(uid, parents, attrs, wrong)| {
        let parent = |(ty, n): &(&str, i32)| format!(r#"{{"type": "{ty}", "id": "u{n}"}}"#);
        let parents: Vec<_> = parents.iter().map(parent).collect();
        let json = format!(r#"{{"attrs": {attrs}, "parents": [{}]}}"#, parents.join(", "));
        EntityRow { uid, json: wrong.map_or(json, str::to_owned) }
    })
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        8 => assignment().prop_map(Change::Put),
        3 => key().prop_map(Change::Delete),
        3 => entity().prop_map(Change::PutEntity),
        1 => uid().prop_map(Change::DeleteEntity),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => proptest::collection::vec(change(), 0..40).prop_map(Step::Apply),
        3 => proptest::collection::vec(proptest::bool::weighted(0.8), 1..20).prop_map(Step::Delete),
        2 => (0_usize..3).prop_map(Step::Schema),
    ]
}

/// An assignment without places.
type Plain = (Uid, String, Uid, Option<Timestamp>);

fn plain(held: &Directory, role: &HeldRole<'_>) -> Plain {
    let uid = |place| Uid::from(&held.uid(place).unwrap());
    (uid(role.principal), role.slot.to_string(), uid(role.scope), role.expires_at)
}

fn sorted(held: &Directory, roles: &[HeldRole<'_>]) -> Vec<Plain> {
    let mut roles: Vec<_> = roles.iter().map(|role| plain(held, role)).collect();
    roles.sort();
    roles
}

fn names(held: &Directory, places: Vec<HeldPlace>) -> BTreeSet<Uid> {
    let names: BTreeSet<_> =
        places.iter().map(|place| Uid::from(&held.uid(*place).unwrap())).collect();
    assert_eq!(names.len(), places.len());
    names
}

fn assert_same(held: &Directory, model: &Model, store: &Store) {
    assert_eq!(held.counts(), model.counts());
    assert_eq!(held.entities().collect::<Vec<_>>(), model.rows());
    let mut assignments: Vec<_> = held.assignments().collect();
    assignments.sort_by(|one, other| one.key.cmp(&other.key));
    assert_eq!(assignments, model.assignments());

    let visible = model.visible();
    let mut places = BTreeMap::new();
    for entity_type in store.schema.entities().map(|shape| &shape.entity_type) {
        let of_type: BTreeSet<_> = visible
            .iter()
            .filter(|uid| uid.type_name == entity_type.to_string())
            .cloned()
            .collect();
        assert_eq!(names(held, held.of_type(entity_type)), of_type);
        for id in ["u0", "u1", "u2", "u3", "free", ""] {
            let uid = cedar_policy_core::ast::EntityUID::from_components(
                entity_type.clone(),
                cedar_policy_core::ast::Eid::new(id),
                None,
            );
            let place = held.place(&uid);
            assert_eq!(place.is_some(), visible.contains(&Uid::from(&uid)), "{uid}");
            if let Some(place) = place {
                assert_eq!(held.uid(place), Some(uid.clone()));
                places.insert(Uid::from(&uid), place);
            }
        }
    }
    assert_eq!(places.len(), visible.len());
    assert_entities_are_same(held, model, &places);
    assert_roles_are_same(held, model, &places);
    assert_pages_are_same(held, model);
    assert_nothing_is_left(held, model);
}

fn assert_entities_are_same(held: &Directory, model: &Model, places: &BTreeMap<Uid, HeldPlace>) {
    let entities = model.entities();
    let (in_circles, unreadable) = (model.in_circles(), model.unreadable());
    let reported: BTreeSet<_> = held.in_circles().map(|(uid, _)| uid).collect();
    assert_eq!(reported, in_circles);
    for (uid, place) in places {
        let readable = entities.get(uid).filter(|_| !in_circles.contains(uid));
        assert_eq!(held.is_unreadable(*place), unreadable.contains(uid), "{uid}");
        match (held.entity(*place), readable) {
            (Some(facts), Some(expected)) => assert!(facts.says_the_same(expected)),
            (facts, expected) => assert_eq!(facts.is_some(), expected.is_some()),
        }
        let is_in = |facts: &&crate::request::EntityFacts| {
            facts.parents.iter().any(|parent| Uid::from(parent) == *uid)
        };
        let members: BTreeSet<_> =
            entities.values().filter(is_in).map(|facts| Uid::from(&facts.uid)).collect();
        assert_eq!(names(held, held.members(*place)), members);
    }
    for uid in model.names() {
        let naming = entities.values().filter(|facts| named(facts).contains(&uid));
        let expected: BTreeSet<_> = naming.map(|facts| Uid::from(&facts.uid)).collect();
        if let Some(entity) = entity_uid(&uid) {
            assert_eq!(names(held, held.named_by(&entity)), expected, "{uid}");
        }
    }
}

fn entity_uid(uid: &Uid) -> Option<EntityUID> {
    let entity_type = uid.type_name.parse().ok()?;
    Some(EntityUID::from_components(entity_type, Eid::new(uid.id.as_str()), None))
}

fn assert_roles_are_same(held: &Directory, model: &Model, places: &BTreeMap<Uid, HeldPlace>) {
    let roles = model.roles();
    for now in NOWS.map(at) {
        let in_force: Vec<_> =
            roles.iter().filter(|row| row.expires_at.is_none_or(|end| now < end)).collect();
        let expected = |is_it: &dyn Fn(&AssignmentKey) -> bool| {
            let found = in_force.iter().filter(|row| is_it(&row.key));
            let plain = found.map(|row| {
                let key = row.key.clone();
                (key.principal, key.role, key.scope, row.expires_at)
            });
            let mut found: Vec<Plain> = plain.collect();
            found.sort();
            found
        };
        for (uid, place) in places {
            let of = held.roles_of(*place, now);
            assert!(of.is_sorted_by_key(|role| role.scope));
            assert_eq!(sorted(held, &of), expected(&|key| key.principal == *uid));
            let on = held.roles_on(*place, now);
            assert!(on.is_sorted_by_key(|role| role.principal));
            assert_eq!(sorted(held, &on), expected(&|key| key.scope == *uid));
            let all = roles.iter().filter(|row| row.key.principal == *uid).count();
            assert!(held.role_count(*place) >= all);
            for (scope, on) in places {
                let between = held.roles_between(*place, *on, now);
                let is_it = |key: &AssignmentKey| key.principal == *uid && key.scope == *scope;
                assert_eq!(sorted(held, &between), expected(&is_it));
                for slot in ["editor", "viewer", "owner", "none"] {
                    let is_it = |key: &AssignmentKey| is_it(key) && key.role == slot;
                    let holds = !expected(&is_it).is_empty();
                    assert_eq!(held.holds(*place, *on, slot, now), holds);
                    let grant = roles.iter().find(|row| is_it(&row.key));
                    let grant = grant.map(|row| row.grant.clone());
                    assert_eq!(held.grant(*place, *on, slot), grant);
                }
            }
        }
    }
}

fn assert_pages_are_same(held: &Directory, model: &Model) {
    let principals = [None, Some(Uid::new("User", "u1")), Some(Uid::new("App::User", "no"))];
    let scopes = [None, Some(Uid::new("Site", "u0")), Some(Uid::new("Nothing", "u0"))];
    for (principal, scope) in principals.iter().flat_map(|p| scopes.iter().map(move |s| (p, s))) {
        for role in [None, Some("viewer".to_owned())] {
            for in_force_at in [None, Some(at(5))] {
                let (principal, scope) = (principal.clone(), scope.clone());
                let role = role.clone();
                let filter = AssignmentFilter { principal, role, scope, in_force_at };
                let listed = model.listed(&filter);
                assert_eq!(held.assignments_page(&filter, None, 1_000), listed);
                let mut paged = Vec::new();
                loop {
                    let after = paged.last().map(|row: &Assignment| row.key.clone());
                    let page = held.assignments_page(&filter, after.as_ref(), 3);
                    let is_last = page.len() < 3;
                    paged.extend(page);
                    if is_last {
                        break;
                    }
                }
                assert_eq!(paged, listed);
            }
        }
    }
}

/// An entity that no row names any more is not kept.
fn assert_nothing_is_left(held: &Directory, model: &Model) {
    let names = model.names();
    let types: BTreeSet<_> = names.iter().map(|uid| &uid.type_name).collect();
    let rows = model.assignments();
    let kinds: BTreeSet<_> = rows
        .iter()
        .map(|row| (&row.key.principal.type_name, &row.key.role, &row.key.scope.type_name))
        .collect();
    let texts: BTreeSet<_> =
        rows.iter().flat_map(|row| [&row.grant.granted_by, &row.grant.reason]).collect();
    assert_eq!(held.entities.iter().count(), names.len());
    assert_eq!(held.types.iter().count(), types.len());
    assert_eq!(held.kinds.iter().count(), kinds.len());
    assert_eq!(held.texts.iter().count(), texts.len());
    assert_eq!(held.entities.indexed(), names.len());
    let in_order: Vec<_> = held.order.iter().map(|place| held.written(place).unwrap()).collect();
    assert_eq!(in_order, names.into_iter().collect::<Vec<_>>());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn a_directory_tells_what_plain_maps_tell_and_old_states_stay(
        steps in proptest::collection::vec(step(), 1..8),
    ) {
        let stores = [FULL, LESS, BARE].map(store);
        let limits = RequestLimits { text_bytes: TEXT_BYTES, ..RequestLimits::default() };
        let mut of = 0;
        let mut held = directory(&stores[of], &limits);
        let mut model = Model::new(&stores[of], &limits);
        let mut states = Vec::new();
        for step in steps {
            match step {
                Step::Apply(changes) => {
                    let mut wrong: BTreeSet<usize> = (0..)
                        .zip(&changes)
                        .filter(|(_, change)| !model.apply(change))
                        .map(|(index, _)| index)
                        .collect();
                    let in_circles = model.in_circles();
                    let last: BTreeMap<Uid, usize> = (0..)
                        .zip(&changes)
                        .filter_map(|(index, change)| match change {
                            Change::PutEntity(row) => Some((model.full(&row.uid), index)),
                            _ => None,
                        })
                        .collect();
                    let closing = last.iter().filter(|(uid, _)| in_circles.contains(*uid));
                    wrong.extend(closing.map(|(_, index)| *index));
                    let wrong: Vec<_> = wrong.into_iter().collect();
                    let (next, faults) = held.apply(changes);
                    held = next;
                    prop_assert_eq!(faults.iter().map(|fault| fault.index).collect::<Vec<_>>(), wrong);
                    prop_assert!(faults.iter().all(|fault| !fault.description.is_empty()));
                }
                Step::Delete(which) => {
                    let roles = model.assignments().into_iter().map(|row| Change::Delete(row.key));
                    let rows = model.rows().into_iter().map(|row| Change::DeleteEntity(row.uid));
                    let all = roles.chain(rows).zip(which.iter().cycle());
                    let changes: Vec<_> =
                        all.filter(|(_, is_it)| **is_it).map(|(change, _)| change).collect();
                    changes.iter().for_each(|change| assert!(model.apply(change)));
                    let (next, faults) = held.apply(changes);
                    held = next;
                    prop_assert_eq!(faults, []);
                }
                Step::Schema(next) => {
                    of = next;
                    held = with(&held, &stores[of]);
                    model = model.with(&stores[of]);
                }
            }
            assert_same(&held, &model, &stores[of]);
            states.push((held.clone(), model.clone(), of));
        }
        for (held, model, of) in &states {
            assert_same(held, model, &stores[*of]);
        }
    }
}
