//! `humbaba fmt`

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
};

use tempfile::TempDir;

use crate::cli::{SCHEMA, command, end, policies, run, write_store};

const UNTIDY: &str = "// Who may.\n\npermit(principal,action,resource);\n";
const TIDY: &str = "// Who may.\n\npermit (principal, action, resource);\n";

fn untidy() -> TempDir {
    let folder = TempDir::new().unwrap();
    write_store(folder.path(), "one", UNTIDY);
    write_store(folder.path(), "two", TIDY);
    folder
}

fn names(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn check_lists_the_files_that_differ_and_changes_nothing() {
    let folder = untidy();
    let ended = end(command(&["fmt", "--check", "."]).current_dir(folder.path()));
    assert_eq!((ended.code, ended.out.as_str()), (2, "one/policies.cedar\n"), "{ended:?}");
    assert_eq!(fs::read_to_string(folder.path().join("one/policies.cedar")).unwrap(), UNTIDY);
}

#[test]
fn only_the_files_that_differ_are_written() {
    let folder = untidy();
    let of = |store: &str| folder.path().join(store).join("policies.cedar");
    fs::set_permissions(of("one"), fs::Permissions::from_mode(0o640)).unwrap();
    let before = fs::metadata(of("two")).unwrap().modified().unwrap();

    let ended = end(command(&["fmt"]).arg(folder.path()));
    let expected = format!("formatted {}\n", of("one").display());
    assert_eq!((ended.code, ended.out), (0, expected));
    assert_eq!(fs::read_to_string(of("one")).unwrap(), TIDY);
    assert_eq!(fs::metadata(of("one")).unwrap().permissions().mode() & 0o777, 0o640);
    assert_eq!(fs::metadata(of("two")).unwrap().modified().unwrap(), before);
    assert_eq!(fs::read_to_string(folder.path().join("one/schema.cedarschema")).unwrap(), SCHEMA);
    assert_eq!(names(&folder.path().join("one")), ["policies.cedar", "schema.cedarschema"]);

    let ended = end(command(&["fmt", "--check"]).arg(folder.path()));
    assert_eq!((ended.code, ended.out.as_str()), (0, ""));
}

#[test]
fn a_link_stays_a_link() {
    let folder = untidy();
    let (link, real) = (folder.path().join("one/policies.cedar"), folder.path().join("real.txt"));
    fs::rename(&link, &real).unwrap();
    symlink(&real, &link).unwrap();
    let ended = end(command(&["fmt"]).arg(folder.path().join("one")));
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(fs::read_to_string(&real).unwrap(), TIDY);
}

#[test]
fn problems_are_shown_as_by_validate_and_the_other_files_are_formatted() {
    let folder = untidy();
    write_store(folder.path(), "bad", "permit (principal\n");
    let path = folder.path().to_str().unwrap();
    let ended = run(&["fmt", path]);
    assert_eq!(ended.code, 3, "{ended:?}");
    let shown: Vec<_> = ended.out.lines().filter(|line| !line.contains("formatted")).collect();
    let validated = run(&["validate", path]).out;
    assert!(shown.len() > 3, "{ended:?}");
    assert!(validated.contains(&shown.join("\n")), "{validated}");
    assert_eq!(fs::read_to_string(folder.path().join("one/policies.cedar")).unwrap(), TIDY);
    let ended = run(&["fmt", "--check", path]);
    assert_eq!(ended.code, 3, "{ended:?}");
}

#[test]
fn a_folder_must_be_there() {
    let folder = TempDir::new().unwrap();
    let ended = end(command(&["fmt"]).current_dir(folder.path()));
    assert_eq!((ended.code, ended.out.as_str()), (64, ""));
    assert!(ended.err.contains("name a folder"), "{ended:?}");
    assert_eq!(run(&["fmt", "/nowhere"]).code, 3);
}

#[test]
fn the_largest_policies_that_are_accepted_are_formatted() {
    let chain = vec!["context.now == context.now"; 600].join(" && ");
    let nested = format!("{}true{}", "!(".repeat(60), ")".repeat(60));
    let actions = vec![r#"Guard::Action::"view""#; 5_000].join(", ");
    let text = format!(
        "permit(principal, action in [{actions}], resource) when {{ {chain} }} when {{ {nested} }};"
    );
    let folder = policies(&[]);
    write_store(folder.path(), "large", &text);
    let path = folder.path().to_str().unwrap();
    let ended = run(&["fmt", path]);
    assert_eq!(ended.code, 0, "{}", ended.err);
    let ended = run(&["fmt", "--check", path]);
    assert_eq!(ended.code, 0, "{}", ended.err);
}
