//! The policy stores that a command works on.

use std::{path::Path, sync::Arc};

use super::CliError;
use crate::{
    model::{Problem, StoreName},
    reload::{self, FolderStores, Source},
    settings::Settings,
    store::{Bounds, PolicyStore, StoreFiles, embedded_stores},
};

/// Returns the folder that the settings name, else `./policies` if it is there, else the stores that the
/// binary carries.
pub(super) fn source(settings: &Settings) -> Source {
    let usual = Path::new("policies");
    match &settings.policies {
        Some(folder) => Source::Folder(folder.clone()),
        None if usual.is_dir() => Source::Folder(usual.to_owned()),
        None => Source::Embedded,
    }
}

/// Reads the files of all stores that can be read.
pub(super) fn read(source: &Source, bounds: &Bounds) -> Result<FolderStores, CliError> {
    match source {
        Source::Folder(folder) => Ok(reload::read_stores(folder, bounds)?),
        Source::Embedded => {
            Ok(FolderStores { stores: embedded_stores(), errors: Vec::new(), unread: Vec::new() })
        }
    }
}

/// Reads the files of the stores of those names, or of all. A store that cannot be read is an error.
pub(super) fn chosen(
    sources: &[Source],
    wanted: &[StoreName],
    bounds: &Bounds,
) -> Result<Vec<StoreFiles>, CliError> {
    let mut stores = Vec::new();
    for source in sources {
        let mut read = read(source, bounds)?;
        if let Some(error) = read.errors.pop() {
            return Err(error.into());
        }
        stores.append(&mut read.stores);
    }
    if let Some(unknown) =
        wanted.iter().find(|name| !stores.iter().any(|store| store.name() == *name))
    {
        let names: Vec<_> = stores.iter().map(|store| store.name().as_str()).collect();
        let there_are = names.join(", ");
        return Err(CliError::Usage(format!("no policy store `{unknown}`: there are {there_are}")));
    }
    stores.retain(|store| wanted.is_empty() || wanted.contains(store.name()));
    Ok(stores)
}

/// Loads the store of a name, else the default, else the only one.
pub(super) fn load_one(settings: &Settings, name: Option<&str>) -> Result<PolicyStore, CliError> {
    let FolderStores { mut stores, errors, .. } = read(&source(settings), &settings.bounds)?;
    let names: Vec<_> = stores.iter().map(|files| files.name().as_str()).collect();
    let there_are = names.join(", ");
    let name = name.or(settings.default_store.as_ref().map(StoreName::as_str));
    if let Some(name) = name {
        stores.retain(|files| files.name().as_str() == name);
    }
    match (<[StoreFiles; 1]>::try_from(stores), name) {
        (Ok([files]), _) => {
            PolicyStore::load(Arc::new(files), &settings.bounds).map_err(|problems| {
                let problems: Vec<_> = problems.iter().map(Problem::render).collect();
                CliError::Policies(format!("the policy store is invalid\n{}", problems.join("\n")))
            })
        }
        // A folder that cannot be read may be the store that was meant.
        (Err(stores), _) if stores.is_empty() && !errors.is_empty() => {
            let errors: Vec<_> = errors.iter().map(ToString::to_string).collect();
            Err(CliError::Policies(errors.join("\n")))
        }
        (Err(stores), _) if stores.is_empty() && there_are.is_empty() => {
            Err(CliError::Usage("there is no policy store: name a folder with `--policies`".into()))
        }
        (Err(_), Some(name)) => Err(CliError::Usage(format!(
            "no policy store is called `{name}`: there are {there_are}"
        ))),
        (Err(_), None) => Err(CliError::Usage(format!(
            "name a policy store with `--store`, for there are several: {there_are}"
        ))),
    }
}
