//! The files of a policy store, each after a line `=== path`: loaded, or refused with problems that
//! can be shown.

#![no_main]

use std::sync::Arc;

use humbaba::store::{Bounds, PolicyStore, StoreFiles};
use libfuzzer_sys::fuzz_target;

#[path = "../garden.rs"]
mod garden;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let files = StoreFiles::new("fuzz".parse().unwrap(), garden::files(text));
    if let Err(problems) = PolicyStore::load(Arc::new(files), &Bounds::default()) {
        assert!(!problems.is_empty());
        problems.iter().for_each(|problem| drop(problem.render()));
    }
});
