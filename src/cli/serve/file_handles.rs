//! The limit on file handles of the process, and the connections that it leaves room for.

use std::num::NonZeroUsize;

use rustix::process::{Resource, getrlimit, setrlimit};

use crate::settings::Limits;

/// Handles that connections must leave, so that policies can still be read and probes be answered.
const RESERVE: usize = 64;

/// Handles of one runtime: that of a worker thread, or that of long calls.
const PER_RUNTIME: usize = 4;

/// Connections that may be open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) struct ConnectionCounts {
    pub grpc: usize,
    pub http: usize,
    pub web: usize,
}

/// The connections that the settings allow, and those that file handles allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) struct Handles {
    /// File handles that are left for connections.
    pub handles: usize,
    pub wanted: ConnectionCounts,
    pub fitting: ConnectionCounts,
}

/// Returns how many connections there may be of each kind, as far as there are file handles for
/// them. A connection has its place from when it is accepted, so its TLS handshake counts too.
///
/// The limit on handles is raised as far as the system allows: the usual 1,024 is meant for programs
/// that count handles in a fixed array, which nothing here does.
pub(in crate::cli) fn connection_limits(limits: &Limits, workers: NonZeroUsize) -> Handles {
    // Beside the workers those of long calls, over gRPC and over HTTP.
    let runtimes = workers.get().saturating_add(2);
    let handles = raise().saturating_sub(runtimes.saturating_mul(PER_RUNTIME));
    let wanted = ConnectionCounts {
        grpc: limits.connections.get(),
        http: limits.http_connections.get(),
        web: limits.web_connections.get(),
    };
    Handles { handles, wanted, fitting: wanted.fitting(handles) }
}

/// Raises the limit on handles and returns it.
fn raise() -> usize {
    let mut limit = getrlimit(Resource::Nofile);
    let before = limit.current;
    limit.current = limit.maximum;
    if setrlimit(Resource::Nofile, limit).is_err() {
        limit.current = before;
    }
    limit.current.map_or(usize::MAX, |handles| usize::try_from(handles).unwrap_or(usize::MAX))
}

impl ConnectionCounts {
    /// Returns as many connections of each kind as there are handles for, most of them for gRPC.
    fn fitting(self, handles: usize) -> Self {
        let handles = handles.saturating_sub(RESERVE).max(3);
        let eighth = (handles / 8).max(1);
        let (http, web) = (self.http.min(eighth), self.web.min(eighth));
        Self { grpc: self.grpc.min(handles - http - web), http, web }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_handles_for_the_rest() {
        let wanted = ConnectionCounts { grpc: 10_000, http: 1_000, web: 1_000 };
        let counts = |grpc, http, web| ConnectionCounts { grpc, http, web };
        assert_eq!(wanted.fitting(usize::MAX), wanted);
        assert_eq!(wanted.fitting(20_000), wanted);
        assert_eq!(wanted.fitting(1_024), counts(720, 120, 120));
        assert_eq!(wanted.fitting(0), counts(1, 1, 1));
    }
}
