//! Ending a connection without cutting its answers off.

use std::pin::pin;

use hyper_util::server::graceful::GracefulConnection;
use tokio_util::sync::CancellationToken;

/// Serves a connection until its peer closes it or, after `shutdown`, until what is under way is answered.
///
/// # Errors
/// The connection broke off, or its peer does not keep to the protocol.
pub(crate) async fn serve_until_shutdown<C: GracefulConnection>(
    connection: C,
    shutdown: CancellationToken,
) -> Result<(), C::Error> {
    let mut connection = pin!(connection);
    tokio::select! {
        served = connection.as_mut() => served,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    }
}
