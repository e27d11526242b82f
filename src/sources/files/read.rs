//! Reads the files of a directory.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    super::{FileBounds, SourceOptions},
    known::NewRows,
    problems::{of_not_a_file, of_row},
};
use crate::{
    directory::{
        Directory,
        rows::{FileRows, MergedRows, RowFileKind, RowHasher, RowReader, merge},
    },
    reload::{FollowFolder, ReadError, SeenFile, SeenFiles},
    request::RequestLimits,
    store::PolicyStore,
};

/// Time that a file must be at rest before a last line without its end counts: it may be half of
/// what it is going to be, and name another scope.
pub(super) const AT_REST: Duration = Duration::from_millis(250);

/// Entries that a folder may have.
const MOST_FILES: usize = 10_000;

/// Time that reading a folder once waits for its writers, and how often it looks meanwhile.
const PATIENCE: Duration = Duration::from_secs(2);
const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(10);

/// The files of a folder cannot be read together.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadFolderError {
    /// A file cannot be read, for this reason.
    #[error("{0}")]
    Problem(String),
    /// A file changed meanwhile.
    #[error("the folder keeps changing while it is read")]
    Moved,
}

/// A file as it was read.
#[derive(Debug)]
pub(super) struct ReadFile {
    pub rows: FileRows,
    /// False where its last line did not count yet.
    pub is_whole: bool,
}

pub(super) fn follow_folder(folder: &Path, options: &SourceOptions) -> FollowFolder {
    FollowFolder {
        path: folder.to_owned(),
        wanted: |name| RowFileKind::of(name).is_some(),
        most: MOST_FILES,
        // A folder at rest must be confirmed before the directory becomes too old.
        interval: options.rehash_interval.min(options.max_age / 4),
        use_events: options.use_events,
    }
}

/// Refuses a folder in which something is named as a file of entities and is no file. Mounting a
/// file that is missing makes a folder of its name, and nobody knows what its entities would restrict. One
/// that is named as a file of assignments only grants nothing.
pub(super) fn refuse_not_files(seen: &SeenFiles) -> Result<(), ReadFolderError> {
    let is_of_entities = |name: &&String| RowFileKind::of(name) == Some(RowFileKind::Entities);
    match seen.not_files.iter().find(is_of_entities) {
        Some(name) => Err(ReadFolderError::Problem(format!(
            "`{name}` is not a regular file, so that nobody knows what its entities restrict: put the \
             file there, or remove it"
        ))),
        None => Ok(()),
    }
}

/// Reads the files of those names.
pub(super) fn read_files<'a>(
    seen: &SeenFiles,
    names: impl IntoIterator<Item = &'a str>,
    reader: &mut RowReader<'_>,
    bounds: &FileBounds,
) -> Result<BTreeMap<String, ReadFile>, ReadFolderError> {
    let mut files = BTreeMap::new();
    for name in names {
        let (Some(file), Some(kind)) = (seen.files.get(name), RowFileKind::of(name)) else {
            continue;
        };
        files.insert(name.to_owned(), read_file(name, file, kind, reader, bounds)?);
    }
    Ok(files)
}

fn read_file(
    name: &str,
    file: &SeenFile,
    kind: RowFileKind,
    reader: &mut RowReader<'_>,
    bounds: &FileBounds,
) -> Result<ReadFile, ReadFolderError> {
    let bytes = file.read(bounds.file_bytes as u64).map_err(|error| match error {
        ReadError::Moved => ReadFolderError::Moved,
        ReadError::TooLarge { .. } => ReadFolderError::Problem(format!(
            "`{name}` {error} (`bounds.directory_file_bytes`): split the file, or raise the bound"
        )),
        ReadError::Io(_) => ReadFolderError::Problem(format!("`{name}` {error}")),
    })?;
    let whole = whole_lines(kind, &bytes, file.changed_within(AT_REST));
    let is_whole = whole.len() == bytes.len();
    let rows = reader.read(kind, whole);
    let rows = rows.map_err(|error| ReadFolderError::Problem(format!("`{name}`: {error}")))?;
    Ok(ReadFile { rows, is_whole })
}

/// Returns what may be read of a file. The last line of a CSV file without its end is left out as long
/// as somebody may be writing it; half of a JSON object is none, so that it needs no such care.
fn whole_lines(kind: RowFileKind, bytes: &[u8], is_recent: bool) -> &[u8] {
    if kind != RowFileKind::Csv || !is_recent {
        return bytes;
    }
    let end = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
    bytes.get(..end).unwrap_or_default()
}

/// The rows of a folder, or of another source, that was read once.
#[derive(Debug)]
pub struct FolderRows {
    /// The rows that fit the store, as a directory.
    pub directory: Directory,
    /// Every row that could not be read or does not fit, with file and line where it has any; the first
    /// hundred of each file.
    pub problems: Vec<String>,
    /// The number of rows with a problem.
    pub problem_count: usize,
}

/// Reads a folder of rows once, for a store.
///
/// # Errors
/// The folder or a file in it cannot be read as a whole.
pub fn read_folder(
    folder: &Path,
    store: &PolicyStore,
    limits: &RequestLimits,
    bounds: &FileBounds,
) -> Result<FolderRows, String> {
    let follow = FollowFolder {
        path: folder.to_owned(),
        wanted: |name| RowFileKind::of(name).is_some(),
        most: MOST_FILES,
        interval: Duration::MAX,
        use_events: false,
    };
    let begun = Instant::now();
    let (seen, files) = loop {
        let read = read_once(&follow, store, limits, bounds);
        let is_settled = match &read {
            Ok((_, files)) => files.values().all(|file| file.is_whole),
            Err(ReadFolderError::Moved) => false,
            Err(ReadFolderError::Problem(_)) => true,
        };
        if is_settled || begun.elapsed() > PATIENCE {
            break read.map_err(|error| format!("`{}`: {error}", folder.display()))?;
        }
        std::thread::sleep(BETWEEN_ATTEMPTS);
    };
    if files.is_empty() {
        return Err(format!(
            "`{}` holds no `*.assignments.csv`, `*.assignments.jsonl` or `*.cedarentities.json`",
            folder.display()
        ));
    }
    let files = files.into_iter().map(|(name, file)| (Arc::from(name), file.rows)).collect();
    let mut rows = of_merged(merge(files, &RowHasher::default()), store, limits);
    rows.problem_count += seen.not_files.len();
    rows.problems.extend(seen.not_files.iter().map(|name| of_not_a_file(name)));
    Ok(rows)
}

fn read_once(
    follow: &FollowFolder,
    store: &PolicyStore,
    limits: &RequestLimits,
    bounds: &FileBounds,
) -> Result<(SeenFiles, BTreeMap<String, ReadFile>), ReadFolderError> {
    let seen = follow.list().map_err(|error| ReadFolderError::Problem(error.to_string()))?;
    refuse_not_files(&seen)?;
    let mut reader = RowReader::new(store.schema(), limits.text_bytes, bounds.rows);
    let files = read_files(&seen, seen.files.keys().map(String::as_str), &mut reader, bounds)?;
    match follow.list() {
        Ok(now) if now == seen => Ok((seen, files)),
        _ => Err(ReadFolderError::Moved),
    }
}

fn of_merged(merged: MergedRows, store: &PolicyStore, limits: &RequestLimits) -> FolderRows {
    let (schema, stored) = (Arc::clone(store.schema_arc()), Arc::clone(store.stored_arc()));
    let empty = Directory::new(schema, stored, limits.clone());
    let (mut files, hasher, mut rows) = (merged.files, RowHasher::default(), NewRows::default());
    let (directory, faults) = empty.apply(rows.changes(&mut files, &hasher, |_, _| false));
    rows.report(&faults, 0, &mut files);
    let problem_count = files.iter().map(|file| file.problems.count).sum();
    let problems = files
        .iter()
        .flat_map(|file| file.problems.first.iter().map(|problem| of_row(&file.name, problem)));
    FolderRows { directory, problems: problems.collect(), problem_count }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_line_does_not_count_while_it_may_be_written() {
        let half = b"scope_id\n42\n4";
        assert_eq!(whole_lines(RowFileKind::Csv, half, true), b"scope_id\n42\n");
        assert_eq!(whole_lines(RowFileKind::Csv, half, false), half);
        assert_eq!(whole_lines(RowFileKind::Csv, b"scope_id\n42\n", true), b"scope_id\n42\n");
        assert_eq!(whole_lines(RowFileKind::Csv, b"scope", true), b"");
        assert_eq!(whole_lines(RowFileKind::JsonLines, half, true), half);
    }
}
