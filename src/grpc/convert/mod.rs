//! Conversion between the messages of the gRPC contract and the types of the core.

mod change;
mod request;
mod response;
mod time;

pub(crate) use change::read_changes;
pub(super) use change::{held_assignment, held_entity, sent_change};
pub(super) use request::{ReadInput, uid as uid_of, with_violations};
pub(super) use response::{is_authorized_response, uid, undecided, undecided_entity};
