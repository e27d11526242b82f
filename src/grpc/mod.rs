//! The gRPC face. tonic serves it; this module puts limits, the deadline and the choice of a thread
//! before the generated service, and decides in its handlers.
//!
//! ```text
//! connection ─ call ─ authorization ─ decider ─ convert ─ request::check ─ engine::decide ─ convert
//! ```

mod assignment_list;
mod authorization;
mod batch;
mod call;
mod call_span;
mod connection;
mod convert;
mod decider;
mod decision_id;
mod directory;
mod directory_page;
mod entity_list;
mod error;
pub(crate) mod health;
mod list;
mod message_body;
mod message_parts;
pub(crate) mod metrics;
mod options;
mod page_tokens;
mod recording;
#[doc(hidden)]
pub mod replay;
mod server;
mod services;
mod state;
mod status;
mod timeout;
mod verification;

pub(crate) use call::PANICKED;
pub(crate) use call_span::{CallSpan, caller_context};
pub(crate) use convert::read_changes;
pub(crate) use decider::{CallContext, Decider, DecisionAnswer};
pub(crate) use metrics::Rpc;
pub(crate) use page_tokens::PageTokens;

pub use error::ServeError;
pub use options::{GrpcOptions, Http2Limits};
pub use server::{DirectoryListener, GrpcServer};
