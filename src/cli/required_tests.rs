//! The tests that a store must pass before it decides, where the settings require it.

use crate::{model::Problem, store::PolicyStore, testing};

/// What fails of a store's tests. A store without tests has nothing to fail.
pub(super) fn failures(store: &PolicyStore) -> Vec<Problem> {
    match testing::run(store) {
        Err(problems) => problems,
        Ok(report) => report
            .failures()
            .map(|(case, failure)| {
                let (file, line) = (store.files().path(&case.file), case.line);
                Problem::of_file(
                    file,
                    format!("the test `{}` in line {line} fails: {}", case.name, failure.reason),
                )
            })
            .collect(),
    }
}
