//! `humbaba diff` where a `forbid` may fail: it counts by the setting `on_forbid_error`, as for the server and
//! the gate `no-gains`.

use std::{fs, path::PathBuf};

use tempfile::TempDir;

use crate::{
    cli::{Ended, command, end, run},
    symbolic::solver,
};

const SCHEMA: &str = "entity User { active: Bool }; entity Doc; \
     action view appliesTo { principal: User, resource: Doc };";

/// Whoever is not active is denied, and whoever is not described.
const BEFORE: &str = "@id(\"all\") permit (principal, action, resource); \
     @id(\"inactive\") forbid (principal, action, resource) \
     unless { principal has active && principal.active };";

/// The forbid fails for somebody who is not described.
const AFTER: &str = "@id(\"all\") permit (principal, action, resource); \
     @id(\"inactive\") forbid (principal, action, resource) when { !principal.active };";

const SKIP: [&str; 2] = ["--set", "on_forbid_error=skip"];

struct States(TempDir);

impl States {
    fn write() -> Self {
        let states = Self(TempDir::new().unwrap());
        for (name, policies) in [("old", BEFORE), ("new", AFTER)] {
            let store = states.path(name).join("docs");
            fs::create_dir_all(&store).unwrap();
            fs::write(store.join("s.cedarschema"), SCHEMA).unwrap();
            fs::write(store.join("p.cedar"), policies).unwrap();
        }
        states
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn diff(&self, words: &[&str]) -> Ended {
        let mut diff = command(&["diff", "--quiet"]);
        diff.args(words).arg(self.path("old")).arg(self.path("new"));
        end(diff.env("CVC5", "none"))
    }
}

#[test]
fn a_forbid_that_fails_counts_by_the_setting() {
    let states = States::write();
    let denies = states.diff(&[]);
    assert_eq!(denies.code, 0, "{denies:?}");
    let shown = states.path("shown");
    let witness = ["--witness", shown.to_str().unwrap()];
    let skips = states.diff(&[&SKIP[..], &witness].concat());
    assert_eq!(skips.code, 2, "{skips:?}");
    assert!(skips.out.contains("a User gains view on a Doc"), "{skips:?}");
    let new = states.path("new");
    let record = ["--record", shown.to_str().unwrap()];
    let again = run(&[&["check", "--policies", new.to_str().unwrap()], &record[..]].concat());
    assert_eq!(again.code, 0, "{again:?}");
    assert!(again.out.starts_with("ALLOW"), "{again:?}");
}

#[test]
fn a_configuration_file_says_how_a_forbid_that_fails_counts() {
    let states = States::write();
    let config = states.path("humbaba.toml");
    fs::write(&config, "on_forbid_error = \"skip\"\n").unwrap();
    let skips = states.diff(&["--config", config.to_str().unwrap()]);
    assert_eq!(skips.code, 2, "{skips:?}");
}

#[test]
fn a_gain_that_only_a_skipped_forbid_makes_can_be_approved() {
    let states = States::write();
    let approve = ["--approve", "--by", "carol", "--reason", "meant"];
    let approved = states.diff(&[&SKIP[..], &approve].concat());
    assert_eq!(approved.code, 0, "{approved:?}");
    let file = states.path("new").join("docs").join("approved-gains.toml");
    assert!(fs::read_to_string(file).unwrap().contains("User gains view"));
}

#[test]
fn diff_and_prove_agree_on_a_forbid_that_fails() {
    if solver().is_none() {
        return;
    }
    let states = States::write();
    for words in [&[][..], &SKIP] {
        let mut prove = command(&["prove", "--quiet"]);
        prove.args(words).arg(states.path("new")).arg("--against").arg(states.path("old"));
        assert_eq!(end(&mut prove).code, states.diff(words).code, "{words:?}");
    }
}
