//! A record as JSON. The question is written in the form that the command line reads.

use std::time::SystemTime;

use serde::{Serialize, Serializer};

use super::{Outcome, Record};
use crate::{
    engine::{ActionsJson, CallerJson, DecisionRecord, ErrorJson, PolicyJson, RECORD_KIND},
    request::json::{EntityJson, Fields, RoleJson, UidJson},
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
                (None, None, None, Some(ActionsJson::new(allowed, *denied, undecided)))
            }
        };
        DecisionRecord {
            record: RECORD_KIND,
            time: rfc3339(self.time),
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

/// Writes a time in UTC with microseconds, always in the same length, so that lines sort as their times
/// do.
fn rfc3339(time: SystemTime) -> String {
    format!("{:.6}", jiff::Timestamp::try_from(time).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times_have_microseconds() {
        let at = |micros| SystemTime::UNIX_EPOCH + Duration::from_micros(micros);
        assert_eq!(rfc3339(at(1_769_850_000_000_000)), "2026-01-31T09:00:00.000000Z");
        assert_eq!(rfc3339(at(1_769_850_000_012_345)), "2026-01-31T09:00:00.012345Z");
    }
}
