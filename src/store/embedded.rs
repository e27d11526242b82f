//! The stores that the binary carries.

use include_dir::{Dir, include_dir};

use super::StoreFiles;

static POLICIES: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/policies");

/// The policy stores that are shipped with Humbaba, in the order of their names.
#[must_use]
pub fn embedded_stores() -> Vec<StoreFiles> {
    let stores = POLICIES.dirs().filter_map(|folder| {
        let name = folder.path().to_str()?.parse().ok()?;
        let mut files = Vec::new();
        collect(folder, folder, &mut files);
        Some(StoreFiles::shipped(name, files))
    });
    let mut stores: Vec<_> = stores.collect();
    stores.sort_by(|a, b| a.name().cmp(b.name()));
    stores
}

fn collect(root: &Dir<'static>, folder: &Dir<'static>, files: &mut Vec<(String, &'static [u8])>) {
    for file in folder.files() {
        let relative = file.path().strip_prefix(root.path()).ok().and_then(|path| path.to_str());
        if let Some(path) = relative {
            files.push((path.to_owned(), file.contents()));
        }
    }
    for folder in folder.dirs() {
        collect(root, folder, files);
    }
}
