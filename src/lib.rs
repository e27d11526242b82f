//! Humbaba guards the Cedar Forest: an authorization sidecar that loads Cedar policy stores from a
//! folder, reloads them when a file changes, and answers `IsAuthorized` over gRPC.
//!
//! `docs/architecture.md` is the map: the modules, the walk of a request and of a reload, the
//! invariants, and where a new feature goes.
//!
//! *Architecture Invariant:* each module sees only those above it in this file, and a test holds them
//! to that. `model` to `analysis` are the core: pure, and compiled by itself without
//! features. [`client`] needs the feature `client` alone.

pub mod model;

pub mod schema;

pub mod request;

pub mod engine;

pub mod store;

pub mod directory;

pub mod testing;

pub mod import;

pub mod generate;

pub mod analysis;

#[cfg(feature = "server")]
pub(crate) mod regular_file;

#[cfg(feature = "server")]
pub(crate) mod program;

#[cfg(feature = "server")]
pub mod reload;

#[cfg(feature = "prove")]
pub mod proofs;

#[cfg(feature = "server")]
pub mod sources;

#[cfg(feature = "server")]
pub mod telemetry;

#[cfg(feature = "server")]
pub mod audit;

#[cfg(feature = "server")]
pub mod shadow;

#[cfg(feature = "client")]
pub mod proto;

#[cfg(feature = "server")]
pub mod net;

#[cfg(feature = "server")]
pub mod grpc;

#[cfg(feature = "server")]
pub mod http;

#[cfg(feature = "client")]
pub mod client;

#[cfg(feature = "server")]
pub mod settings;

#[cfg(feature = "server")]
pub mod cli;
