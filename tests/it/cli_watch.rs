//! `humbaba watch`

use std::{
    fs::{self, File},
    path::Path,
    process::{Child, Stdio},
};

use tempfile::TempDir;

use crate::{
    cli::{POLICIES, command, policies, run, write_store},
    cli_sidecar::until,
};

struct Watch {
    child: Child,
    place: TempDir,
}

impl Watch {
    fn start(folder: &Path) -> Self {
        let place = TempDir::new().unwrap();
        let out = File::create(place.path().join("out")).unwrap();
        let mut command = command(&["watch", folder.to_str().unwrap()]);
        let child = command.stdin(Stdio::null()).stdout(out).spawn().unwrap();
        Self { child, place }
    }

    /// Waits until what was printed since the last call contains a text, and returns it.
    fn prints(&self, from: &mut usize, part: &str) -> String {
        let new = until(part, || {
            let all = fs::read_to_string(self.place.path().join("out")).unwrap();
            let new = all[*from..].to_owned();
            (new.contains(part) && new.ends_with("\n\n")).then_some(new)
        });
        *from += new.len();
        new
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn each_save_shows_problems_failed_tests_and_changed_cells() {
    let folder = policies(&["guard", "other"]);
    let tests = folder.path().join("guard/tests");
    fs::create_dir(&tests).unwrap();
    let case = r#"
[[case]]
name = "a viewer"
principal = 'User::"alice"'
roles = [{ role = "viewer" }]
resource = 'Site::"1"'
allow = ["view"]
deny = ["edit"]
"#;
    fs::write(tests.join("viewer.toml"), case).unwrap();
    let mut watch = Watch::start(folder.path());
    let mut at = 0;
    let first = watch.prints(&mut at, "other");
    let expected =
        "ok       guard: 3 policies, 2 cases pass\nok       other: 3 policies, 0 cases pass\n\n";
    assert_eq!(first, expected);

    write_store(folder.path(), "guard", &POLICIES.replace("resource.viewer", "resource.veiwer"));
    let problem = watch.prints(&mut at, "invalid");
    assert!(problem.contains("`veiwer`") && !problem.contains("other"), "{problem}");
    assert!(problem.ends_with("\ninvalid  guard: 1 problem\n\n"), "{problem}");

    let more = POLICIES.replace(
        "in [resource.owner, resource.editor] }",
        "in [resource.owner, resource.editor, resource.viewer] }",
    );
    write_store(folder.path(), "guard", &more);
    let gains = watch.prints(&mut at, "since the watch began");
    let expected = "\
✗ tests/viewer.toml:3 a viewer / edit: expected deny, got allow
failed   guard: 1 case fails
since the watch began:
  Site.viewer gains edit
  cells that gain: 1, that lose: 0

";
    assert_eq!(gains, expected);

    write_store(folder.path(), "guard", POLICIES);
    let back = watch.prints(&mut at, "since the watch began");
    let expected = "\
ok       guard: 3 policies, 2 cases pass
since the watch began:
  nobody gains or loses anything

";
    assert_eq!(back, expected);

    fs::rename(folder.path().join("other"), watch.place.path().join("other")).unwrap();
    assert_eq!(watch.prints(&mut at, "gone"), "gone     other\n\n");

    let interrupt = format!("kill -INT {}", watch.child.id());
    assert!(std::process::Command::new("sh").args(["-c", &interrupt]).status().unwrap().success());
    let status = until("the end", || watch.child.try_wait().unwrap());
    assert_eq!(status.code(), Some(0));
}

#[test]
fn a_folder_that_is_not_there_yet_is_waited_for() {
    let place = TempDir::new().unwrap();
    let watch = Watch::start(&place.path().join("policies"));
    let mut at = 0;
    watch.prints(&mut at, "error: ");
    write_store(&place.path().join("policies"), "guard", POLICIES);
    watch.prints(&mut at, "ok       guard: 3 policies, 0 cases pass\n\n");
    assert_eq!(run(&["watch"]).code, 64);
}
