//! The policy stores that a command works on.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

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

/// Returns the folders that are named, else what [`source`] returns.
pub(super) fn sources(paths: &[PathBuf], settings: &Settings) -> Vec<Source> {
    if paths.is_empty() {
        return vec![source(settings)];
    }
    paths.iter().cloned().map(Source::Folder).collect()
}

/// Reads the files of all stores that can be read.
pub(super) fn read(source: &Source, bounds: &Bounds) -> Result<FolderStores, CliError> {
    match source {
        Source::Folder(folder) => Ok(reload::read_stores(folder, bounds)?),
        Source::Embedded => {
            Ok(FolderStores { stores: embedded_stores(), ..FolderStores::default() })
        }
    }
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
