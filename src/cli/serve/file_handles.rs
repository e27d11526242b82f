//! File handles, of which the system gives a process only so many.

use std::num::NonZeroUsize;

use rustix::process::{Resource, getrlimit, setrlimit};

use crate::settings::Limits;

/// Handles that connections must leave, so that policies can still be read and probes be answered.
const RESERVE: usize = 64;

/// Handles of one runtime: that of a worker thread, or that of long calls.
const PER_RUNTIME: usize = 4;

/// Returns how many gRPC and HTTP connections there may be, as far as there are file handles for
/// them. A connection has its place from when it is accepted, so its TLS handshake counts too.
///
/// The limit on handles is raised as far as the system allows: the usual 1,024 is meant for programs
/// that count handles in a fixed array, which nothing here does.
pub(super) fn connection_limits(limits: &Limits, workers: NonZeroUsize) -> (usize, usize) {
    let runtimes = workers.get().saturating_add(1);
    let handles = raise().saturating_sub(runtimes.saturating_mul(PER_RUNTIME));
    let wanted = (limits.connections.get(), limits.http_connections.get());
    let (grpc, http) = fitting(wanted.0, wanted.1, handles);
    if (grpc, http) != wanted {
        tracing::warn!(handles, grpc, http, "fewer connections, because file handles are limited");
    }
    (grpc, http)
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

/// Returns as many connections of both kinds as there are handles for, most of them for gRPC.
fn fitting(grpc: usize, http: usize, handles: usize) -> (usize, usize) {
    let handles = handles.saturating_sub(RESERVE).max(2);
    let http = http.min((handles / 8).max(1));
    (grpc.min(handles - http), http)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_handles_for_the_rest() {
        assert_eq!(fitting(10_000, 1_000, usize::MAX), (10_000, 1_000));
        assert_eq!(fitting(10_000, 1_000, 20_000), (10_000, 1_000));
        assert_eq!(fitting(10_000, 1_000, 1_024), (840, 120));
        assert_eq!(fitting(10_000, 1_000, 0), (1, 1));
    }
}
