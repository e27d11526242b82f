//! The files of one policy store, in memory.

use std::{collections::BTreeMap, sync::Arc};

use sha2::{Digest, Sha256};

use super::Bounds;
use crate::{
    diagnostics::Problem,
    name::{Revision, StoreName},
};

/// The files of one policy store, read as one consistent state. Paths are relative to the store's
/// folder and use `/`.
#[derive(Debug, Clone)]
pub struct StoreFiles {
    name: StoreName,
    files: BTreeMap<String, Content>,
}

/// What is known of a file.
#[derive(Debug, Clone)]
enum Content {
    /// Its bytes.
    Read(Arc<[u8]>),
    /// Its bytes, which the binary carries and nobody copies.
    Shipped(&'static [u8]),
    /// How many bytes it has, and their digest.
    Noted(usize, [u8; 32]),
}

impl Content {
    /// The bytes, where they are kept.
    fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Read(bytes) => Some(bytes),
            Self::Shipped(bytes) => Some(bytes),
            Self::Noted(..) => None,
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Noted(length, _) => *length,
            Self::Read(bytes) => bytes.len(),
            Self::Shipped(bytes) => bytes.len(),
        }
    }

    fn digest(&self) -> [u8; 32] {
        match self {
            Self::Noted(_, digest) => *digest,
            Self::Read(bytes) => Sha256::digest(bytes).into(),
            Self::Shipped(bytes) => Sha256::digest(bytes).into(),
        }
    }
}

impl StoreFiles {
    /// A store of that name with those files.
    pub fn new(name: StoreName, files: impl IntoIterator<Item = (String, Arc<[u8]>)>) -> Self {
        let files = files.into_iter().map(|(path, bytes)| (path, Content::Read(bytes)));
        Self { name, files: files.collect() }
    }

    /// A store that the binary carries.
    pub(super) fn shipped(
        name: StoreName,
        files: impl IntoIterator<Item = (String, &'static [u8])>,
    ) -> Self {
        let files = files.into_iter().map(|(path, bytes)| (path, Content::Shipped(bytes)));
        Self { name, files: files.collect() }
    }

    /// The store's name.
    #[must_use]
    pub fn name(&self) -> &StoreName {
        &self.name
    }

    /// The files by path, without those that are only noted ([`Self::noting`]).
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.files.iter().filter_map(|(path, content)| Some((path.as_str(), content.bytes()?)))
    }

    /// Whether there is no file, noted or not.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// How many bytes the policies and the schema have, which tells how much work loading them is.
    pub(crate) fn size(&self) -> usize {
        let of_kind = |path| FileKind::of(path).is_some_and(FileKind::decides);
        self.iter().filter(|(path, _)| of_kind(path)).map(|(_, bytes)| bytes.len()).sum()
    }

    /// The bytes of one file, if it is not only noted.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<&[u8]> {
        self.files.get(path).and_then(Content::bytes)
    }

    /// The same store with one file more, or with another content of it.
    #[must_use]
    pub fn with_file(mut self, path: impl Into<String>, bytes: impl Into<Arc<[u8]>>) -> Self {
        self.files.insert(path.into(), Content::Read(bytes.into()));
        self
    }

    /// The same store with one file more, or with another content of it, that is only noted: it is
    /// known whether it changes, but not what it says. Most of the bytes of a store are tests, and a
    /// server that does not run them need not keep them.
    #[must_use]
    pub fn noting(mut self, path: impl Into<String>, bytes: &[u8]) -> Self {
        let content = Content::Noted(bytes.len(), Sha256::digest(bytes).into());
        self.files.insert(path.into(), content);
        self
    }

    /// The same store without what only its tests need.
    #[must_use]
    pub fn without_tests(mut self) -> Self {
        self.files.retain(|path, _| !is_for_tests(path));
        self
    }

    /// The same store with the files of one kind alone.
    #[must_use]
    pub(super) fn only(mut self, kind: FileKind) -> Self {
        self.files.retain(|path, _| FileKind::of(path) == Some(kind));
        self
    }

    /// A digest of all files: equal digests mean that nothing changed.
    #[must_use]
    pub fn digest(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(self.name.as_str());
        for (path, content) in &self.files {
            hash.update((path.len() as u64).to_le_bytes());
            hash.update(path);
            hash.update(content.digest());
        }
        hex(hash)
    }

    /// The revision: a digest of the files that decide, which tests and documents do not.
    pub(super) fn revision(&self) -> Revision {
        let mut hash = Sha256::new();
        hash.update(self.name.as_str());
        let decides = |path: &str| FileKind::of(path).is_some_and(FileKind::decides);
        for (path, bytes) in self.iter().filter(|(path, _)| decides(path)) {
            // Lengths keep two different lists of files from running together into one text.
            hash.update((path.len() as u64).to_le_bytes());
            hash.update(path);
            hash.update((bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        }
        let digest = hex(hash);
        Revision::from_hex(digest.get(..32).unwrap_or(&digest))
    }

    /// Whether all files of a kind are the same in both.
    pub(super) fn same(&self, kind: FileKind, other: &Self) -> bool {
        let of_kind = |(path, _): &(&str, &[u8])| FileKind::of(path) == Some(kind);
        self.iter().filter(of_kind).eq(other.iter().filter(of_kind))
    }

    /// What is beyond the bounds.
    pub(super) fn beyond(&self, bounds: &Bounds) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.files.len() > bounds.files {
            problems.push(Problem::of_file(
                self.name.as_str(),
                format!(
                    "the store has {} files, more than the bound of {}",
                    self.files.len(),
                    bounds.files
                ),
            ));
        }
        for (path, content) in &self.files {
            if content.len() > bounds.file_bytes {
                problems.push(Problem::of_file(
                    self.path(path),
                    format!(
                        "the file has {} bytes, more than the bound of {}",
                        content.len(),
                        bounds.file_bytes
                    ),
                ));
            }
        }
        problems
    }

    /// The texts of all files of a kind, with their paths; what is not UTF-8 is a problem.
    pub(super) fn texts(&self, kind: FileKind, problems: &mut Vec<Problem>) -> Vec<(&str, &str)> {
        let of_kind = self.iter().filter(|(path, _)| FileKind::of(path) == Some(kind));
        of_kind
            .filter_map(|(path, bytes)| Some((path, self.text(path, bytes, problems)?)))
            .collect()
    }

    fn text<'a>(
        &self,
        path: &str,
        bytes: &'a [u8],
        problems: &mut Vec<Problem>,
    ) -> Option<&'a str> {
        match std::str::from_utf8(bytes) {
            Ok(text) => Some(text),
            Err(error) => {
                problems.push(Problem::of_file(
                    self.path(path),
                    format!(
                        "the file is not UTF-8 text: byte {} is not valid",
                        error.valid_up_to()
                    ),
                ));
                None
            }
        }
    }

    /// The path of a file relative to the policies folder, for messages.
    #[must_use]
    pub fn path(&self, file: &str) -> String {
        format!("{}/{file}", self.name)
    }
}

/// Whether only tests need the file at that path.
pub(crate) fn is_for_tests(path: &str) -> bool {
    FileKind::of(path).is_some_and(|kind| !kind.decides() && kind != FileKind::Settings)
}

fn hex(hash: Sha256) -> String {
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What a file of a store is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileKind {
    /// `*.cedarschema`
    Schema,
    /// `*.cedar`
    Policies,
    /// `*.links.toml`
    Links,
    /// `*.cedarentities.json`
    Entities,
    /// `store.toml`
    Settings,
    /// `matrix.csv`
    Matrix,
    /// `matrix.toml`
    MatrixMeaning,
    /// `mutants.toml`
    Mutants,
    /// `tests/**/*.toml`
    TestsToml,
    /// `tests/**/*.json`
    TestsJson,
}

impl FileKind {
    /// The kind of the file at that path; none for documents and whatever else lies in a folder.
    pub(crate) fn of(path: &str) -> Option<Self> {
        if path.starts_with("tests/") {
            return match path {
                _ if path.ends_with(".toml") => Some(Self::TestsToml),
                _ if path.ends_with(".json") => Some(Self::TestsJson),
                _ => None,
            };
        }
        match path {
            "store.toml" => Some(Self::Settings),
            "matrix.csv" => Some(Self::Matrix),
            "matrix.toml" => Some(Self::MatrixMeaning),
            "mutants.toml" => Some(Self::Mutants),
            _ if path.ends_with(".cedarschema") => Some(Self::Schema),
            _ if path.ends_with(".cedar") => Some(Self::Policies),
            _ if path.ends_with(".links.toml") => Some(Self::Links),
            _ if path.ends_with(".cedarentities.json") => Some(Self::Entities),
            _ => None,
        }
    }

    /// Whether the file has a part in decisions.
    fn decides(self) -> bool {
        matches!(self, Self::Schema | Self::Policies | Self::Links | Self::Entities)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn store() -> StoreFiles {
        StoreFiles::new("shop".parse().unwrap(), [])
            .with_file("shop.cedar", &b"permit"[..])
            .with_file("shop.cedarschema", &b"entity"[..])
    }

    #[test]
    fn a_noted_file_counts_as_the_same_file_and_tells_nothing_of_what_is_in_it() {
        let kept = store().with_file("tests/a.toml", &b"one"[..]);
        let noted = store().noting("tests/a.toml", b"one");
        assert_eq!(noted.digest(), kept.digest());
        assert_ne!(noted.digest(), store().noting("tests/a.toml", b"two").digest());
        assert_ne!(noted.digest(), store().noting("tests/b.toml", b"one").digest());
        assert_ne!(noted.digest(), store().digest());
        assert_eq!(noted.revision(), store().revision());
        assert_eq!(noted.get("tests/a.toml"), None);
        let paths: Vec<_> = noted.iter().map(|(path, _)| path).collect();
        assert_eq!(paths, ["shop.cedar", "shop.cedarschema"]);
    }

    #[test]
    fn a_noted_file_is_within_the_bounds_or_not_like_any_other() {
        let noted = store().noting("tests/a.toml", b"1234567");
        let bounds = |file_bytes, files| Bounds { file_bytes, files, ..Bounds::default() };
        assert!(noted.beyond(&bounds(7, 3)).is_empty());
        assert_eq!(noted.beyond(&bounds(6, 3)).len(), 1);
        assert_eq!(noted.beyond(&bounds(7, 2)).len(), 1);
        let only_noted = StoreFiles::new("shop".parse().unwrap(), []).noting("tests/a.toml", b"");
        assert!(!only_noted.is_empty());
    }

    #[test]
    fn what_only_tests_need_can_be_left_out() {
        let all = ["matrix.csv", "matrix.toml", "mutants.toml", "tests/a.toml", "tests/b.json"];
        let more = ["store.toml", "x.links.toml", "x.cedarentities.json"];
        let files = all.into_iter().chain(more);
        let files = files.fold(store(), |files, path| files.with_file(path, &b""[..]));
        let left = files.without_tests();
        let paths: Vec<_> = left.iter().map(|(path, _)| path).collect();
        let deciding = [
            "shop.cedar",
            "shop.cedarschema",
            "store.toml",
            "x.cedarentities.json",
            "x.links.toml",
        ];
        assert_eq!(paths, deciding);
    }
}
