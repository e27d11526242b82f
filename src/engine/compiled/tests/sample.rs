//! A schema with one of everything, and policies that are put together at random.

use cedar_policy::PolicySet;
use proptest::{prelude::*, sample::select};

pub const SCHEMA: &str = r#"
namespace App {
    @role entity Role;
    entity Group in [Group, Role];
    entity User in [Group, Role] = {
        level: Long, boss?: User, banned?: Bool, home?: Folder, name?: String,
    } tags String;
    entity Client in [Role] = { owner?: User, until?: datetime };
    entity Space = { owner: Role, admin: Role };
    entity Folder in [Folder] = {
        owner: Role, editor: Role, viewer: Role,
        space?: Space, plan?: { name: String, limit?: Long },
    };
    entity Doc in [Folder] = {
        editor: Role, viewer: Role, title: String, named?: { role?: Role, roles?: Set<Role> },
        folder?: Folder, author?: User, readers?: Set<User>, public?: Bool,
    };
    type Facts = {
        now: datetime, n: Long, who?: User, where?: Folder, role?: Role,
        words?: Set<String>, users?: Set<User>, whens?: Set<datetime>, until?: datetime,
    };
    action all;
    action write in [all];
    action view, list in [all] appliesTo {
        principal: [User, Group, Client], resource: [Doc, Folder, Space], context: Facts };
    action edit, delete in [write] appliesTo {
        principal: [User, Group, Client], resource: [Doc, Folder, Space], context: Facts };
}
"#;

/// Names everything that a random policy may look into, and never applies.
pub const POLICIES: &str = r#"
@id("literals")
forbid (principal, action, resource) when {
    false && (App::Folder::"0".owner == App::Folder::"f".owner
        || App::Folder::"9".owner == App::Space::"main".owner || App::User::"f".level == 1
        || App::Doc::"f".title == "")
};
"#;

pub const ENTITIES: &str = r#"[
    { "uid": { "type": "App::Space", "id": "main" }, "attrs": {}, "parents": [] },
    { "uid": { "type": "App::Folder", "id": "f" },
      "attrs": { "owner": { "__entity": { "type": "App::Role", "id": "Folder::f#owner" } } },
      "parents": [{ "type": "App::Folder", "id": "0" }] },
    { "uid": { "type": "App::Doc", "id": "f" },
      "attrs": { "title": "fixed", "public": true, "author": { "__entity": { "type": "App::User", "id": "f" } } },
      "parents": [{ "type": "App::Folder", "id": "1" }] },
    { "uid": { "type": "App::User", "id": "f" }, "attrs": { "level": 2 },
      "parents": [{ "type": "App::Group", "id": "1" }] },
    { "uid": { "type": "App::Group", "id": "f" }, "attrs": {},
      "parents": [{ "type": "App::Role", "id": "Folder::1#viewer" }] }
]"#;

fn id() -> impl Strategy<Value = &'static str> {
    select(vec!["0", "1", "2", "f"])
}

fn uid(types: &'static [&'static str]) -> BoxedStrategy<String> {
    (select(types), id()).prop_map(|(ty, id)| format!("App::{ty}::\"{id}\"")).boxed()
}

pub fn role() -> BoxedStrategy<String> {
    select(vec![
        "Folder::0#owner",
        "Folder::0#viewer",
        "Folder::1#editor",
        "Folder::f#owner",
        "Doc::0#viewer",
        "Doc::1#editor",
        "Space::main#admin",
        "Space::main#owner",
        "Space::main#nothing",
        "no role",
    ])
    .prop_map(|id| format!("App::Role::\"{id}\""))
    .boxed()
}

fn scope(variable: &'static str, slot: bool) -> BoxedStrategy<String> {
    let types: &'static [&'static str] = match variable {
        "principal" => &["User", "Group", "Client"],
        _ => &["Doc", "Folder", "Space"],
    };
    let named = match (slot, variable) {
        (true, _) => Just(format!("?{variable}")).boxed(),
        (_, "principal") => prop_oneof![2 => uid(types), 3 => role()].boxed(),
        _ => prop_oneof![9 => uid(types), 1 => role()].boxed(),
    };
    let named = prop_oneof![
        named.clone().prop_map(move |uid| format!("{variable} == {uid}")),
        named.clone().prop_map(move |uid| format!("{variable} in {uid}")),
        (select(types), named)
            .prop_map(move |(ty, uid)| format!("{variable} is App::{ty} in {uid}")),
    ];
    if slot {
        return named.boxed();
    }
    prop_oneof![
        5 => Just(variable.to_owned()),
        2 => select(types).prop_map(move |ty| format!("{variable} is App::{ty}")),
        3 => named,
    ]
    .boxed()
}

fn action() -> impl Strategy<Value = String> {
    let action = || {
        select(vec!["all", "write", "view", "list", "edit", "delete"])
            .prop_map(|action| format!("App::Action::\"{action}\""))
    };
    prop_oneof![
        2 => Just("action".to_owned()),
        1 => action().prop_map(|action| format!("action == {action}")),
        2 => action().prop_map(|action| format!("action in {action}")),
        1 => prop::collection::vec(action(), 0..3)
            .prop_map(|actions| format!("action in [{}]", actions.join(", "))),
    ]
}

/// Conditions of which many hold, many do not, some fail and some are of the wrong type.
fn atom() -> impl Strategy<Value = String> {
    let fixed = select(vec![
        "true",
        "false",
        // Roles by slots
        "principal in resource.viewer",
        "principal in resource.owner",
        "principal in [resource.editor, resource.viewer]",
        "principal in [resource.owner, resource.editor, resource.viewer]",
        "resource has owner && principal in resource.owner",
        "resource has folder && principal in [resource.folder.owner, resource.folder.editor]",
        "principal in [resource.viewer, resource.folder.owner]",
        "resource has folder.space && principal in resource.folder.space.admin",
        "resource has folder.space.owner",
        "resource has plan.limit && resource.plan.limit > context.n",
        "resource has plan && resource.plan.name == \"pro\"",
        "resource.plan == resource.plan",
        "principal in App::Space::\"main\".owner",
        "principal in App::Folder::\"f\".owner",
        "principal in App::Folder::\"f\".viewer",
        "principal in App::Folder::\"9\".viewer",
        "App::Folder::\"0\".owner == App::Role::\"Folder::0#owner\"",
        "App::Folder::\"f\".owner == App::Folder::\"0\".owner",
        "resource.viewer == App::Role::\"Doc::0#viewer\"",
        "resource.viewer in resource.viewer",
        "resource.viewer in [resource.editor, principal]",
        "resource.viewer in principal",
        "principal has owner && principal.owner in resource.viewer",
        "principal has boss && principal.boss in [resource.viewer, App::Group::\"0\"]",
        "[resource.viewer, resource.editor].contains(resource.viewer)",
        "[resource.viewer].contains(App::Role::\"Folder::0#viewer\")",
        "[App::Role::\"Folder::0#viewer\", App::Role::\"Doc::0#viewer\"].contains(resource.viewer)",
        "resource.viewer.x == 1",
        "resource.viewer has x",
        "resource.viewer is App::Role",
        "resource has named.role && principal in resource.named.role",
        "resource has named.role && resource.named.role == resource.viewer",
        "resource has named.roles && principal in resource.named.roles",
        "resource has named.roles && resource.named.roles.contains(resource.viewer)",
        "context has role && principal in context.role",
        "context has role && context.role == resource.viewer",
        "context has role && [resource.viewer, resource.editor].contains(context.role)",
        "context has where && principal in [context.where.owner, context.where.viewer]",
        "context has who && context.who in resource.viewer",
        // Entities
        "principal in App::Group::\"1\"",
        "principal in [App::Group::\"0\", App::Group::\"f\"]",
        "principal in []",
        "resource in App::Folder::\"0\"",
        "resource in [App::Folder::\"1\", App::Folder::\"f\"]",
        "action in App::Action::\"write\"",
        "action in [App::Action::\"all\"]",
        "action == App::Action::\"view\"",
        "action has x",
        "principal == resource.author",
        "resource has author && resource.author == principal",
        "resource has author && resource.author.level > 1",
        "resource has author && principal in resource.author",
        "principal is App::User",
        "principal is App::User in App::Group::\"1\"",
        "principal is App::User in App::Role::\"Space::main#admin\"",
        "resource is App::Doc && resource.title like \"f*d\"",
        "resource.title == \"fixed\"",
        "principal.level > 1",
        "principal has level && principal.level <= context.n",
        "principal has boss.boss.level",
        "principal has boss && principal.boss.level > 1",
        "principal has boss && principal.boss == context.who",
        "App::User::\"f\".level == 2",
        "App::User::\"2\".level == 2",
        "App::User::\"f\" in App::Group::\"2\"",
        "principal == App::User::\"1\"",
        "principal has name && principal.name == \"a\"",
        "principal has name && context has words && context.words.contains(principal.name)",
        // Sets
        "resource has readers && resource.readers.contains(principal)",
        "resource has readers && principal in resource.readers",
        "resource has readers && resource.readers.isEmpty()",
        "resource has readers && context has users && resource.readers.containsAny(context.users)",
        "resource has readers && context has users && resource.readers.containsAll(context.users)",
        "resource has readers && [App::User::\"0\", App::User::\"1\"].containsAll(resource.readers)",
        "resource has readers && resource.readers.containsAny([principal, context.who])",
        "resource has readers && resource.readers.containsAll([principal])",
        "[principal, context.who].containsAny(context.users)",
        "[principal].containsAll([principal, principal])",
        "[principal, resource].contains(principal)",
        "context has words && context.words.containsAny([\"a\", \"c\"])",
        "context has words && context.words.contains(\"b\")",
        "context has words && context.words.containsAll([\"a\"])",
        "context has words && [\"a\", \"b\", \"fixed\"].containsAll(context.words)",
        "context has users && context.users.containsAll(context.users)",
        "context has users && resource has readers && context.users.containsAll(resource.readers)",
        "context has words && context.words == [\"b\", \"a\", \"a\"]",
        "context has users && context.users == resource.readers",
        "[1, 2, 3].contains(context.n)",
        "[[1], [2]].contains([context.n])",
        "[[1], [2]].contains([1])",
        "[context.now].contains(context.until)",
        "context has whens && context.whens.contains(context.now)",
        "context has whens && context.whens.containsAny([context.now])",
        // Values
        "context.n < 3",
        "context.n >= 2 && context.n != 3",
        "context.n + 1 == 3",
        "context.n * -2 < -3",
        "-context.n < 0",
        "context.n - 1 > 9223372036854775807 - 2",
        "context.n + 9223372036854775807 > 0",
        "context.now < datetime(\"2025-01-01\")",
        "context has until && context.now <= context.until",
        "principal has until && principal.until < context.now",
        "principal has until && context.now.durationSince(principal.until) < duration(\"1d\")",
        "context.now.toTime() > duration(\"1h\")",
        "context.now == datetime(\"2024-06-01T12:00:00Z\")",
        "datetime(\"2024-06-01T12:00:00Z\").offset(duration(\"1h\")) > context.now",
        "ip(\"10.0.0.1\").isInRange(ip(\"10.0.0.0/8\"))",
        "decimal(\"1.0\").lessThan(decimal(\"2.0\"))",
        "duration(\"1h\") < datetime(\"2024-06-01\")",
        "decimal(\"1.0\") < decimal(\"2.0\")",
        "context == context",
        "{a: 1} == {a: context.n}",
        "principal.hasTag(\"a\")",
        "principal.hasTag(\"a\") && principal.getTag(\"a\") == \"b\"",
        // A value of the wrong type
        "context.n",
        "context.n == \"text\"",
        "context.n < \"text\"",
        "context.n in principal",
        "principal in context.n",
        "context.n in []",
        "context.n in [] || true",
        "principal in [principal, 1]",
        "principal in context.words",
        "principal.contains(1)",
        "context.missing",
        "context has n.m",
        "principal == 1 || principal",
        "if context.n then true else false",
        "[1].containsAll(1)",
        "context.n like \"*\"",
        "context.n is App::User",
        "!context.n",
        "context.n has x",
        "ip(\"no address\").isLoopback()",
        "App::Group::\"9\".level == 1",
    ])
    .prop_map(str::to_owned);
    let role = role().prop_map(|role| format!("principal in {role}"));
    prop_oneof![12 => fixed, 1 => role].prop_map(|atom| format!("({atom})"))
}

fn condition() -> impl Strategy<Value = String> {
    atom().prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} && {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} || {b})")),
            (inner.clone(), inner.clone(), inner.clone())
                .prop_map(|(a, b, c)| format!("({a} || {b} || {c})")),
            inner.clone().prop_map(|a| format!("!{a}")),
            (inner.clone(), inner.clone(), inner)
                .prop_map(|(a, b, c)| format!("(if {a} then {b} else {c})")),
        ]
    })
}

fn policy(slots: (bool, bool)) -> impl Strategy<Value = String> {
    (
        select(vec!["permit", "permit", "forbid"]),
        scope("principal", slots.0),
        action(),
        scope("resource", slots.1),
        prop::collection::vec((select(vec!["when", "when", "unless"]), condition()), 0..2),
    )
        .prop_map(|(effect, principal, action, resource, conditions)| {
            let conditions: String =
                conditions.iter().map(|(word, c)| format!(" {word} {{ {c} }}")).collect();
            format!("{effect} ({principal}, {action}, {resource}){conditions};\n")
        })
}

/// A template and what fills its slots.
type Template = (String, Option<String>, Option<String>);

fn template() -> impl Strategy<Value = Template> {
    let principal = || prop_oneof![uid(&["User", "Group", "Client"]), role()];
    let slots = prop_oneof![Just((true, false)), Just((false, true)), Just((true, true))];
    (slots, principal(), uid(&["Doc", "Folder", "Space"])).prop_flat_map(|(slots, p, r)| {
        policy(slots)
            .prop_map(move |text| (text, slots.0.then(|| p.clone()), slots.1.then(|| r.clone())))
    })
}

/// Sets of policies, among them some of which Cedar's validation would say that they cannot work.
pub fn policies() -> impl Strategy<Value = String> {
    prop::collection::vec(policy((false, false)), 2..10).prop_map(|policies| policies.concat())
}

/// Templates with a link of each.
pub fn templates() -> impl Strategy<Value = Vec<Template>> {
    prop::collection::vec(template(), 0..3)
}

pub fn policy_set(policies: &str, templates: &[Template]) -> PolicySet {
    use cedar_policy::{EntityUid, PolicyId, SlotId};

    let mut set: PolicySet = policies.parse().unwrap();
    for (n, (text, principal, resource)) in templates.iter().enumerate() {
        let id = PolicyId::new(format!("template{n}"));
        set.add_template(cedar_policy::Template::parse(Some(id.clone()), text).unwrap()).unwrap();
        let filled = [(SlotId::principal(), principal), (SlotId::resource(), resource)];
        let filled = filled
            .into_iter()
            .filter_map(|(slot, uid)| Some((slot, uid.as_ref()?.parse::<EntityUid>().unwrap())));
        set.link(id, PolicyId::new(format!("link{n}")), filled.collect()).unwrap();
    }
    set
}
