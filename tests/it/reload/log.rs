//! The log of loading.

use std::{
    io,
    sync::{Arc, LazyLock, Mutex},
};

use humbaba::reload::{Live, Source, load};
use serde_json::Value;
use tracing_subscriber::fmt::MakeWriter;

use super::lab::{Lab, options, permit};

/// The lines that were logged.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// With one subscriber alone, tracing asks the thread that first meets an event whether anybody
/// wants it, and that may be a thread of another test.
static NOT_ALONE: LazyLock<tracing::Dispatch> =
    LazyLock::new(|| tracing::Dispatch::new(tracing_subscriber::registry()));

/// Loads, and gives what was logged thereby.
fn logged(lab: &Lab, live: &Live) -> Vec<Value> {
    LazyLock::force(&NOT_ALONE);
    let lines = Lines::default();
    let subscriber =
        tracing_subscriber::fmt().json().flatten_event(true).with_writer(lines.clone()).finish();
    tracing::subscriber::with_default(subscriber, || {
        let _ = load(&Source::Folder(lab.root.clone()), &options(), live);
    });
    let bytes = lines.0.lock().unwrap().clone();
    let text = String::from_utf8(bytes).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_reload_is_logged_with_both_revisions() {
    let (lab, live) = (Lab::new(), Live::default());
    lab.add_store("main", "first");
    let first = logged(&lab, &live);
    assert_eq!(first.len(), 1);
    assert_eq!(first[0]["level"], "INFO");
    assert_eq!(first[0]["store"], "main");
    assert_eq!(first[0]["policies"], 1);
    assert!(first[0]["duration_ms"].as_f64().is_some());
    assert!(logged(&lab, &live).is_empty(), "no change, no word");

    lab.write("main/policies.cedar", &permit("second"));
    let second = logged(&lab, &live);
    assert_eq!(second[0]["old_revision"], first[0]["revision"]);
    assert_ne!(second[0]["revision"], first[0]["revision"]);
}

#[test]
fn a_refusal_is_logged_once_with_a_caret() {
    let (lab, live) = (Lab::new(), Live::default());
    lab.add_store("main", "first");
    let revision = logged(&lab, &live)[0]["revision"].clone();
    lab.write("main/policies.cedar", "@id(\"x\")\npermit (principal, action,, resource);");
    let lines = logged(&lab, &live);
    assert_eq!(lines.len(), 1);
    let line = &lines[0];
    assert_eq!(line["level"], "ERROR");
    assert_eq!(line["store"], "main");
    assert_eq!(line["file"], "main/policies.cedar");
    assert_eq!((&line["line"], &line["column"]), (&2.into(), &27.into()));
    assert_eq!(line["revision"], revision);
    let message = line["message"].as_str().unwrap();
    assert!(message.contains("the last good state stays in force"), "{message}");
    assert!(message.contains("permit (principal, action,, resource);"), "{message}");
    assert!(message.contains('┬') || message.contains('▲'), "{message}");

    assert!(logged(&lab, &live).is_empty(), "the same state is not told twice");
    lab.write("main/policies.cedar", "permit (principal, action, resource) broken;");
    assert_eq!(logged(&lab, &live).len(), 1);
}

#[test]
fn a_folder_problem_is_logged_once() {
    let (lab, live) = (Lab::new(), Live::default());
    let lines = logged(&lab, &live);
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0]["level"], "ERROR");
    assert_eq!(lines[0]["folder"], lab.root.display().to_string());
    assert!(logged(&lab, &live).is_empty());
}
