//! Losses with a kind of requests that a schema no longer knows: `prove --against` and `diff` tell them.

use std::{fs, path::Path};

use tempfile::TempDir;

use crate::{
    cli::{Ended, command, end, run},
    symbolic::solver,
};

fn write(folder: &Path, schema: &str, policies: &str) {
    let store = folder.join("s");
    fs::create_dir_all(&store).unwrap();
    fs::write(store.join("s.cedarschema"), schema).unwrap();
    fs::write(store.join("p.cedar"), policies).unwrap();
}

/// Two states of a store, each of a schema and policies.
fn states(old: [&str; 2], new: [&str; 2]) -> (TempDir, TempDir) {
    let folders = (TempDir::new().unwrap(), TempDir::new().unwrap());
    for (folder, [schema, policies]) in [(&folders.0, old), (&folders.1, new)] {
        write(folder.path(), schema, policies);
    }
    folders
}

fn against(old: &TempDir, new: &TempDir) -> Ended {
    run(&["prove", new.path().to_str().unwrap(), "--against", old.path().to_str().unwrap()])
}

fn diff(old: &TempDir, new: &TempDir) -> Ended {
    let folders = [old, new].map(|folder| folder.path().to_str().unwrap());
    end(command(&["diff", folders[0], folders[1]]).env("CVC5", "none"))
}

const DOCS: &str = "entity User; entity Team; entity Doc { team: Team };
    action x, y appliesTo { principal: User, resource: Doc };";

#[test]
fn a_kind_that_is_gone_was_allowed_to_whom_nobody_describes() {
    let unknown = "@id(\"u\") permit (principal, action == Action::\"x\", resource)
        unless { resource has team };";
    let without = DOCS.replace("action x, y", "action y");
    let (old, new) = states([DOCS, unknown], [&without, ""]);
    let ended = diff(&old, &new);
    assert!(ended.out.contains("a User loses x on a Doc"), "{ended:?}");
    let Some(_) = solver() else { return };
    let ended = against(&old, &new);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(ended.out.contains("less permissive: nobody gains"), "{}", ended.out);
    assert!(ended.out.contains("loss: "), "{}", ended.out);
    let ended = against(&new, &old);
    assert_eq!(ended.code, 2, "{ended:?}");
    assert!(ended.out.contains("now allowed where a User asks for x on a Doc"), "{}", ended.out);
}

const IN_A: &str =
    "namespace A { @role entity Role; entity User in [Role]; entity Site { owner: Role };
    action view appliesTo { principal: User, resource: Site }; }";
const IN_B: &str = "namespace B { entity User; entity Site;
    action view appliesTo { principal: User, resource: Site }; }";
const ALL_OF_B: &str = "@id(\"b\") permit (principal is B::User, action, resource);";

#[test]
fn a_namespace_that_is_gone_is_compared_by_full_names() {
    let both = format!("{IN_A} {IN_B}");
    // Nothing of the namespace was allowed.
    let (old, new) = states([&both, ALL_OF_B], [IN_B, ALL_OF_B]);
    let ended = diff(&old, &new);
    assert_eq!(ended.code, 2, "names mean others: {ended:?}");
    assert!(ended.out.contains("User: A::User -> B::User"), "{}", ended.out);
    assert!(!ended.out.contains("loses") && !ended.out.contains("gains view"), "{}", ended.out);
    let ended = diff(&new, &old);
    assert!([0, 2].contains(&ended.code), "{ended:?}");

    let owners = "@id(\"own\") permit (principal is A::User, action, resource)
        when { principal in resource.owner };";
    let (old, new) = states([&both, &format!("{owners}{ALL_OF_B}")], [IN_B, ALL_OF_B]);
    let ended = diff(&old, &new);
    assert_eq!(ended.code, 2, "{ended:?}");
    assert!(ended.out.contains("a A::User loses view on a A::Site"), "{}", ended.out);
    assert!(!ended.out.contains("gains view"), "{}", ended.out);
    let Some(_) = solver() else { return };
    let ended = against(&old, &new);
    assert!(ended.out.contains("loss: "), "{}", ended.out);
    assert!(!ended.out.contains("no request could be made"), "{}", ended.out);
}

#[test]
fn a_cell_that_was_no_request_is_none_that_is_lost() {
    let old = "@role entity Role; entity User in [Role]; entity Bot; entity Site { owner: Role };
        action view appliesTo { principal: User, resource: Site };
        action scan appliesTo { principal: Bot, resource: Site };";
    let new = "@role entity Role; entity User in [Role]; entity Bot; entity Site;
        action view appliesTo { principal: User, resource: Site };
        action scan appliesTo { principal: [User, Bot], resource: Site };";
    let bots = "permit (principal is Bot, action, resource);";
    let (old, new) = states([old, bots], [new, bots]);
    let ended = diff(&old, &new);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(ended.out.contains("the column Site.owner is gone"), "{}", ended.out);
}
