//! Stores for tests.

use std::sync::Arc;

use crate::store::{Bounds, PolicyStore, embedded_stores};

/// All shipped stores.
pub(crate) fn all_shipped() -> impl Iterator<Item = PolicyStore> {
    let files = embedded_stores().into_iter();
    files.map(|files| PolicyStore::load(Arc::new(files), &Bounds::default()).unwrap())
}

/// A shipped store.
pub(super) fn shipped(name: &str) -> PolicyStore {
    all_shipped().find(|store| store.name().as_str() == name).unwrap()
}

/// A store with one file more or other.
pub(super) fn changed(store: &PolicyStore, file: &str, text: &str) -> PolicyStore {
    let files = store.files().clone().with_file(file, text.as_bytes());
    PolicyStore::load(Arc::new(files), &Bounds::default()).unwrap()
}
