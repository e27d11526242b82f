//! The files of one policy store, in memory.

use std::{collections::BTreeMap, sync::Arc};

use sha2::{Digest, Sha256};

use super::Bounds;
use crate::model::{Problem, Revision, StoreName, hex};

/// The files of one policy store, read as one consistent state. Paths are relative to the store's
/// folder and use `/`.
#[derive(Debug, Clone)]
pub struct StoreFiles {
    name: StoreName,
    files: BTreeMap<String, Content>,
    /// The files and folders without a part in decisions that cannot be read, and why.
    unreadable: BTreeMap<String, String>,
}

/// The file of a store that approves gains.
pub(crate) const APPROVED_GAINS: &str = "approved-gains.toml";

/// The file in which a store says something of itself.
pub(crate) const SETTINGS_FILE: &str = "store.toml";

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
        let files = files.into_iter().map(|(path, bytes)| (path, Content::Read(bytes)));
        Self { name, files: files.collect(), unreadable: BTreeMap::new() }
    }

    /// A store that the binary carries.
    pub(super) fn shipped(
        name: StoreName,
        files: impl IntoIterator<Item = (String, &'static [u8])>,
    ) -> Self {
        let files = files.into_iter().map(|(path, bytes)| (path, Content::Shipped(bytes)));
        Self { name, files: files.collect(), unreadable: BTreeMap::new() }
    }

    /// The store's name.
    #[must_use]
    pub fn name(&self) -> &StoreName {
        &self.name
    }

    /// The files by path.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.files.iter().map(|(path, content)| (path.as_str(), content.bytes()))
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
        self.files.get(path).map(Content::bytes)
    }

    /// Adds a file, or replaces its content.
    #[must_use]
    pub fn with_file(mut self, path: impl Into<String>, bytes: impl Into<Arc<[u8]>>) -> Self {
        self.files.insert(path.into(), Content::Read(bytes.into()));
        self
    }

    /// Adds a file or folder without a part in decisions that cannot be read.
    #[must_use]
    pub(crate) fn with_unreadable(
        mut self,
        path: impl Into<String>,
        reason: impl Into<String>,
    ) -> Self {
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
        for (path, content) in &self.files {
            hash.update((path.len() as u64).to_le_bytes());
            hash.update(path);
            hash.update(Sha256::digest(content.bytes()));
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
            if content.bytes().len() > bounds.file_bytes {
                problems.push(Problem::of_file(
                    self.path(path),
                    format!(
                        "the file has {} bytes, more than the bound of {}",
                        content.bytes().len(),
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
        match decode(bytes) {
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

    /// Names the files that look as if they should decide and are not read.
    pub(super) fn unread(&self) -> impl Iterator<Item = Problem> {
        self.iter().filter_map(|(path, _)| {
            let advice = looks_like_policies(path)?;
            Some(Problem::of_file(self.path(path), "the file is not read").with_help(advice))
        })
    }

    /// The path of a file relative to the policies folder, for messages.
    #[must_use]
    pub fn path(&self, file: &str) -> String {
        format!("{}/{file}", self.name)
    }
}

/// Decodes a text file. A byte order mark at its start is no part of the text.
pub(crate) fn decode(bytes: &[u8]) -> Result<&str, std::str::Utf8Error> {
    let text = std::str::from_utf8(bytes)?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// The kind of a file of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileKind {
    /// `*.cedarschema`
    Schema,
    /// `*.cedarschema.json`: the same in Cedar's JSON form.
    SchemaJson,
    /// `*.cedar`
    Policies,
    /// `*.cedar.json`: the same in Cedar's JSON form.
    PoliciesJson,
    /// `*.links.toml`
    Links,
    /// `*.links.json`: links as Cedar's command line writes them.
    LinksJson,
    /// `*.cedarentities.json`
    Entities,
    /// `invariants/*.cedar`: what is proved of the policies.
    Invariants,
    /// `approved-gains.toml`: steps from one revision to another in which somebody may gain.
    ApprovedGains,
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
        if path.starts_with("invariants/") {
            return path.ends_with(".cedar").then_some(Self::Invariants);
        }
        match path {
            SETTINGS_FILE => Some(Self::Settings),
            APPROVED_GAINS => Some(Self::ApprovedGains),
            "matrix.csv" => Some(Self::Matrix),
            "matrix.toml" => Some(Self::MatrixMeaning),
            "mutants.toml" => Some(Self::Mutants),
            _ if path.ends_with(".cedarschema") => Some(Self::Schema),
            _ if path.ends_with(".cedarschema.json") => Some(Self::SchemaJson),
            _ if path.ends_with(".cedar") => Some(Self::Policies),
            _ if path.ends_with(".cedar.json") => Some(Self::PoliciesJson),
            _ if path.ends_with(".links.toml") => Some(Self::Links),
            _ if path.ends_with(".links.json") => Some(Self::LinksJson),
            _ if path.ends_with(".cedarentities.json") => Some(Self::Entities),
            _ => None,
        }
    }

    /// Returns whether a store is not loaded without a file of the kind that is there and cannot be read:
    /// it has a part in decisions, or says whom to believe.
    pub(crate) fn is_needed(self) -> bool {
        self.decides() || self == Self::Settings
    }

    /// Returns whether the file has a part in decisions.
    pub(crate) fn decides(self) -> bool {
        matches!(
            self,
            Self::Schema
                | Self::SchemaJson
                | Self::Policies
                | Self::PoliciesJson
                | Self::Links
                | Self::LinksJson
                | Self::Entities
        )
    }
}

/// Returns what to do about a file that is not read although its name looks as if it held policies,
/// a schema, links or entities. `path` is relative to the store's folder.
#[must_use]
pub fn looks_like_policies(path: &str) -> Option<&'static str> {
    if FileKind::of(path).is_some() {
        return None;
    }
    let name = path.rsplit('/').next().unwrap_or(path).to_ascii_lowercase();
    let (stem, extension) = name.split_once('.').unwrap_or((&name, ""));
    if name.ends_with(".md") {
        return None;
    }
    let is_of = |words: &[&str]| {
        words.contains(&stem)
            && matches!(extension, "" | "json" | "toml" | "yaml" | "yml" | "txt" | "csv")
    };
    if name.contains("cedarschema") || is_of(&["schema", "schemas"]) {
        Some("name a schema `*.cedarschema`, or `*.cedarschema.json` in Cedar's JSON form")
    } else if name.contains("cedarentities") || is_of(&["entity", "entities"]) {
        Some("name entities `*.cedarentities.json`")
    } else if name.contains(".links") || is_of(&["link", "links", "linked", "template-linked"]) {
        Some("name links `*.links.toml`, or `*.links.json` as Cedar's command line writes them")
    } else if path.starts_with("invariants/") && name.contains(".cedar") {
        Some("name invariants `*.cedar`; policies under `invariants/` do not decide")
    } else if path.starts_with("tests/") && name.ends_with(".cedar") {
        Some("policies under `tests/` do not decide: move the file out of it, or delete it")
    } else if name.contains(".cedar")
        || is_of(&["policy", "policies", "template", "templates", "permit", "forbid"])
    {
        Some("name policies `*.cedar`, or `*.cedar.json` in Cedar's JSON form")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn files_that_look_like_policies_and_are_not_read_are_named() {
        for (path, advice) in [
            ("guard.CEDAR", "name policies"),
            ("x.cedar.txt", "name policies"),
            ("old/x.cedar.bak", "name policies"),
            ("policy.json", "name policies"),
            ("policies.json", "name policies"),
            ("tests/guard.cedar", "under `tests/`"),
            ("invariants/guard.cedar.json", "name invariants"),
            ("entities.json", "name entities"),
            ("main.cedarentities", "name entities"),
            ("links.toml", "name links"),
            ("linked", "name links"),
            ("main.links.yaml", "name links"),
            ("schema.json", "name a schema"),
            ("main.CedarSchema", "name a schema"),
        ] {
            let said = looks_like_policies(path).unwrap();
            assert!(said.contains(advice), "{path}: {said}");
        }
        for path in [
            "guard.cedar",
            "guard.cedar.json",
            "main.cedarschema",
            "main.cedarschema.json",
            "main.links.toml",
            "main.links.json",
            "main.cedarentities.json",
            "store.toml",
            "matrix.csv",
            "README.md",
            "README.cedar.md",
            "notes.txt",
            "lost+found",
            "tests/a.toml",
            "tests/entities.json",
            "invariants/guard.cedar",
        ] {
            assert_eq!(looks_like_policies(path), None, "{path}");
        }
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_text() {
        assert_eq!(decode(b"\xEF\xBB\xBFa").unwrap(), "a");
        assert_eq!(decode("a\u{feff}".as_bytes()).unwrap(), "a\u{feff}");
    }
}
