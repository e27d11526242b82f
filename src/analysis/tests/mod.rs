#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod deep;
mod planted;
pub(crate) mod random;
mod random_states;
mod random_ways;
mod schema_change;
mod shipped;
pub(crate) mod support;
