//! `humbaba init`: a new policy store.

use std::path::PathBuf;

use include_dir::{Dir, include_dir};

use super::{CliError, Exit, new_store, output};
use crate::{
    model::StoreName,
    store::{StoreFiles, embedded_stores},
};

static BLANK: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/src/cli/blank_store");

/// Begin a policy store of your own
///
/// Copies a store that is shipped with Humbaba, with its tests, matrix and examples, or writes a
/// small one. The folder is the new store's, and its name is the store's name.
#[derive(Debug, clap::Args)]
#[command(
    allow_missing_positional = true,
    after_help = "\
Examples:
  humbaba init hitkeep ./policies/hitkeep
  humbaba init --blank ./policies/documents"
)]
pub(super) struct InitArgs {
    /// The shipped store: clicky, hitkeep, hitkeep-v1, kissmetrics or piwik-pro
    #[arg(value_name = "STORE", required_unless_present = "blank", conflicts_with = "blank")]
    store: Option<StoreName>,
    /// The folder to write to; it must be empty, or not there yet
    #[arg(value_name = "DIR", required = true)]
    folder: PathBuf,
    /// Write a small store with a schema, a policy, its matrix and a test
    #[arg(long)]
    blank: bool,
}

pub(super) fn run(args: &InitArgs) -> Result<Exit, CliError> {
    let name = new_store::name(&args.folder)?;
    let files = match &args.store {
        Some(store) => shipped(store)?,
        None => blank(name),
    };
    output::print(&new_store::write(&args.folder, &files)?)?;
    Ok(Exit::Ok)
}

fn shipped(name: &StoreName) -> Result<StoreFiles, CliError> {
    let stores = embedded_stores();
    let names: Vec<_> = stores.iter().map(|files| files.name().to_string()).collect();
    stores.into_iter().find(|files| files.name() == name).ok_or_else(|| {
        let there_are = names.join(", ");
        CliError::Usage(format!("no shipped store is called `{name}`: there are {there_are}"))
    })
}

fn blank(name: StoreName) -> StoreFiles {
    let folders = std::iter::once(&BLANK).chain(BLANK.dirs());
    let files = folders.flat_map(Dir::files).filter_map(|file| {
        let path = file.path().to_str()?.to_owned();
        Some((path, file.contents().into()))
    });
    StoreFiles::new(name, files)
}
