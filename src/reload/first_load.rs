//! The first load, without which there is nothing to decide with.

use std::collections::BTreeMap;

use super::{
    FolderError, Live, Options, Source, folder, known_store::StoreState, loader::Loader,
    snapshot::Read,
};
use crate::store::embedded_stores;

/// There is nothing to decide with.
#[derive(Debug, thiserror::Error)]
pub enum FirstLoadError {
    /// The folder could not be read or holds no store.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// No store is valid; the problems are in the status.
    #[error("no policy store is valid")]
    NoValidStore,
}

/// Loads once and publishes the result.
///
/// # Errors
/// There is nothing to decide with.
pub fn load(source: &Source, options: &Options, live: &Live) -> Result<(), FirstLoadError> {
    let _in_span = options.span.enter();
    let mut loader = Loader::resume(source.to_string(), options.clone(), live);
    match source {
        Source::Embedded => {
            let stores = embedded_stores().into_iter();
            let found =
                stores.map(|files| (files.name().clone(), StoreState::Files(files))).collect();
            loader.apply(found, None, live);
        }
        Source::Folder(path) => load_folder(path, options, &mut loader, live)?,
    }
    if live.stores().is_empty() { Err(FirstLoadError::NoValidStore) } else { Ok(()) }
}

fn load_folder(
    path: &std::path::Path,
    options: &Options,
    loader: &mut Loader,
    live: &Live,
) -> Result<(), FolderError> {
    let snapshot = folder::take_settled(path, &options.bounds, |_| ());
    let refuse = |error: FolderError, loader: &mut Loader| {
        loader.keep(error.to_string(), live);
        Err(error)
    };
    let content = match snapshot.folder {
        Ok(content) if !snapshot.moved => content,
        Ok(_) => return refuse(FolderError::Unsettled(path.to_owned()), loader),
        Err(error) => return refuse(error, loader),
    };
    let problem = content.problem(path);
    if !content.holds_store() {
        return match content.errors(path).into_iter().next() {
            Some(error) => refuse(error, loader),
            None => Ok(()),
        };
    }
    let mut found = BTreeMap::new();
    for (name, store) in content.stores {
        let store = match store.read {
            Read::Files(files) if files.is_empty() => continue,
            Read::Files(files) => StoreState::Files(files),
            Read::Flawed(flaws) => StoreState::Flawed(flaws),
            Read::Moved => StoreState::NeverSettles,
        };
        found.insert(name, store);
    }
    loader.unread(content.unread);
    loader.apply(found, problem, live);
    Ok(())
}
