//! The words that every other module speaks: names, revisions, moments, values, answers, problems.

mod effect;
pub(crate) mod extension;
mod from_cedar;
pub mod hash;
mod hex;
pub mod json;
mod name;
#[cfg(feature = "server")]
mod panic;
mod problem;
mod timestamp;
mod uid;
mod value;

pub use effect::{Effect, OnForbidError};
pub use hex::{hex, unhex};
pub use name::{Revision, StoreName, StoreNameError};
#[cfg(feature = "server")]
pub(crate) use panic::panic_message;
pub(crate) use problem::Text;
pub use problem::{Location, Problem};
pub use timestamp::{Timestamp, TimestampError, rfc3339_micros};
pub use uid::{Uid, UidParseError};
pub use value::Value;

pub(crate) use extension::duration_millis;
