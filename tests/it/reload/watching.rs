//! Hints, with and without the file system's events.

use std::{
    fs,
    io::Write as _,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use humbaba::reload::{Options, Source, watch};

use super::lab::{Lab, options, permit, replace};

fn blind() -> Options {
    Options { use_events: false, ..options() }
}

#[test]
fn a_hint_finds_what_no_event_tells() {
    let lab = Lab::watched_with(blind());
    lab.write("main/policies.cedar", &permit("second"));
    lab.always(Duration::from_millis(300), "nothing tells of it", |lab| {
        lab.deciding("main").unwrap() == ["first"]
    });
    lab.hint();
    lab.until_decides("main", "second");
    assert_eq!(lab.status().watch_problem, None);
}

#[test]
fn the_periodic_reading_finds_what_no_event_tells() {
    let rehash_interval = Duration::from_millis(50);
    let lab = Lab::watched_with(Options { rehash_interval, ..blind() });
    for id in ["second", "third"] {
        fs::write(lab.root.join("main/policies.cedar"), permit(id)).unwrap();
        lab.until_decides("main", id);
    }
    let before = lab.status();
    lab.until("it goes on", |lab| lab.status().last_attempt > before.last_attempt);
    assert_eq!(lab.status().last_change, before.last_change);
    assert_eq!(lab.status().reloads, before.reloads);
}

#[test]
fn a_half_written_file_is_not_applied_even_if_no_event_tells_of_it() {
    let (settle, rehash_interval) = (Duration::from_secs(1), Duration::from_millis(10));
    let lab = Lab::watched_with(Options { settle, rehash_interval, ..blind() });
    let mut file = fs::File::create(lab.root.join("main/policies.cedar")).unwrap();
    for id in ["second", "third", "fourth"] {
        file.write_all(permit(id).as_bytes()).unwrap();
        // Less than half of what the folder must be quiet.
        lab.always(Duration::from_millis(200), "not applied", |lab| {
            lab.deciding("main").unwrap() == ["first"]
        });
    }
    lab.until("it is applied", |lab| lab.status().reloads > 1);
    assert_eq!(lab.deciding("main").unwrap().len(), 3);
    assert_eq!((lab.status().reloads, lab.status().failures), (2, 0));
}

#[test]
fn a_hint_without_a_change_changes_nothing() {
    let lab = Lab::watched();
    let before = lab.status();
    lab.until_read();
    let after = lab.status();
    assert!(after.last_attempt > before.last_attempt);
    assert_eq!(after.last_change, before.last_change);
    assert_eq!((after.reloads, after.failures), (1, 0));
}

#[test]
fn reading_the_folder_is_no_reason_to_read_it_again() {
    let lab = Lab::watched();
    lab.until_read();
    let before = lab.status().last_attempt;
    lab.always(Duration::from_millis(500), "the folder is left alone", |lab| {
        lab.status().last_attempt == before
    });
}

/// Makes changes without end in the background, and checks that edits are seen all the same.
fn edits_are_seen_amid(noise: impl Fn(u64, &std::path::Path) + Sync) {
    let lab = Lab::watched();
    let is_over = AtomicBool::new(false);
    let folder = lab.root.join("main");
    thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0.. {
                if is_over.load(Ordering::Relaxed) {
                    break;
                }
                noise(round, &folder);
            }
        });
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for edit in 0..5 {
                let id = format!("edit-{edit}");
                replace(&lab.root.join("main/policies.cedar"), &permit(&id));
                lab.until_decides("main", &id);
            }
        }));
        is_over.store(true, Ordering::Relaxed);
        result.unwrap();
    });
}

#[test]
fn a_stream_of_events_does_not_starve_reloads() {
    edits_are_seen_amid(|_, folder| {
        fs::write(folder.join("noise.txt"), "noise").unwrap();
        thread::sleep(Duration::from_millis(1));
    });
}

#[test]
fn a_stream_of_changes_of_the_same_store_does_not_starve_reloads() {
    edits_are_seen_amid(|round, folder| {
        replace(&folder.join("noise.cedar"), &format!("// {round}"));
        thread::sleep(Duration::from_millis(3));
    });
}

#[test]
fn a_stream_of_writes_in_place_does_not_starve_reloads() {
    edits_are_seen_amid(|round, folder| {
        fs::write(folder.join("noise.cedar"), format!("// {round}")).unwrap();
        thread::sleep(Duration::from_millis(20));
    });
}

#[test]
fn another_store_is_not_held_up_by_one_that_is_never_at_rest() {
    let lab = Lab::watched();
    lab.add_store("restless", "restless");
    lab.until_decides("restless", "restless");
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                fs::write(lab.root.join("restless/policies.cedar"), permit("noise")).unwrap();
            }
        });
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            lab.write("main/policies.cedar", &permit("second"));
            lab.until_decides("main", "second");
        }));
        is_over.store(true, Ordering::Relaxed);
        result.unwrap();
    });
}

#[test]
fn what_changed_between_load_and_watch_is_found() {
    let lab = Lab::new();
    lab.add_store("main", "first");
    let source = Source::Folder(lab.root.clone());
    humbaba::reload::load(&source, &options(), &lab.live).unwrap();
    lab.write("main/policies.cedar", &permit("second"));
    let _reloader = watch(source, options(), Arc::clone(&lab.live));
    lab.until_decides("main", "second");
}

#[test]
fn a_dropped_reloader_reloads_no_more() {
    let lab = Lab::new();
    lab.add_store("main", "first");
    let source = Source::Folder(lab.root.clone());
    humbaba::reload::load(&source, &options(), &lab.live).unwrap();
    let before = lab.status().last_attempt;
    let reloader = watch(source, options(), Arc::clone(&lab.live));
    lab.until("the watch begins", |lab| lab.status().last_attempt != before);
    drop(reloader);
    lab.until("the thread lets go", |lab| Arc::strong_count(&lab.live) == 1);
    lab.write("main/policies.cedar", &permit("second"));
    assert_eq!(lab.deciding("main").unwrap(), ["first"]);
}

#[test]
fn embedded_stores_are_not_watched() {
    let live = Arc::default();
    let reloader = watch(Source::Embedded, options(), Arc::clone(&live));
    reloader.hint();
    let begun = Instant::now();
    drop(reloader);
    assert!(begun.elapsed() < Duration::from_secs(1));
    assert_eq!(Arc::strong_count(&live), 1);
}
