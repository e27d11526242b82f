//! Writing a new policy store into a folder.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf, absolute},
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

/// Writes a store's files into the folder, and returns words on what to do next. Where one of them cannot be
/// written none stays: half of a store could allow what the whole forbids.
pub(super) fn write(folder: &Path, files: &StoreFiles) -> Result<String, CliError> {
    let was_there = folder.is_dir();
    let mut written = Vec::new();
    for (path, bytes) in files.iter() {
        let path = folder.join(path);
        if let Err(error) = write_new(&path, bytes, &mut written) {
            remove(folder, &written, was_there);
            return Err(CliError::io(format!("cannot write `{}`", path.display()))(error));
        }
    }
    let (count, folder) = (written.len(), folder.display());
    Ok(format!(
        "wrote {count} files to {folder}\n\n\
         Next:\n  \
         humbaba validate {folder}\n  \
         humbaba test {folder} --mutants\n  \
         humbaba serve --policies {folder}\n"
    ))
}

/// Writes a file that is not there yet, and adds its path to those that are to be removed if another one cannot
/// be written.
fn write_new(path: &Path, bytes: &[u8], written: &mut Vec<PathBuf>) -> io::Result<()> {
    path.parent().map_or(Ok(()), fs::create_dir_all)?;
    let mut file = File::create_new(path)?;
    written.push(path.to_owned());
    file.write_all(bytes)
}

/// Removes files of a folder, and the folders in it that are empty then; the folder itself too, unless it was
/// there before. What cannot be removed stays.
fn remove(folder: &Path, files: &[PathBuf], was_there: bool) {
    for path in files {
        let _ = fs::remove_file(path);
        for within in path.ancestors().skip(1).take_while(|within| *within != folder) {
            let _ = fs::remove_dir(within);
        }
    }
    if !was_there {
        let _ = fs::remove_dir(folder);
    }
}
