//! The gains that people have approved, in a store's `approved-gains.toml`.

use std::{collections::BTreeSet, time::SystemTime};

use serde::{Deserialize, Deserializer, de::Error as _};

use crate::{
    model::{Problem, Timestamp},
    store::{APPROVED_GAINS, PolicyStore},
};

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
struct ApprovedStep {
    from: String,
    to: String,
    /// How `store.toml` believes callers more, all of it, as [`PolicyStore::more_trust_than`] tells it.
    #[serde(default)]
    trust: BTreeSet<String>,
    /// The approver.
    by: String,
    #[expect(dead_code, reason = "for the reader of the file")]
    reason: String,
    /// From then on it approves nothing.
    #[serde(default, deserialize_with = "moment")]
    expires_at: Option<Timestamp>,
    #[serde(default)]
    #[expect(dead_code, reason = "for the reader of the file")]
    cells: Vec<String>,
}

/// The word of the file on one step.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Approval {
    /// Nobody approves it.
    None,
    /// It is approved.
    Given,
    /// It was approved until then; the words say by whom.
    Ended(String),
}

/// Reads whether exactly this step is approved now, with exactly this trust in callers.
///
/// # Errors
/// The file is not of its form, with the place.
pub(super) fn of_step(
    old: &PolicyStore,
    new: &PolicyStore,
    trust: &[String],
) -> Result<Approval, Box<Problem>> {
    let Some(bytes) = new.files().get(APPROVED_GAINS) else { return Ok(Approval::None) };
    let text = String::from_utf8_lossy(bytes);
    let approved: ApprovedGains = toml::from_str(&text).map_err(|error| {
        let path = new.files().path(APPROVED_GAINS);
        Box::new(match error.span() {
            Some(span) => Problem::at(path, text.as_ref(), span, None, error.message()),
            None => Problem::of_file(path, error.message()),
        })
    })?;
    let now = Timestamp::after_1970(SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default());
    let mut approval = Approval::None;
    for step in approved.approved {
        let is_step = step.from == old.revision().as_str() && step.to == new.revision().as_str();
        if !is_step || !step.trust.iter().eq(trust.iter().collect::<BTreeSet<_>>()) {
            continue;
        }
        match step.expires_at {
            Some(moment) if moment <= now => {
                approval = Approval::Ended(format!("by {} ended at {moment}", step.by));
            }
            _ => return Ok(Approval::Given),
        }
    }
    Ok(approval)
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

fn moment<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map(Some).map_err(D::Error::custom)
}
