//! `approved-gains.toml`: steps from one revision to another in which somebody may gain.

use std::collections::BTreeSet;

use serde::{Deserialize, Deserializer, de::Error as _};

use super::{
    bounds::APPROVALS_BYTES, file_kind::APPROVED_GAINS, files::StoreFiles, problems::Problems,
    settings::toml_problem,
};
use crate::model::{Problem, Timestamp, decode};

/// The content of the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ApprovedGains {
    #[serde(default)]
    approved: Vec<ApprovedStep>,
}

/// A step from one revision to another in which somebody may gain.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApprovedStep {
    /// The revision before.
    pub from: String,
    /// The revision after.
    pub to: String,
    /// All the ways in which callers are understood otherwise, as
    /// [`super::PolicyStore::understands_otherwise_than`] tells them.
    #[serde(default)]
    pub trust: BTreeSet<String>,
    /// The approver.
    pub by: String,
    /// From then on it approves nothing.
    #[serde(default, deserialize_with = "moment")]
    pub expires_at: Option<Timestamp>,
    /// Like the field below, for the reader.
    #[serde(rename = "reason")]
    _reason: String,
    #[serde(default, rename = "cells")]
    _cells: Vec<String>,
}

/// Reads the approved steps of a store; none where it has no such file.
///
/// # Errors
/// The file is not as it should be.
pub fn approved_steps(files: &StoreFiles) -> Result<Vec<ApprovedStep>, Box<Problem>> {
    let Some(bytes) = files.get(APPROVED_GAINS) else { return Ok(Vec::new()) };
    let path = files.path(APPROVED_GAINS);
    let text = decode(bytes).map_err(|error| {
        Box::new(Problem::of_file(path.as_str(), format!("the file is {error}")))
    })?;
    if text.len() > APPROVALS_BYTES {
        let message = format!("the file has more than {APPROVALS_BYTES} bytes");
        return Err(Box::new(Problem::of_file(path, message)));
    }
    let approved: ApprovedGains = toml::from_str(text)
        .map_err(|error| Box::new(toml_problem(&files.shared_text(APPROVED_GAINS), &error)))?;
    Ok(approved.approved)
}

/// Warns of a file that cannot be read. It decides nothing, and approves nothing.
pub(super) fn check(files: &StoreFiles, warnings: &mut Problems) {
    if let Err(problem) = approved_steps(files) {
        warnings.push(problem.with_help(
            "it approves no step until it can be read; `humbaba diff --approve` writes it",
        ));
    }
}

fn moment<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map(Some).map_err(D::Error::custom)
}
