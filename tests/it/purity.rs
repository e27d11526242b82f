//! Dependencies point one way: the core reaches neither the network, the clock's runtime nor the
//! file system.

use std::{fs, path::Path};

const CORE: &[&str] = &[
    "diagnostics.rs",
    "engine",
    "hash.rs",
    "name.rs",
    "request",
    "roles",
    "shard.rs",
    "store",
    "testing",
    "time.rs",
];

const OUTSIDE: &[&str] = &[
    "tokio",
    "tonic",
    "axum",
    "hyper",
    "tower",
    "notify",
    "opentelemetry",
    "tracing",
    "clap",
    "std::fs",
    "std::net",
    "std::env",
    "std::process",
    "std::thread",
    "SystemTime",
    "Instant",
    "crate::server",
    "crate::reload",
    "crate::cli",
    "crate::settings",
    "crate::reload",
    "crate::proto",
];

#[test]
fn the_core_does_not_reach_outwards() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut read = 0;
    for part in CORE {
        for (path, text) in rust_files(&src.join(part)) {
            read += 1;
            for (number, line) in text.lines().enumerate() {
                let code = line.split("//").next().unwrap();
                for word in OUTSIDE {
                    assert!(!code.contains(word), "{path}:{} mentions {word}: {line}", number + 1);
                }
            }
        }
    }
    assert!(read > 20, "the core was found");
}

fn rust_files(path: &Path) -> Vec<(String, String)> {
    if path.is_file() {
        return vec![(path.display().to_string(), fs::read_to_string(path).unwrap())];
    }
    let mut entries: Vec<_> =
        fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    entries.iter().flat_map(|entry| rust_files(entry)).collect()
}
