//! `humbaba review`

use std::fs;

use serde_json::Value as Json;
use tempfile::TempDir;

use crate::{
    cli::{Ended, policies, run},
    support::directory_client::{address, directory, put, sidecar, write},
};

const HEADER: &str = "principal_type,principal_id,role,scope_type,scope_id,expires_at,granted_at,granted_by,reason\n";

/// Reviews those rows of a store in which owners and editors edit, and all view.
fn review(rows: &str, more: &[&str]) -> Ended {
    let (folder, policies) = (TempDir::new().unwrap(), policies(&["guard"]));
    fs::write(folder.path().join("a.assignments.csv"), format!("{HEADER}{rows}")).unwrap();
    let [folder, policies] = [&folder, &policies].map(|folder| folder.path().to_str().unwrap());
    run(&[&["review", "guard", "--directory", folder, "--policies", policies], more].concat())
}

fn json(rows: &str, more: &[&str]) -> Json {
    let ended = review(rows, &[&["--format", "json"], more].concat());
    assert_eq!(ended.code, 0, "{ended:?}");
    serde_json::from_str(&ended.out).unwrap()
}

/// The findings, each with its kind and what it is about.
fn findings(rows: &str) -> Vec<(String, String)> {
    let text = |finding: &Json, name: &str| finding[name].as_str().unwrap().to_owned();
    let json = json(rows, &[]);
    let findings = json["findings"].as_array().unwrap().iter();
    findings.map(|finding| (text(finding, "kind"), text(finding, "about"))).collect()
}

const GOOD: &str = "User,alice,owner,Site,1,,2026-01-01T00:00:00Z,root,founder\n\
                    User,bob,viewer,Site,1,,,,\n";

#[test]
fn everybody_is_listed_with_all_that_is_known() {
    let ended = review(GOOD, &[]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let mut lines = ended.out.lines();
    assert!(lines.next().unwrap().starts_with("guard: 2 assignments, judged at "));
    let table: Vec<_> = lines.collect();
    let expected = [
        "",
        r#"scope      role    principal      since                 until  by    reason   state"#,
        r#"Site::"1"  owner   User::"alice"  2026-01-01T00:00:00Z         root  founder  in force"#,
        r#"Site::"1"  viewer  User::"bob"                                                in force"#,
        "",
        "no findings",
    ];
    assert_eq!(table, expected);
    let json = json(GOOD, &[]);
    assert_eq!(json["rows"][0]["granted_by"], "root");
    assert_eq!(json["rows"][1]["granted_by"], Json::Null);
    let csv = review(GOOD, &["--format", "csv"]).out;
    let rows: Vec<_> = csv.lines().skip(1).collect();
    assert_eq!(rows[0], "User,alice,owner,Site,1,,2026-01-01T00:00:00Z,root,founder,in force,");
}

#[test]
fn scopes_on_which_all_or_none_hold_the_strongest_role_are_found() {
    let found = findings(
        "User,alice,owner,Site,1,,,,\nUser,bob,editor,Site,1,,,,\n\
         User,alice,owner,Site,2,,,,\nUser,bob,viewer,Site,2,,,,\n\
         User,alice,viewer,Site,3,,,,\nUser,alice,owner,Site,4,,,,\n",
    );
    // An editor may do what an owner may: the policies say so, whatever the names.
    let kinds: Vec<_> = found.iter().map(|(kind, about)| (kind.as_str(), about.as_str())).collect();
    assert_eq!(kinds, [("all-strongest", "Site::\"1\""), ("no-strongest", "Site::\"3\"")]);
}

#[test]
fn one_who_holds_roles_on_most_scopes_is_found() {
    let rows = |sites: usize, of_alice: usize| -> String {
        (0..sites)
            .map(|site| {
                let user = if site < of_alice { "alice" } else { &format!("user{site}") };
                format!("User,{user},owner,Site,{site},,,,\n")
            })
            .collect()
    };
    assert_eq!(findings(&rows(10, 6)), [("holds-most".into(), "User::\"alice\"".into())]);
    assert_eq!(findings(&rows(10, 5)), []);
    assert_eq!(findings(&rows(9, 9)), []);
}

#[test]
fn a_role_that_no_policy_uses_is_found() {
    let found = findings("User,alice,owner,Team,1,,,,\n");
    assert_eq!(found, [("unused".into(), "Team.owner".into())]);
    // A group may use nothing itself, but its members do.
    assert_eq!(findings("Group,staff,owner,Site,1,,,,\n"), []);
}

#[test]
fn a_role_that_is_needed_beside_something_else_is_used() {
    let folder = TempDir::new().unwrap();
    let unused = |store: &str, policies: &[&str], rows: &str| -> Vec<String> {
        fs::write(folder.path().join("a.assignments.csv"), format!("{HEADER}{rows}")).unwrap();
        let directory = folder.path().to_str().unwrap();
        let ended =
            run(&[&["review", store, "--directory", directory, "--format", "json"][..], policies]
                .concat());
        assert_eq!(ended.code, 0, "{ended:?}");
        let json: Json = serde_json::from_str(&ended.out).unwrap();
        let findings = json["findings"].as_array().unwrap().iter();
        let unused = findings.filter(|finding| finding["kind"] == "unused");
        unused.map(|finding| finding["about"].as_str().unwrap().to_owned()).collect()
    };
    // Of these two each is needed, and neither is enough.
    let carol = "User,carol,user,Account,acme,,,,\nUser,carol,member,Project,web,,,,\n";
    assert_eq!(unused("kissmetrics", &[], carol), Vec::<String>::new());

    let own = TempDir::new().unwrap();
    let rules = r#"
        permit (principal, action, resource) when { principal in resource.owner };
        permit (principal, action == Action::"edit", resource)
        when { principal has email && principal.email == "creator" };
        permit (principal, action == Action::"edit", resource)
        when { principal in resource.viewer && context has force && context.force };
    "#;
    let rules = rules.replace("Action::", "Guard::Action::");
    crate::cli::write_store(own.path(), "guard", &rules);
    let rows = "User,alice,viewer,Site,1,,,,\nUser,alice,editor,Site,1,,,,\n";
    let policies = ["--policies", own.path().to_str().unwrap()];
    assert_eq!(unused("guard", &policies, rows), ["Site.editor"]);
}

#[test]
fn no_cell_of_the_csv_is_a_formula_or_moves_a_cursor() {
    let rows =
        "User,=1+1,owner,Site,1,,,+root,-x\u{1b}[2J\nUser,@a,viewer,Site,1,,,\t=1,plain - text\n";
    let ended = review(rows, &["--format", "csv"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let rows: Vec<_> = ended.out.lines().skip(1).collect();
    assert_eq!(rows[0], "User,'=1+1,owner,Site,1,,,'+root,'-x\\u{1b}[2J,in force,");
    assert!(rows[1].starts_with("User,'@a,viewer,Site,1,,,'\\t=1,plain - text,"), "{rows:?}");
}

#[test]
fn what_has_expired_or_soon_will_is_found() {
    let rows = "User,alice,owner,Site,1,,,,\n\
                User,bob,viewer,Site,1,2999-01-15,,,\n\
                User,carol,viewer,Site,1,2020-01-01,,,\n";
    let json = json(rows, &["--as-of", "2999-01-01"]);
    let rows = |finding: &Json| -> Vec<String> {
        let places = finding["rows"].as_array().unwrap().iter();
        let row = |place: &Json| &json["rows"][usize::try_from(place.as_u64().unwrap()).unwrap()];
        places.map(|place| row(place)["principal_id"].as_str().unwrap().to_owned()).collect()
    };
    let findings = json["findings"].as_array().unwrap();
    let found: Vec<_> =
        findings.iter().map(|finding| (finding["kind"].as_str().unwrap(), rows(finding))).collect();
    let expected =
        [("expired", vec!["carol".to_owned()]), ("expires-soon", vec!["bob".to_owned()])];
    assert_eq!(found, expected);
    let states = json["rows"].as_array().unwrap().iter().map(|row| row["state"].as_str().unwrap());
    assert_eq!(states.filter(|state| *state == "expired").count(), 1);
    let far =
        review("User,bob,owner,Site,1,2999-01-15,,,\n", &["--as-of", "2999-01-01", "--soon", "13"]);
    assert!(far.out.contains("no findings"), "{}", far.out);
}

#[test]
fn a_row_that_cannot_be_read_or_does_not_fit_is_found() {
    let rows = format!("{GOOD}User,carol,boss,Site,1,,,,\nUser,dave\n");
    let ended = review(&rows, &["--problems-only", "--strict"]);
    assert_eq!(ended.code, 2, "{ended:?}");
    for said in [
        "bad-row: a.assignments.csv:4: `role`: `Guard::Site` has no role `boss`",
        "bad-row: a.assignments.csv:5: the row has 2 values, and the header 9 columns",
    ] {
        assert!(ended.out.contains(said), "{}", ended.out);
    }
    assert!(!ended.out.contains("alice"), "{}", ended.out);
    assert_eq!(review(GOOD, &["--strict"]).code, 0);
}

#[test]
fn a_bad_row_is_in_every_form_of_the_review() {
    let rows = format!("{GOOD}User,carol,boss,Site,1,,,,\nUser,dave\n");
    for more in [&["--format", "csv"][..], &["--format", "csv", "--problems-only"]] {
        let ended = review(&rows, more);
        assert_eq!(ended.code, 0, "{ended:?}");
        let lines: Vec<_> = ended.out.lines().collect();
        assert!(lines.contains(&"User,carol,boss,Site,1,,,,,does not fit,bad-row"), "{lines:?}");
        let unread = "bad-row: a.assignments.csv:5: the row has 2 values, and the header 9 columns";
        let unread = format!(",,,,,,,,,,\"{unread}\"");
        assert!(lines.contains(&unread.as_str()), "{lines:?}");
        let mut widths = csv::Reader::from_reader(ended.out.as_bytes());
        assert!(widths.records().all(|record| record.is_ok()), "{lines:?}");
    }
}

#[test]
fn a_past_that_nobody_kept_cannot_be_reviewed() {
    let ended = review(GOOD, &["--as-of", "2020-01-01"]);
    assert_eq!(ended.code, 64);
    assert!(ended.err.contains("is in the past"), "{}", ended.err);
}

#[test]
fn a_folder_that_cannot_be_read_is_an_error() {
    let (empty, policies) = (TempDir::new().unwrap(), policies(&["guard"]));
    let [folder, policies] = [&empty, &policies].map(|folder| folder.path().to_str().unwrap());
    let args = ["review", "guard", "--directory", folder, "--policies", policies];
    let ended = run(&args);
    assert_eq!(ended.code, 64, "{ended:?}");
    assert!(ended.err.contains("holds no `*.assignments.csv`"), "{}", ended.err);
    fs::write(empty.path().join("assignments.csv"), "nonsense\n").unwrap();
    let ended = run(&args);
    assert_eq!(ended.code, 64, "{ended:?}");
    assert!(
        ended.err.contains("`assignments.csv`: line 1: there is no column `nonsense`"),
        "{}",
        ended.err
    );
}

#[test]
fn the_page_needs_nothing_else_and_trusts_no_text() {
    let rows = format!("{GOOD}User,<script>alert(1)</script>,viewer,Site,1,,,,<b>\n");
    let html = review(&rows, &["--format", "html"]).out;
    assert_eq!(html.matches("<tr id=").count(), 3);
    assert!(html.contains("<html lang=\"en\">") && html.contains("&lt;script&gt;"));
    for outside in ["http://", "https://", "<script", "src=", "@import", "<b>"] {
        assert!(!html.contains(outside), "the page has {outside}");
    }
}

#[tokio::test]
async fn the_directory_of_a_running_sidecar_is_reviewed() {
    let (policies, data) = (policies(&["guard"]), TempDir::new().unwrap());
    let running = sidecar(policies.path(), data.path(), &["--set", "limits.page_items=1"]);
    let changes = [put("User::alice", "owner", "Site::1"), put("User::bob", "viewer", "Site::1")];
    write(&mut directory(&running), changes).await;
    let (server, folder) = (address(&running), policies.path().to_str().unwrap());
    let args = ["review", "guard", "--policies", folder, "--server", &server, "--format", "json"];
    let ended = run(&args);
    assert_eq!(ended.code, 0, "{ended:?}");
    let of_server: Json = serde_json::from_str(&ended.out).unwrap();
    let of_files = json("User,alice,owner,Site,1,,,,\nUser,bob,viewer,Site,1,,,,\n", &[]);
    for part in ["revision", "rows", "findings"] {
        assert_eq!(of_server[part], of_files[part], "{part}");
    }

    let both = run(&[&args[..], &["--directory", folder]].concat());
    assert_eq!(both.code, 64, "{both:?}");
    assert_eq!(run(&["review", "guard"]).code, 64);
    drop(running);
    assert_eq!(run(&args).code, 1);
}
