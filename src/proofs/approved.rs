//! The steps in which somebody may gain, as `approved-gains.toml` approves them.

use std::collections::BTreeSet;

use serde::Deserialize;

use crate::{
    model::Problem,
    store::{APPROVED_GAINS, PolicyStore},
};

/// The content of `approved-gains.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ApprovedGains {
    #[serde(default)]
    approved: Vec<ApprovedStep>,
}

/// A step from one revision to another in which somebody may gain.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ApprovedStep {
    from: String,
    to: String,
    /// How `store.toml` believes callers more, all of it, as [`PolicyStore::more_trust_than`] tells it.
    #[serde(default)]
    trust: BTreeSet<String>,
    /// The approver; like the two fields below, for the reader.
    #[expect(dead_code, reason = "for the reader of the file")]
    by: String,
    #[expect(dead_code, reason = "for the reader of the file")]
    reason: String,
    #[serde(default)]
    #[expect(dead_code, reason = "for the reader of the file")]
    cells: Vec<String>,
}

/// Returns whether exactly this step is approved, with exactly this trust in callers.
///
/// # Errors
/// The file cannot be read.
pub(super) fn is_approved(
    old: &PolicyStore,
    new: &PolicyStore,
    trust: &[String],
) -> Result<bool, Box<Problem>> {
    let Some(bytes) = new.files().get(APPROVED_GAINS) else { return Ok(false) };
    let text = String::from_utf8_lossy(bytes);
    let approved: ApprovedGains = toml::from_str(&text).map_err(|error| {
        let path = new.files().path(APPROVED_GAINS);
        Box::new(match error.span() {
            Some(span) => Problem::at(path, text.as_ref(), span, None, error.message()),
            None => Problem::of_file(path, error.message()),
        })
    })?;
    let is_it = |step: &ApprovedStep| {
        step.from == old.revision().as_str()
            && step.to == new.revision().as_str()
            && step.trust.iter().eq(trust.iter().collect::<BTreeSet<_>>())
    };
    Ok(approved.approved.iter().any(is_it))
}

/// Says how a step is approved.
pub(super) fn advice(old: &PolicyStore, new: &PolicyStore, trust: &[String]) -> String {
    let (from, to) = (old.revision(), new.revision());
    let step = format!(
        "`humbaba diff --approve` approves the step from {from} to {to} in `{APPROVED_GAINS}`"
    );
    if trust.is_empty() {
        return step;
    }
    let trust = toml::Value::from(trust.to_vec());
    format!("{step}, with `trust = {trust}`")
}
