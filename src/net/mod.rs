//! Connections below HTTP.

pub mod authority;
