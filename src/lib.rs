//! Humbaba guards the Cedar Forest: an authorization sidecar that loads Cedar policy stores from a
//! folder, reloads them when a file changes, and answers `IsAuthorized` over gRPC.
//!
//! # The map of the house
//!
//! A request walks through the modules in one direction:
//!
//! ```text
//! listener ─ server::convert ─ live (one snapshot) ─ request::check ─ engine::decide ─ response
//! ```
//!
//! and so does a policy file:
//!
//! ```text
//! folder ─ reload ─ store::PolicyStore::load ─ live
//! ```
//!
//! | module | what it is |
//! |---|---|
//! | [`store`] | policy stores: files in memory become schema, policies, links and fixed entities, prepared for decisions |
//! | [`roles`] | role slots and the spelling of Role ids |
//! | [`request`] | a request as it was sent, and checked against the schema with every violation told |
//! | [`engine`] | the decision, its explanation, and the list of allowed actions |
//! | [`testing`] | the tests, the expected matrix and the mutants of a store |
//! | [`diagnostics`], [`name`], [`time`] | problems with file, line and caret; names of stores, revisions; time as Cedar counts it |
//! | [`hash`], [`shard`] | maps for every decision; copies of which each thread keeps to one |
//! | [`live`] | what the process decides with at this moment, and how it came to it |
//! | [`reload`] | reads, watches and re-reads the policies folder |
//! | [`server`], [`proto`] | the gRPC and HTTP faces, and the contract generated from `proto/` |
//! | [`net`] | connections below HTTP: official gRPC clients on a Unix socket |
//! | [`decision_log`] | one record a decision, on its way to a file or a collector |
//! | [`telemetry`] | spans and metrics for a collector, over OTLP |
//! | [`settings`], [`cli`] | settings in four layers, and the command line that wires everything |
//!
//! # Architecture invariants
//!
//! *Architecture Invariant:* `store`, `roles`, `request`, `engine`, `testing`, `diagnostics`, `hash`,
//! `name`, `shard` and `time` are the core. It is pure: it knows no tokio, tonic, axum, notify, clock or file
//! system, and nothing of the modules below it in the table. A test holds it to that.
//!
//! *Architecture Invariant:* between loading the snapshot from [`live`] and the decision there is
//! no lock, no await and no I/O, and a whole batch is decided on one snapshot.
//!
//! *Architecture Invariant:* nothing that decides ever changes. A reload makes new stores and swaps
//! them in; a store that is refused leaves the last good one in force.
//!
//! *Architecture Invariant:* deny by default and fail closed. A request that does not fit the schema
//! is refused and never silently denied; a `forbid` whose evaluation fails denies; the action
//! entities of the schema are always present, without which a `forbid` on an action group would be
//! open.
//!
//! *Architecture Invariant:* an item of a batch is answered like another only where no policy can
//! tell the two apart ([`engine::Symmetry`]); what is recorded or explained is decided by itself.
//!
//! *Architecture Invariant:* a policy that is left out because its scope does not match would not
//! have changed decision, reasons or errors ([`engine::Slices`]); the engine is held against
//! Cedar's own authorizer.

pub mod cli;
pub mod decision_log;
pub mod diagnostics;
pub mod engine;
pub mod hash;
pub mod live;
pub mod name;
pub mod net;
pub mod proto;
pub mod reload;
pub mod request;
pub mod roles;
pub mod server;
pub mod settings;
pub mod shard;
pub mod store;
pub mod telemetry;
pub mod testing;
pub mod time;
