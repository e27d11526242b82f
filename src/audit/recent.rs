//! The last decisions in memory, for people who look at them.
//!
//! Each is made of the record as the log writes it, after fields were hidden. A reader looks at
//! intervals. A slow reader misses decisions; `missed` counts them.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use serde::Serialize;
use serde_json::Value as Json;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Characters of a text that are kept.
const TEXT_LENGTH: usize = 200;
/// Policies of a decision that are kept.
const POLICIES: usize = 8;

/// The last decisions.
#[derive(Debug)]
pub struct RecentDecisions {
    kept: usize,
    last: Mutex<VecDeque<Arc<RecentDecision>>>,
    /// Decisions that were ever added.
    added: AtomicU64,
    readers: Arc<Semaphore>,
}

/// A decision, in as much as a line of a table shows. Long texts are cut.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RecentDecision {
    /// The time, as in the record.
    pub time: String,
    /// The store that decided.
    pub store: String,
    /// `allow`, `deny`, or `list` for a list of actions or of entities.
    pub decision: String,
    /// The principal, e.g. `User::"alice"`.
    pub principal: String,
    /// The id of the action.
    pub action: String,
    /// The resource.
    pub resource: String,
    /// The policies that made it.
    pub policies: Vec<String>,
    /// The id of the decision.
    pub decision_id: String,
    /// Microseconds from the question that was read to the answer.
    pub latency_us: u64,
}

/// Follows the decisions to come, and counts among the readers as long as it is there.
#[derive(Debug)]
pub struct DecisionReader {
    recent: Arc<RecentDecisions>,
    /// Decisions that had been added when it last looked.
    seen: u64,
    _permit: OwnedSemaphorePermit,
}

/// Records that a reader has not seen yet.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct NewDecisions {
    /// The decisions, the oldest first.
    pub decisions: Vec<Arc<RecentDecision>>,
    /// Decisions before these that are not kept any more.
    pub missed: u64,
}

impl RecentDecisions {
    /// Keeps `kept` decisions, and lets `readers` readers follow at once.
    pub(super) fn new(kept: usize, readers: usize) -> Self {
        Self {
            kept,
            last: Mutex::default(),
            added: AtomicU64::new(0),
            readers: Arc::new(Semaphore::new(readers.min(Semaphore::MAX_PERMITS))),
        }
    }

    /// Returns the last decisions, the newest first.
    #[must_use]
    pub fn last(&self) -> Vec<Arc<RecentDecision>> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.iter().rev().cloned().collect()
    }

    /// Follows the decisions to come; nothing where there are too many readers.
    #[must_use]
    pub fn follow(self: &Arc<Self>) -> Option<DecisionReader> {
        let permit = Arc::clone(&self.readers).try_acquire_owned().ok()?;
        let seen = self.added.load(Ordering::Acquire);
        Some(DecisionReader { recent: Arc::clone(self), seen, _permit: permit })
    }

    /// Adds the decision of a record as it is written.
    pub(super) fn add(&self, record: &Json) {
        let decision = Arc::new(RecentDecision::of(record));
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.len() >= self.kept {
            last.pop_front();
        }
        last.push_back(decision);
        self.added.fetch_add(1, Ordering::Release);
    }
}

impl DecisionReader {
    /// Returns what was added since it last looked.
    pub fn look(&mut self) -> NewDecisions {
        if self.recent.added.load(Ordering::Acquire) == self.seen {
            return NewDecisions::default();
        }
        let last = self.recent.last.lock().unwrap_or_else(PoisonError::into_inner);
        let added = self.recent.added.load(Ordering::Acquire);
        let new = added.saturating_sub(self.seen);
        self.seen = added;
        let there = usize::try_from(new).unwrap_or(usize::MAX).min(last.len());
        NewDecisions {
            decisions: last.iter().skip(last.len() - there).cloned().collect(),
            missed: new.saturating_sub(there as u64),
        }
    }
}

impl RecentDecision {
    fn of(record: &Json) -> Self {
        let text = |name: &str| cut(record.get(name).and_then(Json::as_str).unwrap_or_default());
        let uid = |name: &str| record.get(name).map(uid).unwrap_or_default();
        let policies = record.get("determining_policies").and_then(Json::as_array);
        let policies = policies.into_iter().flatten().take(POLICIES);
        let is_there = |name: &str| record.get(name).is_some_and(|value| !value.is_null());
        let is_list = is_there("actions") || is_there("listed");
        let action = record.get("action").and_then(|action| match action {
            Json::Object(fields) => fields.get("id").and_then(Json::as_str),
            other => other.as_str(),
        });
        Self {
            time: text("time"),
            store: text("store"),
            decision: if is_list { "list".to_owned() } else { text("decision") },
            principal: uid("principal"),
            action: cut(action.unwrap_or_default()),
            resource: uid("resource"),
            policies: policies
                .filter_map(|policy| policy.get("policy_id").and_then(Json::as_str))
                .map(cut)
                .collect(),
            decision_id: text("decision_id"),
            latency_us: record.get("latency_us").and_then(Json::as_u64).unwrap_or_default(),
        }
    }
}

/// Writes an entity; of one that was hidden what is left.
fn uid(uid: &Json) -> String {
    let part = |name: &str| uid.get(name).and_then(Json::as_str);
    match (part("type"), part("id")) {
        (Some(type_name), Some(id)) => cut(&format!("{type_name}::\"{}\"", id.escape_debug())),
        (Some(type_name), None) => cut(&format!("{type_name}::…")),
        _ => cut(uid.as_str().unwrap_or_default()),
    }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(TEXT_LENGTH) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    fn record(principal: Json) -> Json {
        json!({ "time": "t", "store": "acme", "decision": "deny", "decision_id": "1",
            "principal": principal, "action": { "type": "Action", "id": "view" },
            "resource": { "type": "Site", "id": "a\"b" }, "determining_policies": [],
            "actions": null, "latency_us": 7 })
    }

    #[test]
    fn hidden_fields_stay_hidden_and_long_texts_are_cut() {
        for (principal, shown) in [
            (json!({ "type": "User", "id": "alice" }), "User::\"alice\""),
            (json!({ "type": "User", "id": "[masked]" }), "User::\"[masked]\""),
            (json!({ "type": "User" }), "User::…"),
            (json!("[masked]"), "[masked]"),
        ] {
            assert_eq!(RecentDecision::of(&record(principal)).principal, shown);
        }
        let long = RecentDecision::of(&record(json!("é".repeat(1_000))));
        assert_eq!(long.principal.chars().count(), TEXT_LENGTH + 1);
        assert_eq!(long.resource, "Site::\"a\\\"b\"");
    }

    #[test]
    fn a_list_of_actions_and_one_of_entities_are_lists() {
        for name in ["actions", "listed"] {
            let mut list = record(json!("alice"));
            list["decision"] = Json::Null;
            list[name] = json!({ "allowed": [] });
            assert_eq!(RecentDecision::of(&list).decision, "list", "{name}");
        }
        assert_eq!(RecentDecision::of(&record(json!("alice"))).decision, "deny");
    }

    #[test]
    fn the_oldest_goes_a_slow_reader_is_told_and_one_too_many_is_refused() {
        let recent = Arc::new(RecentDecisions::new(2, 1));
        let mut reader = recent.follow().unwrap();
        assert!(recent.follow().is_none());
        (0..3).for_each(|n| recent.add(&record(json!(n.to_string()))));
        let names = |decisions: &[Arc<RecentDecision>]| -> Vec<String> {
            decisions.iter().map(|one| one.principal.clone()).collect()
        };
        assert_eq!(names(&recent.last()), ["2", "1"]);
        let new = reader.look();
        assert_eq!((names(&new.decisions), new.missed), (vec!["1".into(), "2".into()], 1));
        assert_eq!(reader.look(), NewDecisions::default());
        recent.add(&record(json!("3")));
        let new = reader.look();
        assert_eq!((names(&new.decisions), new.missed), (vec!["3".into()], 0));
        drop(reader);
        assert!(recent.follow().is_some());
    }
}
