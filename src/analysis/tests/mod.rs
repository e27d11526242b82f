#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod deep;
mod planted;
mod random;
mod schema_change;
mod shipped;
mod support;
