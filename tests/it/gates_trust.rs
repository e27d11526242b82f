//! Gates, where it is not the policies that change: settings by which callers are understood otherwise, and stores
//! that go and come again.

use std::{fs, path::Path};

use serde_json::Value as Json;
use tempfile::TempDir;

use crate::{
    cli::{POLICIES, command, end, policies, run, write_store},
    cli_sidecar::{Sidecar, until},
    support::http::get,
    symbolic::solver,
};

const NO_GAINS: [&str; 3] = ["--require", "no-gains", "--set=reload.first=trust"];

fn page(sidecar: &Sidecar, path: &str) -> String {
    let address = sidecar.addresses["http"].as_str().unwrap().parse().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(get(address, path)).body
}

fn store(sidecar: &Sidecar) -> Json {
    let status: Json = serde_json::from_str(&page(sidecar, "/status")).unwrap();
    status["stores"][0].clone()
}

/// Waits until the store is refused, and returns the problem.
fn refused(sidecar: &Sidecar) -> Json {
    until("a refusal", || {
        let problem = store(sidecar)["problems"][0].clone();
        (!problem.is_null()).then_some(problem)
    })
}

fn accepted(sidecar: &Sidecar) {
    until("no problem", || {
        let store = store(sidecar);
        let is_done = store["proving"] == false && store["problems"].as_array().unwrap().is_empty();
        is_done.then_some(())
    });
}

fn refusals(sidecar: &Sidecar) -> String {
    let metrics = page(sidecar, "/metrics");
    let name = "humbaba_gate_refusals_total{gate=\"no-gains\"";
    metrics.lines().find(|line| line.starts_with(name)).unwrap_or_default().to_owned()
}

fn settings(folder: &Path, text: &str) {
    fs::write(folder.join("guard/store.toml"), text).unwrap();
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A folder of which nothing else changes, and a copy of it.
fn two() -> (TempDir, TempDir) {
    (policies(&["guard"]), policies(&["guard"]))
}

#[test]
fn whoever_is_believed_more_gains() {
    let Some(_) = solver() else { return };
    let (folder, rows) = (policies(&["guard"]), TempDir::new().unwrap());
    let held = "principal_type,principal_id,role,scope_type,scope_id\n";
    fs::write(rows.path().join("a.assignments.csv"), held).unwrap();
    settings(folder.path(), "[directory]\nrequest_facts = \"refuse\"\n");
    let directory = format!("guard=files:{}", rows.path().display());
    let sidecar =
        Sidecar::start(folder.path(), &[&NO_GAINS[..], &["--directory", &directory]].concat());
    let code = || sidecar.check(&sidecar.tcp(), &["--action", "edit", "--role", "owner"]).code;
    until("the directory", || (code() == 64).then_some(()));

    let revision = store(&sidecar)["revision"].as_str().unwrap().to_owned();
    settings(folder.path(), "[directory]\nrequest_facts = \"add\"\n");
    let problem = refused(&sidecar);
    let message = problem["message"].as_str().unwrap();
    assert!(message.ends_with("directory.request_facts: refuse -> add"), "{message}");
    let help = problem["help"].as_str().unwrap();
    assert!(help.contains(&format!("from {revision} to {revision}")), "{help}");
    assert!(help.contains("trust = [\"directory.request_facts: refuse -> add\"]"), "{help}");
    assert_eq!(code(), 64, "the old state decides");
    until("the count", || refusals(&sidecar).ends_with(" 1").then_some(()));

    // A revocation beside it does not carry it in.
    let narrower = &POLICIES[POLICIES.find("@id(\"edit\")").unwrap()..];
    fs::write(folder.path().join("guard/policies.cedar"), narrower).unwrap();
    until("another refusal", || refusals(&sidecar).ends_with(" 2").then_some(()));
    assert_eq!(code(), 64);
    fs::write(folder.path().join("guard/policies.cedar"), POLICIES).unwrap();
    until("the first refusal", || refusals(&sidecar).ends_with(" 3").then_some(()));

    // Exactly what is approved comes in force.
    let approve = |trust: &str| {
        let step = format!(
            "[[approved]]\nfrom = \"{revision}\"\nto = \"{revision}\"\n{trust}by = \"carol\"\n\
             reason = \"guests\"\n"
        );
        fs::write(folder.path().join("guard/approved-gains.toml"), step).unwrap();
    };
    approve("");
    until("still refused", || refusals(&sidecar).ends_with(" 4").then_some(()));
    approve(
        "trust = [\"directory.request_facts: refuse -> add\", \"authzen.roles: ignore -> assignments\"]\n",
    );
    until("still refused", || refusals(&sidecar).ends_with(" 5").then_some(()));
    approve("trust = [\"directory.request_facts: refuse -> add\"]\n");
    until("the approved step", || (code() == 0).then_some(()));

    // To refuse what callers say passes.
    fs::remove_file(folder.path().join("guard/approved-gains.toml")).unwrap();
    settings(folder.path(), "");
    until("the narrower step", || (code() == 64).then_some(()));
    accepted(&sidecar);
}

#[test]
fn diff_and_prove_tell_how_callers_are_understood_otherwise() {
    let (old, new) = two();
    settings(
        new.path(),
        "[authzen]\nroles = \"assignments-and-bare\"\noverridable = [\"User.email\"]\n",
    );
    let told = [
        "authzen.overridable: [] -> [Guard::User.email]",
        "authzen.roles: ignore -> assignments-and-bare",
    ];
    let (before, after) = (text(old.path()), text(new.path()));
    let differ = run(&["diff", before, after]);
    assert_eq!(differ.code, 2, "{differ:?}");
    assert!(told.iter().all(|told| differ.out.contains(told)), "{differ:?}");
    assert!(!differ.out.contains("nobody gains"), "{differ:?}");
    let less = [
        "authzen.overridable: [Guard::User.email] -> []",
        "authzen.roles: assignments-and-bare -> ignore",
    ];
    let back = run(&["diff", after, before]);
    assert_eq!(back.code, 2, "{back:?}");
    assert!(less.iter().all(|told| back.out.contains(told)), "{back:?}");
    if solver().is_some() {
        let prove = run(&["prove", after, "--against", before]);
        assert_eq!(prove.code, 2, "{prove:?}");
        assert!(told.iter().all(|told| prove.out.contains(told)), "{prove:?}");
        let prove = run(&["prove", before, "--against", after]);
        assert_eq!(prove.code, 2, "{prove:?}");
        assert!(less.iter().all(|told| prove.out.contains(told)), "{prove:?}");
    }

    let approve = ["--approve", "--by", "carol", "--reason", "tokens of our own"];
    let ended = run(&[&["diff", before, after][..], &approve].concat());
    assert_eq!(ended.code, 0, "{ended:?}");
    let file = fs::read_to_string(new.path().join("guard/approved-gains.toml")).unwrap();
    let file: toml::Value = toml::from_str(&file).unwrap();
    let trust: Vec<_> = file["approved"][0]["trust"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one.as_str().unwrap())
        .collect();
    assert_eq!(trust, [told[1], told[0]]);
}

#[test]
fn after_a_restart_nobody_is_believed_more_than_last() {
    let Some(_) = solver() else { return };
    let (folder, data) = (policies(&["guard"]), TempDir::new().unwrap());
    let believing = "[directory]\nrequest_facts = \"add\"\n";
    settings(folder.path(), believing);
    let args = [&NO_GAINS[..], &["--data", text(data.path())]].concat();
    let kept = || fs::read_to_string(data.path().join("in-force/guard.json")).unwrap_or_default();
    let sidecar = Sidecar::start(folder.path(), &args);
    until("it is kept", || kept().contains("request_facts").then_some(()));
    settings(folder.path(), "");
    until("the narrower state is kept", || (!kept().contains("request_facts")).then_some(()));
    drop(sidecar);
    settings(folder.path(), believing);
    let off = ["--listen", "127.0.0.1:0", "--http-listen=off", "--web-listen=off"];
    let mut serve = command(&["serve", "--policies", text(folder.path())]);
    let ended = end(serve.args(off).args(args));
    assert_eq!(ended.code, 3, "{ended:?}");
    assert!(ended.err.contains("directory.request_facts: refuse -> add"), "{ended:?}");
}

#[test]
fn a_store_that_comes_again_is_compared_with_what_was_last_in_force() {
    let Some(_) = solver() else { return };
    for baseline in [false, true] {
        // The baseline is what was in force before a right was taken away.
        let (folder, before) = two();
        let set = format!("--set=reload.baseline={}", text(before.path()));
        let args = NO_GAINS.into_iter().chain(baseline.then_some(set.as_str()));
        let args: Vec<_> = args.collect();
        write_store(folder.path(), "other", POLICIES);
        let narrower = &POLICIES[POLICIES.find("@id(\"edit\")").unwrap()..];
        write_store(folder.path(), "guard", narrower);
        write_store(before.path(), "other", POLICIES);
        let sidecar = Sidecar::start(folder.path(), &args);
        let may = |role: &str| {
            let args = ["--store", "guard", "--action", "view", "--role", role];
            sidecar.check(&sidecar.tcp(), &args).code
        };
        assert_eq!(may("viewer"), 2);
        let away = TempDir::new().unwrap();
        fs::rename(folder.path().join("guard"), away.path().join("guard")).unwrap();
        until("it is gone", || (may("viewer") != 2).then_some(()));
        let gone = may("viewer");
        fs::write(away.path().join("guard/policies.cedar"), POLICIES).unwrap();
        fs::rename(away.path().join("guard"), folder.path().join("guard")).unwrap();
        let problem = refused(&sidecar);
        assert!(problem["message"].as_str().unwrap().contains("now allowed where"), "{problem}");
        assert_ne!(may("viewer"), 0, "a right that was taken away does not come again");
        assert_ne!(gone, 0);
        // As it was, it comes in force again.
        fs::write(folder.path().join("guard/policies.cedar"), narrower).unwrap();
        until("it is back", || (may("viewer") == 2).then_some(()));
    }
}

/// The policies with viewers among those who edit.
fn planted() -> String {
    let editors = "[resource.owner, resource.editor] };";
    POLICIES.replace(editors, "[resource.owner, resource.editor, resource.viewer] };")
}

#[test]
fn a_store_that_is_refused_at_the_start_is_counted_once() {
    let Some(_) = solver() else { return };
    let (folder, before) = (policies(&["other"]), policies(&["guard", "other", "third"]));
    write_store(folder.path(), "guard", &planted());
    let set = format!("--set=reload.baseline={}", text(before.path()));
    let sidecar = Sidecar::start(folder.path(), &["--require", "no-gains", &set]);
    refused(&sidecar);
    // Something else is read after the watch has begun.
    write_store(folder.path(), "third", POLICIES);
    until("another load", || page(&sidecar, "/status").contains("\"third\"").then_some(()));
    assert!(refusals(&sidecar).ends_with(" 1"), "{}", refusals(&sidecar));
    assert_eq!(sidecar.log().matches("policy store refused").count(), 1, "{}", sidecar.log());
}

#[test]
fn the_request_of_a_refusal_can_be_copied_from_the_log() {
    let Some(_) = solver() else { return };
    let (folder, before) = two();
    write_store(folder.path(), "guard", &planted());
    let set = format!("--set=reload.baseline={}", text(before.path()));
    let mut serve = command(&["serve", "--policies", text(folder.path()), "--require", "no-gains"]);
    let off = ["--listen", "127.0.0.1:0", "--http-listen=off", "--web-listen=off"];
    let ended = end(serve.args(off).arg(set));
    assert_eq!(ended.code, 3, "{ended:?}");
    let record = ended.err.lines().find(|line| line.starts_with('{')).unwrap();
    let file = before.path().join("record.jsonl");
    fs::write(&file, record).unwrap();
    let ended = run(&["check", "--policies", text(folder.path()), "--record", text(&file)]);
    assert!(ended.code == 0 && ended.out.starts_with("ALLOW"), "{ended:?}");
}
