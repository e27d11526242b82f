//! The listener that answers programs and people: `web_listen`.
//!
//! ```text
//! connection ─ host, token and request id ─ authzen, console
//! ```

mod admission;
mod connection;
mod hosts;
mod options;
mod public_url;
mod server;

pub(in crate::http) use admission::CallerBase;
pub use options::WebOptions;
pub use public_url::{PublicUrl, PublicUrlError};
pub use server::WebServer;
