//! Loading policy stores from a folder and keeping them up to date.

mod edits;
mod first_load;
mod kubelet;
pub mod lab;
mod log;
mod odd_files;
mod proofs;
mod refusals;
mod removals;
mod slow_stores;
mod under_load;
mod vanishing;
mod watching;
