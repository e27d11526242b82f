//! The memory that a record takes in the queue, about.

use cedar_policy_core::ast::EntityUID;

use super::{Record, RecordInput, RecordedOutcome};

/// Bytes of a record apart from what was sent.
const BASE: usize = 1_024;

/// Returns about how many bytes a record takes.
pub(super) fn bytes(record: &Record) -> usize {
    let outcome = match &record.outcome {
        RecordedOutcome::Decision { errors, .. } => {
            errors.iter().map(|error| 64 + error.policy_id.len() + error.message.len()).sum()
        }
        RecordedOutcome::Actions { allowed, undecided, .. } => {
            let reasons = undecided.iter().map(|undecided| undecided.reason.len() + 128);
            allowed.len() * 128 + reasons.sum::<usize>()
        }
        RecordedOutcome::Entities { allowed, conditional, entity_type, .. } => {
            let id = |uid: &EntityUID| AsRef::<str>::as_ref(uid.eid()).len() + 128;
            let undecided = conditional.iter().map(|one| id(&one.entity) + one.reason.len());
            let allowed = allowed.iter().map(id);
            entity_type.len() + allowed.sum::<usize>() + undecided.sum::<usize>()
        }
    };
    let identity = record.call.caller.identity.as_ref().map_or(0, |identity| identity.len());
    BASE + identity + sent(&record.input) + outcome
}

fn sent(input: &RecordInput) -> usize {
    match input {
        RecordInput::Request(request) => request.weight(),
        // Each record bears a part of what they share.
        RecordInput::Item { shared, item, items } => {
            item.weight() + shared.weight() / (*items).max(1)
        }
    }
}
