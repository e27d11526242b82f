//! What policies mean for all requests, not only for those that somebody thought of: the computed
//! matrix of roles and actions, what a change changes in it, requests that show it, and the
//! invariants of a store.
//!
//! The matrix and the changes rest on an evaluation with three values over a request of which some
//! facts are open (`evaluate`), and on a search that tries open facts one by one (`search`).

mod candidates;
mod evaluate;
pub mod invariants;
mod search;
pub mod witness;
mod world;

pub use invariants::{Claim, Invariant, read_invariants};
pub use witness::Witness;
