//! The servers of a process, from their start to their end.

use tokio::{
    sync::watch,
    task::{JoinError, JoinSet},
};

use crate::{
    cli::{CliError, exit::chain},
    grpc::{DirectoryListener, GrpcServer, ServeError},
    http::{HttpServer, WebServer},
    net::Listener,
};

/// The running servers.
pub(super) struct Serving {
    servers: JoinSet<Result<(), ServeError>>,
    stop: watch::Sender<bool>,
}

impl Serving {
    pub fn start(
        server: &GrpcServer,
        listeners: Vec<Listener>,
        directory: Option<DirectoryListener>,
    ) -> Self {
        let mut serving = Self { servers: JoinSet::new(), stop: watch::Sender::new(false) };
        let (server, stopping) = (server.clone(), serving.stopping());
        serving.servers.spawn(async move {
            server.serve_with_directory(listeners, directory, stopping).await
        });
        serving
    }

    pub fn start_http(&mut self, server: &HttpServer, listener: Option<Listener>) {
        let Some(listener) = listener else { return };
        let (server, stopping) = (server.clone(), self.stopping());
        self.servers.spawn(async move {
            server.serve(listener, stopping).await;
            Ok(())
        });
    }

    pub fn start_web(&mut self, server: &WebServer, listener: Option<Listener>) {
        let Some(listener) = listener else { return };
        let (server, stopping) = (server.clone(), self.stopping());
        self.servers.spawn(async move { Ok(server.serve(listener, stopping).await?) });
    }

    /// Completes once the servers are to stop.
    fn stopping(&self) -> impl Future<Output = ()> + use<> {
        let mut stop = self.stop.subscribe();
        // It fails where nobody can say it any more, and that is a reason to stop too.
        async move { drop(stop.wait_for(|stop| *stop).await) }
    }

    /// Waits until a server ends that was not told to, and returns the reason.
    pub async fn failure(&mut self) -> CliError {
        let reason = match self.servers.join_next().await {
            None | Some(Ok(Ok(()))) => "it ended by itself".to_owned(),
            Some(Ok(Err(error))) => chain(&error),
            Some(Err(error)) => broken(&error),
        };
        CliError::Failure(format!("the server has failed: {reason}"))
    }

    /// Takes no more calls and waits for those that have begun.
    pub async fn stop(&mut self) {
        self.stop.send_replace(true);
        while let Some(ended) = self.servers.join_next().await {
            match ended {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!("{}", chain(&error)),
                Err(error) => tracing::warn!("{}", broken(&error)),
            }
        }
    }
}

fn broken(error: &JoinError) -> String {
    format!("it broke off: {error}")
}
