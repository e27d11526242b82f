//! File handles, of which the system gives a process only so many.

use std::num::NonZeroUsize;

use rustix::process::{Resource, getrlimit, setrlimit};

use crate::{server::ConnectionLimits, settings::Limits};

/// Handles that connections must leave, so that policies can still be read and probes be answered.
const RESERVE: usize = 64;

/// Handles of one worker's runtime.
const PER_WORKER: usize = 4;

/// The limits on connections, as far as there are file handles for them.
///
/// The limit on handles is raised as far as the system allows: the usual 1,024 is meant for programs
/// that count handles in a fixed array, which nothing here does.
pub(super) fn connection_limits(limits: &Limits, workers: NonZeroUsize) -> ConnectionLimits {
    let handles = raise().saturating_sub(workers.get().saturating_mul(PER_WORKER));
    let (grpc, http) = fitting(limits.connections.get(), limits.http_connections.get(), handles);
    if (grpc, http) != (limits.connections.get(), limits.http_connections.get()) {
        tracing::warn!(handles, grpc, http, "fewer connections, because file handles are limited");
    }
    ConnectionLimits {
        grpc,
        http,
        streams: limits.streams.get(),
        header_bytes: limits.header_bytes.get(),
        waiting_resets: limits.waiting_resets.get(),
        forced_resets: limits.forced_resets.get(),
        patience: limits.patience,
        keepalive_interval: limits.keepalive_interval,
        keepalive_timeout: limits.keepalive_timeout,
    }
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

/// As many connections of both kinds as there are handles for, most of them for gRPC.
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
