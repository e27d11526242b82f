//! Measures the time from an edit of a policy to its being in force.
//!
//! `cargo run --release --example reload_latency -- policies 100` copies the policies folder to a
//! temporary one and edits a policy of its first store again and again.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::{
    env, fs,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use humbaba::reload::{Live, Options, Source, load, read_folder, watch};

fn main() {
    let mut arguments = env::args().skip(1);
    let policies = arguments.next().unwrap_or_else(|| "policies".to_owned());
    let edits: usize = arguments.next().map_or(100, |count| count.parse().expect("a number"));

    let home = tempfile::tempdir().unwrap();
    copy(Path::new(&policies), home.path());
    let source = Source::Folder(home.path().to_owned());
    let live = Arc::new(Live::default());
    load(&source, &Options::default(), &live).expect("the stores load");
    let _reloader = watch(source, Options::default(), Arc::clone(&live));

    let (name, file) = first_policies(home.path());
    let text = fs::read_to_string(&file).unwrap();
    println!("editing {} of {} stores", file.display(), live.stores().iter().count());
    for (how, write) in [
        ("rename", rename as fn(&Path, &str)),
        ("in place", |path: &Path, text: &str| fs::write(path, text).unwrap()),
    ] {
        let mut times: Vec<_> = (0..edits)
            .map(|edit| {
                let before = revision(&live, &name);
                // Nothing of the edit before is under way any more.
                thread::sleep(Duration::from_millis(120));
                let edited = format!("{text}\n// edit {how} {edit}\n");
                let begun = Instant::now();
                write(&file, &edited);
                while revision(&live, &name) == before {
                    assert!(begun.elapsed() < Duration::from_secs(10), "never in force");
                    thread::sleep(Duration::from_micros(100));
                }
                begun.elapsed()
            })
            .collect();
        times.sort();
        let at = |part: usize| times[(times.len() * part / 100).min(times.len() - 1)];
        println!(
            "{how}: p50 {:.1?}, p90 {:.1?}, p99 {:.1?}, most {:.1?}",
            at(50),
            at(90),
            at(99),
            times[times.len() - 1]
        );
    }
}

fn rename(path: &Path, text: &str) {
    let draft = path.with_extension("draft");
    fs::write(&draft, text).unwrap();
    fs::rename(draft, path).unwrap();
}

fn revision(live: &Live, store: &str) -> String {
    live.stores().get(store).expect("the store stays").revision().to_string()
}

fn first_policies(folder: &Path) -> (String, PathBuf) {
    let store = read_folder(folder).unwrap().into_iter().next().expect("a store");
    let (file, _) = store.iter().find(|(file, _)| file.ends_with(".cedar")).expect("policies");
    (store.name().to_string(), folder.join(store.name().as_str()).join(file))
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
