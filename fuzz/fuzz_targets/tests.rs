//! The test files of a policy store, each after a line `=== path`: run, or refused with problems
//! that can be shown.

#![no_main]

use humbaba::testing;
use libfuzzer_sys::fuzz_target;

#[path = "../garden.rs"]
mod garden;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let files: Vec<_> = garden::files(text).collect();
    let tests: Vec<_> =
        files.iter().filter(|(path, _)| !garden::is_of_the_store(path)).cloned().collect();
    let Some(store) = garden::store(&tests) else { return };
    match testing::run(&store) {
        Ok(report) => drop(report),
        Err(problems) => problems.iter().for_each(|problem| drop(problem.render())),
    }
});
