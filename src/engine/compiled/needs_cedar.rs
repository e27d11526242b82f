//! The way out where compiled policies do not suffice.

/// Cedar has to decide the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) struct NeedsCedar;
