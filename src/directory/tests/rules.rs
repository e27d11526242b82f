//! Single rules, each with the rows that it is about.

use super::support::{BARE, FULL, LESS, at, directory, key, put, put_entity, store, with};
use crate::{
    directory::{Assignment, Change, Directory, Fault, RowCounts},
    model::Uid,
    request::{HeldFacts, RequestLimits},
};

fn holds(held: &Directory, principal: &str, role: &str, scope: &str) -> bool {
    let place = |uid: &str| held.place(&uid.parse().unwrap());
    let (Some(principal), Some(scope)) = (place(principal), place(scope)) else { return false };
    held.holds(principal, scope, role, at(0))
}

fn alice_edits(held: &Directory) -> bool {
    holds(held, "App::User::\"alice\"", "editor", "App::Site::\"42\"")
}

const ALICE_EDITS: [&str; 3] = ["User::alice", "editor", "Site::42"];

fn alice() -> Change {
    let [principal, role, scope] = ALICE_EDITS;
    put(principal, role, scope)
}

#[test]
fn a_role_comes_back_with_its_slot() {
    let (full, less) = (store(FULL), store(LESS));
    let (held, _) = directory(&full, &RequestLimits::default()).apply([alice()]);
    assert!(alice_edits(&held));
    let without = with(&held, &less);
    assert!(!alice_edits(&without));
    assert_eq!(without.counts(), RowCounts { assignments: 1, entities: 0, ignored: 1 });
    assert!(alice_edits(&with(&without, &full)));
}

#[test]
fn a_deletion_counts_while_the_schema_lacks_the_type() {
    let (full, bare) =
        (store(FULL), store("namespace App { entity Role; entity Other { a: Role }; }"));
    for name in ["User", "App::User"] {
        let (held, _) = directory(&full, &RequestLimits::default()).apply([alice()]);
        let without = with(&held, &bare);
        let deleted = key(&format!("{name}::alice"), "editor", "Site::42");
        let (without, _) = without.apply([Change::Delete(deleted)]);
        assert_eq!(without.counts().assignments, 0);
        assert!(!alice_edits(&with(&without, &full)));
    }
}

#[test]
fn a_short_name_that_comes_to_mean_a_type_is_that_type() {
    let (full, bare) = (store(FULL), store(BARE));
    let (held, _) = directory(&bare, &RequestLimits::default()).apply([alice()]);
    let held = with(&held, &full);
    assert!(alice_edits(&held));
    let [principal, role, scope] = ALICE_EDITS;
    let (held, _) = held.apply([Change::Delete(key(principal, role, scope))]);
    assert_eq!(held.counts(), RowCounts::default());
}

#[test]
fn of_two_rows_that_come_to_have_one_key_that_with_the_full_name_stays() {
    let until = |user: &str, millis| {
        let Change::Put(row) = put(user, "editor", "App::Site::42") else { return alice() };
        Change::Put(Assignment { expires_at: Some(at(millis)), ..row })
    };
    let (held, _) = directory(&store(BARE), &RequestLimits::default())
        .apply([until("App::User::alice", 1), until("User::alice", 2)]);
    assert_eq!(held.counts().assignments, 2);
    let held = with(&held, &store(FULL));
    let expiries: Vec<_> = held.assignments().map(|row| row.expires_at).collect();
    assert_eq!(expiries, [Some(at(1))]);
}

#[test]
fn an_assignment_that_cannot_be_kept_ends_the_one_that_it_replaces() {
    let limits = RequestLimits { text_bytes: 20, ..RequestLimits::default() };
    let (held, _) = directory(&store(FULL), &limits).apply([alice()]);
    let Change::Put(mut row) = alice() else { return };
    row.grant.reason = "because somebody said so".to_owned();
    let (held, faults) = held.apply([Change::Put(row)]);
    let description = "24 bytes, more than the limit of 20".to_owned();
    assert_eq!(faults, [Fault { index: 0, field: "reason".to_owned(), description }]);
    assert_eq!(held.counts(), RowCounts::default());
    assert!(!alice_edits(&held));
}

#[test]
fn faults_name_the_change_and_the_field() {
    let changes = [
        alice(),
        put("User::alice", "janitor", "Site::42"),
        put("Nobody::alice", "editor", "Site::42"),
        put("Plan::gold", "editor", "Site::42"),
        put_entity("User::alice", r#"{"attrs": {"plan": 7}}"#),
        put_entity("User::bob", r#"{"parents": [{"type": "Role", "id": "Site::42#editor"}]}"#),
        put_entity("User::bob", r#"{"uid": {"type": "User", "id": "alice"}}"#),
        put_entity("User::bob", r#"{"parents": [{"type": "User", "id": "bob"}]}"#),
        Change::Delete(key("User::nobody", "editor", "Site::42")),
        Change::DeleteEntity(Uid::new("User", "nobody")),
    ];
    let (_, faults) = directory(&store(FULL), &RequestLimits::default()).apply(changes);
    let fields: Vec<_> = faults.iter().map(|fault| (fault.index, fault.field.as_str())).collect();
    let expected = [
        (1, "role"),
        (2, "principal.type"),
        (3, "principal.id"),
        (4, "attributes.plan"),
        (5, "entity.parents"),
        (6, "entity.uid"),
        (7, "parents[0]"),
    ];
    assert_eq!(fields, expected);
}

#[test]
fn of_many_faults_the_first_are_described_and_the_others_counted() {
    let wrong = |n: usize| put(&format!("User::u{n}"), "janitor", "Site::42");
    let (held, faults) =
        directory(&store(FULL), &RequestLimits::default()).apply((0..5_000).map(wrong));
    assert_eq!(held.counts(), RowCounts { assignments: 5_000, entities: 0, ignored: 5_000 });
    assert!(faults.iter().map(|fault| fault.index).eq(0..5_000));
    let (described, others) = faults.split_at(1_000);
    assert!(described.iter().all(|fault| fault.field == "role"));
    assert!(others.iter().all(|fault| fault.field.is_empty() && fault.description.is_empty()));
}

#[test]
fn what_a_policy_store_holds_itself_is_ignored() {
    use cedar_policy_core::ast::Entity;

    let mut full = store(FULL);
    let own = Entity::with_uid("App::Team::\"core\"".parse().unwrap());
    full.stored = std::sync::Arc::new(crate::schema::StoredEntities::new([own]));
    let (held, faults) =
        directory(&full, &RequestLimits::default()).apply([put_entity("Team::core", "{}")]);
    assert_eq!(faults.len(), 1);
    assert_eq!(held.counts(), RowCounts { assignments: 0, entities: 1, ignored: 1 });
    assert!(held.place(&"App::Team::\"core\"".parse().unwrap()).is_none());
}

#[test]
fn a_request_may_have_no_roles_and_a_directory_has_them() {
    let limits = RequestLimits { entities: 0, role_assignments: 0, ..RequestLimits::default() };
    let changes = [alice(), put_entity("User::alice", "{}")];
    let (held, faults) = directory(&store(FULL), &limits).apply(changes);
    assert_eq!(faults, []);
    assert!(alice_edits(&held));
}

#[test]
fn those_that_name_an_entity_are_found_and_do_not_bring_it_into_being() {
    let (named, bob) = ("App::User::\"alice\"", "App::User::\"bob\"");
    let named_by = |held: &Directory, uid: &str| {
        let places = held.named_by(&uid.parse().unwrap()).into_iter();
        places.map(|place| held.uid(place).unwrap().to_string()).collect::<Vec<_>>()
    };
    let row = r#"{"attrs": {"desk": {"neighbour": {"type": "User", "id": "alice"}}}}"#;
    let empty = directory(&store(FULL), &RequestLimits::default());
    let (held, faults) = empty.apply([put_entity("User::bob", row)]);
    assert_eq!(faults, []);
    assert_eq!(named_by(&held, named), [bob]);
    assert_eq!(held.place(&named.parse().unwrap()), None);
    let (held, _) = held.apply([put_entity("User::bob", "{}")]);
    assert_eq!(named_by(&held, named), Vec::<String>::new());
}

#[test]
fn entities_that_are_in_themselves_cannot_be_read_until_the_circle_is_broken() {
    let group = |name: &str, parent: &str| {
        put_entity(
            &format!("Group::{name}"),
            &format!(r#"{{"parents": [{{"type": "Group", "id": "{parent}"}}]}}"#),
        )
    };
    let place = |held: &Directory, id: &str| {
        held.place(&format!("App::Group::\"{id}\"").parse().unwrap()).unwrap()
    };
    let unreadable =
        |held: &Directory| ["a", "b", "c", "d"].map(|id| held.is_unreadable(place(held, id)));
    let empty = directory(&store(FULL), &RequestLimits::default());
    let (held, faults) = empty.apply([group("a", "b"), group("b", "c"), group("d", "a")]);
    assert_eq!(faults, []);
    let (held, faults) = held.apply([alice(), group("c", "a")]);
    let said = "the entity is in itself, through `App::Group::\"a\"`: leave one of them out";
    assert_eq!(faults[0].description, said);
    assert_eq!((faults.len(), faults[0].index, faults[0].field.as_str()), (1, 1, "entity.parents"));
    // Who is in a group of the circle is not in the circle.
    assert_eq!(unreadable(&held), [true, true, true, false]);
    assert_eq!(held.counts().ignored, 3);
    // Another change leaves it as it is.
    let (held, _) = held.apply([put("User::alice", "editor", "Site::7"), group("e", "a")]);
    assert_eq!(unreadable(&held), [true, true, true, false]);
    let (held, faults) = held.apply([put_entity("Group::b", "{}")]);
    assert_eq!((faults, unreadable(&held)), (vec![], [false; 4]));
    assert_eq!(held.counts().ignored, 0);
}

/// A namespace that was taken away, given, or is another one, beside types that are others.
#[test]
fn an_entity_of_a_type_that_is_known_in_another_namespace_alone_cannot_be_read() {
    let schema = |namespace: &str| {
        let types = "entity Role; entity User in [Role]; entity Site { editor: Role };";
        store(&format!("namespace {namespace} {{ {types} }}"))
    };
    let two = store("namespace A { entity User; } namespace B { entity User; }");
    let row = |type_name: &str| put_entity(&format!("{type_name}::bob"), "{}");
    let unreadable = |held: &Directory, uid: &str| {
        held.place(&uid.parse().unwrap()).is_some_and(|place| held.is_unreadable(place))
    };
    let limits = RequestLimits::default();
    let (held, faults) = directory(&schema("App"), &limits).apply([row("User"), alice()]);
    assert_eq!(faults, []);
    for (next, meant) in [
        (store(BARE), vec!["User"]),
        (schema("Next"), vec!["Next::User"]),
        (two, vec!["A::User", "B::User"]),
        (store("entity Member; entity UserOf;"), vec![]),
    ] {
        let reloaded = with(&held, &next);
        let (read, _) = directory(&next, &limits).apply([row("App::User"), alice()]);
        for held in [reloaded, read] {
            for meant in &meant {
                assert!(unreadable(&held, &format!("{meant}::\"bob\"")), "{meant}");
                // Who holds roles alone has no row that restricts.
                assert!(!unreadable(&held, &format!("{meant}::\"alice\"")), "{meant}");
            }
            assert_eq!(held.entities().count(), 1);
            for other in ["Member", "UserOf"] {
                assert!(!unreadable(&held, &format!("{other}::\"bob\"")), "{other}");
            }
            // A row of its own says what it is, and without the others nothing is held.
            let Some(meant) = meant.first() else { continue };
            let (own, _) = held.apply([row(meant)]);
            assert!(!unreadable(&own, &format!("{meant}::\"bob\"")));
            let (gone, _) = held.apply([Change::DeleteEntity(Uid::new("App::User", "bob"))]);
            assert!(!unreadable(&gone, &format!("{meant}::\"bob\"")));
        }
        assert!(!unreadable(&with(&with(&held, &next), &schema("App")), "App::User::\"bob\""));
    }
}
