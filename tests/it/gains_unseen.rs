//! Gains that a comparison could overlook: each pair of states decides some request otherwise, and neither
//! `diff`, with and without the solver, nor `prove --against` says that nobody gains.

use std::{fs, path::Path};

use tempfile::TempDir;

use crate::{
    cli::{command, end},
    support::hidden::HIDDEN_IF_SENT,
    symbolic::solver,
};

const FORBID: &str = "forbid (principal, action, resource);";

/// Two states of a store by which somebody gains.
struct Pair {
    what: &'static str,
    /// Without the action.
    schema: &'static str,
    /// The fields of the context besides those of [`HIDDEN_IF_SENT`].
    context: &'static str,
    old: String,
    new: String,
    /// Other files of both states.
    files: &'static [(&'static str, &'static str)],
}

fn permit(condition: &str) -> String {
    format!("permit (principal, action, resource) when {{ {condition} }};")
}

fn pair(what: &'static str, schema: &'static str, old: String, new: String) -> Pair {
    Pair { what, schema, context: "", old, new, files: &[] }
}

fn hidden(condition: &str) -> String {
    permit(&format!("{HIDDEN_IF_SENT} && {condition}"))
}

/// Gains that a search finds or owns up to not searching.
fn searched() -> Vec<Pair> {
    const ROLES: &str = "entity Permission; @role entity Role in [Permission]; \
                         entity User in [Role] { active: Bool }; \
                         entity Instance { admin: Role }; entity Doc;";
    const GROUPS: &str = "entity Group in [Group]; entity User in [Group]; entity Doc;";
    let either = "(if context.f then context.who else context.other).active";
    let in_edit = "principal in Permission::\"edit\"";
    vec![
        pair(
            "a role that is in a permission",
            ROLES,
            permit(&format!("principal.active || {in_edit}")),
            permit(&format!("{in_edit} || principal.active")),
        ),
        pair(
            "a role that is in the permission of the scope",
            ROLES,
            FORBID.to_owned(),
            "permit (principal in Permission::\"edit\", action, resource) \
             unless { principal has active };"
                .to_owned(),
        ),
        Pair {
            files: &[(
                "e.cedarentities.json",
                r#"[{"uid": {"type": "User", "id": "root"}, "parents": [], "attrs": {"active": true}}]"#,
            )],
            ..pair(
                "a held user with a role that is in a permission",
                ROLES,
                FORBID.to_owned(),
                permit(&format!("principal == User::\"root\" && {in_edit}")),
            )
        },
        Pair {
            files: &[(
                "e.cedarentities.json",
                r#"[{"uid": {"type": "User", "id": "root"}, "attrs": {}, "parents": [{"type": "Group", "id": "h"}]}]"#,
            )],
            ..pair(
                "a held user in a group that is not held",
                GROUPS,
                FORBID.to_owned(),
                permit("principal == User::\"root\" && principal in Group::\"top\""),
            )
        },
        Pair {
            context: ", f: Bool, who: User, other: User",
            ..pair(
                "the entity that a condition chooses",
                "entity User { active: Bool }; entity Doc;",
                permit(&format!("!({either} && principal == User::\"x\")")),
                permit(&format!("!(principal == User::\"x\" && {either})")),
            )
        },
        Pair {
            files: &[
                (
                    "e.cedarentities.json",
                    r#"[{"uid": {"type": "User", "id": "root"}, "parents": [], "attrs": {"level": 1}}]"#,
                ),
                ("store.toml", "[authzen]\noverridable = [\"User.level\"]\n"),
            ],
            ..pair(
                "an attribute that a question may lay over a held one",
                "entity User { level: Long }; entity Doc;",
                FORBID.to_owned(),
                permit("principal == User::\"root\" && principal.level > 3"),
            )
        },
    ]
}

/// Gains that only the solver finds.
fn proved() -> Vec<Pair> {
    const TEAMS: &str = "entity User; entity Team { flag: Bool, plan?: { paid?: Bool } }; \
                         entity Doc { team: Team, other: Team, public: Bool };";
    const SLOTS: &str = "@role entity Role; entity User in [Role]; entity Team { flag: Bool }; \
                         entity Doc { team: Team, public: Bool, owner: Role, reader: Role };";
    const ROLES: &str = "@role entity Role { level?: Long } tags Bool; \
                         entity User in [Role] { n: Bool }; entity Doc { owner: Role };";
    let (flag, public) = ("resource.team.flag", "resource.public");
    let written_out = "{t: resource.team}.t.flag";
    vec![
        pair(
            "a role that seems to fill two slots",
            SLOTS,
            hidden(&format!("({flag} || {public})")),
            hidden(&format!("({public} || {flag})")) + &hidden("resource.owner == resource.reader"),
        ),
        pair(
            "a path that begins at an entity which is not sent",
            TEAMS,
            hidden("!(resource.team has plan.paid)"),
            hidden("!(resource has team && resource.team has plan.paid)"),
        ),
        pair(
            "an attribute of an entity in a record that is written out",
            TEAMS,
            hidden(&format!("({written_out} || {public})")),
            hidden(&format!("({public} || {written_out})")),
        ),
        pair(
            "`has` of an entity in a record that is written out",
            TEAMS,
            FORBID.to_owned(),
            hidden("{t: resource.team}.t has flag && !(resource.other has flag)"),
        ),
        Pair {
            context: ", who: User",
            ..pair(
                "an entity in itself, in a record that is written out",
                "entity User in [User] { n: Bool }; entity Doc;",
                FORBID.to_owned(),
                hidden("!(principal has n) && principal in {w: context.who}.w"),
            )
        },
        pair(
            "a tag of a role",
            ROLES,
            FORBID.to_owned(),
            hidden("!(principal has n) && resource.owner.hasTag(\"k\")"),
        ),
        pair(
            "an attribute of a role",
            ROLES,
            FORBID.to_owned(),
            hidden("!(principal has n) && resource.owner has level"),
        ),
    ]
}

impl Pair {
    /// Writes both states, as `old` and `new` in a folder.
    fn write(&self) -> TempDir {
        let folder = TempDir::new().unwrap();
        for (state, policies) in [("old", &self.old), ("new", &self.new)] {
            let store = folder.path().join(state).join("docs");
            fs::create_dir_all(&store).unwrap();
            let schema = format!(
                "{} action view appliesTo {{ principal: User, resource: Doc, \
                 context: {{ a?: Long, b?: Long{} }} }};",
                self.schema, self.context
            );
            fs::write(store.join("s.cedarschema"), schema).unwrap();
            fs::write(store.join("p.cedar"), policies).unwrap();
            for (name, text) in self.files {
                fs::write(store.join(name), text).unwrap();
            }
        }
        folder
    }

    /// Compares the states without the solver, or with it.
    fn is_told(&self, with_solver: bool) {
        let folder = self.write();
        let state = |name: &str| folder.path().join(name);
        let diff = |compare: &mut std::process::Command| {
            let ended = end(compare.arg(state("old")).arg(state("new")));
            assert_eq!(ended.code, 2, "{}: {ended:?}", self.what);
        };
        if !with_solver {
            return diff(command(&["diff", "--quiet"]).env("CVC5", "/nowhere/cvc5"));
        }
        diff(&mut command(&["diff", "--quiet"]));
        let [old, new]: [&Path; 2] = [&state("old"), &state("new")];
        let ended = end(command(&["prove", "--quiet"]).arg(new).arg("--against").arg(old));
        assert_eq!(ended.code, 2, "{}: {ended:?}", self.what);
    }
}

#[test]
fn no_gain_is_overlooked_without_the_solver() {
    searched().iter().for_each(|pair| pair.is_told(false));
}

#[test]
fn no_gain_is_overlooked_with_the_solver() {
    if solver().is_some() {
        searched().iter().chain(&proved()).for_each(|pair| pair.is_told(true));
    }
}
