//! The context of a request with the time of its decision.

use std::sync::Arc;

use crate::{model::Timestamp, request::Context};

/// The context of a request and the time of its decision.
#[derive(Clone)]
pub struct TimedContext {
    pub context: Arc<Context>,
    pub now: Timestamp,
}
