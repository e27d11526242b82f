//! Random policies, entities, role assignments and requests.

use std::{
    collections::BTreeSet,
    sync::{Arc, LazyLock},
};

use cedar_policy_core::ast::PolicySet;
use proptest::{
    prelude::*,
    sample::select,
    test_runner::{TestCaseError, TestRunner},
};

use super::{Tally, compare, compare_with_authorizer, sample};
use crate::{
    engine::compiled::CompiledPolicies,
    model::{Timestamp, Uid, Value},
    request::{EntityInput, RequestInput, RequestLimits, RoleAssignmentInput},
    store::{Bounds, PolicyStore, StoreFiles},
    testing::DEFAULT_NOW,
};

pub static STORE: LazyLock<PolicyStore> = LazyLock::new(|| {
    let files = [
        ("schema.cedarschema", sample::SCHEMA),
        ("policies.cedar", sample::POLICIES),
        ("fixed.cedarentities.json", sample::ENTITIES),
    ];
    let files = files.map(|(path, text)| (path.to_owned(), Arc::from(text.as_bytes())));
    let files = StoreFiles::new("app".parse().unwrap(), files);
    PolicyStore::load(Arc::new(files), &Bounds::default()).unwrap()
});

fn uid(ty: &'static str) -> impl Strategy<Value = Uid> {
    select(vec!["0", "1", "2", "f"]).prop_map(move |id| Uid::new(ty, id))
}

fn role_uid() -> impl Strategy<Value = Uid> {
    sample::role().prop_map(|role| role.parse().unwrap())
}

fn any_of(types: &'static [&'static str]) -> impl Strategy<Value = Uid> {
    select(types).prop_flat_map(uid)
}

fn resource() -> impl Strategy<Value = Uid> {
    prop_oneof![
        5 => uid("Doc"),
        4 => uid("Folder"),
        1 => Just(Uid::new("Space", "main")),
        1 => uid("Space"),
    ]
}

fn entity(uid: impl Strategy<Value = Uid> + 'static) -> BoxedStrategy<Value> {
    uid.prop_map(Value::Entity).boxed()
}

fn moment() -> BoxedStrategy<Value> {
    let moments = [DEFAULT_NOW, Timestamp::from_millis(0)];
    select(moments.to_vec()).prop_map(Value::Datetime).boxed()
}

fn set(of: BoxedStrategy<Value>) -> BoxedStrategy<Value> {
    prop::collection::vec(of, 0..4).prop_map(Value::Set).boxed()
}

fn word() -> BoxedStrategy<Value> {
    select(vec!["a", "b", "fixed"]).prop_map(|text| Value::String(text.to_owned())).boxed()
}

fn long() -> BoxedStrategy<Value> {
    (0..5i64).prop_map(Value::Long).boxed()
}

type Field = (&'static str, BoxedStrategy<Value>, u8);

/// Some of those fields; the number of each says how many times in ten it is there.
fn fields(fields: Vec<Field>) -> BoxedStrategy<Vec<(String, Value)>> {
    let fields = fields.into_iter().map(|(name, value, often)| {
        (0..10u8, value)
            .prop_map(move |(n, value)| (n < often).then(|| (name.to_owned(), value)))
            .boxed()
    });
    let fields: Vec<_> = fields.collect();
    fields.prop_map(|fields| fields.into_iter().flatten().collect()).boxed()
}

fn attributes(ty: &'static str) -> BoxedStrategy<Vec<(String, Value)>> {
    let boolean = any::<bool>().prop_map(Value::Bool).boxed();
    fields(match ty {
        "User" => vec![
            ("level", long(), 10),
            ("boss", entity(uid("User")), 5),
            ("banned", boolean, 5),
            ("home", entity(uid("Folder")), 3),
            ("name", word(), 5),
        ],
        "Client" => vec![("owner", entity(uid("User")), 6), ("until", moment(), 6)],
        "Folder" => {
            let plan = fields(vec![("name", word(), 10), ("limit", long(), 5)]);
            vec![
                ("space", entity(uid("Space")), 5),
                ("plan", plan.prop_map(Value::Record).boxed(), 5),
            ]
        }
        "Doc" => {
            let roles = set(entity(role_uid()));
            let named = fields(vec![("role", entity(role_uid()), 4), ("roles", roles, 6)]);
            vec![
                ("title", word(), 10),
                ("folder", entity(uid("Folder")), 6),
                ("author", entity(uid("User")), 6),
                ("readers", set(entity(uid("User"))), 6),
                ("named", named.prop_map(Value::Record).boxed(), 3),
                ("public", boolean, 5),
            ]
        }
        _ => Vec::new(),
    })
}

fn parents(ty: &'static str) -> BoxedStrategy<Vec<Uid>> {
    let some = |uid: BoxedStrategy<Uid>| prop::collection::vec(uid, 0..3).boxed();
    match ty {
        "User" | "Group" => some(prop_oneof![30 => uid("Group"), 1 => role_uid()].boxed()),
        "Folder" | "Doc" => some(uid("Folder").boxed()),
        "Client" => some(Just(Uid::new("Role", "Folder::0#viewer")).boxed())
            .prop_flat_map(|parents| {
                // A role as a parent is left to Cedar, so it is rare.
                (0..12u8).prop_map(move |n| if n == 0 { parents.clone() } else { Vec::new() })
            })
            .boxed(),
        _ => Just(Vec::new()).boxed(),
    }
}

fn entities_of(ty: &'static str) -> BoxedStrategy<Vec<EntityInput>> {
    let one = (attributes(ty), parents(ty), any::<bool>());
    prop::collection::vec(one, 3)
        .prop_map(move |all| {
            let there = all.into_iter().enumerate().filter(|(_, (.., there))| *there);
            there
                .map(|(id, (attributes, parents, _))| {
                    // Groups and folders are only in those of a higher number: no circles.
                    let above = |parent: &Uid| {
                        parent.type_name != ty
                            || parent.id.parse::<usize>().is_ok_and(|parent| parent > id)
                    };
                    EntityInput {
                        uid: Some(Uid::new(ty, id.to_string())),
                        attributes,
                        parents: parents.into_iter().filter(above).collect(),
                        tags: if ty == "User" && id == 1 {
                            vec![("a".to_owned(), Value::String("b".to_owned()))]
                        } else {
                            Vec::new()
                        },
                        overrides: false,
                    }
                })
                .collect()
        })
        .boxed()
}

fn assignment() -> impl Strategy<Value = RoleAssignmentInput> {
    let holder = prop_oneof![
        4 => Just(None),
        6 => any_of(&["User", "Group", "Client"]).prop_map(Some),
    ];
    let scope = prop_oneof![
        4 => Just(None),
        6 => prop_oneof![uid("Doc"), uid("Folder"), Just(Uid::new("Space", "main"))].prop_map(Some),
    ];
    let role = select(vec!["owner", "editor", "viewer", "admin"]);
    let expires = prop_oneof![
        4 => Just(None),
        1 => Just(Some(DEFAULT_NOW)),
        1 => Just(Some(Timestamp::from_millis(DEFAULT_NOW.as_millis() + 1))),
    ];
    (holder, role, scope, expires).prop_map(|(principal, role, scope, expires_at)| {
        RoleAssignmentInput { principal, role: role.to_owned(), scope, expires_at }
    })
}

pub fn request() -> impl Strategy<Value = RequestInput> {
    let facts = fields(vec![
        ("n", long(), 10),
        ("who", entity(uid("User")), 5),
        ("where", entity(uid("Folder")), 5),
        ("role", entity(role_uid()), 1),
        ("words", set(word()), 5),
        ("users", set(entity(uid("User"))), 5),
        ("whens", set(moment()), 3),
        ("until", moment(), 5),
    ]);
    // Now and then more than are searched one by one.
    let assignments = prop_oneof![5 => 0..5usize, 1 => 17..40usize]
        .prop_flat_map(|count| prop::collection::vec(assignment(), count));
    let types = ["User", "Group", "Client", "Doc", "Folder"].map(entities_of);
    let more = prop_oneof![5 => Just(0..0usize), 1 => Just(10..30usize)];
    (
        any_of(&["User", "User", "Group", "Client"]),
        select(vec!["view", "list", "edit", "delete"]),
        resource(),
        facts,
        types.to_vec(),
        assignments,
        more,
    )
        .prop_map(
            |(principal, action, resource, context, entities, role_assignments, more)| {
                let mut entities = entities.concat();
                entities.extend(more.map(|n| EntityInput {
                    uid: Some(Uid::new("Group", n.to_string())),
                    parents: vec![Uid::new("Group", (n + 1).to_string()), Uid::new("Group", "1")],
                    ..EntityInput::default()
                }));
                if entities.len() > 15
                    && let Some(first) = entities.iter_mut().find(|entity| {
                        entity.uid.as_ref().is_some_and(|uid| uid.type_name == "User")
                    })
                {
                    first.parents.push(Uid::new("Group", "10"));
                }
                RequestInput {
                    principal: Some(principal),
                    action: Some(Uid::action(action)),
                    resource: Some(resource),
                    context,
                    entities,
                    role_assignments,
                }
            },
        )
}

/// The input without the roles that their scope does not have.
pub fn possible(mut input: RequestInput) -> RequestInput {
    let resource = input.resource.clone().unwrap();
    input.role_assignments.retain(|assignment| {
        let scope = assignment.scope.as_ref().unwrap_or(&resource);
        let shape = STORE.schema().entity(STORE.schema().entity_type(&scope.type_name).unwrap());
        shape.unwrap().slots.contains_key(assignment.role.as_str())
    });
    input
}

#[test]
fn random_policies_decide_as_cedar_does() {
    let cases = ProptestConfig::default().cases.max(256) * 4;
    let mut runner = TestRunner::new(ProptestConfig { cases, ..ProptestConfig::default() });
    let tally = std::cell::RefCell::new((Tally::default(), 0, BTreeSet::new()));
    let strategy = (sample::policies(), sample::templates(), prop::collection::vec(request(), 8));
    runner
        .run(&strategy, |(policies, templates, requests)| {
            let set = sample::policy_set(&policies, &templates);
            let set: &PolicySet = set.as_ref();
            let slices = STORE.engine().arrange(set.policies());
            let compiled = CompiledPolicies::new(&slices, STORE.schema(), STORE.stored()).unwrap();
            for input in requests {
                let checked = STORE.check(&possible(input), DEFAULT_NOW, &RequestLimits::default());
                let (tally, refused, reasons) = &mut *tally.borrow_mut();
                match checked {
                    Ok(request) => compare(&compiled, &slices, &STORE, &request, tally)
                        .and_then(|()| compare_with_authorizer(&slices, set, &STORE, &request))
                        .map_err(|e| TestCaseError::fail(format!("{e}\n{request:#?}")))?,
                    Err(violations) => {
                        *refused += 1;
                        reasons.extend(violations.into_iter().map(|v| v.description));
                    }
                }
            }
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
    let (tally, refused, reasons) = tally.into_inner();
    println!("{tally:?}, {refused} refused: {reasons:?}");
    let decided = tally.compiled + tally.left;
    assert!(refused * 10 < decided, "{refused} refused: {reasons:?}");
    assert!(tally.compiled * 3 > decided, "{tally:?}");
    assert!(
        tally.allowed * 20 > tally.compiled && tally.forbidden * 100 > tally.compiled,
        "{tally:?}"
    );
}

#[test]
fn long_chains_and_many_roles_count_as_few_do() {
    let policies = "permit (principal, action, resource) when { principal in resource.viewer };
        permit (principal in App::Group::\"49\", action, resource);
        permit (principal in App::Role::\"Doc::30#viewer\", action, resource);
        forbid (principal, action, resource) when { principal in App::Group::\"50\" };";
    let set = sample::policy_set(policies, &[]);
    let set: &PolicySet = set.as_ref();
    let slices = STORE.engine().arrange(set.policies());
    let compiled = CompiledPolicies::new(&slices, STORE.schema(), STORE.stored()).unwrap();
    let groups = (0..49u8).map(|n| EntityInput {
        uid: Some(Uid::new("Group", n.to_string())),
        parents: vec![Uid::new("Group", (n + 1).to_string())],
        ..EntityInput::default()
    });
    let roles = |count: u8| (0..count).map(|n| (Uid::new("Group", n.to_string()), n));
    for (groups, roles, allowed) in [
        (groups.clone().collect(), Vec::new(), vec!["policy1"]),
        (groups.collect(), roles(45).collect(), vec!["policy0", "policy1", "policy2"]),
        (
            Vec::new(),
            roles(45).map(|(_, n)| (Uid::new("Group", "0"), n)).collect(),
            vec!["policy0", "policy2"],
        ),
        (Vec::new(), roles(45).collect(), vec![]),
    ] {
        let assignment = |(principal, n): (Uid, u8)| RoleAssignmentInput {
            principal: Some(principal),
            role: "viewer".to_owned(),
            scope: Some(Uid::new("Doc", n.to_string())),
            expires_at: None,
        };
        let input = RequestInput {
            principal: Some(Uid::new("Group", "0")),
            action: Some(Uid::action("view")),
            resource: Some(Uid::new("Doc", "40")),
            context: vec![("n".to_owned(), Value::Long(1))],
            entities: groups,
            role_assignments: roles.into_iter().map(assignment).collect(),
        };
        let request = STORE.check(&input, DEFAULT_NOW, &RequestLimits::default()).unwrap();
        let mut tally = Tally::default();
        compare(&compiled, &slices, &STORE, &request, &mut tally).unwrap();
        let ours = compiled.decide(STORE.schema(), STORE.engine().stored(), &request).unwrap();
        assert_eq!(ours.determining().collect::<Vec<_>>(), allowed);
    }
}
