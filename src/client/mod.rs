//! A client of the gRPC face, for backends in Rust. The command line uses it, too.
//!
//! A backend that needs nothing else takes the crate with the feature `client` alone:
//! `humbaba = { …, default-features = false, features = ["client"] }`.
//!
//! ```no_run
//! use humbaba::client::{Client, Question, Uid};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::connect("unix:/run/humbaba.sock").await?;
//! let (alice, site) = (Uid::new("User", "alice"), Uid::new("Site", "42"));
//! let question = Question::new(alice, "site.goals.create", site.clone())
//!     .in_store("hitkeep")
//!     .role("editor", site)
//!     .explain();
//! let decision = client.is_authorized(question).await?;
//! if !decision.is_allowed() {
//!     println!("{}", decision.reason());
//! }
//! # Ok(())
//! # }
//! ```
//!
//! It fails closed. No error is an allow: [`Client::is_authorized`] returns it as an [`Error`],
//! [`Client::allowed_or_deny`] logs it and says no, and [`RequirePermission`] answers with 503 or
//! UNAVAILABLE. A call is repeated only on UNAVAILABLE, after a pause and within its deadline.

mod batch;
mod builder;
mod call;
mod decision;
mod error;
mod lists;
mod question;
mod require_permission;
mod retry;
mod to_proto;

pub use batch::{Batch, BatchAnswer};
pub use builder::{Builder, ConnectError, DEFAULT_TIMEOUT, Tls};
pub use call::Client;
pub use decision::Decision;
pub use error::Error;
pub use lists::{Actions, Page, Undecided};
pub use question::{ActionUid, ListActions, ListPrincipals, ListResources, Question};
pub use require_permission::{Face, Grpc, Http, PermissionService, Refusal, RequirePermission};
pub use retry::Retry;

pub use crate::{
    model::{Timestamp, Uid, Value},
    proto::Explanation,
    request::{EntityInput as Entity, RoleAssignmentInput as RoleAssignment, Violation},
};

/// The page for users, so that its examples compile.
#[cfg(doctest)]
#[doc = include_str!("../../docs/rust-client.md")]
struct UserPage;
