//! `store.toml`: what a store says of itself.

use serde::Deserialize;

use super::{FileKind, StoreFiles};
use crate::{model::Problem, request::RequestFacts};

/// The content of `store.toml`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct StoreSettings {
    /// The level of Cedar's level validation that the policies must pass: how many attributes deep
    /// a policy may look into entities. Without it any depth is allowed.
    pub level: Option<u32>,
    /// The store's directory, if the sidecar keeps one.
    pub directory: DirectoryRules,
}

/// The table `directory` of `store.toml`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct DirectoryRules {
    /// What callers may say beside what the directory holds.
    pub request_facts: RequestFacts,
}

pub(super) fn read(files: &StoreFiles, problems: &mut Vec<Problem>) -> StoreSettings {
    let Some((path, text)) = files.texts(FileKind::Settings, problems).into_iter().next() else {
        return StoreSettings::default();
    };
    toml::from_str(text).unwrap_or_else(|error| {
        problems.push(toml_problem(&files.path(path), text, &error));
        StoreSettings::default()
    })
}

/// The problem that the TOML parser reports of a file.
pub(crate) fn toml_problem(file: &str, text: &str, error: &toml::de::Error) -> Problem {
    match error.span() {
        Some(span) => Problem::at(file, text, span, None, error.message()),
        None => Problem::of_file(file, error.message()),
    }
}
