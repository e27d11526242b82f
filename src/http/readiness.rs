//! Why a server is not ready to be asked.

use super::status_page::text;
use crate::grpc::GrpcServer;

/// Returns why a server is not ready; `None` where it is. Where that is strict, all that was found must be in
/// force, and every directory must decide.
pub(super) fn not_ready(server: &GrpcServer, is_strict: bool) -> Option<String> {
    let live = server.live();
    let reason = if server.is_stopping() {
        "the process is stopping"
    } else if live.stores().is_empty() {
        return Some(nothing_loaded(server));
    } else if !server.is_loaded() {
        "a directory is not loaded: see /status"
    } else if !server.is_serving() {
        "nothing can be decided, for the directory of every policy store was refused: see /status"
    } else if is_strict && !live.is_clean() {
        "a policy store, the folder or a directory was refused: see /status"
    } else {
        return None;
    };
    Some(reason.to_owned())
}

/// Tells what the first load waits for.
fn nothing_loaded(server: &GrpcServer) -> String {
    let status = server.live().status();
    let proving =
        status.proving().map(|(store, since)| format!("`{store}` (since {})", text(since)));
    let proving: Vec<_> = proving.collect();
    if proving.is_empty() {
        return "no policy store is loaded".to_owned();
    }
    format!("no policy store is loaded yet: the gates of {} are being proved", proving.join(", "))
}
