//! Between the messages of the gRPC contract and the words of the core.

mod answer;
mod question;
mod time;
mod write;

pub(super) use answer::{Response, uid, undecided};
pub(super) use question::Question;
