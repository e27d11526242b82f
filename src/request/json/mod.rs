//! The JSON form of the facts of a request, as the command line, test files and the decision log have
//! them.

mod read;
mod write;

pub use read::FactReader;
pub use write::{EntityJson, Fields, RoleJson, UidJson, write_uid};
