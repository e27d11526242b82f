//! A folder of stores, as it lies on disk or as it is in a commit.

use std::{
    collections::BTreeMap,
    io::{Read as _, Write as _},
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
};

use super::{CliError, source};
use crate::{
    reload::Source,
    store::{Bounds, StoreFiles},
};

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
    of_commit(revision, path.trim_end_matches('/'))
}

fn of_commit(revision: &str, path: &str) -> Result<Vec<StoreFiles>, CliError> {
    // A path that begins with `./` is one from the working folder, as users write it.
    let below = if path.starts_with('.') { path.to_owned() } else { format!("./{path}") };
    let tree = format!("{revision}:{below}");
    let listed =
        git(&["ls-tree", "-r", "-z", "--full-tree", "--end-of-options", &tree], Vec::new())?;
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
    let contents = git(&["cat-file", "--batch"], ids.into_bytes())?;
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

fn git(arguments: &[&str], input: Vec<u8>) -> Result<Vec<u8>, CliError> {
    let cannot = |error: std::io::Error| {
        CliError::Usage(format!("`git:…` needs git, and it cannot be started: {error}"))
    };
    let mut child = Command::new("git")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(cannot)?;
    let stdin = child.stdin.take();
    // Git answers while it reads: both at once, or neither goes on.
    let writer = std::thread::spawn(move || stdin.map(|mut stdin| stdin.write_all(&input)));
    let (mut output, mut errors) = (Vec::new(), String::new());
    let read = |from: Option<std::process::ChildStdout>, into: &mut Vec<u8>| {
        from.map_or(Ok(0), |mut from| from.read_to_end(into))
    };
    read(child.stdout.take(), &mut output).map_err(CliError::io("cannot read from git"))?;
    if let Some(mut stderr) = child.stderr.take() {
        let _ = stderr.read_to_string(&mut errors);
    }
    let _ = writer.join();
    let status = child.wait().map_err(CliError::io("cannot wait for git"))?;
    if !status.success() {
        return Err(CliError::Usage(format!("git: {}", errors.trim())));
    }
    Ok(output)
}
