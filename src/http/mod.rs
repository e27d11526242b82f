//! The HTTP faces: probes, status, metrics and the log level at `http_listen`, AuthZEN and the console
//! at `web_listen`.

mod authzen;
mod console;
mod log_level;
mod options;
mod routes;
mod server;
mod serving;
mod state;
mod status_page;
mod web;

pub use options::HttpOptions;
pub use server::HttpServer;
pub use state::LogControl;
pub use web::{PublicUrl, PublicUrlError, WebOptions, WebServer};
