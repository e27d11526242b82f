//! What policies mean for all requests, not only for those that somebody thought of.

pub mod witness;

pub use witness::Witness;
