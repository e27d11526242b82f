//! Gates on reload: what a valid store must pass before it comes in force.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use serde_json::Value as Json;
use tempfile::TempDir;

use crate::{
    cli::{POLICIES, command, end, policies, run, write_store},
    cli_sidecar::{Sidecar, until},
    support::http::get,
    symbolic::solver,
};

const VIEWERS_READ: &str = r#"@id("viewers-read") @never("a viewer edits nothing")
permit (principal, action == Guard::Action::"edit", resource)
when { principal in resource.viewer }
unless { principal in [resource.owner, resource.editor] };
"#;

/// A folder whose store has an invariant.
fn folder() -> TempDir {
    let folder = policies(&["guard"]);
    fs::create_dir(folder.path().join("guard/invariants")).unwrap();
    fs::write(folder.path().join("guard/invariants/roles.cedar"), VIEWERS_READ).unwrap();
    folder
}

/// The policies with viewers among those who edit.
fn planted() -> String {
    let editors = "[resource.owner, resource.editor] };";
    POLICIES.replace(editors, "[resource.owner, resource.editor, resource.viewer] };")
}

/// The policies without those who view.
fn narrower() -> String {
    let rest = POLICIES.find("@id(\"edit\")").unwrap();
    POLICIES[rest..].to_owned()
}

fn page(sidecar: &Sidecar, path: &str) -> String {
    let address = sidecar.addresses["http"].as_str().unwrap().parse().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(get(address, path)).body
}

fn status(sidecar: &Sidecar) -> Json {
    serde_json::from_str(&page(sidecar, "/status")).unwrap()
}

fn metric(sidecar: &Sidecar, name: &str) -> Option<String> {
    let metrics = page(sidecar, "/metrics");
    metrics.lines().find(|line| line.starts_with(name)).map(str::to_owned)
}

fn may(sidecar: &Sidecar, action: &str, role: &str) -> bool {
    sidecar.check(&sidecar.tcp(), &["--action", action, "--role", role]).code == 0
}

/// Writes policies and waits until they are refused. Returns the problem.
fn refused(sidecar: &Sidecar, folder: &Path, policies: &str) -> Json {
    write_store(folder, "guard", policies);
    until("a refusal", || {
        let problem = status(sidecar)["stores"][0]["problems"][0].clone();
        (!problem.is_null()).then_some(problem)
    })
}

fn passes(sidecar: &Sidecar, folder: &Path, policies: &str) {
    let revision = status(sidecar)["stores"][0]["revision"].clone();
    write_store(folder, "guard", policies);
    until("another revision", || {
        (status(sidecar)["stores"][0]["revision"] != revision).then_some(())
    });
}

#[test]
fn each_gate_refuses_a_planted_change_while_the_old_answer_stands() {
    let Some(_) = solver() else { return };
    for (gate, more, told) in [
        ("invariants", "--set=reload.first=refuse", "invariants: never `viewers-read`"),
        ("no-gains", "--set=reload.first=trust", "no-gains: now allowed where"),
    ] {
        let folder = folder();
        let sidecar = Sidecar::start(folder.path(), &["--require", gate, more]);
        assert!(!may(&sidecar, "edit", "viewer") && may(&sidecar, "edit", "editor"));
        let problem = refused(&sidecar, folder.path(), &planted());
        let message = problem["message"].as_str().unwrap();
        assert!(message.contains(told), "{message}");
        assert!(message.contains("User::\"alice\" is viewer of Site::\"1\""), "{message}");
        assert!(!may(&sidecar, "edit", "viewer"), "the old state decides");
        assert!(sidecar.log().contains("is viewer of Site"), "{}", sidecar.log());
        let counted = format!("humbaba_gate_refusals_total{{gate=\"{gate}\"");
        until("the count", || metric(&sidecar, &counted).filter(|line| line.ends_with(" 1")));

        // The request that is told can be asked again, of the folder as it is now.
        let help = problem["help"].as_str().unwrap();
        let record = folder.path().join("record.jsonl");
        fs::write(&record, &help[help.find('{').unwrap()..]).unwrap();
        let args = ["check", "--policies", folder.path().to_str().unwrap(), "--record"];
        let ended = end(command(&args).arg(&record));
        assert!(ended.code == 0 && ended.out.starts_with("ALLOW"), "{ended:?}");

        // A rewrite and a revocation pass.
        passes(&sidecar, folder.path(), &format!("{POLICIES}\n// Nothing else.\n"));
        passes(&sidecar, folder.path(), &narrower());
        assert!(!may(&sidecar, "view", "viewer") && may(&sidecar, "edit", "editor"));
    }
}

#[test]
fn exactly_the_approved_step_may_gain() {
    let Some(_) = solver() else { return };
    let folder = folder();
    let args = ["--require", "no-gains", "--set=reload.first=trust"];
    let sidecar = Sidecar::start(folder.path(), &args);
    let from = status(&sidecar)["stores"][0]["revision"].as_str().unwrap().to_owned();
    refused(&sidecar, folder.path(), &planted());
    let valid = run(&["validate", "--format", "json", folder.path().to_str().unwrap()]);
    let report: Json = serde_json::from_str(&valid.out).unwrap();
    let to = report["stores"][0]["revision"].as_str().unwrap();
    let approve = |from: &str, to: &str| {
        let text = format!(
            "[[approved]]\nfrom = \"{from}\"\nto = \"{to}\"\nby = \"carol\"\n\
             reason = \"viewers edit from now on\"\ncells = [\"viewer: edit\"]\n"
        );
        fs::write(folder.path().join("guard/approved-gains.toml"), text).unwrap();
    };
    approve(to, &from);
    until("another refusal", || {
        metric(&sidecar, "humbaba_gate_refusals_total").filter(|line| line.ends_with(" 2"))
    });
    assert!(!may(&sidecar, "edit", "viewer"));
    // Approved as people do it, beside what the file holds already.
    let (path, before) = (folder.path().to_str().unwrap(), policies(&["guard"]));
    let before = before.path().to_str().unwrap();
    let by = ["--approve", "--by", "carol", "--reason", "viewers edit from now on"];
    let ended = run(&[&["diff", before, path][..], &by].concat());
    assert_eq!(ended.code, 0, "{ended:?}");
    until("the approved step", || may(&sidecar, "edit", "viewer").then_some(()));
    assert_eq!(status(&sidecar)["stores"][0]["revision"], to, "it is no part of the revision");
}

#[test]
fn no_gains_refuses_what_allows_more_where_an_entity_is_not_sent() {
    let Some(_) = solver() else { return };
    let folder = TempDir::new().unwrap();
    let policy = |condition: &str| {
        format!("@id(\"p\") permit (principal, action, resource) when {{ {condition} }};\n")
    };
    write_store(folder.path(), "guard", &policy("resource.team.flag || resource.public"));
    let schema = "entity User; entity Team { flag: Bool }; entity Doc { team: Team, public: Bool };
        action view appliesTo { principal: User, resource: Doc };";
    fs::write(folder.path().join("guard/schema.cedarschema"), schema).unwrap();
    let args = ["--require", "no-gains", "--set=reload.first=trust"];
    let sidecar = Sidecar::start(folder.path(), &args);
    let store = folder.path().join("guard/policies.cedar");
    assert!(store.exists());
    fs::write(&store, policy("resource.public || resource.team.flag")).unwrap();
    let problem = until("a refusal", || {
        let problem = status(&sidecar)["stores"][0]["problems"][0].clone();
        (!problem.is_null()).then_some(problem)
    });
    let message = problem["message"].as_str().unwrap();
    assert!(message.contains("no-gains: now allowed where a User asks for view"), "{message}");
}

#[test]
fn an_approval_past_its_time_approves_nothing() {
    let Some(_) = solver() else { return };
    let folder = folder();
    let args = ["--require", "no-gains", "--set=reload.first=trust"];
    let sidecar = Sidecar::start(folder.path(), &args);
    refused(&sidecar, folder.path(), &planted());
    let (path, before) = (folder.path().to_str().unwrap(), policies(&["guard"]));
    let approve = |time: &[&str]| {
        let by = ["--approve", "--by", "carol", "--reason", "viewers edit for a week"];
        let before = before.path().to_str().unwrap();
        let ended = run(&[&["diff", before, path][..], &by, time].concat());
        assert_eq!(ended.code, 0, "{ended:?}");
    };
    approve(&["--for", "1ms"]);
    let problems = until("the refusal that names the approval", || {
        let problems = status(&sidecar)["stores"][0]["problems"].to_string();
        problems.contains("the approval of this step by carol ended at 20").then_some(problems)
    });
    assert!(problems.contains("now allowed where"), "{problems}");
    assert!(!may(&sidecar, "edit", "viewer"));
    let file = folder.path().join("guard/approved-gains.toml");
    let ended = fs::read_to_string(&file).unwrap();
    fs::write(&file, ended.replace("expires_at = \"", "expires_at = \"in ")).unwrap();
    until("the faulty moment", || {
        let problem = &status(&sidecar)["stores"][0]["problems"][0];
        (problem["message"].to_string().contains("is not a date and time") && problem["line"] == 6)
            .then_some(())
    });
    fs::write(&file, ended).unwrap();
    approve(&["--for", "7d"]);
    until("the approved step", || may(&sidecar, "edit", "viewer").then_some(()));
}

#[test]
fn a_refusal_names_the_approval_of_another_step() {
    let Some(_) = solver() else { return };
    let folder = folder();
    let args = ["--require", "no-gains", "--set=reload.first=trust"];
    let sidecar = Sidecar::start(folder.path(), &args);
    let old = status(&sidecar)["stores"][0]["revision"].as_str().unwrap().to_owned();
    refused(&sidecar, folder.path(), &planted());
    let text = format!(
        "[[approved]]\nfrom = \"{old}\"\nto = \"0123\"\nby = \"carol\"\nreason = \"one edit ago\"\n"
    );
    fs::write(folder.path().join("guard/approved-gains.toml"), text).unwrap();
    let told = format!("approves the step from {old} to 0123, and this one is from {old} to ");
    until("the approval of another step", || {
        status(&sidecar)["stores"][0]["problems"].to_string().contains(&told).then_some(())
    });
    assert!(!may(&sidecar, "edit", "viewer"));
}

#[test]
fn an_approval_holds_for_a_time_that_can_be_read() {
    let before = policies(&["guard"]);
    let path = before.path().to_str().unwrap();
    let by = ["--approve", "--by", "carol", "--reason", "none"];
    for time in ["a week", "-1d", "0d", "7", "99999999d"] {
        let ended = run(&[&["diff", path, path][..], &by, &[&format!("--for={time}")]].concat());
        assert_eq!(ended.code, 64, "{time}: {ended:?}");
        assert!(ended.err.contains("`7d`"), "{time}: {ended:?}");
    }
    let copy = policies(&["guard"]);
    let copy = copy.path().to_str().unwrap();
    assert_eq!(run(&["diff", path, copy, "--for", "7d"]).code, 64, "it approves nothing");
}

#[test]
fn entities_that_the_store_holds_are_not_changed_unapproved() {
    let Some(_) = solver() else { return };
    let folder = folder();
    let admins = "permit (principal in Guard::Group::\"admins\", action == Guard::Action::\"edit\", \
                  resource);\n";
    write_store(folder.path(), "guard", &format!("{POLICIES}{admins}"));
    let people = |parents: &str| {
        let text = format!(
            r#"[{{"uid": {{"type": "Guard::User", "id": "zoe"}}, "attrs": {{}},
                "parents": [{parents}]}}]"#
        );
        fs::write(folder.path().join("guard/people.cedarentities.json"), text).unwrap();
    };
    people("");
    let args = ["--require", "no-gains", "--set=reload.first=trust"];
    let sidecar = Sidecar::start(folder.path(), &args);
    people(r#"{"type": "Guard::Group", "id": "admins"}"#);
    let problem = until("a refusal", || {
        let problems = status(&sidecar)["stores"][0]["problems"].clone();
        problems.as_array().filter(|problems| !problems.is_empty()).cloned()
    });
    let told = Json::from(problem).to_string();
    assert!(
        told.contains("zoe") && told.contains("the entities that the store holds differ"),
        "{told}"
    );

    // The same entities in another spelling are no change, and the step can be approved.
    let before = policies(&["guard"]);
    write_store(before.path(), "guard", &format!("{POLICIES}{admins}"));
    let held = before.path().join("guard/people.cedarentities.json");
    people("");
    fs::copy(folder.path().join("guard/people.cedarentities.json"), &held).unwrap();
    let revision = || status(&sidecar)["stores"][0]["revision"].clone();
    let first = revision();
    people(" ");
    until("the other spelling", || (revision() != first).then_some(()));
    fs::copy(folder.path().join("guard/people.cedarentities.json"), &held).unwrap();
    let second = revision();
    people(r#"{"type": "Guard::Group", "id": "admins"}"#);
    let (old, new) = (before.path().to_str().unwrap(), folder.path().to_str().unwrap());
    let ended =
        run(&["diff", old, new, "--approve", "--by", "carol", "--reason", "zoe is an admin"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    until("the approved step", || (revision() != second).then_some(()));
}

#[test]
fn gates_hold_at_start() {
    let Some(_) = solver() else { return };
    let (folder, baseline) = (folder(), policies(&["guard"]));
    let path = folder.path().to_str().unwrap();
    let serve = |more: &[&str]| {
        let args = [
            "serve",
            "--policies",
            path,
            "--listen",
            "127.0.0.1:0",
            "--http-listen=off",
            "--web-listen=off",
        ];
        end(command(&args).args(more))
    };
    let ended = serve(&["--require", "no-gains"]);
    assert_eq!(ended.code, 3, "{ended:?}");
    assert!(ended.err.contains("nothing to compare the store with"), "{ended:?}");
    let told = "policy store refused by the gate `no-gains`, it was never in force";
    assert!(ended.err.contains(told) && !ended.err.contains("never valid"), "{ended:?}");
    // `data` alone leads nowhere at a first start.
    let data = TempDir::new().unwrap();
    let ended = serve(&["--require", "no-gains", "--data", data.path().to_str().unwrap()]);
    let told = ended.err.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(told.contains("set `reload.first = \"trust\"` for this one start"), "{told}");
    assert!(!told.contains("with `data`"), "{told}");
    fs::create_dir_all(data.path().join("in-force")).unwrap();
    fs::write(data.path().join("in-force/guard.json"), "{").unwrap();
    let ended = serve(&["--require", "no-gains", "--data", data.path().to_str().unwrap()]);
    assert!(ended.err.contains("cannot be read") && ended.err.contains("help:"), "{ended:?}");
    let set = format!("--set=reload.baseline={}", baseline.path().display());
    drop(Sidecar::start(folder.path(), &["--require", "no-gains", &set]));
    write_store(folder.path(), "guard", &planted());
    let ended = serve(&["--require", "no-gains", &set]);
    assert_eq!(ended.code, 3, "{ended:?}");
    assert!(ended.err.contains("no-gains: now allowed where"), "{ended:?}");
    let ended = serve(&["--require", "invariants"]);
    assert_eq!(ended.code, 3, "{ended:?}");
    assert!(ended.err.contains("invariants: never `viewers-read`"), "{ended:?}");
}

#[test]
fn after_a_restart_nobody_gains_against_what_was_in_force() {
    let Some(_) = solver() else { return };
    let (folder, data) = (folder(), TempDir::new().unwrap());
    let kept = data.path().join("in-force/guard.json");
    let (policies, data) = (folder.path().to_str().unwrap(), data.path().to_str().unwrap());
    let args = ["--require", "no-gains", "--data", data];
    let trusting = [&args[..], &["--set=reload.first=trust"]].concat();
    let refused = |told: &str| {
        let off = ["--listen", "127.0.0.1:0", "--http-listen=off", "--web-listen=off"];
        let ended = end(command(&["serve", "--policies", policies]).args(off).args(args));
        assert_eq!(ended.code, 3, "{ended:?}");
        let log = ended.err.replace("\n  │ ", " ");
        assert!(log.contains(told), "{ended:?}");
    };
    refused("nothing to compare the store with");

    let sidecar = Sidecar::start(folder.path(), &trusting);
    let first = fs::read(&kept).expect("what is in force is kept");
    passes(&sidecar, folder.path(), &narrower());
    assert_ne!(fs::read(&kept).unwrap(), first, "what comes in force is kept before");
    drop(sidecar);
    drop(Sidecar::start(folder.path(), &args));

    // The state before would be a gain again, and where there is something to compare with nothing
    // is trusted.
    write_store(folder.path(), "guard", POLICIES);
    refused("no-gains: now allowed where");

    fs::write(&kept, &first[1..]).unwrap();
    refused("the state that was in force cannot be read");
    let another = String::from_utf8(first).unwrap().replace("resource.owner", "resource.viewer");
    fs::write(&kept, another).unwrap();
    refused("it is not as it was written");
}

#[test]
fn a_disk_that_does_not_answer_holds_up_no_revocation() {
    let Some(_) = solver() else { return };
    let (folder, data) = (folder(), TempDir::new().unwrap());
    fs::create_dir(data.path().join("in-force")).unwrap();
    // Whoever opens a pipe waits until somebody reads it.
    let written = data.path().join("in-force/guard.json.new");
    let made = std::process::Command::new("mkfifo").arg(&written).status().unwrap();
    assert!(made.success());
    let data = data.path().to_str().unwrap();
    let args = ["--require", "no-gains", "--set=reload.first=trust", "--data", data];
    let sidecar = Sidecar::start(folder.path(), &args);
    passes(&sidecar, folder.path(), &narrower());
    assert!(!may(&sidecar, "view", "viewer") && may(&sidecar, "edit", "editor"));
}

/// Writes a solver `never` that says who it is, does what is given, and never answers. Returns the variable
/// that names it.
fn solver_that_never_answers(folder: &Path, first: &str) -> [(&'static str, String); 1] {
    let solver = folder.join("never");
    let script = format!(
        "#!/bin/sh\nif [ \"$1\" = --version ]; then echo This is cvc5 version 0; exit; fi\n\
         {first}exec sleep 600\n"
    );
    fs::write(&solver, script).unwrap();
    fs::set_permissions(&solver, fs::Permissions::from_mode(0o755)).unwrap();
    [("CVC5", solver.to_str().unwrap().to_owned())]
}

#[test]
fn nobody_waits_for_a_proof_to_revoke_a_right_and_a_newer_state_ends_it() {
    let folder = folder();
    let noted = "env > \"$0.env\"\necho $$ >> \"$0.started\"\n";
    let [solver] = solver_that_never_answers(folder.path(), noted);
    let secret = ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=secret".to_owned());
    let variables = [solver, secret];
    let args = ["--require", "no-gains", "--set=reload.first=trust"];
    let sidecar = Sidecar::start_with(folder.path(), &args, &variables);
    write_store(folder.path(), "guard", &planted());
    until("a proof", || (status(&sidecar)["stores"][0]["proving"] == true).then_some(()));
    let started = folder.path().join("never.started");
    let solvers = until("a solver", || {
        let text = fs::read_to_string(&started).ok()?;
        let ids: Vec<_> = text.lines().map(str::to_owned).collect();
        (!ids.is_empty()).then_some(ids)
    });
    // Several solvers write it, one after the other.
    let environment = until("the variables of a solver", || {
        let variables = fs::read_to_string(folder.path().join("never.env")).ok()?;
        variables.contains("PATH=").then_some(variables)
    });
    assert!(!environment.contains("secret"), "{environment}");
    assert!(!may(&sidecar, "edit", "viewer"), "the old state decides");
    passes(&sidecar, folder.path(), &narrower());
    assert!(!may(&sidecar, "view", "viewer"));
    for id in solvers {
        // A process that has ended and was not waited for yet is a zombie.
        until("the end of the solver", || {
            let stat = fs::read_to_string(Path::new("/proc").join(&id).join("stat"));
            stat.map_or(true, |stat| stat.contains(") Z ")).then_some(())
        });
    }
    until("the end of the proof", || {
        (status(&sidecar)["stores"][0]["proving"] == false).then_some(())
    });
}

#[test]
fn a_start_that_waits_for_a_proof_says_of_which_store_and_since_when() {
    let folder = folder();
    let cvc5 = solver_that_never_answers(folder.path(), "");
    let args = ["--require", "invariants", "--set=reload.gate_timeout_s=600"];
    let sidecar = Sidecar::begin_with(folder.path(), &args, &cvc5);
    let said = "no policy store is loaded yet: the gates of `guard` (since 20";
    until("the proof", || page(&sidecar, "/readyz").starts_with(said).then_some(()));
    let store = &status(&sidecar)["stores"][0];
    assert_eq!((&store["name"], &store["proving"]), (&"guard".into(), &true.into()), "{store}");
    let since: humbaba::model::Timestamp =
        store["proving_since"].as_str().unwrap().parse().unwrap();
    assert!(page(&sidecar, "/readyz").contains(&since.to_string()), "{since}");
    let ended = run(&["healthcheck", "--address", &sidecar.tcp()]);
    assert_eq!(ended.code, 1, "{ended:?}");
}

#[test]
fn a_proof_that_takes_too_long_refuses() {
    let folder = folder();
    let cvc5 = solver_that_never_answers(folder.path(), "");
    let args =
        ["--require", "no-gains", "--set=reload.first=trust", "--set=reload.gate_timeout_s=1"];
    let sidecar = Sidecar::start_with(folder.path(), &args, &cvc5);
    // A permit of which nobody gains anything, which only the solver can tell.
    let more = "@id(\"owners-edit\")\npermit (principal, action == Guard::Action::\"edit\", resource)\n\
                when { principal in resource.owner };\n";
    let problem = refused(&sidecar, folder.path(), &format!("{POLICIES}{more}"));
    let message = problem["message"].as_str().unwrap();
    assert!(message.contains("the time for the proof is over"), "{message}");
}

#[test]
fn gates_that_take_a_solver_need_one() {
    let folder = folder();
    for gate in ["invariants", "no-gains"] {
        let args = ["serve", "--policies", folder.path().to_str().unwrap(), "--require", gate];
        let ended = end(command(&args).env("CVC5", "/nowhere/cvc5"));
        assert_eq!(ended.code, 64, "{ended:?}");
        assert!(ended.err.contains("apt-get install cvc5"), "{ended:?}");
    }
}

#[test]
fn a_gate_that_has_nothing_to_judge_says_so() {
    let folder = policies(&["guard"]);
    let store = folder.path().join("guard");
    // Neither is read.
    for file in ["test/a.toml", "tests/a.tml"] {
        fs::create_dir_all(store.join(file).parent().unwrap()).unwrap();
        fs::write(store.join(file), "[[case]]").unwrap();
    }
    let told = "the gate `tests` has no case to run";
    let sidecar = Sidecar::start(folder.path(), &["--require", "tests"]);
    assert!(sidecar.log().contains(told), "{}", sidecar.log());
    let path = folder.path().to_str().unwrap();
    let doctor = ["doctor", "--policies", path, "--listen", "127.0.0.1:0", "--http-listen", "off"];
    let doctor = |more: &[&str]| run(&[&doctor[..], &["--web-listen", "off"], more].concat());
    let ended = doctor(&["--require", "tests"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let line = ended.out.lines().find(|line| line.contains(told)).unwrap();
    assert!(line.starts_with("warning"), "{line}");
    assert!(!doctor(&[]).out.contains(told));

    let Some(_) = solver() else { return };
    let told = "the gate `invariants` has nothing to prove";
    assert!(doctor(&["--require", "invariants"]).out.contains(told));
    let sidecar = Sidecar::start(folder.path(), &["--require", "invariants"]);
    assert!(sidecar.log().contains(told), "{}", sidecar.log());
}
