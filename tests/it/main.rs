//! All integration tests, in one binary so that Cedar is linked once.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod cli;
mod cli_check;
mod cli_serve;
mod cli_validate;
mod engine_corpus;
mod engine_oracle;
mod purity;
mod reload;
mod settings;
mod store_load;
mod symbolic;
