//! `humbaba prove`, invariants, and requests that refute something.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, time::Instant};

use humbaba::{
    analysis::{Witness, diff, read_invariants},
    model::{OnForbidError, Timestamp, Uid, Value},
    proofs::{Outcome, ProofOptions, StateComparison, compare, prove},
    request::{RequestInput, RoleAssignmentInput},
    store::Bounds,
};
use serde_json::Value as Json;
use tempfile::TempDir;

use crate::{
    cli::{Ended, POLICIES, command, end, policies, run, write_store},
    decision_log::SCHEMA as RECORD_SCHEMA,
    support::{hidden::HIDDEN, stores},
    symbolic::solver,
};

const VIEWERS_READ: &str = r#"
@id("viewers-read")
@never("a viewer edits nothing")
permit (principal, action == Guard::Action::"edit", resource)
when { principal in resource.viewer }
unless { principal in [resource.owner, resource.editor] };

@id("owners-edit")
@always("an owner edits, but not for an audit")
permit (principal, action == Guard::Action::"edit", resource)
when { principal in resource.owner }
unless { context has reason && context.reason == "audit" };
"#;

/// The policies with viewers among those who edit.
fn planted() -> String {
    let editors = "when { principal in [resource.owner, resource.editor] };";
    assert!(POLICIES.contains(editors));
    POLICIES.replace(
        editors,
        "when { principal in [resource.owner, resource.editor, resource.viewer] };",
    )
}

fn write_invariants(folder: &Path, store: &str, text: &str) {
    fs::create_dir_all(folder.join(store).join("invariants")).unwrap();
    fs::write(folder.join(store).join("invariants/roles.cedar"), text).unwrap();
}

fn path(folder: &Path) -> &str {
    folder.to_str().unwrap()
}

/// Asks every record of a file again and returns how many there are.
fn replay(folder: &Path, file: &Path) -> usize {
    let text = fs::read_to_string(file).unwrap();
    for line in text.lines() {
        let record: Json = serde_json::from_str(line).unwrap();
        RECORD_SCHEMA.validate(&record).unwrap_or_else(|error| panic!("{error}: {record:#}"));
        let id = record["decision_id"].as_str().unwrap();
        let args =
            ["check", "--policies", path(folder), "--record", path(file), "--decision-id", id];
        let ended = run(&args);
        assert_eq!(ended.code, 0, "{ended:?}");
        assert!(ended.out.contains("the same answer as"), "{ended:?}");
    }
    text.lines().count()
}

#[test]
fn a_witness_is_a_record_that_can_be_asked_again() {
    let (folder, place) = (policies(&["guard"]), TempDir::new().unwrap());
    let files =
        [("schema.cedarschema", crate::cli::SCHEMA), ("policies.cedar", crate::cli::POLICIES)];
    let store = stores::store("guard", &files);
    let role = RoleAssignmentInput { role: "editor".into(), ..RoleAssignmentInput::default() };
    let input = RequestInput {
        principal: Some(Uid::new("User", "alice")),
        action: Some(Uid::action("edit")),
        resource: Some(Uid::new("Site", "42")),
        role_assignments: vec![role],
        ..RequestInput::default()
    };
    let now = Timestamp::from_millis(1_769_850_000_000);
    let witness = Witness { input, now, on_forbid_error: OnForbidError::Deny };
    assert!(witness.decide(&store).unwrap().is_allow());
    let words = "User::\"alice\" asks for edit on Site::\"42\"\n\
                 User::\"alice\" is editor of Site::\"42\"";
    assert_eq!(witness.to_string(), words);
    let file = place.path().join("witness.jsonl");
    fs::write(&file, witness.record(&store, "one").unwrap()).unwrap();
    assert_eq!(replay(folder.path(), &file), 1);
}

#[test]
fn invariants_decide_nothing_and_are_no_part_of_the_revision() {
    let anybody = r#"@id("all") @never("nothing at all") permit (principal, action, resource);"#;
    let files = |invariants| {
        [
            ("schema.cedarschema", crate::cli::SCHEMA),
            ("policies.cedar", crate::cli::POLICIES),
            ("invariants/all.cedar", invariants),
        ]
    };
    let (with, without) =
        (stores::store("guard", &files(anybody)), stores::store("guard", &files("")));
    assert_eq!(with.revision(), without.revision());
    assert_ne!(with.digest(), without.digest());
    assert_eq!(with.policies().policies().count(), 3);
}

#[test]
fn each_fault_of_an_invariant_is_told_with_its_place() {
    let valid = "permit (principal, action == Guard::Action::\"view\", resource);";
    for (text, line, message) in [
        (format!("@id(\"a\")\n{valid}"), 1, "needs `@never` or `@always`"),
        (format!("\n@id(\"a\") @never(\"x\") @always(\"y\")\n{valid}"), 2, "has both"),
        (format!("@never(\"x\")\n{valid}"), 1, "needs an `@id`"),
        (format!("@id(\"a\") @never(\" \")\n{valid}"), 1, "needs `@never` or `@always`"),
        (
            format!("@id(\"a\") @never(\"x\")\n{}", valid.replace("permit", "forbid")),
            1,
            "is no `forbid`",
        ),
        (
            "@id(\"a\") @never(\"x\")\npermit (principal == ?principal, action, resource);".into(),
            1,
            "has no slots",
        ),
        (
            format!(
                "@id(\"a\") @never(\"x\")\n{}",
                valid.replace(';', "\nwhen { resource.colour };")
            ),
            3,
            "colour",
        ),
        (format!("@id(\"a\") @never(\"x\")\n{}", valid.replace(';', "")), 2, "unexpected end"),
    ] {
        let folder = policies(&["guard"]);
        write_invariants(folder.path(), "guard", &text);
        let ended = run(&["validate", "--format", "json", path(folder.path())]);
        assert_eq!(ended.code, 3, "{text}: {ended:?}");
        let report: Json = serde_json::from_str(&ended.out).unwrap();
        let problem = &report["stores"][0]["problems"][0];
        assert_eq!(problem["file"], "guard/invariants/roles.cedar", "{problem:#}");
        assert_eq!(problem["line"], line, "{text}: {problem:#}");
        assert!(problem["message"].as_str().unwrap().contains(message), "{text}: {problem:#}");
    }
}

#[test]
fn without_a_solver_prove_says_how_to_get_one() {
    let folder = policies(&["guard"]);
    for (solver, advice) in [("/nowhere/cvc5", "apt-get install cvc5"), ("true", "CVC5")] {
        let ended = end(command(&["prove", path(folder.path())]).env("CVC5", solver));
        assert_eq!(ended.code, 64, "{ended:?}");
        assert!(ended.err.contains(advice), "{ended:?}");
    }
}

#[test]
fn what_holds_is_proved_and_what_does_not_is_refuted_by_a_request() {
    let (Some(_), place) = (solver(), TempDir::new().unwrap()) else { return };
    let folder = policies(&["guard"]);
    write_invariants(folder.path(), "guard", VIEWERS_READ);
    let ended = run(&["prove", path(folder.path())]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(ended.out.contains("proved   never viewers-read"), "{}", ended.out);
    assert!(ended.out.contains("proved   always owners-edit"), "{}", ended.out);

    write_store(folder.path(), "guard", &planted());
    let file = place.path().join("refuted.jsonl");
    let ended = run(&["prove", path(folder.path()), "--witness", path(&file)]);
    assert_eq!(ended.code, 2, "{ended:?}");
    assert!(ended.out.contains("REFUTED  never viewers-read: a viewer edits nothing"));
    assert!(ended.out.contains("User::\"alice\" is viewer of Site::\"1\""), "{}", ended.out);
    assert!(ended.out.contains("by edit"), "{}", ended.out);
    assert_eq!(replay(folder.path(), &file), 1);

    // Owners who cannot edit refute the other one.
    write_store(
        folder.path(),
        "guard",
        &POLICIES.replace("[resource.owner, resource.editor] };", "resource.editor };"),
    );
    let ended = run(&["prove", path(folder.path()), "--witness", path(&file)]);
    assert_eq!(ended.code, 2, "{ended:?}");
    assert!(ended.out.contains("REFUTED  always owners-edit"), "{}", ended.out);
    assert_eq!(replay(folder.path(), &file), 1);
}

#[test]
fn a_planted_change_of_hitkeep_is_refuted_by_a_request_that_replays() {
    let (Some(_), folder) = (solver(), TempDir::new().unwrap()) else { return };
    copy(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/hitkeep"),
        &folder.path().join("hitkeep"),
    );
    let file = folder.path().join("hitkeep/site-admin.cedar");
    let text = fs::read_to_string(&file).unwrap();
    let planted = text.replace(
        "in [resource.owner, resource.admin]",
        "in [resource.owner, resource.admin, resource.editor]",
    );
    assert_ne!(text, planted);
    fs::write(file, planted).unwrap();
    let witness = folder.path().join("refuted.jsonl");
    let ended = run(&["prove", path(folder.path()), "--witness", path(&witness)]);
    assert_eq!(ended.code, 2, "{ended:?}");
    assert!(ended.out.contains("REFUTED  never editors-add-no-members"), "{}", ended.out);
    assert!(replay(folder.path(), &witness) >= 1);
}

#[test]
fn a_policy_that_can_fail_is_shown_and_leaves_invariants_unknown() {
    let (Some(_), folder) = (solver(), TempDir::new().unwrap()) else { return };
    let schema = "entity User; entity Site; action \"count\" appliesTo {
        principal: User, resource: Site, context: { amount: Long } };";
    let policies = r#"@id("count") permit (principal, action, resource);
        @id("not-too-much") forbid (principal, action, resource) when { context.amount + 1 > 100 };"#;
    let invariant = r#"@id("little") @never("never more than 100")
        permit (principal, action, resource) when { context.amount > 100 };"#;
    let store = folder.path().join("counting");
    fs::create_dir_all(&store).unwrap();
    fs::write(store.join("schema.cedarschema"), schema).unwrap();
    fs::write(store.join("policies.cedar"), policies).unwrap();
    write_invariants(folder.path(), "counting", invariant);
    let file = folder.path().join("refuted.jsonl");
    let ended = run(&["prove", path(&store), "--witness", path(&file)]);
    assert_eq!(ended.code, 2, "{ended:?}");
    assert!(ended.out.contains("REFUTED  `not-too-much` never fails"), "{}", ended.out);
    assert!(ended.out.contains("context.amount is 9223372036854775807"), "{}", ended.out);
    // The solver skips a forbid that fails: allowed, it says, and no request shows that.
    assert!(ended.out.contains("UNKNOWN  never little"), "{}", ended.out);
    assert_eq!(replay(folder.path(), &file), 1);
}

#[test]
fn dead_and_idle_policies_and_invariants_about_nothing_are_told() {
    let Some(_) = solver() else { return };
    let folder = policies(&["guard"]);
    let more = r#"
        @id("dead") permit (principal, action == Guard::Action::"edit", resource)
        when { context has amount && context.amount.lessThan(decimal("1.0")) && context.amount.greaterThan(decimal("2.0")) };
        @id("idle") permit (principal, action == Guard::Action::"view", resource)
        when { principal in resource.owner };
        @id("always") forbid (principal, action == Guard::Action::"view", resource)
        when { principal != principal || resource == resource };"#;
    write_store(folder.path(), "guard", &format!("{POLICIES}{more}"));
    let nothing = r#"@id("nothing") @never("about nothing")
        permit (principal, action == Guard::Action::"view", resource)
        when { principal in resource.owner && !(principal in resource.owner) };"#;
    write_invariants(folder.path(), "guard", nothing);
    let ended = run(&["prove", path(folder.path())]);
    assert_eq!(ended.code, 2, "{ended:?}");
    for told in [
        "REFUTED  `dead` applies to some request",
        "REFUTED  the condition of `always` matters",
        "note     `idle` changes no decision",
        "REFUTED  never nothing: about nothing\n    it describes no request",
    ] {
        assert!(ended.out.contains(told), "{told}\n{}", ended.out);
    }
}

#[test]
fn an_invariant_that_looks_at_the_action_is_asked_for_each() {
    let Some(solver) = solver() else { return };
    let schema = "entity User, Site; action a, b appliesTo { principal: User, resource: Site };";
    let policy = r#"@id("both") permit (principal, action, resource);"#;
    for (action, other) in [("a", "b"), ("b", "a")] {
        let invariant = format!(
            "@id(\"only\") @never(\"only {action}\") permit (principal, action, resource)
             unless {{ action == Action::\"{action}\" }};"
        );
        let files = [
            ("s.cedarschema", schema),
            ("p.cedar", policy),
            ("invariants/only.cedar", invariant.as_str()),
        ];
        let store = stores::store("main", &files);
        let invariants = read_invariants(&store, &Bounds::default()).unwrap();
        let options = ProofOptions::default();
        let proofs = prove(&store, &invariants, &solver, &options, &|_, _| ()).unwrap();
        let proof = proofs.proofs.last().unwrap();
        let Outcome::Refuted { witness: Some(witness), .. } = &proof.outcome else {
            panic!("{proof:?}");
        };
        assert_eq!(witness.input.action.as_ref().unwrap().id, other);
    }
}

#[test]
fn links_of_templates_are_proved_like_policies() {
    let (Some(_), place) = (solver(), TempDir::new().unwrap()) else { return };
    let folder = policies(&["guard"]);
    let template = r#"@id("one-site")
        permit (principal == ?principal, action == Guard::Action::"edit", resource == ?resource);"#;
    write_store(folder.path(), "guard", &format!("{POLICIES}{template}"));
    let links = "[[link]]\nid = \"bob-edits\"\ntemplate = \"one-site\"\n\
        principal = 'Guard::User::\"bob\"'\nresource = 'Guard::Site::\"7\"'\n";
    fs::write(folder.path().join("guard/bob.links.toml"), links).unwrap();
    let invariant = r#"@id("roles-only") @never("nobody edits without a role")
        permit (principal, action == Guard::Action::"edit", resource)
        unless { principal in [resource.owner, resource.editor] };"#;
    write_invariants(folder.path(), "guard", invariant);
    let file = place.path().join("refuted.jsonl");
    let ended = run(&["prove", path(folder.path()), "--witness", path(&file)]);
    assert_eq!(ended.code, 2, "{ended:?}");
    assert!(ended.out.contains("User::\"bob\" asks for edit on Site::\"7\""), "{}", ended.out);
    assert!(ended.out.contains("by bob-edits"), "{}", ended.out);
    assert_eq!(replay(folder.path(), &file), 1);
}

#[test]
fn what_is_not_proved_in_time_is_unknown_and_proves_nothing() {
    let Some(solver) = solver() else { return };
    let files = [
        ("schema.cedarschema", crate::cli::SCHEMA),
        ("policies.cedar", crate::cli::POLICIES),
        ("invariants/roles.cedar", VIEWERS_READ),
    ];
    let store = stores::store("guard", &files);
    let invariants = read_invariants(&store, &Bounds::default()).unwrap();
    let options = ProofOptions { deadline: Some(Instant::now()), ..ProofOptions::default() };
    let proofs = prove(&store, &invariants, &solver, &options, &|_, _| ()).unwrap();
    assert!(!proofs.all_proved());
    assert!(proofs.proofs.iter().all(|one| matches!(one.outcome, Outcome::Unknown(_))));
    let options = ProofOptions::default();
    options.cancelled.cancel();
    let proofs = prove(&store, &invariants, &solver, &options, &|_, _| ()).unwrap();
    assert!(proofs.proofs.iter().all(|one| matches!(one.outcome, Outcome::Unknown(_))));
}

/// Compares two states of the store `guard`.
fn against(old: &str, new: &str) -> (Ended, TempDir, TempDir) {
    let (before, after) = (policies(&[]), policies(&[]));
    write_store(before.path(), "guard", old);
    write_store(after.path(), "guard", new);
    let file = after.path().join("witness.jsonl");
    let args =
        ["prove", path(after.path()), "--against", path(before.path()), "--witness", path(&file)];
    (run(&args), before, after)
}

#[test]
fn a_rewrite_is_proved_equivalent() {
    let Some(_) = solver() else { return };
    let edits = "when { principal in [resource.owner, resource.editor] };";
    let rewritten = POLICIES.replace(
        edits,
        "when { !(!(principal in resource.editor) && !(principal in resource.owner)) };",
    );
    assert_ne!(rewritten, POLICIES);
    let (ended, ..) = against(POLICIES, &rewritten);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(ended.out.contains("guard: equivalent"), "{}", ended.out);
}

#[test]
fn each_direction_has_a_request_that_replays() {
    let Some(_) = solver() else { return };
    let (ended, before, after) = against(POLICIES, &planted());
    assert_eq!(ended.code, 2, "{ended:?}");
    assert!(ended.out.contains("guard: MORE PERMISSIVE"), "{}", ended.out);
    let file = after.path().join("witness.jsonl");
    assert_eq!(replay(after.path(), &file), 1);
    let old = ["check", "--policies", path(before.path()), "--record", path(&file)];
    assert!(run(&old).out.starts_with("DENY"));

    let (ended, before, after) = against(&planted(), POLICIES);
    assert_eq!(ended.code, 0, "a loss is no gain: {ended:?}");
    assert!(ended.out.contains("guard: less permissive: nobody gains"), "{}", ended.out);
    assert_eq!(replay(before.path(), &after.path().join("witness.jsonl")), 1);
}

#[test]
fn an_action_that_is_new_is_a_gain_and_one_that_is_gone_a_loss() {
    let (Some(_), old, new) = (solver(), policies(&["guard"]), policies(&["guard"])) else {
        return;
    };
    let schema = crate::cli::SCHEMA.replace(
        "action \"view\"",
        "action \"list\" appliesTo { principal: User, resource: Site };\n  action \"view\"",
    );
    let list = r#"@id("list") permit (principal, action == Guard::Action::"list", resource);"#;
    write_store(new.path(), "guard", &format!("{POLICIES}{list}"));
    fs::write(new.path().join("guard/schema.cedarschema"), schema).unwrap();
    let ended = run(&["prove", path(new.path()), "--against", path(old.path())]);
    assert_eq!(ended.code, 2, "{ended:?}");
    assert!(ended.out.contains("asks for list on Site::\"1\""), "{}", ended.out);
    let ended = run(&["prove", path(old.path()), "--against", path(new.path())]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(ended.out.contains("less permissive"), "{}", ended.out);
}

#[test]
fn what_the_new_schema_does_not_know_is_not_comparable() {
    let (Some(_), old, new) = (solver(), policies(&["guard"]), policies(&["guard"])) else {
        return;
    };
    let by_reason = POLICIES.replace("context.reason == \"audit\"", "context.reason == \"review\"");
    write_store(new.path(), "guard", &by_reason.replace("reason", "motive"));
    let schema = crate::cli::SCHEMA.replace("reason?", "motive?");
    fs::write(new.path().join("guard/schema.cedarschema"), schema).unwrap();
    let ended = run(&["prove", path(new.path()), "--against", path(old.path())]);
    assert_eq!(ended.code, 2, "{ended:?}");
    assert!(ended.out.contains("not comparable") && ended.out.contains("reason"), "{}", ended.out);
}

#[test]
fn a_commit_can_be_compared_with() {
    let (Some(_), folder) = (solver(), policies(&[])) else { return };
    write_store(&folder.path().join("policies"), "guard", POLICIES);
    let git = |args: &[&str]| {
        let identity = ["-c", "user.name=t", "-c", "user.email=t@example.com"];
        let status = std::process::Command::new("git")
            .args(identity)
            .args(args)
            .current_dir(folder.path())
            .stdout(std::process::Stdio::null())
            .status();
        assert!(status.unwrap().success(), "git {args:?}");
    };
    git(&["init", "--quiet"]);
    git(&["add", "."]);
    git(&["commit", "--quiet", "-m", "old"]);
    write_store(&folder.path().join("policies"), "guard", &planted());
    for old in ["git:HEAD", "git:HEAD:policies", "git:HEAD:./policies/guard"] {
        let new = if old.ends_with("guard") { "policies/guard" } else { "policies" };
        let args = ["prove", new, "--against", old, "--format", "json"];
        let ended = end(command(&args).current_dir(folder.path()));
        assert_eq!(ended.code, 2, "{old}: {ended:?}");
        let report: Json = serde_json::from_str(&ended.out).unwrap();
        let store = &report["stores"][0];
        assert_eq!(store["gains"][0]["witness"]["decision"], "allow", "{store:#}");
        assert_eq!(store["losses"], Json::Array(Vec::new()));
    }
    for old in ["git:nowhere", "git:HEAD:nowhere"] {
        let args = ["prove", "policies", "--against", old];
        let ended = end(command(&args).current_dir(folder.path()));
        assert_eq!(ended.code, 64, "{ended:?}");
    }
}

/// Writes a program.
fn program(path: &Path, script: &str) {
    fs::write(path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_solver_that_does_not_say_what_it_is_is_given_up() {
    let folder = policies(&["guard"]);
    let solver = folder.path().join("solver");
    let serve = ["serve", "--policies", path(folder.path()), "--require", "no-gains"];
    let prove = ["prove", path(folder.path())];
    for (script, reason) in
        [("exec sleep 600", "has not ended within 10 s"), ("exec yes", "writes more than")]
    {
        program(&solver, script);
        std::thread::scope(|scope| {
            for args in [&serve[..], &prove] {
                let mut command = command(args);
                command.env("CVC5", &solver);
                scope.spawn(move || {
                    let ended = end(&mut command);
                    assert_eq!(ended.code, 64, "{ended:?}");
                    let told =
                        ended.err.contains("does not say what it is") && ended.err.contains(reason);
                    assert!(told, "{ended:?}");
                });
            }
        });
    }
}

#[test]
fn a_git_that_writes_without_end_is_given_up() {
    let folder = policies(&["guard"]);
    program(&folder.path().join("git"), "exec yes");
    let among = format!("{}:{}", path(folder.path()), std::env::var("PATH").unwrap());
    let mut diff = command(&["diff", "git:HEAD", path(folder.path())]);
    let ended = end(diff.env("PATH", among));
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(ended.err.contains("`git ls-tree") && ended.err.contains("more than"), "{ended:?}");
}

/// Compares two states of a store with this schema.
fn compared(schema: &str, old: &str, new: &str) -> Option<StateComparison> {
    let solver = solver()?;
    let store =
        |policies| stores::store("docs", &[("s.cedarschema", schema), ("p.cedar", policies)]);
    let options = ProofOptions::default();
    Some(compare(&store(old), &store(new), &solver, &options, &|_, _| ()).unwrap())
}

fn permit(condition: &str) -> String {
    format!("@id(\"p\") permit (principal, action, resource) when {{ {condition} }};")
}

const DOCS: &str = r#"
@role entity Role;
entity User in [Role] { active: Bool };
entity Team { flag: Bool, boss: User, next: Team, owner: Role, viewer: Role };
entity Doc { public: Bool, team: Team, owner: Role, viewer: Role };
action view appliesTo {
    principal: User, resource: Doc, context: { a: Long, b: Long, at?: datetime }
};
"#;

#[test]
fn the_roles_of_a_scope_that_a_policy_names_are_its_own() {
    for (old, new) in [
        (r#"principal in Doc::"x".owner"#, r#"principal in Role::"Doc::x#owner""#),
        (
            "principal in resource.owner",
            r#"principal in resource.owner || Doc::"x".owner == Doc::"y".owner"#,
        ),
        (
            r#"principal in Doc::"x".owner"#,
            r#"principal in Doc::"x".owner || Doc::"x".owner in [Doc::"x".viewer]"#,
        ),
        (
            "principal in resource.owner",
            r#"principal in resource.owner || (resource != Doc::"x" && resource.owner == Doc::"x".owner)"#,
        ),
        (
            "principal in resource.owner",
            r#"principal in resource.owner || Team::"t".next.owner == resource.owner"#,
        ),
    ] {
        let Some(compared) = compared(DOCS, &permit(old), &permit(new)) else { return };
        assert!(compared.is_equivalent(), "{new}: {compared:#?}");
    }
}

#[test]
fn an_example_that_is_no_request_is_called_no_gain() {
    // Four steps from the request: what is true of slots is not said of these.
    let far = "resource.team.next.next.next";
    let new = permit(&format!("resource.public || {far}.owner == {far}.viewer"));
    let Some(compared) = compared(DOCS, &permit("resource.public"), &new) else { return };
    assert!(compared.gains.is_empty() && compared.losses.is_empty(), "{compared:#?}");
    let [unknown] = &*compared.unknown else { panic!("{compared:#?}") };
    assert!(unknown.contains("an example of which no request could be made"), "{unknown}");
    assert!(!compared.gains_nothing(), "which is not proved");
}

#[test]
fn a_gain_of_what_is_not_sent_is_found_beside_one_that_no_request_shows() {
    let old = permit(&format!("{HIDDEN} && (resource.team.flag || resource.public)"));
    let new = permit(&format!(
        "resource.owner == resource.viewer || ({HIDDEN} && (resource.public || resource.team.flag))"
    ));
    let Some(compared) = compared(DOCS, &old, &new) else { return };
    assert_eq!(compared.gains.len(), 1, "{compared:#?}");
    let sent = &compared.gains[0].witness.input.entities;
    assert!(sent.iter().all(|entity| entity.uid.as_ref().unwrap().type_name != "Team"), "{sent:?}");
}

#[test]
fn gains_of_what_is_not_sent_are_seen_in_whatever_words() {
    let compared = |old: &str, new: &str| {
        let hidden = |condition: &str| permit(&format!("{HIDDEN} && ({condition})"));
        compared(DOCS, &hidden(old), &hidden(new))
    };
    for (old, new) in [
        ("{d: resource}.d.public || context.a > 1", "context.a > 1 || {d: resource}.d.public"),
        (
            "!(resource.team has boss.active)",
            "!(resource has public && resource.team has boss.active)",
        ),
        ("{d: principal}.d.active", "!({d: principal}.d has active) || {d: principal}.d.active"),
    ] {
        let Some(compared) = compared(old, new) else { return };
        assert_eq!(compared.gains.len(), 1, "{new}: {compared:#?}");
        assert!(compared.unknown.is_empty(), "{new}: {compared:#?}");
    }
    // What cannot be said otherwise is not proved.
    let one = "(if principal has active then resource.team.boss else principal).active";
    let (old, new) = (format!("{one} || context.a > 1"), format!("context.a > 1 || {one}"));
    let compared = compared(&old, &new).unwrap();
    assert!(!compared.gains_nothing(), "{compared:#?}");
}

#[test]
fn no_request_has_a_moment_before_the_year_1_or_after_9999() {
    let old = permit("resource.public");
    for condition in [
        "context.at < datetime(\"0001-01-01\")",
        "context.at < datetime(\"0000-06-01\")",
        "context.at > datetime(\"9999-12-31T23:59:59.999Z\")",
        "context.at.toDate() < datetime(\"0000-12-31\")",
    ] {
        let new = permit(&format!("resource.public || (context has at && {condition})"));
        let Some(compared) = compared(DOCS, &old, &new) else { return };
        assert!(compared.is_equivalent(), "{condition}: {compared:#?}");
        let store = |policies: &str| {
            stores::store("docs", &[("s.cedarschema", DOCS), ("p.cedar", policies)])
        };
        let found = diff(&store(&old), &store(&new), OnForbidError::Deny).unwrap();
        assert!(found.cells.is_empty() && found.others.is_empty(), "{condition}: {found:#?}");
    }
    // One that a request may have is found.
    let new =
        permit("resource.public || (context has at && context.at < datetime(\"0001-01-02\"))");
    let compared = compared(DOCS, &old, &new).unwrap();
    let [gain] = &*compared.gains else { panic!("{compared:#?}") };
    let store = stores::store("docs", &[("s.cedarschema", DOCS), ("p.cedar", &new)]);
    assert!(gain.witness.decide(&store).unwrap().is_allow());
    let mut early = (*gain.witness).clone();
    for (_, value) in early.input.context.iter_mut().filter(|(name, _)| name == "at") {
        *value = Value::Datetime(Timestamp::from_millis(Timestamp::FIRST.as_millis() - 1));
    }
    let violations = early.decide(&store).unwrap_err();
    assert!(violations[0].to_string().contains("years 1 to 9999"), "{violations:?}");
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy(&from, &to);
        } else {
            fs::copy(from, to).unwrap();
        }
    }
}
