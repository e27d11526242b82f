//! The stores that the binary carries.

use std::sync::Arc;

use include_dir::{Dir, include_dir};

use super::StoreFiles;

static POLICIES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/policies");

/// The policy stores that are shipped with Humbaba, in the order of their names.
#[must_use]
pub fn embedded_stores() -> Vec<StoreFiles> {
    let stores = POLICIES.dirs().filter_map(|folder| {
        let name = folder.path().to_str()?.parse().ok()?;
        let mut files = Vec::new();
        collect(folder, folder, &mut files);
        Some(StoreFiles::new(name, files))
    });
    let mut stores: Vec<_> = stores.collect();
    stores.sort_by(|a, b| a.name().cmp(b.name()));
    stores
}

fn collect(root: &Dir<'_>, folder: &Dir<'_>, files: &mut Vec<(String, Arc<[u8]>)>) {
    for file in folder.files() {
        let relative = file.path().strip_prefix(root.path()).ok().and_then(|path| path.to_str());
        if let Some(path) = relative {
            files.push((path.to_owned(), Arc::from(file.contents())));
        }
    }
    for folder in folder.dirs() {
        collect(root, folder, files);
    }
}
