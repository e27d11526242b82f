//! Shared by the tests: small stores in memory, a server on a port of its own, questions to it.

pub mod ask;
pub mod collector;
pub mod console;
pub mod directory;
pub mod directory_client;
pub mod followed;
pub mod hidden;
pub mod hostile;
pub mod http;
pub mod kubelet;
pub mod page_steps;
pub mod pki;
pub mod postgres;
pub mod random;
pub mod raw;
pub mod reader_session;
pub mod replay;
pub mod server;
pub mod siege;
pub mod skip;
pub mod slow_folder;
pub mod stores;
pub mod tls;
pub mod wait;

pub use ask::ask;
pub use server::TestServer;
