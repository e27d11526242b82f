//! The candidates to which each kind of condition narrows a list.

use cedar_policy_core::ast::PolicySet;

use super::{generated::STORE, sample};
use crate::{
    engine::compiled::{CandidateSource, CompiledFacts, CompiledPolicies, Narrowing},
    model::{Uid, Value},
    request::{
        EntityInput, ListInput, RequestInput, RequestLimits, RoleAssignmentInput, Side, check_list,
    },
    testing::DEFAULT_NOW,
};

/// Asks for `edit`: alice is in a group, views a document by herself and owns a folder by the group.
/// The document of the lists of principals is in that folder.
fn question(open: Side, context: Vec<(String, Value)>) -> ListInput {
    let role = |principal: Uid, role: &str, scope: Uid| RoleAssignmentInput {
        principal: Some(principal),
        role: role.to_owned(),
        scope: Some(scope),
        expires_at: None,
    };
    let entity = |uid: Uid, parents: Vec<Uid>| EntityInput {
        uid: Some(uid),
        parents,
        ..EntityInput::default()
    };
    let (alice, group) = (Uid::new("User", "alice"), Uid::new("Group", "staff"));
    let (doc, folder) = (Uid::new("Doc", "plan"), Uid::new("Folder", "plans"));
    let described = EntityInput {
        attributes: vec![
            ("title".to_owned(), Value::String("Plan".to_owned())),
            ("folder".to_owned(), Value::Entity(folder.clone())),
            ("author".to_owned(), Value::Entity(alice.clone())),
        ],
        ..entity(doc.clone(), vec![folder.clone()])
    };
    let user = EntityInput {
        attributes: vec![("level".to_owned(), Value::Long(1))],
        ..entity(alice.clone(), vec![group.clone()])
    };
    let question = RequestInput {
        principal: (open == Side::Resource).then(|| alice.clone()),
        action: Some(Uid::action("edit")),
        resource: (open == Side::Principal).then(|| doc.clone()),
        context,
        entities: vec![described, user],
        role_assignments: vec![role(alice, "viewer", doc), role(group, "owner", folder)],
    };
    let entity_type = if open == Side::Resource { "Doc" } else { "User" };
    ListInput { question, open, entity_type: entity_type.to_owned() }
}

/// Returns what policies narrow a list to, in few words.
fn narrowed(policies: &str, input: &ListInput) -> String {
    let set = sample::policy_set(policies, &[]);
    let set: &PolicySet = set.as_ref();
    let slices = STORE.engine().arrange(set.policies());
    let (schema, stored) = (STORE.schema(), STORE.stored());
    let compiled = CompiledPolicies::new(&slices, schema, stored).unwrap();
    let limits = RequestLimits::default();
    let list = check_list(STORE.known(None), input, DEFAULT_NOW, &limits).unwrap();
    let facts = CompiledFacts::new(schema, stored, list.shared()).unwrap();
    let sources = match compiled.narrow(&slices, schema, &facts, &list) {
        Narrowing::All => return "all".to_owned(),
        Narrowing::Among(sources) => sources,
    };
    let sources = sources.iter().map(|source| match source {
        CandidateSource::Entity(uid) => uid.eid().escaped().to_string(),
        CandidateSource::Under(uid) => format!("under {}", uid.eid().escaped()),
        CandidateSource::Holders(role) => {
            format!("{} of {}", role.slot, role.scope.eid().escaped())
        }
        CandidateSource::Scopes { holder, slot } => {
            format!("where {} is {slot}", holder.eid().escaped())
        }
        CandidateSource::Naming { attribute, holder, slot } => {
            format!("with a {attribute} where {} is {slot}", holder.eid().escaped())
        }
    });
    sources.collect::<Vec<_>>().join(", ")
}

fn context(n: i64) -> Vec<(String, Value)> {
    vec![("n".to_owned(), Value::Long(n))]
}

fn permit(condition: &str) -> String {
    format!("permit (principal, action, resource) when {{ {condition} }};")
}

#[test]
fn conditions_narrow_the_resources_of_a_principal() {
    for (condition, expected) in [
        ("principal in resource.viewer", "where alice is viewer"),
        (
            "principal in [resource.editor, resource.viewer]",
            "where alice is editor, where alice is viewer",
        ),
        ("context.n < 3 && principal in resource.viewer", "where alice is viewer"),
        ("context.n > 3 && principal in resource.viewer", ""),
        ("principal in resource.viewer || context.n > 3", "where alice is viewer"),
        ("principal in resource.viewer || context.n < 3", "all"),
        ("if context.n < 3 then principal in resource.viewer else true", "where alice is viewer"),
        (
            "if resource has author then principal in resource.viewer else principal in resource.editor",
            "where alice is viewer, where alice is editor",
        ),
        ("!(principal in resource.viewer)", "all"),
        ("resource has public && resource.public", "all"),
        ("resource has author && resource.author == principal", "all"),
        // The role of another entity: by a group alice owns some folder, and edits none.
        (
            "resource has folder && principal in resource.folder.owner",
            "with a folder where alice is owner",
        ),
        ("resource has folder && principal in resource.folder.editor", ""),
        ("principal in [resource.viewer, resource.folder.editor]", "where alice is viewer"),
        ("resource == App::Doc::\"1\"", "1"),
        ("resource == principal", "alice"),
        ("[App::Doc::\"1\", App::Doc::\"2\"].contains(resource)", "1, 2"),
        ("resource in App::Folder::\"1\" && principal in resource.viewer", "where alice is viewer"),
        ("resource in [App::Folder::\"1\", App::Folder::\"2\"]", "under 1, under 2"),
        ("principal in resource", "alice, staff"),
        ("resource is App::Folder", ""),
        ("resource is App::Doc && principal in resource.viewer", "where alice is viewer"),
        (
            "principal in App::Group::\"staff\" && principal in resource.viewer",
            "where alice is viewer",
        ),
        ("principal in App::Group::\"other\"", ""),
        ("principal in App::Folder::\"plans\".owner", "all"),
        ("principal in App::Folder::\"plans\".editor", ""),
        // A condition that fails is no reason to leave anything out.
        ("principal.name == \"a\" && principal in resource.viewer", "where alice is viewer"),
        ("principal.name == \"a\"", "all"),
        ("principal.level > 1", ""),
        ("principal.hasTag(\"a\")", "all"),
    ] {
        let found = narrowed(&permit(condition), &question(Side::Resource, context(1)));
        assert_eq!(found, expected, "{condition}");
    }
}

#[test]
fn conditions_narrow_the_principals_of_a_resource() {
    for (condition, expected) in [
        ("principal in resource.viewer", "viewer of plan"),
        ("resource has folder && principal in resource.folder.owner", "owner of plans"),
        ("resource has readers && resource.readers.contains(principal)", ""),
        ("principal == resource.author", "alice"),
        ("principal in App::Group::\"1\"", "under 1"),
        ("principal in App::Role::\"Folder::0#owner\"", "owner of 0"),
        ("resource in App::Folder::\"plans\" && principal in resource.viewer", "viewer of plan"),
        ("resource in App::Folder::\"other\"", ""),
        ("resource.title == \"Plan\"", "all"),
        ("principal has boss && principal.boss in resource.viewer", "all"),
    ] {
        let found = narrowed(&permit(condition), &question(Side::Principal, context(1)));
        assert_eq!(found, expected, "{condition}");
    }
}

#[test]
fn scopes_narrow_too() {
    for (policy, resources, principals) in [
        ("permit (principal, action, resource);", "all", "all"),
        ("forbid (principal, action, resource);", "", ""),
        ("permit (principal, action == App::Action::\"view\", resource);", "", ""),
        ("permit (principal in App::Group::\"staff\", action, resource);", "all", "under staff"),
        ("permit (principal in App::Group::\"other\", action, resource);", "", "under other"),
        ("permit (principal == App::User::\"bob\", action, resource);", "", "bob"),
        ("permit (principal, action, resource == App::Doc::\"1\");", "1", ""),
        ("permit (principal, action, resource in App::Folder::\"plans\");", "under plans", "all"),
        ("permit (principal is App::Client, action, resource);", "", ""),
        ("permit (principal, action, resource is App::Folder);", "", ""),
        (
            "permit (principal in App::Role::\"Folder::plans#owner\", action, resource);",
            "all",
            "owner of plans",
        ),
    ] {
        let found = |open| narrowed(policy, &question(open, context(1)));
        assert_eq!(found(Side::Resource), resources, "{policy}");
        assert_eq!(found(Side::Principal), principals, "{policy}");
    }
}

#[test]
fn a_context_of_which_a_fact_is_missing_narrows_nothing() {
    for (condition, expected) in [
        ("context.n > 3", "all"),
        ("context has n", "all"),
        ("!(context has n)", "all"),
        ("context.n > 3 && principal in resource.viewer", "where alice is viewer"),
    ] {
        let found = narrowed(&permit(condition), &question(Side::Resource, Vec::new()));
        assert_eq!(found, expected, "{condition}");
    }
}
