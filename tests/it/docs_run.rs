//! The commands of the pages for users, run word for word as a reader would type them.
//!
//! A page is one session of one shell, in a copy of what a clone holds, in a network of its own: its
//! ports are those of the page, whatever else runs. What a reader does without being told, the
//! test does too: waits until a server that was started serves, and types on in a second terminal where
//! one stays in the foreground.

use std::fs;

use crate::support::{
    page_steps::{lines_match, steps},
    reader_session::{Session, has_namespaces, root},
    skip::skip,
};

/// Commands that a page has at least: fewer were read only where it has another form.
const LEAST: usize = 15;

/// The README, the tutorial and the how-tos.
fn pages() -> Vec<String> {
    let docs = fs::read_dir(root().join("docs")).unwrap();
    let names = docs.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let is_run = |name: &String| name == "tutorial.md" || name.starts_with("how-to");
    let mut pages: Vec<_> = names.filter(is_run).map(|name| format!("docs/{name}")).collect();
    pages.sort();
    pages.insert(0, "README.md".to_owned());
    assert!(pages.len() >= 3, "{pages:?}");
    pages
}

#[tokio::test]
async fn every_command_of_a_page_prints_what_the_page_says() {
    if !has_namespaces() {
        return skip("a network of its own cannot be made (`unshare --net`)");
    }
    let mut wrong = Vec::new();
    for page in pages() {
        wrong.extend(faults(&page).await);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Runs a page, and returns what is not as it says.
async fn faults(page: &str) -> Vec<String> {
    let text = fs::read_to_string(root().join(page)).unwrap();
    let steps = steps(&text);
    assert!(steps.len() >= LEAST, "{page}: {} commands", steps.len());
    let mut session = Session::new();
    if text.contains("psql ") && !session.with_postgres().await {
        return Vec::new();
    }
    if text.contains("```python\n") && !session.with_python() {
        return Vec::new();
    }
    let outcomes = session.run(&steps);
    let faults = steps.iter().enumerate().filter_map(|(at, step)| step.fault(outcomes.get(at)));
    faults.map(|fault| format!("{page}:{fault}")).collect()
}

#[test]
fn what_a_page_leaves_out_stands_for_anything_and_nothing_else_does() {
    for (expected, printed, is_right) in [
        ("a\nb", "a\nb", true),
        ("a", "a\nb", false),
        ("a\n…", "a\nb\nc", true),
        ("a\n…\nc", "a\nc", true),
        ("a\n…\nc", "a\nb", false),
        ("revision c2e8…", "revision c2e81598", true),
        ("… of …", "1 of 2", true),
        ("x … of …", "1 of 2", false),
    ] {
        let (page, output): (Vec<_>, Vec<_>) =
            (expected.lines().collect(), printed.lines().collect());
        assert_eq!(lines_match(&page, &output), is_right, "{expected:?} {printed:?}");
    }
}

#[test]
fn a_command_goes_on_to_the_end_of_its_quotation_and_of_its_document() {
    let page = "```console\n$ echo 'a\n$ b' \\\n    c\nout\n$ cat <<'END'\nEND of\nEND\n$ x\n```\n";
    let read: Vec<_> = steps(page).into_iter().map(|step| (step.command, step.output)).collect();
    assert_eq!(
        read,
        [
            ("echo 'a\n$ b' \\\n    c".to_owned(), vec!["out".to_owned()]),
            ("cat <<'END'\nEND of\nEND".to_owned(), vec![]),
            ("x".to_owned(), vec![]),
        ]
    );
}
