//! The integration tests, in one binary so that they link once.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod cli;
mod cli_check;
mod cli_serve;
mod cli_validate;
mod settings;
