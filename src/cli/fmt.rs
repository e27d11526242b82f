//! `humbaba fmt`: formats policy files.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
    process,
};

use super::{CliError, Exit, output, setting_flags::SettingFlags, source};
use crate::{
    reload::{FolderStores, Source},
    store::format_policies,
};

/// Format the policy files of stores
///
/// Writes each policy of `*.cedar` files as Cedar's own formatter does. Comments stay, and so does
/// an empty line between them and a policy. Schemas and Cedar's JSON files are left alone. A file
/// is replaced at once, and keeps its permissions.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exits with 2 where `--check` finds a file that differs, and with 3 where a file cannot be formatted.

Example:
  humbaba fmt --check ./policies")]
pub(super) struct FmtArgs {
    /// Policies folders or folders of single stores [default: the stores that `serve` would load]
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Change nothing: list the files that are not formatted
    #[arg(long)]
    check: bool,
    #[command(flatten)]
    settings: SettingFlags,
}

pub(super) fn run(args: &FmtArgs) -> Result<Exit, CliError> {
    let settings = args.settings.settle(Vec::new())?.settings;
    let mut exit = Exit::Ok;
    for source in source::sources(&args.paths, &settings) {
        if source == Source::Embedded {
            let message = "there are no policy files to format: name a folder";
            return Err(CliError::Usage(message.to_owned()));
        }
        let FolderStores { place, stores, errors, .. } = source::read(&source, &settings.bounds)?;
        let mut problems: Vec<_> = errors.iter().map(|error| format!("error: {error}\n")).collect();
        for store in stores {
            let formatted = format_policies(&store, &settings.bounds);
            problems.extend(formatted.problems.iter().map(|problem| problem.render()));
            for file in formatted.files.iter().filter(|file| file.differs) {
                let path = place.path_of(&store.path(&file.path));
                if args.check {
                    output::print(&format!("{}\n", path.display()))?;
                    exit = exit.max(Exit::Refused);
                } else {
                    let old = store.get(&file.path).unwrap_or_default();
                    replace(&path, old, &file.text)
                        .map_err(CliError::io(format!("cannot write `{}`", path.display())))?;
                    output::print(&format!("formatted {}\n", path.display()))?;
                }
            }
        }
        if !problems.is_empty() {
            output::print(&problems.concat())?;
            exit = Exit::InvalidPolicies;
        }
    }
    Ok(exit)
}

/// Replaces the content of a file at once: who reads it meanwhile sees the old or the new one. A file that
/// is not as it was read stays as somebody has left it since.
fn replace(path: &Path, old: &[u8], text: &str) -> io::Result<()> {
    // A link stays a link.
    let path = fs::canonicalize(path)?;
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::IsADirectory.into());
    };
    // Hidden files are no part of a store.
    let new = folder.join(format!(".{}.{}.new", name.to_string_lossy(), process::id()));
    let mut file = OpenOptions::new().write(true).create_new(true).open(&new)?;
    let written = fill(&mut file, &path, text).and_then(|()| {
        if fs::read(&path)? != old {
            return Err(io::Error::other("it was changed meanwhile; run `humbaba fmt` again"));
        }
        fs::rename(&new, &path)
    });
    if written.is_err() {
        let _ = fs::remove_file(&new);
    }
    written
}

fn fill(file: &mut File, old: &Path, text: &str) -> io::Result<()> {
    file.set_permissions(fs::metadata(old)?.permissions())?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use tempfile::TempDir;

    use super::*;

    #[test]
    fn a_file_that_was_changed_since_it_was_read_stays_as_it_is() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("a.cedar");
        fs::write(&path, "edited").unwrap();
        let error = replace(&path, b"read", "formatted").unwrap_err();
        assert!(error.to_string().contains("changed meanwhile"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "edited");
        replace(&path, b"edited", "formatted").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "formatted");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
    }
}
