//! The words that every other module speaks: names, revisions, moments, values, answers, problems.

mod decode;
mod effect;
mod escapes;
pub(crate) mod extension;
mod from_cedar;
pub mod hash;
mod hex;
pub mod json;
mod name;
mod nearest;
#[cfg(feature = "server")]
mod panic;
mod problem;
mod timestamp;
mod uid;
mod value;

pub use decode::{DecodeError, decode, decode_owned};
pub use effect::{Effect, OnForbidError};
pub use escapes::unknown_escape;
pub use hex::{hex, unhex};
pub use name::{Revision, StoreName, StoreNameError};
pub use nearest::nearest;
#[cfg(feature = "server")]
pub(crate) use panic::panic_message;
pub use problem::{Location, Problem, Text};
pub use timestamp::{Timestamp, TimestampError, rfc3339_micros};
pub use uid::{Uid, UidParseError};
pub use value::Value;

pub(crate) use extension::duration_millis;
