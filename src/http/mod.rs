//! The HTTP face: probes, status, metrics and the log level.

mod log_level;
mod options;
mod routes;
mod server;
mod status_page;

pub use log_level::LogControl;
pub use options::HttpOptions;
pub use server::HttpServer;
