//! `humbaba shadow-report`.

use serde_json::Value as Json;
use tempfile::TempDir;

use crate::{
    cli::{POLICIES, policies, run, write_store},
    cli_sidecar::{Sidecar, until},
};

const VIEWERS_EDIT: &str = r#"@id("viewers-edit")
permit (principal, action == Guard::Action::"edit", resource) when { principal in resource.viewer };
"#;

fn http(sidecar: &Sidecar) -> String {
    format!("http://{}", sidecar.addresses["http"].as_str().unwrap())
}

#[test]
fn the_differences_of_a_running_sidecar_are_told() {
    let (live, candidate) = (policies(&["guard"]), TempDir::new().unwrap());
    write_store(candidate.path(), "guard", &format!("{POLICIES}{VIEWERS_EDIT}"));
    let folder = candidate.path().to_str().unwrap();
    let sidecar = Sidecar::start(live.path(), &["--shadow", folder]);
    let address = http(&sidecar);
    let report =
        |more: &[&str]| run(&[&["shadow-report", "--address", &address][..], more].concat());
    until("the candidate is loaded", || {
        report(&[]).out.contains("nothing was compared yet").then_some(())
    });
    assert_eq!(report(&[]).code, 0);
    let denied = sidecar.check(&sidecar.tcp(), &["--action", "edit", "--role", "viewer"]);
    assert_eq!(denied.code, 2);
    until("the gain is seen", || (report(&[]).code == 2).then_some(()));
    let human = report(&[]).out;
    for part in [
        &format!("candidate: {folder}\n"),
        "  1 answers compared: 1 gained, 0 lost, 0 refused\n",
        "  gain edit: 1\n    deny by no policy -> allow by viewers-edit\n    decision ",
        "0 answers were left out, 0 failed\n",
    ] {
        assert!(human.contains(part), "no `{part}` in\n{human}");
    }
    let json = report(&["--format", "json"]);
    let shadow: Json = serde_json::from_str(&json.out).unwrap();
    assert_eq!((json.code, &shadow["comparisons"][0]["gains"]), (2, &1.into()));
    let logged = sidecar.event("the candidate policies would change an answer");
    assert_eq!(logged["live"], "deny by []");
    assert_eq!(logged["candidate"], r#"allow by ["viewers-edit"]"#);
    assert!(!sidecar.log().contains("alice"), "the log of the process names nobody");
    let events = sidecar.log();
    let mut events = events.lines().map(|line| serde_json::from_str::<Json>(line).unwrap());
    let of_candidate = events.find(|event| event["span"]["name"] == "shadow").unwrap();
    assert_eq!(of_candidate["message"], "policy store loaded");
}

#[test]
fn a_status_may_come_from_a_file() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("status.json");
    let report = |status: &str| {
        std::fs::write(&file, status).unwrap();
        run(&["shadow-report", "--status", file.to_str().unwrap()])
    };
    let refused = report(
        r#"{"shadow": {"source": "next", "folder_problem": "it is not there", "stores": [],
            "left_out": 3, "failed": 0, "comparisons": []}}"#,
    );
    assert_eq!(refused.code, 3);
    assert!(
        refused.out.contains("refused: it is not there")
            && refused.out.contains("3 answers were left out")
    );
    let off = report(r#"{"shadow": null}"#);
    assert_eq!(off.code, 1);
    assert!(off.err.contains("serve with `--shadow DIR`"), "{}", off.err);
    assert_eq!(report("[]").code, 1);
}

#[test]
fn a_sidecar_that_is_not_there_is_told() {
    let gone = run(&["shadow-report", "--address", "http://127.0.0.1:1"]);
    assert_eq!(gone.code, 1);
    assert!(gone.err.contains("cannot reach `http://127.0.0.1:1`"), "{}", gone.err);
}
