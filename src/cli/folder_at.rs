//! A folder of stores, as it lies on disk or as it is in a commit.

use std::{collections::BTreeMap, path::Path, process::Command, sync::Arc, time::Duration};

use super::{CliError, source};
use crate::{
    program::{self, ProgramError, ProgramLimits},
    reload::Source,
    store::{Bounds, StoreFiles},
};

/// Time that git may take. It reads files, but for a clone that has left some of them to its server.
const GIT_TIME: Duration = Duration::from_secs(60);
/// Bytes of git's list of a folder: some hundred thousand files.
const LIST_BYTES: u64 = 64 * 1024 * 1024;

/// Reads the stores of a folder, or of `git:REV[:PATH]`: a folder in a commit of the repository in which
/// the command runs. Without `PATH` that is `usual`.
pub(super) fn stores(
    written: &str,
    usual: &Path,
    bounds: &Bounds,
) -> Result<Vec<StoreFiles>, CliError> {
    let Some(commit) = written.strip_prefix("git:") else {
        let mut read = source::read(&Source::Folder(written.into()), bounds)?;
        return match read.errors.pop() {
            Some(error) => Err(error.into()),
            None => Ok(read.stores),
        };
    };
    let usual = usual.to_string_lossy();
    let (revision, path) = commit.split_once(':').unwrap_or((commit, &usual));
    of_commit(revision, path.trim_end_matches('/'), bounds)
}

fn of_commit(revision: &str, path: &str, bounds: &Bounds) -> Result<Vec<StoreFiles>, CliError> {
    // A path that begins with `./` is one from the working folder, as users write it.
    let below = if path.starts_with('.') { path.to_owned() } else { format!("./{path}") };
    let tree = format!("{revision}:{below}");
    let list = ["ls-tree", "-r", "-z", "--full-tree", "--end-of-options", &tree];
    let listed = git(&list, Vec::new(), LIST_BYTES)?;
    let mut files = Vec::new();
    for entry in listed.split(|byte| *byte == 0).filter(|entry| !entry.is_empty()) {
        // 100644 blob 4b825dc642cb6eb9a060e54bf8d69288fbee4904<tab>path
        let entry = String::from_utf8_lossy(entry);
        let Some((object, path)) = entry.split_once('\t') else { continue };
        let mut object = object.split(' ');
        let (mode, kind, id) = (object.next(), object.next(), object.next());
        let is_file = kind == Some("blob") && mode != Some("120000");
        let is_hidden = path.split('/').any(|name| name.starts_with('.'));
        if let Some(id) = id.filter(|_| is_file && !is_hidden) {
            files.push((path.to_owned(), id.to_owned()));
        }
    }
    let ids: String = files.iter().map(|(_, id)| format!("{id}\n")).collect();
    // As many bytes as a folder on disk may have, with a line about each file.
    let most = (bounds.folder_bytes as u64).saturating_add(LIST_BYTES);
    let contents = git(&["cat-file", "--batch"], ids.into_bytes(), most)?;
    let contents = contents_of(&contents, files.len())
        .ok_or_else(|| CliError::Failure("`git cat-file` answered in an unknown form".into()))?;
    let files = files.into_iter().map(|(path, _)| path).zip(contents);
    let folder = Path::new(path).file_name().map(|name| name.to_string_lossy().into_owned());
    let stores = grouped(files, folder.as_deref().unwrap_or_default())?;
    if stores.is_empty() {
        return Err(CliError::Usage(format!("`{tree}` holds no policy store")));
    }
    Ok(stores)
}

/// The path of a file and its bytes.
type File = (String, Arc<[u8]>);

/// Groups files into stores as a folder on disk is read: one store where a schema lies in the folder
/// itself, else one for each folder in it with a schema.
fn grouped(files: impl Iterator<Item = File>, folder: &str) -> Result<Vec<StoreFiles>, CliError> {
    let files: Vec<_> = files.collect();
    let is_schema = |path: &str| {
        !path.contains('/')
            && (path.ends_with(".cedarschema") || path.ends_with(".cedarschema.json"))
    };
    let mut stores: BTreeMap<String, Vec<File>> = BTreeMap::new();
    if files.iter().any(|(path, _)| is_schema(path)) {
        stores.insert(folder.to_owned(), files);
    } else {
        for (path, bytes) in files {
            if let Some((store, path)) = path.split_once('/') {
                stores.entry(store.to_owned()).or_default().push((path.to_owned(), bytes));
            }
        }
        stores.retain(|_, files| files.iter().any(|(path, _)| is_schema(path)));
    }
    let stores = stores.into_iter().map(|(name, files)| {
        let name = name.parse().map_err(|error| CliError::Usage(format!("`{name}`: {error}")))?;
        Ok(StoreFiles::new(name, files))
    });
    stores.collect()
}

/// The contents in the form of `git cat-file --batch`: a line `<id> blob <size>` before each, and a
/// line's end after it.
fn contents_of(mut output: &[u8], count: usize) -> Option<Vec<Arc<[u8]>>> {
    let mut contents = Vec::with_capacity(count);
    for _ in 0..count {
        let end = output.iter().position(|byte| *byte == b'\n')?;
        let head = std::str::from_utf8(output.get(..end)?).ok()?;
        let size: usize = head.rsplit(' ').next()?.parse().ok()?;
        let begin = end + 1;
        contents.push(Arc::from(output.get(begin..begin + size)?));
        output = output.get(begin + size + 1..)?;
    }
    Some(contents)
}

fn git(arguments: &[&str], input: Vec<u8>, output_bytes: u64) -> Result<Vec<u8>, CliError> {
    let limits = ProgramLimits { time: GIT_TIME, output_bytes };
    let ended = program::run(Command::new("git").args(arguments), input, limits);
    let ended = ended.map_err(|error| match error {
        ProgramError::NotStarted(error) => {
            CliError::Usage(format!("`git:…` needs git, and it cannot be started: {error}"))
        }
        error => CliError::Failure(format!("`git {}`: {error}", arguments.join(" "))),
    })?;
    if !ended.status.success() {
        return Err(CliError::Usage(format!("git: {}", ended.errors.trim())));
    }
    Ok(ended.output)
}
