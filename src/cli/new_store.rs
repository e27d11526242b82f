//! Writing a new policy store into a folder.

use std::{
    fs, io,
    path::{Path, absolute},
};

use super::CliError;
use crate::{model::StoreName, store::StoreFiles};

/// Returns the name of a store that is to be written into that folder.
///
/// # Errors
/// The folder cannot be a store by its name, or there is something in it.
pub(super) fn name(folder: &Path) -> Result<StoreName, CliError> {
    let cannot = |error| CliError::Io { doing: cannot_use(folder), error };
    let full = absolute(folder).map_err(cannot)?;
    let name = full.file_name().unwrap_or_default().to_string_lossy();
    let name = name.parse().map_err(|error| CliError::Usage(format!("{error}")))?;
    match fs::read_dir(&full).map(|mut entries| entries.next().is_some()) {
        Ok(false) => Ok(name),
        Ok(true) => {
            let message = format!("{}: it is not empty", cannot_use(folder));
            Err(CliError::Usage(message))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(name),
        Err(error) => Err(cannot(error)),
    }
}

fn cannot_use(folder: &Path) -> String {
    format!("cannot make a policy store of `{}`", folder.display())
}

/// Writes a store's files into the folder, and returns words on what to do next.
pub(super) fn write(folder: &Path, files: &StoreFiles) -> Result<String, CliError> {
    let mut count = 0;
    for (path, bytes) in files.iter() {
        let path = folder.join(path);
        let written = path.parent().map_or(Ok(()), fs::create_dir_all);
        written
            .and_then(|()| fs::write(&path, bytes))
            .map_err(CliError::io(format!("cannot write `{}`", path.display())))?;
        count += 1;
    }
    let folder = folder.display();
    Ok(format!(
        "wrote {count} files to {folder}\n\n\
         Next:\n  \
         humbaba validate {folder}\n  \
         humbaba test {folder} --mutants\n  \
         humbaba serve --policies {folder}\n"
    ))
}
