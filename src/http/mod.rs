//! The HTTP faces: probes, status, metrics and the log level at `http_listen`, AuthZEN and the console
//! at `web_listen`.

mod authzen;
mod caller_base;
mod console;
mod log_level;
mod options;
mod public_url;
mod readiness;
mod routes;
mod server;
mod serving;
mod state;
mod status_page;
mod web;

pub use options::HttpOptions;
pub use public_url::{PublicUrl, PublicUrlError};
pub use server::HttpServer;
pub use state::LogControl;
pub use web::{WebOptions, WebServer};
