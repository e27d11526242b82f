//! The JSON form of a decision with its question (`docs/decision-record.schema.json`). The decision log
//! writes it, and whoever shows a request that can be asked again.

use std::collections::BTreeMap;

use cedar_policy_core::ast::EntityUID;
use serde::{Serialize, Serializer};

use super::{EvaluationFailure, PolicyNote, UndecidedAction, UndecidedEntity};
use crate::{
    model::{Effect, OnForbidError},
    request::json::{EntityJson, Fields, RoleJson, UidJson, write_uid},
};

/// The field `record` of each record: its kind and version.
pub const RECORD_KIND: &str = "humbaba.decision.v1";

/// A decision with everything that is needed to make it again. The schema says what each field means.
#[derive(Serialize)]
#[expect(missing_docs, reason = "docs/decision-record.schema.json describes the fields")]
pub struct DecisionRecord<'a> {
    pub record: &'static str,
    pub time: String,
    pub decision_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub span_id: Option<String>,
    pub rpc: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub item: Option<usize>,
    pub caller: CallerJson<'a>,
    pub store: &'a str,
    pub revision: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub directory_version: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision: Option<Effect>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub determining_policies: Option<Vec<PolicyJson<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub errors: Option<Vec<ErrorJson<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actions: Option<ActionsJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listed: Option<ListedJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub principal: Option<UidJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<UidJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource: Option<UidJson<'a>>,
    pub context: Fields<'a>,
    pub entities: Vec<EntityJson<'a>>,
    pub role_assignments: Vec<RoleJson<'a>>,
    pub now: String,
    pub on_forbid_error: OnForbidError,
    pub latency_us: u64,
}

/// The caller, as far as the connection tells.
#[derive(Default, Serialize)]
#[expect(missing_docs, reason = "docs/decision-record.schema.json describes the fields")]
pub struct CallerJson<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
}

/// A policy that made the decision.
#[derive(Serialize)]
pub struct PolicyJson<'a> {
    policy_id: &'a str,
    annotations: BTreeMap<&'a str, &'a str>,
}

impl<'a> PolicyJson<'a> {
    /// Takes a policy.
    #[must_use]
    pub fn new(policy: &'a PolicyNote) -> Self {
        Self { policy_id: policy.id(), annotations: policy.annotations().collect() }
    }
}

/// A policy whose evaluation failed.
#[derive(Serialize)]
pub struct ErrorJson<'a> {
    policy_id: &'a str,
    message: &'a str,
}

impl<'a> ErrorJson<'a> {
    /// Takes a failure.
    #[must_use]
    pub fn new(error: &'a EvaluationFailure) -> Self {
        Self { policy_id: &error.policy_id, message: &error.message }
    }
}

/// A list of actions.
#[derive(Serialize)]
pub struct ActionsJson<'a> {
    allowed: Vec<CedarUid<'a>>,
    denied: usize,
    undecided: Vec<UndecidedJson<'a>>,
}

impl<'a> ActionsJson<'a> {
    /// Takes what was listed.
    #[must_use]
    pub fn new(allowed: &'a [EntityUID], denied: usize, undecided: &'a [UndecidedAction]) -> Self {
        let undecided = undecided.iter().map(|undecided| UndecidedJson {
            action: CedarUid(&undecided.action),
            reason: &undecided.reason,
        });
        let undecided = undecided.collect();
        Self { allowed: allowed.iter().map(CedarUid).collect(), denied, undecided }
    }
}

#[derive(Serialize)]
struct UndecidedJson<'a> {
    action: CedarUid<'a>,
    reason: &'a str,
}

/// A page of a list of entities.
#[derive(Serialize)]
#[expect(missing_docs, reason = "docs/decision-record.schema.json describes the fields")]
pub struct ListedJson<'a> {
    pub side: &'a str,
    #[serde(rename = "type")]
    pub entity_type: &'a str,
    pub allowed: Vec<CedarUid<'a>>,
    pub denied: usize,
    pub undecided: Vec<UndecidedEntityJson<'a>>,
    pub is_last: bool,
}

/// An entity that could not be decided.
#[derive(Serialize)]
pub struct UndecidedEntityJson<'a> {
    entity: CedarUid<'a>,
    reason: &'a str,
}

impl<'a> UndecidedEntityJson<'a> {
    /// Takes such an entity.
    #[must_use]
    pub fn new(undecided: &'a UndecidedEntity) -> Self {
        Self { entity: CedarUid(&undecided.entity), reason: &undecided.reason }
    }
}

/// An entity with the full name of its type.
pub struct CedarUid<'a>(pub &'a EntityUID);

impl Serialize for CedarUid<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        write_uid(serializer, &self.0.entity_type().to_string(), self.0.eid().as_ref())
    }
}
