//! The listener that answers programs and people: `web_listen`.
//!
//! ```text
//! connection ─ host, token and request id ─ authzen, console
//! ```

mod admission;
mod connection;
mod hosts;
mod options;
mod server;

pub use options::WebOptions;
pub use server::WebServer;
