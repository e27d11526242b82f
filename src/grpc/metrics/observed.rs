//! Metrics that are read from elsewhere when somebody asks for them.

use std::{sync::Arc, time::SystemTime};

use opentelemetry::{KeyValue, metrics::Meter};
use tokio::runtime::Handle;

use crate::{
    model::StoreName,
    net::{ConcurrencyLimit, ConnectionLimit},
    reload::{EMBEDDED, Live, LiveDirectory, StoreStatus},
};

/// Adds the metrics of calls under way.
pub(super) fn calls(meter: &Meter, limit: &Arc<ConcurrencyLimit>, waiting: &Arc<ConcurrencyLimit>) {
    let waiting = Arc::clone(waiting);
    meter
        .u64_observable_gauge("humbaba_requests_waiting")
        .with_description("Calls that wait for a version of a directory")
        .with_callback(move |observer| observer.observe(waiting.in_flight() as u64, &[]))
        .build();
    let counted = Arc::clone(limit);
    meter
        .u64_observable_gauge("humbaba_requests_in_flight")
        .with_description("Calls that are under way")
        .with_callback(move |observer| observer.observe(counted.in_flight() as u64, &[]))
        .build();
    let counted = Arc::clone(limit);
    meter
        .u64_observable_counter("humbaba_requests_shed_total")
        .with_description(
            "Calls that were turned away because too many were under way or too much was held",
        )
        .with_callback(move |observer| {
            observer.observe(counted.calls_shed() + counted.bytes_shed(), &[]);
        })
        .build();
    let version = KeyValue::new("version", env!("CARGO_PKG_VERSION"));
    meter
        .u64_observable_gauge("humbaba_build_info")
        .with_description("Version, as a label; always 1")
        .with_callback(move |observer| observer.observe(1, std::slice::from_ref(&version)))
        .build();
}

/// Adds the metrics of connections.
pub(super) fn connections(meter: &Meter, faces: Vec<(&'static str, &Arc<ConnectionLimit>)>) {
    let faces = faces.into_iter().map(|(face, of)| (KeyValue::new("face", face), Arc::clone(of)));
    let faces: Vec<_> = faces.collect();
    let observed = faces.clone();
    meter
        .u64_observable_gauge("humbaba_connections")
        .with_description("Connections that are open")
        .with_callback(move |observer| {
            for (face, connections) in &observed {
                observer.observe(connections.open() as u64, std::slice::from_ref(face));
            }
        })
        .build();
    meter
        .u64_observable_counter("humbaba_connections_closed_total")
        .with_description("Connections that were closed because there were too many (limit) or because the peer kept the server waiting (slow)")
        .with_callback(move |observer| {
            for (face, connections) in &faces {
                let because = |reason| [KeyValue::new("reason", reason), face.clone()];
                observer.observe(connections.refused(), &because("limit"));
                observer.observe(connections.timed_out(), &because("slow"));
            }
        })
        .build();
}

/// Adds the number of tasks.
pub(super) fn tasks(meter: &Meter, runtimes: Vec<Handle>) {
    meter
        .u64_observable_gauge("humbaba_tasks")
        .with_description("Tasks that are alive: each connection and each call has some")
        .with_callback(move |observer| {
            let alive = runtimes.iter().map(|runtime| runtime.metrics().num_alive_tasks() as u64);
            observer.observe(alive.sum(), &[]);
        })
        .build();
}

/// Adds the metrics of stores and of reloading.
pub(super) fn stores(meter: &Meter, live: &Arc<Live>) {
    reloads(meter, live);
    gate_refusals(meter, live);
    last_attempt(meter, live);
    folder_refused(meter, live);
    last_good(meter, live);
    each_store(meter, live);
    revisions(meter, live);
}

fn reloads(meter: &Meter, live: &Arc<Live>) {
    let live = Arc::clone(live);
    meter
        .u64_observable_counter("humbaba_reloads_total")
        .with_description("Attempts to load that put something new in force or were refused")
        .with_callback(move |observer| {
            let status = live.status();
            observer.observe(status.reloads, &[KeyValue::new("result", "applied")]);
            observer.observe(status.failures, &[KeyValue::new("result", "refused")]);
        })
        .build();
}

fn gate_refusals(meter: &Meter, live: &Arc<Live>) {
    let live = Arc::clone(live);
    meter
        .u64_observable_counter("humbaba_gate_refusals_total")
        .with_description("Valid stores that a gate refused (reload.require), by gate")
        .with_callback(move |observer| {
            for (gate, refusals) in &live.status().gate_refusals {
                observer.observe(*refusals, &[KeyValue::new("gate", gate.as_str())]);
            }
        })
        .build();
}

fn last_attempt(meter: &Meter, live: &Arc<Live>) {
    let live = Arc::clone(live);
    meter
        .f64_observable_gauge("humbaba_last_attempt_age_seconds")
        .with_description("Time since loading was last tried")
        .with_unit("s")
        .with_callback(move |observer| {
            let status = live.status();
            // Embedded stores are never read again, so they would seem ever more stale.
            let is_reread = status.source != EMBEDDED;
            if let Some(age) = status.last_attempt.filter(|_| is_reread).and_then(age) {
                observer.observe(age, &[]);
            }
        })
        .build();
}

fn folder_refused(meter: &Meter, live: &Arc<Live>) {
    let live = Arc::clone(live);
    meter
        .u64_observable_gauge("humbaba_folder_refused")
        .with_description(
            "1 where the policies folder as a whole cannot be used as it is now, else 0",
        )
        .with_callback(move |observer| {
            observer.observe(u64::from(live.status().folder_problem.is_some()), &[]);
        })
        .build();
}

fn last_good(meter: &Meter, live: &Arc<Live>) {
    let live = Arc::clone(live);
    meter
        .f64_observable_gauge("humbaba_last_good_age_seconds")
        .with_description("Time since the revision that decides came into force, by store")
        .with_unit("s")
        .with_callback(move |observer| {
            for store in &live.status().stores {
                if let Some(age) = store.loaded_at.and_then(age) {
                    observer.observe(age, &[label(&store.name)]);
                }
            }
        })
        .build();
}

/// Counts something of a store.
type StoreCount = fn(&StoreStatus) -> u64;

fn each_store(meter: &Meter, live: &Arc<Live>) {
    let counts: [(_, _, StoreCount); 2] = [
        (
            "humbaba_store_refused",
            "1 where the files of a store as they are now were refused, else 0",
            |store| u64::from(!store.problems.is_empty()),
        ),
        (
            "humbaba_store_warnings",
            "Warnings of the revision of each store that decides",
            |store| store.warnings.len() as u64,
        ),
    ];
    for (name, description, count) in counts {
        let live = Arc::clone(live);
        meter
            .u64_observable_gauge(name)
            .with_description(description)
            .with_callback(move |observer| {
                for store in &live.status().stores {
                    observer.observe(count(store), &[label(&store.name)]);
                }
            })
            .build();
    }
}

fn revisions(meter: &Meter, live: &Arc<Live>) {
    let live = Arc::clone(live);
    meter
        .u64_observable_gauge("humbaba_store_info")
        .with_description("The revision of each store that decides; always 1")
        .with_callback(move |observer| {
            for store in live.stores().iter() {
                let revision = KeyValue::new("revision", store.revision().to_string());
                observer.observe(1, &[revision, label(store.name())]);
            }
        })
        .build();
}

/// Counts something of a directory; nothing before its first state.
type DirectoryCount = fn(&LiveDirectory) -> Option<u64>;

/// Adds the metrics of directories.
pub(super) fn directories(meter: &Meter, live: &Arc<Live>) {
    let gauge = |name, description| meter.u64_observable_gauge(name).with_description(description);
    let counts: [(_, _, DirectoryCount); 4] = [
        (
            "humbaba_directory_assignments",
            "Role assignments in each store's directory, those included that grant nothing",
            |live| Some(live.state.as_ref()?.directory.counts().assignments as u64),
        ),
        ("humbaba_directory_entities", "Entities in each store's directory", |live| {
            Some(live.state.as_ref()?.directory.counts().entities as u64)
        }),
        (
            "humbaba_directory_ignored_rows",
            "Rows of each store's directory that cannot be read or do not fit the schema, and grant nothing",
            |live| {
                let ignored = live.state.as_ref()?.directory.counts().ignored;
                Some((ignored + live.rows.left_out) as u64)
            },
        ),
        (
            "humbaba_directory_unavailable",
            "1 where a store decides nothing because its directory is not loaded or too old, else 0",
            |live| Some(u64::from(live.deciding().is_err())),
        ),
    ];
    for (name, description, count) in counts {
        let observed = Arc::clone(live);
        gauge(name, description)
            .with_callback(move |observer| {
                for (store, directory) in &observed.state().directories {
                    if let Some(count) = count(directory) {
                        observer.observe(count, &[label(store)]);
                    }
                }
            })
            .build();
    }
    let observed = Arc::clone(live);
    meter
        .f64_observable_gauge("humbaba_directory_age_seconds")
        .with_description("Time since the source of each store's directory last confirmed it")
        .with_unit("s")
        .with_callback(move |observer| {
            for (store, directory) in &observed.state().directories {
                observer.observe(directory.age().as_secs_f64(), &[label(store)]);
            }
        })
        .build();
}

fn age(since: SystemTime) -> Option<f64> {
    Some(SystemTime::now().duration_since(since).ok()?.as_secs_f64())
}

fn label(store: &StoreName) -> KeyValue {
    KeyValue::new("store", store.as_str().to_owned())
}
