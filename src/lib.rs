//! Humbaba: an authorization sidecar.

pub mod cli;
pub mod diagnostics;
pub mod engine;
pub mod live;
pub mod name;
pub mod proto;
pub mod reload;
pub mod request;
pub mod roles;
pub mod server;
pub mod settings;
pub mod store;
pub mod testing;
pub mod time;
