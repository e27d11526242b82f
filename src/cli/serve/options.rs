//! From the settings to the options of the servers.

use std::{env, sync::Arc};

use super::file_handles::{self, ConnectionCounts, Handles};
use crate::{
    grpc::{GrpcOptions, Http2Limits},
    http::{HttpOptions, WebOptions},
    net::BearerTokens,
    reload::{Gate, Options, SlowGates},
    settings::{ListenAddress, Settings},
    sources::SourceOptions,
    telemetry::Variables,
};

/// Returns the options of gRPC and HTTP, and the connections that `web_listen` may have. `tokens` are those
/// of callers over gRPC.
pub(super) fn server_options(
    settings: &Settings,
    tokens: Option<BearerTokens>,
) -> (GrpcOptions, HttpOptions, usize) {
    let limits = &settings.limits;
    let defaults = GrpcOptions::default();
    let connections = connections(file_handles::connection_limits(limits, defaults.workers));
    let http = HttpOptions {
        connections: connections.http,
        patience: limits.patience,
        head_timeout: limits.http_head_timeout,
        drain_timeout: settings.shutdown.drain,
    };
    let grpc = GrpcOptions {
        limits: limits.request.clone(),
        batch_items: limits.batch_items.get(),
        message_bytes: limits.message_bytes.get(),
        message_parts: limits.message_parts.get(),
        inline_bytes: limits.inline_bytes,
        on_forbid_error: settings.on_forbid_error,
        verify_sample: settings.verify_sample,
        concurrent_requests: limits.concurrent_requests.get(),
        watches: limits.watches.get(),
        directory_watches: limits.directory_watches.get(),
        waiting: limits.waiting.get(),
        page_items: limits.page_items.get(),
        directory_changes: limits.directory_changes.get(),
        held_bytes: limits.held_bytes.get(),
        request_timeout: limits.request_timeout,
        drain_timeout: settings.shutdown.drain,
        connections: connections.grpc,
        patience: limits.patience,
        http2: Http2Limits {
            streams: limits.streams.get(),
            header_bytes: limits.header_bytes.get(),
            waiting_resets: limits.waiting_resets.get(),
            forced_resets: limits.forced_resets.get(),
            keepalive_interval: limits.keepalive_interval,
            keepalive_timeout: limits.keepalive_timeout,
        },
        workers: defaults.workers,
        tokens,
    };
    (grpc, http, connections.web)
}

/// Returns the connections that there may be, and warns where file handles make them fewer.
fn connections(Handles { handles, wanted, fitting }: Handles) -> ConnectionCounts {
    if fitting != wanted {
        let ConnectionCounts { grpc, http, web } = fitting;
        tracing::warn!(
            handles,
            grpc,
            http,
            web,
            "fewer connections, because file handles are limited"
        );
    }
    fitting
}

/// Returns the options of `web_listen`.
pub(super) fn web_options(
    settings: &Settings,
    tokens: Option<BearerTokens>,
    connections: usize,
) -> WebOptions {
    let own = match settings.web_listen.address() {
        Some(ListenAddress::Tcp(address)) => Some(address.host.to_ascii_lowercase()),
        Some(ListenAddress::Unix(_)) | None => None,
    };
    let listed = settings.http_hosts.iter().map(|host| host.as_str().to_owned());
    WebOptions {
        connections,
        patience: settings.limits.patience,
        head_timeout: settings.limits.http_head_timeout,
        drain_timeout: settings.shutdown.drain,
        hosts: own.into_iter().chain(listed).collect(),
        tokens,
        public_url: settings.authzen.public_url.clone(),
        bounds: settings.bounds.clone(),
    }
}

/// Returns the options of the sources of directories.
pub(in crate::cli) fn source_options(settings: &Settings) -> SourceOptions {
    let kept_changes = settings.directory.kept_changes.get();
    // Nobody can follow where the directory service is not served.
    let is_followed = settings.directory.listen.address().is_some();
    SourceOptions {
        max_age: settings.directory.max_age,
        limits: settings.limits.request.clone(),
        bounds: settings.directory.bounds,
        rehash_interval: settings.reload.rehash_interval,
        use_events: settings.reload.use_events,
        data: settings.data.clone(),
        kept_changes,
        followed_changes: if is_followed { kept_changes } else { 0 },
        postgres_url_file: settings.directory.postgres_url_file.clone(),
        poll: settings.directory.poll,
        compare: settings.directory.compare,
    }
}

/// Returns the options of loading policies, without gates.
pub(in crate::cli) fn reload_options(settings: &Settings) -> Options {
    Options {
        default_store: settings.default_store.clone(),
        bounds: settings.bounds.clone(),
        settle: settings.reload.settle,
        settle_removals: settings.reload.settle_removals,
        rehash_interval: settings.reload.rehash_interval,
        use_events: settings.reload.use_events,
        ..Options::default()
    }
}

/// Returns the same with the gates that the settings name. Those that take a solver are given.
pub(in crate::cli) fn gated_options(
    settings: &Settings,
    slow_gates: Option<Arc<dyn SlowGates>>,
) -> Options {
    Options {
        require_tests: settings.reload.require.contains(&Gate::Tests),
        slow_gates,
        deny_warnings: settings.reload.deny_warnings,
        ..reload_options(settings)
    }
}

/// Returns the variables that say what is sent to a collector.
pub(in crate::cli) fn telemetry_variables() -> Variables {
    let text = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
    Variables::new(env::vars_os().map(|(name, value)| (text(name), text(value))))
}
