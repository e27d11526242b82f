#![allow(clippy::unwrap_used, clippy::panic)]

mod bounds;
mod cedar_json;
mod faults;
mod warnings;

use std::{
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use super::*;
use crate::model::{Location, Problem};

const SCHEMA: &str = "entity Group in [Group];
entity User in [Group] { name: String, next?: User };
entity Doc { owner?: User };
action view appliesTo { principal: User, resource: Doc };";

const PERMIT: &str = "permit (principal, action, resource);";

fn files(files: &[(&str, &str)]) -> StoreFiles {
    let files = files.iter().map(|(path, text)| ((*path).to_owned(), Arc::from(text.as_bytes())));
    StoreFiles::new("main".parse().unwrap(), files)
}

/// Loads on a thread with the stack of the product, within the time that a test may take at most.
fn load(store: StoreFiles) -> Result<PolicyStore, Vec<Problem>> {
    let (sender, receiver) = mpsc::channel();
    let thread = thread::Builder::new().stack_size(STACK_BYTES);
    let load = move || sender.send(PolicyStore::load(Arc::new(store), &Bounds::default())).is_ok();
    thread.spawn(load).unwrap();
    receiver.recv_timeout(Duration::from_secs(60)).unwrap()
}

fn refused(store: &[(&str, &str)]) -> Vec<Problem> {
    load(files(store)).err().unwrap()
}

fn loaded(store: &[(&str, &str)]) -> PolicyStore {
    load(files(store)).unwrap_or_else(|problems| panic!("{problems:?}"))
}

/// One problem, in that file, at that line, with those words in its message or its help.
#[track_caller]
fn check(problems: &[Problem], file: &str, line: usize, words: &str) {
    let found = problems.iter().find(|problem| {
        let text = format!("{} {}", problem.message(), problem.help().unwrap_or_default());
        problem.file() == format!("main/{file}") && text.contains(words)
    });
    let found = found.unwrap_or_else(|| panic!("no `{words}` in {file}: {problems:#?}"));
    let at = found.location().map(|Location { line, .. }| line);
    assert_eq!(at, Some(line), "{found:?}");
    assert!(!found.render().contains("Failed to read"), "{}", found.render());
}

fn schema_with(more: impl IntoIterator<Item = String>) -> String {
    more.into_iter().fold(SCHEMA.to_owned(), |schema, line| schema + "\n" + &line)
}

#[test]
fn every_file_that_decides_counts_in_the_revision() {
    let store = files(&[("s.cedarschema", SCHEMA), ("p.cedar", PERMIT)]);
    for path in ["x.cedar.json", "x.cedarschema.json", "x.links.json", "x.cedar"] {
        let other = store.clone().with_file(path, *b"{}");
        assert_ne!(store.revision(), other.revision(), "{path}");
    }
    assert_eq!(store.revision(), store.clone().with_file("README.md", *b"{}").revision());
}

#[test]
fn a_byte_order_mark_is_skipped() {
    let text = |text: &str| format!("\u{feff}{text}");
    let settings = text("level = 3");
    let entities = text("[]");
    let store = loaded(&[
        ("s.cedarschema", &text(SCHEMA)),
        ("p.cedar", &text(PERMIT)),
        ("a.links.toml", &text("")),
        ("e.cedarentities.json", &entities),
        ("store.toml", &settings),
    ]);
    assert_eq!(store.policies().num_of_policies(), 1);
    let problems = refused(&[("s.cedarschema", &text(SCHEMA)), ("p.cedar", &text("}"))]);
    assert_eq!(problems.first().unwrap().location().map(|at| (at.line, at.column)), Some((1, 1)));
}
