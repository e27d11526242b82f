//! The stores that a command of the policy author works on.

use std::{path::PathBuf, sync::Arc};

use super::{CliError, source};
use crate::{
    model::{Problem, StoreName},
    settings::Settings,
    store::{Bounds, PolicyStore, StoreFiles},
};

/// Reads the stores of the paths, of the wanted names; without paths those that `serve` would load.
pub(super) fn of_paths(
    paths: &[PathBuf],
    wanted: &[StoreName],
    settings: &Settings,
) -> Result<Vec<StoreFiles>, CliError> {
    let mut stores = Vec::new();
    for source in source::sources(paths, settings) {
        let mut read = source::read(&source, &settings.bounds)?;
        if let Some(error) = read.errors.pop() {
            return Err(error.into());
        }
        stores.append(&mut read.stores);
    }
    of_names(stores, wanted)
}

/// Returns the stores of the wanted names, all where none is wanted.
fn of_names(
    mut stores: Vec<StoreFiles>,
    wanted: &[StoreName],
) -> Result<Vec<StoreFiles>, CliError> {
    let is_there = |name: &&StoreName| stores.iter().any(|store| store.name() == *name);
    if let Some(unknown) = wanted.iter().find(|name| !is_there(name)) {
        let names: Vec<_> = stores.iter().map(|store| store.name().as_str()).collect();
        let there_are = names.join(", ");
        return Err(CliError::Usage(format!("no policy store `{unknown}`: there are {there_are}")));
    }
    stores.retain(|store| wanted.is_empty() || wanted.contains(store.name()));
    Ok(stores)
}

/// Loads a store.
pub(super) fn load(files: Arc<StoreFiles>, bounds: &Bounds) -> Result<PolicyStore, CliError> {
    let name = files.name().clone();
    PolicyStore::load(files, bounds).map_err(|problems| {
        let problems: Vec<_> = problems.iter().map(Problem::render).collect();
        CliError::Policies(format!("the store `{name}` is invalid\n{}", problems.join("\n")))
    })
}
