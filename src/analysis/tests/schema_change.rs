//! Changes of a schema that policies see, and those that they do not.

use std::sync::Arc;

use crate::{
    analysis::{Kind, seen_schema_change},
    store::{Bounds, PolicyStore, StoreFiles},
};

const SCHEMA: &str = r#"
@role entity Role;
entity Org in [Role];
entity Group in [Org];
entity Color enum ["red", "green"];
entity Badge { seal?: String, serial?: Long };
entity User in [Role, Group] { banned?: Bool, home?: { city: String }, badge?: Badge, boss?: User };
entity Client;
entity Instance { admin: Role, banned: Role };
entity Site { owner: Role, viewer: Role, color?: Color, note?: String } tags String;
entity Depot { banned?: Bool, stock: Long };
action readonly, danger;
action view, list in [readonly] appliesTo {
    principal: [User, Client], resource: Site, context: { now?: datetime, count?: Long }
};
action delete in [danger] appliesTo {
    principal: [User, Client], resource: Site, context: { now?: datetime, count?: Long }
};
"#;

fn store(schema: &str, policy: &str) -> PolicyStore {
    let files = [("s.cedarschema", schema.to_owned()), ("p.cedar", policy.to_owned())];
    let files = files.map(|(path, text)| (path.to_owned(), Arc::from(text.into_bytes())));
    let files = StoreFiles::new("main".parse().unwrap(), files);
    PolicyStore::load(Arc::new(files), &Bounds::default())
        .unwrap_or_else(|problems| panic!("{problems:?}\n{policy}"))
}

/// Returns the change that a condition sees when users delete sites, after each edit of the schema in
/// its turn.
fn seen(policy: &str, edits: &[(&str, &str)]) -> Option<String> {
    let old = store(SCHEMA, policy);
    let new = edits.iter().fold(SCHEMA.to_owned(), |schema, (from, to)| {
        assert!(schema.contains(from), "{from}");
        schema.replace(from, to)
    });
    let new = store(&new, "");
    let delete = old.schema().action("", "delete").unwrap();
    let kind = Kind {
        action: &delete.uid,
        principal: old.schema().entity_type("User").unwrap(),
        resource: old.schema().entity_type("Site").unwrap(),
    };
    seen_schema_change(old.schema(), new.schema(), kind, policies_of(&old))
}

fn policies_of(store: &PolicyStore) -> impl Iterator<Item = &cedar_policy_core::ast::Policy> {
    store.policies().policies().map(AsRef::as_ref)
}

fn when(condition: &str) -> String {
    format!("@id(\"p\") permit (principal, action, resource) when {{ {condition} }};")
}

const IN_DANGER: (&str, &str) = ("delete in [danger]", "delete");
const IN_BOTH: (&str, &str) = ("delete in [danger]", "delete in [danger, readonly]");
#[test]
fn each_change_that_a_policy_looks_at_is_seen() {
    let of_delete = "context: { now?: datetime, count?: Long }\n};\n";
    for (condition, edit, told) in [
        ("action in Action::\"readonly\"", IN_BOTH, "puts `delete` in `readonly`"),
        ("action in [Action::\"danger\"]", IN_DANGER, "does not put `delete` in `danger`"),
        (
            "Action::\"view\" in Action::\"readonly\"",
            ("view, list in [readonly]", "view, list"),
            "does not put `view` in `readonly`",
        ),
        (
            "principal has banned",
            ("{ banned?: Bool, home", "{ home"),
            "not declare `banned` of `User`",
        ),
        (
            "principal has banned && principal.banned",
            ("{ banned?: Bool, home", "{ banned: Bool, home"),
            "declares otherwise `banned` of `User`",
        ),
        (
            "principal has home.city && principal.home.city == \"x\"",
            ("{ city: String }", "{ city: String, zip?: String }"),
            "declares otherwise `home` of `User`",
        ),
        (
            "principal has badge && principal.badge has seal",
            ("{ seal?: String,", "{ seal: String,"),
            "declares otherwise `seal` of `Badge`",
        ),
        (
            "context has now && context.now > datetime(\"2025-01-01\")",
            ("now?: datetime, ", ""),
            "does not declare `now` in the context of `delete`",
        ),
        (
            "context == context",
            (of_delete, "context: { count?: Long }\n};\n"),
            "does not declare `now` in the context",
        ),
        ("resource.hasTag(\"a\")", (" tags String", " tags Long"), "other tags of `Site`"),
        ("resource.hasTag(\"a\")", (" tags String", ""), "other tags of `Site`"),
        (
            "principal in Group::\"staff\"",
            ("User in [Role, Group]", "User in [Role]"),
            "does not let a `User` be in a `Group`",
        ),
        (
            "principal in Org::\"acme\"",
            ("Group in [Org]", "Group"),
            "does not let a `Group` be in a `Org`",
        ),
        (
            "principal in resource.owner",
            ("Org in [Role]", "Org"),
            "does not let a `Group` be in a `Role`",
        ),
        (
            "principal in Role::\"Instance::main#banned\"",
            (", banned: Role };", " };"),
            "has no role slot for `Role::\"Instance::main#banned\"`",
        ),
        (
            "principal == User::\"x\" && principal in Role::\"Instance::main#guest\"",
            (", banned: Role };", ", banned: Role, guest: Role };"),
            "has a role slot for",
        ),
        (
            "principal in resource.viewer",
            ("owner: Role, viewer: Role", "owner: Role"),
            "does not declare `viewer` of `Site`",
        ),
        (
            "resource has color",
            ("[\"red\", \"green\"]", "[\"red\", \"green\", \"blue\"]"),
            "has other ids of `Color`",
        ),
        // A row with what is gone counts no more, and what it said besides goes with it.
        ("principal has banned", (", boss?: User", ""), "takes fewer entities of `User`"),
        (
            "principal has banned",
            ("boss?: User", "boss?: User, level: Long"),
            "takes fewer entities of `User` (it requires `level`)",
        ),
        (
            "principal in Group::\"staff\"",
            ("boss?: User", "boss?: Long"),
            "takes fewer entities of `User` (it declares `boss` otherwise)",
        ),
        (
            "principal in resource.owner && resource has note",
            ("[\"red\", \"green\"]", "[\"red\"]"),
            "takes fewer entities of `Site` (it has fewer ids of `Color`)",
        ),
    ] {
        let found = seen(&when(condition), &[edit]).unwrap_or_default();
        assert!(found.contains(told), "{condition}: {found}");
    }
}

#[test]
fn a_name_that_means_another_type_is_seen() {
    let inside = format!("namespace Main {{ {SCHEMA} }}");
    let policy = "@id(\"p\") forbid (principal in Main::Group::\"staff\", action, resource);";
    let old = store(&inside, policy);
    let kind = Kind {
        action: &old.schema().action("", "delete").unwrap().uid,
        principal: old.schema().entity_type("User").unwrap(),
        resource: old.schema().entity_type("Site").unwrap(),
    };
    for (more, told) in [
        ("namespace Other { @role entity Role; }", "does not understand `"),
        ("entity Folder;", ""),
        ("namespace Other { entity Group; }", ""),
    ] {
        let new = store(&format!("{inside} {more}"), "");
        let seen = seen_schema_change(old.schema(), new.schema(), kind, policies_of(&old));
        assert_eq!(seen.is_some(), !told.is_empty(), "{more}: {seen:?}");
        assert!(seen.unwrap_or_default().contains(told), "{more}");
    }
}

#[test]
fn a_role_slot_is_seen_where_roles_are_reached_otherwise_than_by_slots() {
    let schema = "@role entity Role in [Grp]; entity Grp; entity Team; entity User in [Role];
        entity Doc { owner: Role, viewer: Role } tags Role;
        action see appliesTo {
            principal: User, resource: Doc, context: { as?: Role, to?: Doc, by?: { role?: Role } }
        };";
    let edits =
        [("viewer: Role", "viewer: Role, editor: Role"), ("Team;", "Team { editor: Role };")];
    for (condition, is_seen) in [
        ("context has as && principal in context.as", true),
        ("context has as && principal in [resource.owner, context.as]", true),
        ("context has by && context.by has role && principal in context.by.role", true),
        ("resource.hasTag(\"x\") && principal in resource.getTag(\"x\")", true),
        ("principal in Grp::\"staff\"", true),
        ("principal in resource.owner", false),
        ("context has to && principal in context.to.owner", false),
        ("principal in Role::\"Doc::1#owner\"", false),
        // To refer to a role is not to ask who has it.
        ("context has as && context.as == resource.owner", false),
    ] {
        for (from, to) in edits {
            let other = schema.replace(from, to);
            for (old, new, how) in [(schema, &*other, "has a"), (&other, schema, "has no")] {
                let (old, new) = (store(old, &when(condition)), store(new, ""));
                let kind = Kind {
                    action: &old.schema().action("", "see").unwrap().uid,
                    principal: old.schema().entity_type("User").unwrap(),
                    resource: old.schema().entity_type("Doc").unwrap(),
                };
                let seen = seen_schema_change(old.schema(), new.schema(), kind, policies_of(&old));
                let told = format!("the new schema {how} role slot `editor` of `");
                assert_eq!(seen.is_some(), is_seen, "{condition}, {to}: {seen:?}");
                assert!(seen.is_none_or(|seen| seen.starts_with(&told)), "{condition}, {to}");
            }
        }
    }
}

#[test]
fn the_scope_is_looked_at_too() {
    let edit = [("User in [Role, Group]", "User in [Role]")];
    for scope in ["principal in Group::\"staff\"", "principal is User in Group::\"staff\""] {
        let policy = format!("@id(\"p\") forbid ({scope}, action, resource);");
        let found = seen(&policy, &edit).unwrap();
        assert_eq!(
            found,
            "the new schema does not let a `User` be in a `Group`, which the old policy `p` looks at"
        );
    }
    // The action's scope is decided by the groups of its own schema.
    let by_group = "permit (principal, action in Action::\"danger\", resource);";
    assert_eq!(seen(by_group, &[IN_DANGER]), None);
}

#[test]
fn what_no_policy_looks_at_is_not_seen() {
    let condition = "principal in resource.owner && action in Action::\"danger\" \
                     && !(principal has banned && principal.banned) && !(context has count)";
    for edits in [
        // A new action, and another one elsewhere.
        &[(
            "action readonly",
            "action purge appliesTo { principal: User, resource: Site }; action readonly",
        )][..],
        &[("view, list in [readonly]", "view, list")],
        // A new type, and one that nobody asks about.
        &[("entity Client;", "entity Client; entity Team; entity Squad in [Team];")],
        &[
            ("entity Client;", "entity Client; entity Team;"),
            ("in [Role, Group] {", "in [Role, Group, Team] {"),
        ],
        // New optional attributes, a slot, and a context field.
        &[("boss?: User", "boss?: User, vip?: Bool")],
        &[("note?: String", "note?: String, vip?: Bool")],
        &[("viewer: Role", "viewer: Role, editor: Role")],
        &[("count?: Long", "count?: Long, reason?: String")],
        &[("now?: datetime, ", "")],
        // The attribute of that name of a type that is not met.
        &[("Depot { banned?: Bool", "Depot { banned?: Long")],
        &[("Depot { banned?: Bool, ", "Depot { ")],
        &[("stock: Long", "stock: Long, count: Long")],
        &[("note?: String", "note?: String, banned?: Long")],
        &[("serial?: Long", "serial: Long")],
        &[("[\"red\", \"green\"]", "[\"red\"]")],
        &[(" tags String", " tags Long")],
    ] {
        assert_eq!(seen(&when(condition), edits), None, "{edits:?}");
    }
}
