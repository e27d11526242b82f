//! What policies mean for all requests, not only for those that somebody thought of.

pub mod invariants;
pub mod witness;

pub use invariants::{Claim, Invariant, read_invariants};
pub use witness::Witness;
