//! Requests that chance rarely makes: what is long, what ends at this moment, what only a caller
//! can claim.

use std::sync::Arc;

use cedar_policy_core::ast::{Eid, EntityUID};

use super::{Tally, compare, sample};
use crate::{
    engine::decide,
    model::{OnForbidError, Timestamp, Uid, Value},
    request::{
        EntityFacts, EntityInput, Request, RequestInput, RequestLimits, RoleAssignment,
        RoleAssignmentInput, RoleAssignments, SentEntities,
    },
    schema::Slot,
    store::{Bounds, PolicyStore, StoreFiles},
    testing::DEFAULT_NOW,
};

/// The part of the engine that answers.
#[derive(Debug, PartialEq, Eq)]
enum By {
    Compiled,
    Cedar,
}

fn store_of(schema: &str, policies: &str, entities: &str) -> PolicyStore {
    let files =
        [("s.cedarschema", schema), ("p.cedar", policies), ("e.cedarentities.json", entities)]
            .map(|(path, text)| (path.to_owned(), Arc::from(text.as_bytes())));
    let files = StoreFiles::new("app".parse().unwrap(), files);
    PolicyStore::load(Arc::new(files), &Bounds::default()).unwrap()
}

fn store(policies: &str) -> PolicyStore {
    store_of(sample::SCHEMA, policies, "[]")
}

fn view(principal: Uid, resource: Uid) -> RequestInput {
    RequestInput {
        principal: Some(principal),
        action: Some(Uid::action("view")),
        resource: Some(resource),
        context: vec![("n".to_owned(), Value::Long(1))],
        ..RequestInput::default()
    }
}

fn user() -> Uid {
    Uid::new("User", "0")
}

fn doc() -> Uid {
    Uid::new("Doc", "0")
}

/// The policies behind the answer, which must be Cedar's, and who gave it.
fn answer(store: &PolicyStore, input: &RequestInput) -> (bool, Vec<String>, By) {
    let request = store.check(input, DEFAULT_NOW, &RequestLimits::default()).unwrap();
    let (compiled, mut tally) = (store.engine().compiled(), Tally::default());
    if let Some(compiled) = compiled {
        let slices = store.engine().slices();
        compare(compiled, slices, store, &request, &mut tally).unwrap();
    }
    let by = if tally.compiled == 1 { By::Compiled } else { By::Cedar };
    let decision = decide(store.engine(), &request, OnForbidError::Deny);
    let ids = decision.determining.iter().map(|policy| policy.id().to_owned());
    (decision.is_allow(), ids.collect(), by)
}

fn entity(uid: Uid, parents: Vec<Uid>) -> EntityInput {
    let level = (uid.type_name == "User").then(|| ("level".to_owned(), Value::Long(1)));
    EntityInput {
        attributes: level.into_iter().collect(),
        uid: Some(uid),
        parents,
        ..EntityInput::default()
    }
}

#[test]
fn an_assignment_counts_until_it_expires_among_few_and_among_many() {
    let store = store(
        "permit (principal, action, resource is App::Doc)
        when { principal in resource.viewer };",
    );
    let at = |millis| Some(Timestamp::from_millis(DEFAULT_NOW.as_millis() + millis));
    for more in [0, 15, 16, 17, 40] {
        for (expires_at, counts) in [(None, true), (at(-1), false), (at(0), false), (at(1), true)] {
            let role = |scope: Uid, expires_at| RoleAssignmentInput {
                principal: None,
                role: "viewer".to_owned(),
                scope: Some(scope),
                expires_at,
            };
            let mut input = view(user(), doc());
            let others = (1..=more).map(|n| role(Uid::new("Doc", n.to_string()), None));
            input.role_assignments = others.chain([role(doc(), expires_at)]).collect();
            let (allowed, _, by) = answer(&store, &input);
            assert_eq!((allowed, by), (counts, By::Compiled), "{more} more, {expires_at:?}");
        }
    }
}

#[test]
fn a_role_counts_whoever_else_holds_one_on_the_scope() {
    let store = store(
        r#"permit (principal, action, resource is App::Doc)
        when { principal in [resource.viewer, resource.editor] };
        forbid (principal in App::Role::"Doc::0#editor", action, resource);"#,
    );
    for more in [0, 15, 16, 17, 40] {
        for (held, expected) in [(Some("viewer"), true), (Some("editor"), false), (None, false)] {
            let role = |principal: Uid, role: &str| RoleAssignmentInput {
                principal: Some(principal),
                role: role.to_owned(),
                scope: Some(doc()),
                expires_at: None,
            };
            let mut input = view(user(), doc());
            let others = (1..=more).map(|n| role(Uid::new("User", n.to_string()), "editor"));
            input.role_assignments = others.chain(held.map(|held| role(user(), held))).collect();
            let (allowed, _, by) = answer(&store, &input);
            assert_eq!((allowed, by), (expected, By::Compiled), "{more} more, {held:?}");
        }
    }
}

#[test]
fn a_role_that_a_scope_names_counts_among_few_and_among_many() {
    for named in [1, 16, 17, 40] {
        let policies = (0..named).map(|n| {
            format!(
                r#"@id("{n}")
                permit (principal in App::Role::"Doc::{n}#viewer", action, resource);"#
            )
        });
        let store = store(&policies.collect::<String>());
        for held in [0, 1, 16, 17, 40] {
            let mut input = view(user(), doc());
            let role = |n: usize| RoleAssignmentInput {
                principal: None,
                role: "viewer".to_owned(),
                scope: Some(Uid::new("Doc", n.to_string())),
                expires_at: None,
            };
            // The last of the named ones, and others that nobody names.
            let of_last = (held > 0).then(|| role(named - 1));
            input.role_assignments =
                of_last.into_iter().chain((1..held).map(|n| role(1_000 + n))).collect();
            let expected: Vec<_> =
                (held > 0).then(|| (named - 1).to_string()).into_iter().collect();
            let (_, policies, by) = answer(&store, &input);
            assert_eq!((policies, by), (expected, By::Compiled), "{named} named, {held} held");
        }
    }
}

#[test]
fn what_is_in_much_is_in_all_of_it_and_in_nothing_else() {
    let store = store(
        r#"
        @id("last") permit (principal in App::Group::"last", action, resource);
        @id("role") permit (principal, action, resource is App::Doc) when { principal in resource.viewer };
        @id("both") permit (principal in App::Group::"last", action, resource in App::Folder::"last");
        @id("other") permit (principal in App::Group::"other", action, resource);
        @id("scope") permit (principal in App::Role::"Doc::0#editor", action, resource);"#,
    );
    let group = |n: usize| Uid::new("Group", n.to_string());
    // The groups form diamonds: each is in the next two, so there are many ways to the last.
    for length in [1, 7, 8, 15, 16, 17, 18, 60] {
        let mut input = view(user(), doc());
        input.entities = vec![entity(user(), vec![group(0), group(1)])];
        input
            .entities
            .extend((0..length).map(|n| entity(group(n), vec![group(n + 1), group(n + 2)])));
        input.entities.push(entity(group(length), vec![Uid::new("Group", "last")]));
        let folder = |n: usize| Uid::new("Folder", n.to_string());
        let title = ("title".to_owned(), Value::String(String::new()));
        let of_doc = entity(doc(), vec![folder(0), folder(1)]);
        input.entities.push(EntityInput { attributes: vec![title], ..of_doc });
        input
            .entities
            .extend((0..length).map(|n| entity(folder(n), vec![folder(n + 1), folder(n + 2)])));
        input.entities.push(entity(folder(length), vec![Uid::new("Folder", "last")]));
        let role = |role: &str, scope: Uid, holder: Uid| RoleAssignmentInput {
            principal: Some(holder),
            role: role.to_owned(),
            scope: Some(scope),
            expires_at: None,
        };
        let found = ["both".to_owned(), "last".to_owned()];
        assert_eq!(answer(&store, &input), (true, found.to_vec(), By::Compiled), "{length}");
        // Roles, each held twice and on the way: first, last, by what is beyond the last.
        let on = |n: usize| Uid::new("Doc", n.to_string());
        for holder in [user(), group(0), group(length), Uid::new("Group", "last")] {
            let many = (1..length).flat_map(|n| {
                [role("viewer", on(n), group(n)), role("viewer", on(n), holder.clone())]
            });
            input.role_assignments = many
                .chain(["viewer", "editor"].map(|name| role(name, doc(), holder.clone())))
                .collect();
            let found = ["both", "last", "role", "scope"].map(str::to_owned);
            assert_eq!(answer(&store, &input), (true, found.to_vec(), By::Compiled), "{length}");
        }
        let nobody = role("viewer", doc(), Uid::new("Group", "other"));
        input.role_assignments = vec![nobody; 20];
        let found = ["both".to_owned(), "last".to_owned()];
        assert_eq!(answer(&store, &input), (true, found.to_vec(), By::Compiled), "{length}");
    }
}

#[test]
fn large_sets_hold_what_they_hold() {
    let store = store(
        r#"
        @id("word") permit (principal, action, resource)
        when { context has words && context.words.contains("w0") };
        @id("reader") permit (principal is App::User, action, resource is App::Doc)
        when { resource has readers && resource.readers.contains(principal) };
        @id("in") permit (principal is App::User, action, resource is App::Doc)
        when { resource has readers && principal in resource.readers };
        @id("any") permit (principal, action, resource)
        when { context has words && context.words.containsAny(["x", "w0"]) };
        @id("all") permit (principal, action, resource)
        when { context has words && context.words.containsAll(["w0", "w0"]) };"#,
    );
    for size in [1, 2, 15, 16, 17, 18, 40] {
        for from in [0, 1] {
            let numbers = || (from..from + size).map(|n: u8| n.to_string());
            let mut input = view(user(), doc());
            let words = numbers().map(|n| Value::String(format!("w{n}"))).collect();
            input.context.push(("words".to_owned(), Value::Set(words)));
            let readers = numbers().map(|n| Value::Entity(Uid::new("User", n))).collect();
            let title = ("title".to_owned(), Value::String(String::new()));
            let readers = ("readers".to_owned(), Value::Set(readers));
            let of_doc = entity(doc(), Vec::new());
            input.entities = vec![EntityInput { attributes: vec![title, readers], ..of_doc }];
            let found: &[&str] =
                if from == 0 { &["all", "any", "in", "reader", "word"] } else { &[] };
            let found: Vec<_> = found.iter().map(|id| (*id).to_owned()).collect();
            let expected = (from == 0, found, By::Compiled);
            assert_eq!(answer(&store, &input), expected, "{size} from {from}");
        }
    }
}

#[test]
fn a_role_that_a_caller_claims_is_for_cedar() {
    // None of them is a role that the request's own words could give.
    for role in ["no role", "Space::main#nothing", "Doc::0#viewer", "Folder::0#owner"] {
        let claimed = Uid::new("Role", role);
        let store = store(&format!("permit (principal in App::Role::{role:?}, action, resource);"));
        let mut input = view(user(), doc());
        assert_eq!(answer(&store, &input), (false, vec![], By::Compiled), "{role}");
        input.entities = vec![entity(user(), vec![claimed.clone()])];
        assert_eq!(answer(&store, &input), (true, vec!["p.cedar:1".into()], By::Cedar), "{role}");
        // By way of a group.
        input.entities = vec![
            entity(user(), vec![Uid::new("Group", "0")]),
            entity(Uid::new("Group", "0"), vec![claimed]),
        ];
        assert_eq!(answer(&store, &input), (true, vec!["p.cedar:1".into()], By::Cedar), "{role}");
    }
}

#[test]
fn a_store_whose_roles_are_more_than_names_is_for_cedar() {
    let schema = |role: &str| {
        format!(
            "entity Group; @role entity {role}; entity User in [Role]; entity Doc = {{ viewer: Role }};
            action view appliesTo {{ principal: [User], resource: [Doc], context: {{ n: Long }} }};"
        )
    };
    let policies = "permit (principal, action, resource) when { principal in resource.viewer };";
    let role =
        r#"[{ "uid": { "type": "Role", "id": "Doc::0#viewer" }, "attrs": {}, "parents": [] }]"#;
    for (declared, entities, compiled) in [
        ("Role", "[]", true),
        ("Role", role, false),
        ("Role in [Group]", "[]", false),
        ("Role in [Role]", "[]", false),
        ("Role = { x?: Long }", "[]", false),
        ("Role tags String", "[]", false),
    ] {
        let store = store_of(&schema(declared), policies, entities);
        assert_eq!(store.engine().compiled().is_some(), compiled, "{declared}");
        let mut input = view(user(), doc());
        let by = || if compiled { By::Compiled } else { By::Cedar };
        assert_eq!(answer(&store, &input), (false, vec![], by()), "{declared}");
        input.role_assignments = vec![RoleAssignmentInput {
            role: "viewer".to_owned(),
            ..RoleAssignmentInput::default()
        }];
        assert_eq!(answer(&store, &input), (true, vec!["p.cedar:1".into()], by()), "{declared}");
    }
    // A role in another: whoever has the one has the other, which no closure of a name tells.
    let within = r#"[{ "uid": { "type": "Role", "id": "Doc::1#viewer" }, "attrs": {},
        "parents": [{ "type": "Role", "id": "Doc::0#viewer" }] }]"#;
    let store = store_of(&schema("Role in [Role]"), policies, within);
    let mut input = view(user(), doc());
    input.role_assignments = vec![RoleAssignmentInput {
        role: "viewer".to_owned(),
        scope: Some(Uid::new("Doc", "1")),
        ..RoleAssignmentInput::default()
    }];
    assert_eq!(answer(&store, &input), (true, vec!["p.cedar:1".into()], By::Cedar));
}

#[test]
fn a_role_that_asks_or_is_asked_about_is_for_cedar() {
    let schema = "@role entity Role; entity User in [Role]; entity Doc = { viewer: Role };
        action view appliesTo {
            principal: [User, Role], resource: [Doc, Role], context: { n: Long } };";
    let policies = r#"
        @id("itself") permit (principal == Role::"Doc::0#viewer", action, resource);
        @id("within") permit (principal in Role::"Doc::0#viewer", action, resource);
        @id("slot") permit (principal, action, resource is Doc)
        when { principal in resource.viewer };
        @id("on") permit (principal, action, resource == Role::"Doc::0#viewer");"#;
    let store = store_of(schema, policies, "[]");
    let role = || Uid::new("Role", "Doc::0#viewer");
    for (principal, resource, found, by) in [
        (user(), doc(), &[][..], By::Compiled),
        (role(), doc(), &["itself", "slot", "within"], By::Cedar),
        (user(), role(), &["on"], By::Cedar),
        (role(), role(), &["itself", "on", "within"], By::Cedar),
        (Uid::new("Role", "no role"), doc(), &[], By::Cedar),
    ] {
        let expected: Vec<_> = found.iter().map(|id| (*id).to_owned()).collect();
        let input = view(principal, resource);
        assert_eq!(answer(&store, &input), (!found.is_empty(), expected, by), "{input:?}");
    }
}

/// Checking lets no such request through where roles are names only; the compiled form does not rely
/// on that.
#[test]
fn what_makes_a_role_more_than_a_name_is_for_cedar() {
    let store = store(r#"permit (principal in App::Role::"Doc::0#viewer", action, resource);"#);
    let compiled = store.engine().compiled().unwrap();
    let role_type = store.schema().entity_type("Role").unwrap();
    let role = |id: &str| EntityUID::from_components(role_type.clone(), Eid::new(id), None);
    let mut input = view(user(), doc());
    input.role_assignments =
        vec![RoleAssignmentInput { role: "editor".to_owned(), ..RoleAssignmentInput::default() }];
    let plain = store.check(&input, DEFAULT_NOW, &RequestLimits::default()).unwrap();
    assert!(!compiled.decide(store.schema(), store.engine().stored(), &plain).unwrap().permitted);
    let allowed = |request: &Request| {
        assert!(compiled.decide(store.schema(), store.engine().stored(), request).is_none());
        decide(store.engine(), request, OnForbidError::Deny).is_allow()
    };
    // Editors are viewers: by an assignment to the role, and by what the role is in.
    let mut assigned = plain.clone();
    let mut roles: Vec<_> = plain.facts.role_assignments.iter().cloned().collect();
    roles.push(RoleAssignment {
        principal: role("Doc::0#editor"),
        slot: Slot::new("viewer"),
        scope: plain.resource.clone(),
        expires_at: None,
    });
    assigned.facts.role_assignments = Arc::new(RoleAssignments::new(store.schema(), roles));
    assert!(allowed(&assigned));
    let mut sent = plain.clone();
    let entity = EntityFacts {
        uid: role("Doc::0#editor"),
        attributes: Vec::new(),
        parents: vec![role("Doc::0#viewer")],
        tags: Vec::new(),
    };
    sent.facts.entities = Arc::new(SentEntities::new(store.schema(), vec![entity]));
    assert!(allowed(&sent));
}
