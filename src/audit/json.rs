//! A record as JSON. The question is written in the form that the command line reads.

use std::{borrow::Cow, time::UNIX_EPOCH};

use serde::{Serialize, Serializer};

use super::{Record, RecordedOutcome};
use crate::{
    engine::{
        ActionsJson, CallerJson, CedarUid, DecisionRecord, ErrorJson, ListedJson, PolicyJson,
        RECORD_KIND, UndecidedEntityJson, without_directory,
    },
    model::rfc3339_micros,
    request::{
        RequestInput,
        json::{EntityJson, Fields, RoleJson, UidJson},
    },
};

impl Record {
    /// Returns the question with what the directory held of it, so that it can be asked again.
    fn question(&self) -> Cow<'_, RequestInput> {
        let sent = self.input.complete();
        match self.directory.as_ref().and_then(|directory| directory.question.as_ref()) {
            None => sent,
            Some((store, request)) => Cow::Owned(without_directory(store.engine(), request, &sent)),
        }
    }
}

impl Serialize for Record {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (trace, caller) = (self.call.trace.as_ref(), &self.call.caller);
        let input = self.question();
        let (mut decision, mut determining_policies, mut errors) = (None, None, None);
        let (mut actions, mut listed) = (None, None);
        match &self.outcome {
            RecordedOutcome::Decision { effect, determining, errors: failed } => {
                decision = Some(*effect);
                determining_policies = Some(determining.iter().map(PolicyJson::new).collect());
                errors = Some(failed.iter().map(ErrorJson::new).collect());
            }
            RecordedOutcome::Actions { allowed, denied, undecided } => {
                actions = Some(ActionsJson::new(allowed, *denied, undecided));
            }
            RecordedOutcome::Entities {
                side,
                entity_type,
                allowed,
                denied,
                conditional,
                is_last,
            } => {
                listed = Some(ListedJson {
                    side: side.name(),
                    entity_type,
                    allowed: allowed.iter().map(CedarUid).collect(),
                    denied: *denied,
                    undecided: conditional.iter().map(UndecidedEntityJson::new).collect(),
                    is_last: *is_last,
                });
            }
        }
        let action = input.action.as_ref().filter(|_| actions.is_none());
        DecisionRecord {
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
            directory_version: self.directory.as_ref().map(|directory| &*directory.version),
            decision,
            determining_policies,
            errors,
            actions,
            listed,
            principal: input.principal.as_ref().map(UidJson),
            action: action.map(UidJson),
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
