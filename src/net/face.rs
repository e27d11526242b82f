//! The faces of the process: kinds of listeners, as logs and metrics name them.

/// The face that a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Face {
    /// gRPC: decisions at `listen`, directories at `directory.listen`.
    Grpc,
    /// HTTP at `http_listen`: probes, status, metrics and the log level.
    Http,
    /// HTTP at `web_listen`: AuthZEN and the console.
    Web,
}

impl Face {
    pub const ALL: [Self; 3] = [Self::Grpc, Self::Http, Self::Web];

    /// Returns the name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Grpc => "grpc",
            Self::Http => "http",
            Self::Web => "web",
        }
    }
}
