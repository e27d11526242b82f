//! The files of a policy store in every form, each after a line `=== path`: loaded with warnings, or
//! refused with problems, that can be shown.

#![no_main]

use std::sync::Arc;

use humbaba::store::{Bounds, PolicyStore, StoreFiles};
use libfuzzer_sys::fuzz_target;

#[path = "../garden.rs"]
mod garden;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let files = StoreFiles::new("fuzz".parse().unwrap(), garden::files(text));
    match PolicyStore::load(Arc::new(files), &Bounds::default()) {
        Ok(store) => store.warnings().iter().for_each(|warning| drop(warning.render())),
        Err(problems) => {
            assert!(!problems.is_empty());
            problems.iter().for_each(|problem| drop(problem.render()));
        }
    }
});
