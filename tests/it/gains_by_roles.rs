//! Gains of those who come to be in something by a role or a group that is in something else: `diff` finds
//! each without a solver, with a request that replays, and settles that nobody gains where nobody does.

use std::{fs, path::PathBuf};

use tempfile::TempDir;

use crate::{
    cli::{Ended, command, end, run},
    symbolic::solver,
};

const PERMISSIONS: &str = "entity Permission; @role entity Role in [Role, Permission]; \
     entity User in [Role] { active: Bool }; entity Instance { admin: Role }; \
     entity Doc { owner: Role }; action view appliesTo { principal: User, resource: Doc, \
     context: { a?: Long, b?: Long, role?: Role, other?: Role } };";

const GROUPS: &str = "entity Group in [Group]; entity User in [Group] { active: Bool }; entity Doc; \
     action view appliesTo { principal: User, resource: Doc, context: { a?: Long, b?: Long } };";

/// A user that the store holds.
const ROOT: &str =
    r#"[{"uid": {"type": "User", "id": "root"}, "attrs": {"active": true}, "parents": []}]"#;

/// One in a group that the store does not hold.
const ROOT_IN_GROUP: &str = r#"[{"uid": {"type": "User", "id": "root"}, "attrs": {"active": true},
    "parents": [{"type": "Group", "id": "h"}]}]"#;

/// A role that the store holds, in a permission.
const ADMINS_EDIT: &str = r#"[{"uid": {"type": "Role", "id": "Instance::main#admin"}, "attrs": {},
    "parents": [{"type": "Permission", "id": "edit"}]}]"#;

/// The same role in nothing.
const ADMINS: &str =
    r#"[{"uid": {"type": "Role", "id": "Instance::main#admin"}, "attrs": {}, "parents": []}]"#;

/// A condition that no search decides.
const HIDDEN: &str = "context has a && context has b && context.a > 1000 && context.a < 9000 && \
                      context.b > 0 && context.b < 9000 && context.a - context.b == 37";

const IN_EDIT: &str = "principal in Permission::\"edit\"";
const IN_TOP: &str = "principal in Group::\"top\"";
const IS_ROOT: &str = "principal == User::\"root\"";
const NOBODY: &str = "false";

/// Two states of a store, each with entities and the condition of its permit.
struct Step {
    schema: &'static str,
    old: (&'static str, String),
    new: (&'static str, String),
}

fn step(
    schema: &'static str,
    held: &'static str,
    old: impl Into<String>,
    new: impl Into<String>,
) -> Step {
    Step { schema, old: (held, old.into()), new: (held, new.into()) }
}

/// The folders of a step.
struct Folders(TempDir);

impl Step {
    fn write(&self) -> Folders {
        let folders = Folders(TempDir::new().unwrap());
        for (name, (entities, condition)) in [("old", &self.old), ("new", &self.new)] {
            let store = folders.state(name).join("docs");
            fs::create_dir_all(&store).unwrap();
            let policy =
                format!("@id(\"p\") permit (principal, action, resource) when {{ {condition} }};");
            fs::write(store.join("s.cedarschema"), self.schema).unwrap();
            fs::write(store.join("p.cedar"), policy).unwrap();
            if !entities.is_empty() {
                fs::write(store.join("e.cedarentities.json"), entities).unwrap();
            }
        }
        folders
    }
}

impl Folders {
    fn state(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Compares without a solver, and writes the requests that show what differs.
    fn diff(&self) -> Ended {
        let mut diff = command(&["diff", "--quiet", "--witness"]);
        diff.arg(self.state("shown")).arg(self.state("old")).arg(self.state("new"));
        end(diff.env("CVC5", "none"))
    }

    fn prove(&self) -> Ended {
        let mut prove = command(&["prove", "--quiet"]);
        end(prove.arg(self.state("new")).arg("--against").arg(self.state("old")))
    }

    /// Asks a state the first request of those that were written.
    fn asked_again(&self, state: &str) -> Ended {
        let (policies, shown) = (self.state(state), self.state("shown"));
        let [policies, shown] = [policies.to_str().unwrap(), shown.to_str().unwrap()];
        run(&["check", "--policies", policies, "--record", shown, "--decision-id", "docs-1"])
    }
}

#[test]
fn a_gain_by_a_role_or_a_group_that_is_in_something_is_found_and_replays() {
    for (step, shown) in [
        // Of the user nothing is sent: the old condition fails.
        (
            step(
                PERMISSIONS,
                "",
                format!("principal.active || {IN_EDIT}"),
                format!("{IN_EDIT} || principal.active"),
            ),
            "#owner\" is in Permission::\"edit\"",
        ),
        (
            step(PERMISSIONS, "", NOBODY, format!("{IN_EDIT} && !(principal has active)")),
            "#owner\" is in Permission::\"edit\"",
        ),
        // The store holds the user, and not the role.
        (
            step(PERMISSIONS, ROOT, NOBODY, format!("{IS_ROOT} && {IN_EDIT}")),
            "#owner\" is in Permission::\"edit\"",
        ),
        // In one permission, and not in another.
        (
            step(
                PERMISSIONS,
                ROOT,
                NOBODY,
                format!("{IS_ROOT} && {IN_EDIT} && !(principal in Permission::\"read\")"),
            ),
            "#owner\" is in Permission::\"edit\"",
        ),
        // By a role that is not the one on the resource.
        (
            step(
                PERMISSIONS,
                ROOT,
                NOBODY,
                format!("{IS_ROOT} && {IN_EDIT} && !(principal in resource.owner)"),
            ),
            "#owner\" is in Permission::\"edit\"",
        ),
        // By the role on the resource.
        (
            step(
                PERMISSIONS,
                "",
                NOBODY,
                "resource.owner in Permission::\"edit\" && principal in resource.owner",
            ),
            "#owner\" is in Permission::\"edit\"",
        ),
        // The group of a held user is in another.
        (
            step(GROUPS, ROOT_IN_GROUP, NOBODY, format!("{IS_ROOT} && {IN_TOP}")),
            "Group::\"h\" is in Group::\"top\"",
        ),
        // A role of the context.
        (
            step(PERMISSIONS, "", NOBODY, "context has role && principal in context.role"),
            "context.role is Role::\"",
        ),
        (
            step(
                PERMISSIONS,
                "",
                NOBODY,
                "context has role && context has other && context.role != context.other \
                 && principal in context.role && principal in context.other \
                 && !(principal in resource.owner)",
            ),
            "context.other is Role::\"",
        ),
        // The two states hold a role in other permissions.
        (
            Step {
                schema: PERMISSIONS,
                old: (ADMINS, format!("{IN_EDIT} && !(principal has active)")),
                new: (ADMINS_EDIT, format!("{IN_EDIT} && !(principal has active)")),
            },
            "is admin of Instance::\"main\"",
        ),
    ] {
        let folders = step.write();
        let ended = folders.diff();
        assert_eq!(ended.code, 2, "{}: {ended:?}", step.new.1);
        assert!(ended.out.contains(shown), "{}: {ended:?}", step.new.1);
        assert!(!ended.out.contains("not settled"), "{}: {ended:?}", step.new.1);
        assert_eq!(folders.asked_again("new").code, 0, "{}", step.new.1);
        if solver().is_some() {
            let ended = folders.prove();
            assert!(ended.out.contains("  gain: "), "{}: {ended:?}", step.new.1);
        }
    }
}

#[test]
fn where_nobody_gains_by_a_role_or_a_group_the_search_says_so() {
    for step in [
        step(
            PERMISSIONS,
            ROOT,
            format!("{IN_EDIT} && {IS_ROOT}"),
            format!("{IS_ROOT} && {IN_EDIT}"),
        ),
        step(PERMISSIONS, "", IN_EDIT, format!("{IN_EDIT} && principal has active")),
        step(PERMISSIONS, ROOT, IN_EDIT, format!("{IN_EDIT} && principal has active")),
        step(GROUPS, ROOT_IN_GROUP, IN_TOP, format!("{IN_TOP} && principal has active")),
        step(
            PERMISSIONS,
            "",
            "context has role && principal in context.role",
            "context has role && principal in context.role && principal has active",
        ),
    ] {
        let folders = step.write();
        let ended = folders.diff();
        assert_eq!(ended.code, 0, "{}: {ended:?}", step.new.1);
        assert!(!ended.out.contains("not settled"), "{}: {ended:?}", step.new.1);
        if solver().is_some() {
            assert_eq!(folders.prove().code, 0, "{}", step.new.1);
        }
    }
}

#[test]
fn the_solvers_example_becomes_a_request_in_which_a_role_is_in_something() {
    if solver().is_none() {
        return;
    }
    for step in [
        step(PERMISSIONS, "", NOBODY, format!("{HIDDEN} && {IN_EDIT} && !(principal has active)")),
        step(PERMISSIONS, ROOT, NOBODY, format!("{HIDDEN} && {IS_ROOT} && {IN_EDIT}")),
        step(
            PERMISSIONS,
            "",
            NOBODY,
            format!(
                "{HIDDEN} && !(principal has active) && principal in resource.owner \
                 && resource.owner in Permission::\"edit\""
            ),
        ),
        step(GROUPS, ROOT_IN_GROUP, NOBODY, format!("{HIDDEN} && {IS_ROOT} && {IN_TOP}")),
    ] {
        let ended = step.write().prove();
        assert!(ended.out.contains("  gain: "), "{}: {ended:?}", step.new.1);
        assert!(!ended.out.contains("unknown"), "{}: {ended:?}", step.new.1);
    }
}
