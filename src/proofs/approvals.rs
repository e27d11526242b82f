//! The gains that people have approved, in a store's `approved-gains.toml`.

use std::{collections::BTreeSet, time::SystemTime};

use crate::{
    model::{Problem, Timestamp},
    store::{APPROVED_GAINS, PolicyStore, approved_steps},
};

/// The approval of one step by `approved-gains.toml`.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Approval {
    /// Nobody approves the step.
    None,
    /// The step is approved.
    Given,
    /// The approval has ended; the text says when, and by whom it was.
    Ended(String),
    /// Another step to this state or from the old one is approved; the text says which.
    OfOther(String),
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
    let now = Timestamp::after_1970(SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default());
    let mut approval = Approval::None;
    for step in approved_steps(new.files())? {
        let is_step = step.from == old.revision().as_str() && step.to == new.revision().as_str();
        let is_near = step.from == old.revision().as_str() || step.to == new.revision().as_str();
        if !is_step && is_near && approval == Approval::None {
            approval = Approval::OfOther(format!(
                "`{APPROVED_GAINS}` approves the step from {} to {}, and this one is from {} to {}",
                step.from,
                step.to,
                old.revision(),
                new.revision()
            ));
        }
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
