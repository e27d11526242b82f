//! The READMEs of the shipped stores: each question has the answer that is written beside it, and
//! what is called derived is what the policies call so. The format is in `policies/README.md`.

use std::{collections::BTreeSet, fs, path::Path, process::Command, sync::Arc};

use humbaba::store::{Bounds, PolicyStore, embedded_stores};

#[test]
fn hitkeep() {
    the_readme_is_true("hitkeep");
}

#[test]
fn hitkeep_v1() {
    the_readme_is_true("hitkeep-v1");
}

#[test]
fn piwik_pro() {
    the_readme_is_true("piwik-pro");
}

#[test]
fn clicky() {
    the_readme_is_true("clicky");
}

#[test]
fn kissmetrics() {
    the_readme_is_true("kissmetrics");
}

fn the_readme_is_true(store: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies").join(store);
    let readme = fs::read_to_string(folder.join("README.md")).unwrap();
    let rows = rows(&readme);
    assert!(rows.len() >= 10, "{store}: a table of the ten most common questions");
    let wrong: Vec<_> = rows.iter().filter_map(|row| row.fault(store, &folder)).collect();
    assert!(wrong.is_empty(), "{store}: {} answers are others\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(derived_in_readme(&readme), derived(store), "{store}: `## Derived`");
}

/// A row of the table of questions.
struct Row<'a> {
    question: &'a str,
    /// The flags of `humbaba check`.
    ask: &'a str,
    answer: &'a str,
}

/// The rows of the table with the columns Question, Ask and Answer.
fn rows(readme: &str) -> Vec<Row<'_>> {
    let lines = readme.lines().skip_while(|line| cells(line) != ["Question", "Ask", "Answer"]);
    let rows = lines.skip(2).take_while(|line| line.starts_with('|'));
    rows.map(|line| {
        let [question, ask, answer] = cells(line)[..] else { panic!("three cells: {line}") };
        let ask = ask.strip_prefix('`').and_then(|ask| ask.strip_suffix('`'));
        Row { question, ask: ask.expect("`Ask` stands in backticks"), answer }
    })
    .collect()
}

fn cells(line: &str) -> Vec<&str> {
    line.trim_matches('|').split('|').map(str::trim).collect()
}

impl Row<'_> {
    /// Returns the mistake of the answer, if there is one.
    fn fault(&self, store: &str, folder: &Path) -> Option<String> {
        let code = match self.answer {
            "ALLOW" => 0,
            "DENY" => 2,
            other => panic!("{}: ALLOW or DENY, not {other}", self.question),
        };
        // As a user types it. The policies are those beside the README.
        let ended = Command::new("sh")
            .args(["-c", &format!("\"$HUMBABA\" check --policies .. --store {store} {}", self.ask)])
            .env("HUMBABA", env!("CARGO_BIN_EXE_humbaba"))
            .current_dir(folder)
            .output()
            .unwrap();
        let out = String::from_utf8_lossy(&ended.stdout);
        let is_right = ended.status.code() == Some(code) && out.starts_with(self.answer);
        (!is_right).then(|| {
            let error = String::from_utf8_lossy(&ended.stderr);
            format!("{}: not {} but\n{out}{error}", self.question, self.answer)
        })
    }
}

/// The policies that the README calls derived: what stands in backticks under `## Derived`.
fn derived_in_readme(readme: &str) -> BTreeSet<String> {
    let (_, section) = readme.split_once("## Derived\n").expect("a section `## Derived`");
    let section = section.split("\n## ").next().unwrap_or_default();
    section.split('`').skip(1).step_by(2).map(ToOwned::to_owned).collect()
}

/// The policies of a store whose documentation says `derived`. Every other one names a line of a page.
fn derived(store: &str) -> BTreeSet<String> {
    let files = embedded_stores().into_iter().find(|files| files.name().as_str() == store).unwrap();
    let store = PolicyStore::load(Arc::new(files), &Bounds::default()).unwrap();
    let mut derived = BTreeSet::new();
    for policy in store.policies().policies() {
        let doc = policy.annotation("doc").expect("each policy has a @doc");
        let names_a_line = doc
            .split(".txt L")
            .nth(1)
            .is_some_and(|line| line.starts_with(|first: char| first.is_ascii_digit()));
        if doc.contains("derived") {
            derived.insert(policy.id().to_string());
        } else {
            assert!(names_a_line, "{}: neither a line of a page nor `derived`: {doc}", policy.id());
        }
    }
    derived
}
