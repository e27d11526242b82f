//! The faces of the process.

/// The face that a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Face {
    /// gRPC: decisions.
    Grpc,
    /// HTTP: administration.
    Http,
    /// HTTP: AuthZEN.
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
