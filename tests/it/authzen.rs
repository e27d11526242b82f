//! AuthZEN over HTTP.

mod access;
mod certification;
mod evaluation;
mod evaluations;
mod form;
mod held;
mod hostile;
mod same_core;
mod search_interop;
mod todo_interop;
mod values;
pub mod web;
