//! `humbaba validate`

use serde_json::{Value as Json, json};
use tempfile::TempDir;

use crate::cli::{command, end, end_unread, policies, run, write_store};

#[test]
fn valid_stores_are_counted() {
    let folder = policies(&["one", "two"]);
    let ended = run(&["validate", folder.path().to_str().unwrap()]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let lines: Vec<_> = ended.out.lines().collect();
    assert_eq!(lines.len(), 2);
    assert!(lines[0].starts_with("ok       one: 3 policies, 0 templates, 2 actions, revision "));
    assert!(lines[1].starts_with("ok       two: "));
}

#[test]
fn one_store_may_be_named() {
    let folder = policies(&["one", "two"]);
    let ended = run(&["validate", folder.path().join("two").to_str().unwrap()]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(ended.out.starts_with("ok       two: ") && ended.out.lines().count() == 1);
}

#[test]
fn every_problem_of_every_file_is_shown_with_its_place() {
    let folder = policies(&["good"]);
    write_store(
        folder.path(),
        "bad",
        "permit (principal, action, resource)\nwhen { resource.colour };\n",
    );
    std::fs::write(folder.path().join("bad/other.cedar"), "permit (principal\n").unwrap();
    let path = folder.path().to_str().unwrap();
    let ended = run(&["validate", path]);
    assert_eq!(ended.code, 3, "{ended:?}");
    assert!(ended.out.contains("bad/policies.cedar") && ended.out.contains("colour"));
    assert!(ended.out.contains("bad/other.cedar") && ended.out.contains('╰'), "{}", ended.out);
    assert!(ended.out.contains("invalid  bad: "));
    assert!(ended.out.contains("ok       good: "));

    let ended = run(&["validate", "--format", "json", path]);
    assert_eq!(ended.code, 3);
    let report: Json = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(report["valid"], json!(false));
    assert_eq!(report["stores"][0]["name"], json!("bad"));
    assert_eq!(report["stores"][0]["revision"], json!(null));
    let problems = report["stores"][0]["problems"].as_array().unwrap();
    assert!(problems.iter().any(|one| one["file"] == "bad/policies.cedar" && one["line"] == 2));
    assert!(problems.iter().any(|one| one["file"] == "bad/other.cedar" && one["line"].is_u64()));
    assert_eq!(report["stores"][1]["valid"], json!(true));
    assert_eq!(report["stores"][1]["policies"], json!(3));
    assert_eq!(report["stores"][1]["revision"].as_str().unwrap().len(), 32);
}

#[test]
fn github_shows_problems_and_warnings_beside_the_lines() {
    let folder = policies(&["good"]);
    write_store(
        folder.path(),
        "bad",
        "permit (principal, action, resource)\nwhen { resource.tame };\n",
    );
    write_store(
        folder.path(),
        "odd",
        "@id(\"100%\")\npermit (principal, action, resource) when { 1 == 2 };\n",
    );
    std::fs::write(folder.path().join("odd/a,b:c.cedar.txt"), "").unwrap();
    std::fs::write(folder.path().join("stray.cedar"), "").unwrap();
    let validate = |path: &str, place: &str| {
        let args = ["validate", "--format", "github", path];
        let ended = end(command(&args).current_dir(folder.path().join(place)));
        assert_eq!((ended.code, ended.err.as_str()), (3, ""));
        ended.out
    };
    let unread = "::warning::`stray.cedar` is not read: move it into the folder of a store\n";
    let error = |file| {
        format!(
            "::error file={file},line=2,col=8::for policy `policies.cedar:1`, attribute `tame` \
             on entity type `Guard::Site` not found: did you mean `team`?\n"
        )
    };
    let warnings = "::warning file=odd/a%2Cb%3Ac.cedar.txt::the file is not read: name policies \
        `*.cedar`, or `*.cedar.json` in Cedar's JSON form\n\
        ::warning file=odd/policies.cedar,line=1,col=1::for policy `100%25`, policy is impossible: \
        the policy expression evaluates to false for all valid requests\n";
    let all = [unread, &error("bad/policies.cedar"), warnings].concat();
    assert_eq!(validate(".", "."), all);
    // The paths are those of the folder in which the command runs.
    assert_eq!(validate("bad", "."), error("bad/policies.cedar"));
    assert_eq!(validate(".", "bad"), error("policies.cedar"));
    let absolute = folder.path().join("bad");
    let absolute = absolute.to_str().unwrap();
    assert_eq!(validate(absolute, "."), error(&format!("{absolute}/policies.cedar")));
}

#[test]
fn folders_without_stores_are_invalid() {
    let folder = TempDir::new().unwrap();
    for path in [folder.path(), &folder.path().join("nowhere")] {
        let ended = run(&["validate", path.to_str().unwrap()]);
        assert_eq!(ended.code, 3, "{ended:?}");
        assert!(ended.out.starts_with("error: "), "{ended:?}");
    }
}

#[test]
fn without_a_path_the_stores_of_the_folder_at_hand_are_validated() {
    let folder = TempDir::new().unwrap();
    write_store(&folder.path().join("policies"), "here", crate::cli::POLICIES);
    let ended = end(command(&["validate"]).current_dir(folder.path()));
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(ended.out.starts_with("ok       here: "));
}

#[test]
fn a_closed_pipe_does_not_make_invalid_policies_valid() {
    let folder = policies(&[]);
    write_store(folder.path(), "bad", "permit");
    let ended = end_unread(&mut command(&["validate", folder.path().to_str().unwrap()]));
    assert_eq!((ended.code, ended.err.as_str()), (3, ""));
}

#[test]
fn approved_gains_that_cannot_be_read_are_a_warning_with_their_place() {
    let folder = policies(&["one"]);
    let file = folder.path().join("one/approved-gains.toml");
    std::fs::write(&file, "[[approved]]\nfrom = \"a\"\n").unwrap();
    let path = folder.path().to_str().unwrap();
    let ended = run(&["validate", path]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(ended.out.contains("one/approved-gains.toml"), "{}", ended.out);
    assert!(ended.out.contains("missing field `to`"), "{}", ended.out);
    assert!(ended.out.contains("approves no step until it can be read"), "{}", ended.out);
    assert_eq!(run(&["validate", path, "--deny-warnings"]).code, 3);
}

#[test]
fn tests_and_the_matrix_that_cannot_be_read_are_problems_with_their_places() {
    let meaning = "[scopes.Site]\nresource = 'Site::\"1\"'\n[columns.owner]\n\
        principal = 'User::\"a\"'\nroles = [{ role = \"owner\" }]\n";
    let csv = "scope,action,owner\nSite,view,cond\n";
    for (files, place, words) in [
        (&[("tests/a.toml", "[[case]]\nname = \"x\n")][..], "guard/tests/a.toml:2", ""),
        (&[("tests/b.toml", "[[case]]\nnam = \"x\"\n")], "guard/tests/b.toml:2", "nam"),
        (&[("matrix.csv", csv), ("matrix.toml", "[\n")], "guard/matrix.toml:1", ""),
        (&[("matrix.csv", csv), ("matrix.toml", meaning)], "guard/matrix.csv:2", "no `[[cond]]`"),
    ] {
        let folder = policies(&["guard"]);
        for (file, text) in files {
            let file = folder.path().join("guard").join(file);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        }
        let path = folder.path().to_str().unwrap();
        let ended = run(&["validate", path]);
        assert_eq!(ended.code, 3, "{place}: {ended:?}");
        assert!(ended.out.contains(place) && ended.out.contains(words), "{place}: {}", ended.out);
        // They decide nothing.
        let question = ["check", "--policies", path, "--action", "view", "--role", "owner"];
        let who = ["--principal", "User::\"a\"", "--resource", "Site::\"1\""];
        assert_eq!(run(&[&question[..], &who].concat()).code, 0, "{place}");
    }
}

#[test]
fn a_text_without_an_end_is_told_where_it_begins() {
    let folder = policies(&[]);
    let text = "@id(\"a\")\n@doc(\"Everybody reads)\npermit (principal, action, resource);\n\n\
                @id(\"b\")\n@doc(\"The owner's rule.\")\nforbid (principal, action, resource);\n";
    write_store(folder.path(), "guard", text);
    let ended = run(&["validate", folder.path().to_str().unwrap()]);
    assert_eq!(ended.code, 3, "{ended:?}");
    let told = "guard/policies.cedar:2:6: a text begins here and does not end in this line";
    assert!(ended.out.contains(told), "{}", ended.out);
}
