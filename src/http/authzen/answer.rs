//! The answer to a request.

use serde::Serialize;
use serde_json::{Value as Json, json};

use crate::{
    audit::Record,
    grpc::{CallContext, Decider},
    reload::InForce,
};

/// A request that is being answered, with what decides it.
pub(super) struct AuthzenCall<'a> {
    pub decider: &'a Decider,
    pub in_force: &'a InForce,
    pub context: &'a CallContext,
}

/// The answer to a request.
#[derive(Default)]
pub(super) struct AuthzenAnswer {
    pub body: Json,
    pub allowed: usize,
    pub denied: usize,
    /// For the decision log.
    pub records: Vec<Record>,
}

impl AuthzenAnswer {
    /// Adds the answer to one question and returns its JSON.
    pub fn add(&mut self, evaluated: EvaluatedQuestion) -> Evaluation {
        if evaluated.is_decided {
            let is_allowed = evaluated.evaluation.decision;
            self.allowed += usize::from(is_allowed);
            self.denied += usize::from(!is_allowed);
        }
        self.records.extend(evaluated.record);
        evaluated.evaluation
    }
}

/// The answer to a question, as AuthZEN writes it.
#[derive(Debug, Serialize)]
pub(super) struct Evaluation {
    pub decision: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<Json>,
}

/// The answer to a question, with its record for the decision log.
pub(super) struct EvaluatedQuestion {
    pub evaluation: Evaluation,
    /// False where the question could not be decided.
    pub is_decided: bool,
    pub record: Option<Record>,
}

impl EvaluatedQuestion {
    /// Returns the answer to a question that could not be decided.
    pub fn failed(status: u16, message: impl Into<String>) -> Self {
        let message: String = message.into();
        let context = json!({"error": {"status": status, "message": message}});
        Self {
            evaluation: Evaluation { decision: false, context: Some(context) },
            is_decided: false,
            record: None,
        }
    }
}
