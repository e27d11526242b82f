//! A record as JSON. The question is written in the form that the command line reads.

use std::{collections::BTreeMap, time::UNIX_EPOCH};

use cedar_policy_core::ast::EntityUID;
use serde::{Serialize, Serializer};

use super::{Outcome, RECORD_KIND, Record};
use crate::{
    engine::{EvaluationFailure, PolicyNote, UndecidedAction},
    model::{Effect, OnForbidError, rfc3339_micros},
    request::json::{EntityJson, Fields, RoleJson, UidJson, write_uid},
};

impl Serialize for Record {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (trace, caller) = (self.call.trace.as_ref(), &self.call.caller);
        let input = self.input.complete();
        let is_list = matches!(self.outcome, Outcome::Actions { .. });
        let (decision, determining_policies, errors, actions) = match &self.outcome {
            Outcome::Decision { effect, determining, errors } => {
                let determining = determining.iter().map(PolicyJson::new).collect();
                let errors = errors.iter().map(ErrorJson::new).collect();
                (Some(*effect), Some(determining), Some(errors), None)
            }
            Outcome::Actions { allowed, denied, undecided } => {
                let actions = ActionsJson {
                    allowed: allowed.iter().map(CedarUid).collect(),
                    denied: *denied,
                    undecided: undecided.iter().map(UndecidedJson::new).collect(),
                };
                (None, None, None, Some(actions))
            }
        };
        RecordJson {
            record: RECORD_KIND,
            time: rfc3339_micros(self.time.duration_since(UNIX_EPOCH).unwrap_or_default()),
            decision_id: &self.decision_id,
            request_id: self.call.request_id.as_deref(),
            trace_id: trace.map(|trace| trace.trace_id().to_string()),
            span_id: trace.map(|trace| trace.span_id().to_string()),
            rpc: self.call.rpc,
            item: self.item,
            caller: CallerJson {
                address: caller.address.map(|address| address.to_string()),
                identity: caller.identity.as_deref(),
                pid: caller.process.and_then(|(pid, _)| pid),
                uid: caller.process.map(|(_, uid)| uid),
            },
            store: self.store.as_str(),
            revision: self.revision.as_str(),
            decision,
            determining_policies,
            errors,
            actions,
            principal: input.principal.as_ref().map(UidJson),
            action: input.action.as_ref().filter(|_| !is_list).map(UidJson),
            resource: input.resource.as_ref().map(UidJson),
            context: Fields(&input.context),
            entities: input.entities.iter().map(EntityJson::new).collect(),
            role_assignments: input.role_assignments.iter().map(RoleJson::new).collect(),
            now: self.now.to_string(),
            on_forbid_error: self.on_forbid_error,
            latency_us: u64::try_from(self.latency.as_micros()).unwrap_or(u64::MAX),
        }
        .serialize(serializer)
    }
}

#[derive(Serialize)]
struct RecordJson<'a> {
    record: &'static str,
    time: String,
    decision_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    span_id: Option<String>,
    rpc: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    item: Option<usize>,
    caller: CallerJson<'a>,
    store: &'a str,
    revision: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    decision: Option<Effect>,
    #[serde(skip_serializing_if = "Option::is_none")]
    determining_policies: Option<Vec<PolicyJson<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    errors: Option<Vec<ErrorJson<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    actions: Option<ActionsJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    principal: Option<UidJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<UidJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource: Option<UidJson<'a>>,
    context: Fields<'a>,
    entities: Vec<EntityJson<'a>>,
    role_assignments: Vec<RoleJson<'a>>,
    now: String,
    on_forbid_error: OnForbidError,
    latency_us: u64,
}

#[derive(Serialize)]
struct CallerJson<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    identity: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<u32>,
}

#[derive(Serialize)]
struct PolicyJson<'a> {
    policy_id: &'a str,
    annotations: BTreeMap<&'a str, &'a str>,
}

impl<'a> PolicyJson<'a> {
    fn new(policy: &'a PolicyNote) -> Self {
        Self { policy_id: policy.id(), annotations: policy.annotations().collect() }
    }
}

#[derive(Serialize)]
struct ErrorJson<'a> {
    policy_id: &'a str,
    message: &'a str,
}

impl<'a> ErrorJson<'a> {
    fn new(error: &'a EvaluationFailure) -> Self {
        Self { policy_id: &error.policy_id, message: &error.message }
    }
}

#[derive(Serialize)]
struct ActionsJson<'a> {
    allowed: Vec<CedarUid<'a>>,
    denied: usize,
    undecided: Vec<UndecidedJson<'a>>,
}

#[derive(Serialize)]
struct UndecidedJson<'a> {
    action: CedarUid<'a>,
    reason: &'a str,
}

impl<'a> UndecidedJson<'a> {
    fn new(undecided: &'a UndecidedAction) -> Self {
        Self { action: CedarUid(&undecided.action), reason: &undecided.reason }
    }
}

struct CedarUid<'a>(&'a EntityUID);

impl Serialize for CedarUid<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        write_uid(serializer, &self.0.entity_type().to_string(), self.0.eid().as_ref())
    }
}
