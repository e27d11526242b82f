#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod deep;
mod planted;
mod random;
mod random_states;
mod shipped;
mod support;
