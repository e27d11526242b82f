#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod model;
mod random;
mod rules;
mod structures;
mod support;
