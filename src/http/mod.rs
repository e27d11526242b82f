//! The HTTP face: probes, status, metrics and the log level.

mod log_level;
mod options;
mod routes;
mod server;
mod state;
mod status_page;

pub use options::HttpOptions;
pub use server::HttpServer;
pub use state::LogControl;
