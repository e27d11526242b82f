//! All integration tests, in one binary so that Cedar is linked once.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod engine_corpus;
mod engine_oracle;
mod purity;
mod store_load;
mod symbolic;
