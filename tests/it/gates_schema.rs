//! Changes of the schema, by which policies that nobody touched decide otherwise: `humbaba prove
//! --against` tells them, and the gate `no-gains` refuses them.

use std::{fs, path::Path};

use serde_json::Value as Json;
use tempfile::TempDir;

use crate::{
    cli::{command, end, run},
    cli_sidecar::{Sidecar, until},
    support::http::get,
    symbolic::solver,
};

const HEAD: &str = "principal_type,principal_id,role,scope_type,scope_id,expires_at,granted_at,granted_by,reason\n";
const OWNERS: &str =
    "@id(\"own\") permit (principal, action, resource) when { principal in resource.owner };\n";
const BANNED: &str = "@id(\"no\") forbid (principal, action, resource) when { principal has banned && principal.banned };\n";
const OWNS: &str = "User,a,owner,Site,1,,,,\n";

/// Steps with a directory that a question without one shows, too: the old schema refuses it.
const SHOWN_WITHOUT_DIRECTORY: [&str; 2] = ["client-roles", "ids-added"];

/// A step from one state of a store to another by which somebody gains.
struct Step {
    name: &'static str,
    /// The schema; `edit` is what becomes of its first part.
    schema: &'static str,
    edit: (&'static str, &'static str),
    old: String,
    new: Option<String>,
    /// Role assignments and entities of a directory; without any the question has the role.
    held: Option<(&'static str, &'static str)>,
    question: [&'static str; 3],
    told: &'static str,
}

const SITES: &str = "@role entity Role; entity User in [Role] { }; entity Site { owner: Role };
    action danger;
    action see in [danger] appliesTo { principal: User, resource: Site, context: { } };
    action list in [danger] appliesTo { principal: User, resource: Site, context: { now?: datetime } };";

fn steps() -> Vec<Step> {
    let step = |name, edit, policy: &str, told| Step {
        name,
        schema: SITES,
        edit,
        old: format!("{OWNERS}{policy}"),
        new: None,
        held: None,
        question: ["User::\"a\"", "see", "owner"],
        told,
    };
    let held = |step: Step, schema, assignments, entities| Step {
        schema,
        held: Some((assignments, entities)),
        ..step
    };
    let group = ("action see in [danger]", "action see");
    vec![
        Step {
            old: format!(
                "{OWNERS}@id(\"ro\") permit (principal, action, resource)
                 when {{ action in Action::\"readonly\" && principal in resource.viewer }};"
            ),
            schema: "@role entity Role; entity User in [Role]; entity Site { viewer: Role, owner: Role };
                action readonly;
                action view in [readonly] appliesTo { principal: User, resource: Site };
                action delete appliesTo { principal: User, resource: Site };",
            edit: ("action delete", "action delete in [readonly]"),
            question: ["User::\"a\"", "delete", "viewer"],
            ..step("action-group", group, "", "puts `delete` in `readonly`, which the old policy `ro` looks at")
        },
        step(
            "forbid-group",
            group,
            "@id(\"no\") forbid (principal, action, resource) when { action in Action::\"danger\" };",
            "does not put `see` in `danger`, which the old policy `no`",
        ),
        Step {
            schema: "@role entity Role; entity User in [Role] { }; entity Site { owner: Role };
                action see appliesTo { principal: User, resource: Site, context: { now?: datetime } };
                action list appliesTo { principal: User, resource: Site, context: { now?: datetime } };",
            ..step(
                "now-removed",
                (
                    "action see appliesTo { principal: User, resource: Site, context: { now?: datetime } };",
                    "action see appliesTo { principal: User, resource: Site };",
                ),
                "@id(\"no\") forbid (principal, action, resource)
                 when { context has now && context.now > datetime(\"2025-01-01\") };",
                "does not declare `now` in the context of `see`, which the old policy `no`",
            )
        },
        Step {
            schema: "@role entity Role; entity User in [Role] { }; entity Site { owner: Role };
                action see appliesTo { principal: User, resource: Site, context: { now?: datetime } };
                action list appliesTo { principal: User, resource: Site, context: { now?: datetime } };",
            old: OWNERS.replace("};", "} unless { context has now };"),
            ..step(
                "unless-now",
                (
                    "action see appliesTo { principal: User, resource: Site, context: { now?: datetime } };",
                    "action see appliesTo { principal: User, resource: Site };",
                ),
                "",
                "does not declare `now` in the context of `see`, which the old policy `own`",
            )
        },
        held(
            Step {
                question: ["Client::\"a\"", "see", ""],
                ..step(
                    "client-roles",
                    ("entity Client;", "entity Client in [Role];"),
                    "",
                    "lets a `Client` be in a `Role`, which the old policy `own`",
                )
            },
            "@role entity Role; entity User in [Role]; entity Client; entity Site { owner: Role };
             action see appliesTo { principal: [User, Client], resource: Site };",
            "Client,a,owner,Site,1,,,,\n",
            "[]",
        ),
        held(
            step(
                "slot-removed",
                ("{ admin: Role, banned: Role }", "{ admin: Role }"),
                "@id(\"no\") forbid (principal in Role::\"Instance::main#banned\", action, resource);",
                "has no role slot for `Role::\"Instance::main#banned\"`, which the old policy `no`",
            ),
            "@role entity Role; entity User in [Role]; entity Instance { admin: Role, banned: Role };
             entity Site { owner: Role };
             action see appliesTo { principal: User, resource: Site };",
            "User,a,owner,Site,1,,,,\nUser,a,banned,Instance,main,,,,\n",
            "[]",
        ),
        held(
            step(
                "group-removed",
                ("in [Role, Group]", "in [Role]"),
                "@id(\"no\") forbid (principal in Group::\"blocked\", action, resource);",
                "does not let a `User` be in a `Group`, which the old policy `no`",
            ),
            "@role entity Role; entity Group; entity User in [Role, Group]; entity Site { owner: Role };
             action see appliesTo { principal: User, resource: Site };",
            OWNS,
            r#"[{"uid": {"type": "User", "id": "a"}, "attrs": {}, "parents": [{"type": "Group", "id": "blocked"}]}]"#,
        ),
        held(
            step(
                "attribute-removed",
                ("User in [Role] { banned?: Bool }", "User in [Role]"),
                BANNED,
                "does not declare `banned` of `User`, which the old policy `no`",
            ),
            "@role entity Role; entity User in [Role] { banned?: Bool }; entity Site { owner: Role, banned?: Bool };
             action see appliesTo { principal: User, resource: Site };",
            OWNS,
            r#"[{"uid": {"type": "User", "id": "a"}, "attrs": {"banned": true}, "parents": []}]"#,
        ),
        held(
            Step {
                new: Some(OWNERS.to_owned()),
                ..step(
                    "attribute-moved",
                    ("{ banned?: Bool }; entity Site { owner: Role };", "; entity Site { owner: Role, banned?: Bool };"),
                    BANNED,
                    "does not declare `banned` of `User`, which the old policy `no`",
                )
            },
            "@role entity Role; entity User in [Role] { banned?: Bool }; entity Site { owner: Role };
             action see appliesTo { principal: User, resource: Site };",
            OWNS,
            r#"[{"uid": {"type": "User", "id": "a"}, "attrs": {"banned": true}, "parents": []}]"#,
        ),
        // An attribute that no policy looks at takes the others of its row with it.
        held(
            step(
                "row-unfit",
                ("banned?: Bool, nick?: String", "banned?: Bool"),
                BANNED,
                "takes fewer entities of `User` (it does not declare `nick`), which the old policy `no`",
            ),
            "@role entity Role; entity User in [Role] { banned?: Bool, nick?: String }; entity Site { owner: Role };
             action see appliesTo { principal: User, resource: Site };",
            OWNS,
            r#"[{"uid": {"type": "User", "id": "a"}, "attrs": {"banned": true, "nick": "x"}, "parents": []}]"#,
        ),
        held(
            step(
                "ids-added",
                ("[\"a\"]", "[\"a\", \"b\"]"),
                "@id(\"all\") permit (principal, action, resource)
                 when { principal has plan && principal.plan != Plan::\"a\" };",
                "has other ids of `Plan`, which the old policy `all`",
            ),
            "@role entity Role; entity Plan enum [\"a\"]; entity User in [Role] { plan?: Plan }; entity Site { owner: Role };
             action see appliesTo { principal: User, resource: Site };",
            "User,x,owner,Site,1,,,,\n",
            r#"[{"uid": {"type": "User", "id": "a"}, "attrs": {"plan": {"__entity": {"type": "Plan", "id": "b"}}}, "parents": []}]"#,
        ),
        held(
            step(
                "not-required",
                ("mfa: Bool", "mfa?: Bool"),
                "@id(\"all\") permit (principal, action, resource) unless { principal has mfa };",
                "declares otherwise `mfa` of `User`, which the old policy `all`",
            ),
            "@role entity Role; entity User in [Role] { mfa: Bool }; entity Site { owner: Role };
             action see appliesTo { principal: User, resource: Site };",
            "User,x,owner,Site,1,,,,\n",
            r#"[{"uid": {"type": "User", "id": "a"}, "attrs": {"mfa": true}, "parents": []}]"#,
        ),
        held(
            Step {
                new: Some(OWNERS.to_owned()),
                ..step(
                    "tags-removed",
                    (" tags String", ""),
                    "@id(\"no\") forbid (principal, action, resource)
                     when { resource.hasTag(\"frozen\") && resource.getTag(\"frozen\") == \"yes\" };",
                    "declares other tags of `Site`, which the old policy `no`",
                )
            },
            "@role entity Role; entity User in [Role]; entity Site { owner: Role } tags String;
             action see appliesTo { principal: User, resource: Site };",
            OWNS,
            r#"[{"uid": {"type": "Site", "id": "1"}, "attrs": {}, "parents": [], "tags": {"frozen": "yes"}}]"#,
        ),
    ]
}

/// Writes the old or the new state of a store.
fn write(folder: &Path, step: &Step, is_new: bool) {
    let store = folder.join(step.name);
    fs::create_dir_all(&store).unwrap();
    let (from, to) = step.edit;
    assert!(step.schema.contains(from), "{}", step.name);
    let edited = step.schema.replacen(from, to, 1);
    let schema = if is_new { &edited } else { step.schema };
    let policies = step.new.as_ref().filter(|_| is_new).unwrap_or(&step.old);
    fs::write(store.join("p.cedar"), policies).unwrap();
    fs::write(store.join("s.cedarschema"), schema).unwrap();
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn prove_tells_each_change_of_the_schema_that_old_policies_see() {
    let Some(_) = solver() else { return };
    for step in steps() {
        let (old, new) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        write(old.path(), &step, false);
        write(new.path(), &step, true);
        let ended = run(&["prove", text(new.path()), "--against", text(old.path())]);
        assert_eq!(ended.code, 2, "{}: {ended:?}", step.name);
        let told = ended.out.contains("not comparable: the new schema ");
        assert!(told && ended.out.contains(step.told), "{}: {}", step.name, ended.out);
        // Where a question can carry the facts, one shows the gain.
        let has_witness = step.held.is_none() || SHOWN_WITHOUT_DIRECTORY.contains(&step.name);
        assert_eq!(
            ended.out.contains("gain: now allowed"),
            has_witness,
            "{}: {}",
            step.name,
            ended.out
        );
    }
}

#[test]
fn diff_tells_and_approves_each_change_of_the_schema_that_no_gains_refuses() {
    let roles = "@role entity Role; entity User in [Role]; entity Doc { owner: Role, team?: User };
        action see appliesTo { principal: User, resource: Doc };";
    let step = |name, edit, condition: &str, told| Step {
        name,
        schema: roles,
        edit,
        old: format!("permit (principal, action, resource) when {{ {condition} }};"),
        new: None,
        held: None,
        question: ["", "", ""],
        told,
    };
    let by_slot = "principal in resource.owner";
    let more = [
        step("no-role", ("@role ", ""), by_slot, "declares otherwise `owner`"),
        step(
            "required",
            ("team?", "team"),
            "resource has team && resource.team == principal",
            "declares otherwise `team`",
        ),
        step(
            "slot",
            ("owner: Role", "owner: Role, adm: Role"),
            "principal in Role::\"Doc::1#adm\"",
            "has a role slot",
        ),
    ];
    for step in steps().into_iter().chain(more) {
        let (old, new) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        write(old.path(), &step, false);
        write(new.path(), &step, true);
        let args = ["diff", text(old.path()), text(new.path())];
        let ended = end(command(&args).env("CVC5", "none"));
        assert_eq!(ended.code, 2, "{}: {ended:?}", step.name);
        let told = ended.out.contains("not comparable: the new schema ");
        assert!(told && ended.out.contains(step.told), "{}: {}", step.name, ended.out);
        let by = ["--approve", "--by", "carol", "--reason", "as meant"];
        let ended = end(command(&args).args(by).env("CVC5", "none"));
        assert_eq!(ended.code, 0, "{}: {ended:?}", step.name);
        let approved = new.path().join(step.name).join("approved-gains.toml");
        let approved = fs::read_to_string(approved).unwrap();
        assert!(approved.contains("not comparable: "), "{}: {approved}", step.name);
    }
}

#[test]
fn who_gains_by_a_type_that_becomes_one_of_roles_is_found() {
    let schema = "entity Role; entity User in [Role]; entity Doc { owner: Role };
        action see appliesTo { principal: User, resource: Doc };";
    let step = Step {
        name: "role",
        schema,
        edit: ("entity Role", "@role entity Role"),
        old: "permit (principal, action, resource) when { principal in resource.owner };"
            .to_owned(),
        new: None,
        held: None,
        question: ["", "", ""],
        told: "",
    };
    let (old, new) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    write(old.path(), &step, false);
    write(new.path(), &step, true);
    let args = ["diff", text(old.path()), text(new.path())];
    let ended = end(command(&args).env("CVC5", "none"));
    assert_eq!(ended.code, 2, "{ended:?}");
    assert!(ended.out.contains("is owner of Doc"), "{}", ended.out);
}

#[test]
fn no_gains_refuses_each_change_of_the_schema_that_old_policies_see() {
    let Some(_) = solver() else { return };
    let (folder, held) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let steps = steps();
    let mut args: Vec<String> =
        ["--require", "no-gains", "--set=reload.first=trust"].map(str::to_owned).to_vec();
    for step in &steps {
        write(folder.path(), step, false);
        if let Some((assignments, entities)) = step.held {
            let rows = held.path().join(step.name);
            fs::create_dir_all(&rows).unwrap();
            fs::write(rows.join("a.assignments.csv"), format!("{HEAD}{assignments}")).unwrap();
            fs::write(rows.join("e.cedarentities.json"), entities).unwrap();
            args.extend([
                "--directory".to_owned(),
                format!("{}=files:{}", step.name, rows.display()),
            ]);
        }
    }
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    let sidecar = Sidecar::start(folder.path(), &args);
    let answers = || -> Vec<(&str, i32)> {
        let asked = steps.iter().map(|step| {
            let [principal, action, role] = step.question;
            let mut args = vec!["check", "--server"];
            let server = sidecar.tcp();
            args.extend([server.as_str(), "--store", step.name, "--principal", principal]);
            args.extend(["--action", action, "--resource", "Site::\"1\""]);
            if step.held.is_none() {
                args.extend(["--role", role]);
            }
            (step.name, run(&args).code)
        });
        asked.collect()
    };
    let before = until("directories", || {
        let answers = answers();
        answers.iter().all(|(_, code)| matches!(code, 0 | 2)).then_some(answers)
    });
    for (name, code) in &before {
        assert_eq!(*code, 2, "{name} is denied at first");
    }
    for step in &steps {
        write(folder.path(), step, true);
    }
    let page = |path: &str| {
        let address = sidecar.addresses["http"].as_str().unwrap().parse().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(get(address, path)).body
    };
    let stores = until("refusals", || {
        let status: Json = serde_json::from_str(&page("/status")).unwrap();
        let stores = status["stores"].as_array().unwrap().clone();
        let is_told =
            |store: &Json| store["problems"].as_array().is_some_and(|all| !all.is_empty());
        stores.iter().all(is_told).then_some(stores)
    });
    for step in &steps {
        let store = stores.iter().find(|store| store["name"] == step.name).unwrap();
        let problems = store["problems"].to_string().replace("\\\"", "\"");
        assert!(
            problems.contains("no-gains: not comparable") && problems.contains(step.told),
            "{problems}"
        );
        assert!(problems.contains("approves the step from"), "{problems}");
    }
    assert_eq!(answers(), before);
}

#[test]
fn harmless_changes_of_the_schema_stay_comparable() {
    let Some(_) = solver() else { return };
    let schema = "@role entity Role; entity Group in [Role];
        entity User in [Role, Group] { banned?: Bool }; entity Depot { banned?: Bool };
        entity Site { owner: Role, viewer: Role };
        action danger;
        action see appliesTo { principal: User, resource: Site, context: { now?: datetime } };
        action delete in [danger] appliesTo { principal: User, resource: Site, context: { now?: datetime } };";
    let policies = format!(
        "{OWNERS}{BANNED}@id(\"late\") forbid (principal, action, resource)
         when {{ action in Action::\"danger\" && context has now && context.now > datetime(\"2030-01-01\") }};"
    );
    let vip = "@id(\"vip\") forbid (principal, action, resource) when { principal has vip && principal.vip };";
    for (edit, more, code, told) in [
        (
            (
                "action danger;",
                "action danger; action purge appliesTo { principal: User, resource: Site };",
            ),
            "",
            2,
            "gain: now allowed where a User asks for purge",
        ),
        (("action danger;", "action danger; action other;"), "", 0, "equivalent"),
        (("entity Depot", "entity Team; entity Depot"), "", 0, "equivalent"),
        (
            ("banned?: Bool }; entity Depot", "banned?: Bool, vip?: Bool }; entity Depot"),
            vip,
            0,
            "less permissive: nobody gains",
        ),
        (
            ("banned?: Bool }; entity Depot", "banned?: Bool, vip?: Bool }; entity Depot"),
            "",
            0,
            "equivalent",
        ),
        (("Depot { banned?: Bool }", "Depot { banned: Long }"), "", 0, "equivalent"),
        (("Depot { banned?: Bool }", "Depot"), "", 0, "equivalent"),
    ] {
        let folder = TempDir::new().unwrap();
        for (name, schema, more) in
            [("old", schema.to_owned(), ""), ("new", schema.replacen(edit.0, edit.1, 1), more)]
        {
            let store = folder.path().join(name).join("docs");
            fs::create_dir_all(&store).unwrap();
            fs::write(store.join("s.cedarschema"), schema).unwrap();
            fs::write(store.join("p.cedar"), format!("{policies}{more}")).unwrap();
        }
        let [old, new] = ["old", "new"].map(|name| folder.path().join(name));
        let ended = run(&["prove", text(&new), "--against", text(&old)]);
        assert_eq!(ended.code, code, "{edit:?}: {ended:?}");
        assert!(
            ended.out.contains(told) && !ended.out.contains("comparable"),
            "{edit:?}: {}",
            ended.out
        );
    }
}
