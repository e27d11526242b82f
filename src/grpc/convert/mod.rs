//! Conversion between the messages of the gRPC contract and the types of the core.

mod request;
mod response;
mod time;

pub(super) use request::{ReadInput, with_violations};
pub(super) use response::{is_authorized_response, uid, undecided, undecided_entity};
