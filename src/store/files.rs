//! The files of one policy store, in memory.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
};

use sha2::{Digest, Sha256};

use super::{
    Bounds, FileKind,
    bounds::more_than,
    file_place::{holds_policies, may_hold_policies, nearly_in},
    looks_like_policies,
    problems::Problems,
};
use crate::model::{Problem, Revision, StoreName, Text, decode, hex};

/// The files of one policy store, read as one consistent state. Paths are relative to the store's
/// folder and use `/`.
#[derive(Debug, Clone)]
pub struct StoreFiles {
    name: StoreName,
    files: BTreeMap<String, File>,
    /// The files and folders without a part in decisions that cannot be read, and why.
    unreadable: BTreeMap<String, String>,
}

/// One file.
#[derive(Debug, Clone)]
struct File {
    content: Content,
    /// The text for problems, kept once there is one.
    text: OnceLock<Text>,
}

impl From<Content> for File {
    fn from(content: Content) -> Self {
        Self { content, text: OnceLock::new() }
    }
}

/// The bytes of a file.
#[derive(Debug, Clone)]
enum Content {
    /// Read from somewhere.
    Read(Arc<[u8]>),
    /// Carried by the binary, and not copied.
    Shipped(&'static [u8]),
}

impl Content {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Read(bytes) => bytes,
            Self::Shipped(bytes) => bytes,
        }
    }
}

impl StoreFiles {
    /// A store of that name with those files.
    pub fn new(name: StoreName, files: impl IntoIterator<Item = (String, Arc<[u8]>)>) -> Self {
        let files = files.into_iter().map(|(path, bytes)| (path, Content::Read(bytes).into()));
        Self { name, files: files.collect(), unreadable: BTreeMap::new() }
    }

    /// A store that the binary carries.
    pub(super) fn shipped(
        name: StoreName,
        files: impl IntoIterator<Item = (String, &'static [u8])>,
    ) -> Self {
        let files = files.into_iter().map(|(path, bytes)| (path, Content::Shipped(bytes).into()));
        Self { name, files: files.collect(), unreadable: BTreeMap::new() }
    }

    /// The store's name.
    #[must_use]
    pub fn name(&self) -> &StoreName {
        &self.name
    }

    /// The files by path.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.files.iter().map(|(path, file)| (path.as_str(), file.content.bytes()))
    }

    /// Returns whether there is no file.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Returns the bytes of the files that decide, which tell how much work loading them is.
    #[must_use]
    pub fn size(&self) -> usize {
        self.deciding().map(|(_, bytes)| bytes.len()).sum()
    }

    /// Returns the files that have a part in decisions, by path.
    pub fn deciding(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.iter().filter(|(path, _)| FileKind::of(path).is_some_and(FileKind::decides))
    }

    /// The bytes of one file.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<&[u8]> {
        self.files.get(path).map(|file| file.content.bytes())
    }

    /// Adds a file, or replaces its content.
    #[must_use]
    pub fn with_file(mut self, path: impl Into<String>, bytes: impl Into<Arc<[u8]>>) -> Self {
        self.files.insert(path.into(), Content::Read(bytes.into()).into());
        self
    }

    /// Adds a file or folder without a part in decisions that cannot be read.
    #[must_use]
    pub fn with_unreadable(mut self, path: impl Into<String>, reason: impl Into<String>) -> Self {
        self.unreadable.insert(path.into(), reason.into());
        self
    }

    /// Reports what cannot be read and has no part in decisions, of those paths that are wanted.
    pub(crate) fn unreadable(
        &self,
        wanted: impl Fn(&str) -> bool,
    ) -> impl Iterator<Item = Problem> {
        let unreadable = self.unreadable.iter().filter(move |(path, _)| wanted(path));
        unreadable.map(|(path, reason)| {
            Problem::of_file(self.path(path), reason.as_str())
                .with_help("make it readable, or remove it")
        })
    }

    /// A digest of all files: equal digests mean that nothing changed.
    #[must_use]
    pub fn digest(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(self.name.as_str());
        for (path, bytes) in self.iter() {
            hash.update((path.len() as u64).to_le_bytes());
            hash.update(path);
            hash.update(Sha256::digest(bytes));
        }
        for (path, reason) in &self.unreadable {
            hash.update(Sha256::digest(path));
            hash.update(Sha256::digest(reason));
        }
        hex(&hash.finalize())
    }

    /// The revision: a digest of the files that decide, which tests and documents do not.
    pub(super) fn revision(&self) -> Revision {
        let mut hash = Sha256::new();
        hash.update(self.name.as_str());
        for (path, bytes) in self.deciding() {
            // Lengths keep two different lists of files from running together into one text.
            hash.update((path.len() as u64).to_le_bytes());
            hash.update(path);
            hash.update((bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        }
        let digest = hex(&hash.finalize());
        Revision::from_hex(digest.get(..32).unwrap_or(&digest))
    }

    /// Returns whether all files of a kind are the same in both.
    pub(crate) fn same(&self, kind: FileKind, other: &Self) -> bool {
        let of_kind = |(path, _): &(&str, &[u8])| FileKind::of(path) == Some(kind);
        self.iter().filter(of_kind).eq(other.iter().filter(of_kind))
    }

    /// Reports what is beyond the bounds.
    pub(super) fn check_bounds(&self, bounds: &Bounds, problems: &mut Problems) {
        if self.files.len() > bounds.files {
            let message = format!(
                "the store has {} files, more than the bound of {}",
                self.files.len(),
                bounds.files
            );
            problems.push(Problem::of_file(self.name.as_str(), message));
        }
        let mut all = 0_usize;
        for (path, bytes) in self.iter() {
            all = all.saturating_add(bytes.len());
            if bytes.len() > bounds.file_bytes {
                let message = format!(
                    "the file has {} bytes, more than the bound of {}",
                    bytes.len(),
                    bounds.file_bytes
                );
                problems.push(Problem::of_file(self.path(path), message));
            }
        }
        if all > bounds.store_bytes {
            let what = format!("all files of the store together have {all} bytes");
            let message = more_than(&what, bounds.store_bytes, "store_bytes");
            problems.push(Problem::of_file(self.name.as_str(), message));
        }
    }

    /// The texts of all files of a kind, with their paths; what is not UTF-8 is a problem.
    pub(super) fn texts(&self, kind: FileKind, problems: &mut Problems) -> Vec<(&str, &str)> {
        let of_kind = self.iter().filter(|(path, _)| FileKind::of(path) == Some(kind));
        of_kind
            .filter_map(|(path, bytes)| Some((path, self.text(path, bytes, problems)?)))
            .collect()
    }

    fn text<'a>(&self, path: &str, bytes: &'a [u8], problems: &mut Problems) -> Option<&'a str> {
        match decode(bytes) {
            Ok(text) => Some(text),
            Err(error) => {
                let problem = Problem::of_file(self.path(path), format!("the file is {error}"));
                problems.push(problem.with_help("save it as UTF-8"));
                None
            }
        }
    }

    /// Returns the text of a file as all problems in it share it; empty where there is no such text.
    pub(crate) fn shared_text(&self, path: &str) -> Text {
        let Some(file) = self.files.get(path) else { return Text::new(self.path(path), "") };
        let text = file.text.get_or_init(|| {
            Text::new(self.path(path), decode(file.content.bytes()).unwrap_or_default())
        });
        text.clone()
    }

    /// Names the files that look as if they should decide and are not read.
    pub(super) fn unread(&self) -> impl Iterator<Item = Problem> {
        self.iter().filter_map(|(path, bytes)| {
            // Of its folder there is one warning for all of its files.
            let by_name = looks_like_policies(path).filter(|_| nearly_in(path).is_none());
            let by_content = || {
                let holds = may_hold_policies(path) && holds_policies(bytes);
                holds.then_some(
                    "it holds policies: name it `*.cedar`, or `*.md` if it is for readers",
                )
            };
            let advice = by_name.or_else(by_content)?;
            Some(Problem::of_file(self.path(path), "the file is not read").with_help(advice))
        })
    }

    /// The path of a file relative to the policies folder, for messages.
    #[must_use]
    pub fn path(&self, file: &str) -> String {
        format!("{}/{file}", self.name)
    }
}
