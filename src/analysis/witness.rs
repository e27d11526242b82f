//! A request that shows what a store does.

use std::{fmt, time::Duration};

use crate::{
    engine::{CallerJson, Decision, DecisionRecord, ErrorJson, PolicyJson, RECORD_KIND, decide},
    model::{OnForbidError, Timestamp, Uid, Value, rfc3339_micros},
    request::{
        RequestInput, RequestLimits, RoleAssignmentInput, Violation,
        json::{EntityJson, Fields, RoleJson, UidJson},
    },
    store::PolicyStore,
};

/// A request that shows what a store does: that it allows what must never be, or that it decides
/// otherwise than another. Everybody can ask it again.
#[derive(Debug, Clone, PartialEq)]
pub struct Witness {
    /// The question.
    pub input: RequestInput,
    /// The time of the question.
    pub now: Timestamp,
    /// The rule for a forbid whose evaluation fails.
    pub on_forbid_error: OnForbidError,
}

impl Witness {
    /// Asks a store.
    ///
    /// # Errors
    /// The violations where the request does not fit the store's schema.
    pub fn decide(&self, store: &PolicyStore) -> Result<Decision, Vec<Violation>> {
        let request = store.check(&self.input, self.now, &RequestLimits::default())?;
        Ok(decide(store.engine(), &request, self.on_forbid_error))
    }

    /// Asks a store and returns question and answer as a decision record of one line, which
    /// `humbaba check --record` asks again. Its time is that of the question, and the id
    /// names it among others in a file.
    ///
    /// # Errors
    /// The violations where the request does not fit the store's schema.
    pub fn record(&self, store: &PolicyStore, id: &str) -> Result<String, Vec<Violation>> {
        let decision = self.decide(store)?;
        let input = &self.input;
        let time = u64::try_from(self.now.as_millis()).unwrap_or_default();
        let record = DecisionRecord {
            record: RECORD_KIND,
            time: rfc3339_micros(Duration::from_millis(time)),
            decision_id: id,
            request_id: None,
            trace_id: None,
            span_id: None,
            rpc: "IsAuthorized",
            item: None,
            caller: CallerJson::default(),
            store: store.name().as_str(),
            revision: store.revision().as_str(),
            directory_version: None,
            decision: Some(decision.effect),
            determining_policies: Some(decision.determining.iter().map(PolicyJson::new).collect()),
            errors: Some(decision.errors.iter().map(ErrorJson::new).collect()),
            actions: None,
            listed: None,
            principal: input.principal.as_ref().map(UidJson),
            action: input.action.as_ref().map(UidJson),
            resource: input.resource.as_ref().map(UidJson),
            context: Fields(&input.context),
            entities: input.entities.iter().map(EntityJson::new).collect(),
            role_assignments: input.role_assignments.iter().map(RoleJson::new).collect(),
            now: self.now.to_string(),
            on_forbid_error: self.on_forbid_error,
            latency_us: 0,
        };
        // Writing to memory fails for no record.
        Ok(serde_json::to_string(&record).unwrap_or_default())
    }
}

/// Writes the request in words, a line for the question and one for each fact.
impl fmt::Display for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let input = &self.input;
        let name = |uid: &Option<Uid>| uid.as_ref().map(Uid::to_string).unwrap_or_default();
        let action = input.action.as_ref().map(|uid| uid.id.as_str()).unwrap_or_default();
        write!(f, "{} asks for {action} on {}", name(&input.principal), name(&input.resource))?;
        for RoleAssignmentInput { principal, role, scope, expires_at } in &input.role_assignments {
            let principal = principal.clone().or_else(|| input.principal.clone());
            let scope = scope.clone().or_else(|| input.resource.clone());
            write!(f, "\n{} is {role} of {}", name(&principal), name(&scope))?;
            if let Some(moment) = expires_at {
                write!(f, " until {moment}")?;
            }
        }
        for entity in &input.entities {
            let uid = name(&entity.uid);
            for parent in &entity.parents {
                write!(f, "\n{uid} is in {parent}")?;
            }
            for (attribute, value) in &entity.attributes {
                write!(f, "\n{uid}.{attribute} is {}", Shown(value))?;
            }
            for (tag, value) in &entity.tags {
                write!(f, "\n{uid} has the tag {tag}: {}", Shown(value))?;
            }
        }
        for (fact, value) in &input.context {
            write!(f, "\ncontext.{fact} is {}", Shown(value))?;
        }
        Ok(())
    }
}

/// A value in Cedar's words.
struct Shown<'a>(&'a Value);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Value::Missing => f.write_str("nothing"),
            Value::Bool(value) => write!(f, "{value}"),
            Value::Long(value) => write!(f, "{value}"),
            Value::String(text) => write!(f, "\"{}\"", text.escape_debug()),
            Value::Entity(uid) => write!(f, "{uid}"),
            Value::Set(values) => {
                f.write_str("[")?;
                for (index, value) in values.iter().enumerate() {
                    write!(f, "{}{}", if index == 0 { "" } else { ", " }, Self(value))?;
                }
                f.write_str("]")
            }
            Value::Record(fields) => {
                f.write_str("{")?;
                for (index, (name, value)) in fields.iter().enumerate() {
                    write!(f, "{}{name}: {}", if index == 0 { "" } else { ", " }, Self(value))?;
                }
                f.write_str("}")
            }
            Value::Decimal(text) => write!(f, "decimal(\"{text}\")"),
            Value::Ip(text) => write!(f, "ip(\"{text}\")"),
            Value::Datetime(moment) => write!(f, "{moment}"),
            Value::Duration(millis) => write!(f, "{millis} ms"),
        }
    }
}
