//! The connection of `humbaba directory`.

use std::time::Duration;

use tonic::{Code, Request, Status, metadata::MetadataValue, transport::Channel};
use tonic_types::StatusExt as _;

use crate::{
    cli::{
        CliError,
        exit::chain,
        healthcheck::seconds,
        server_address::{self, ServerAddress},
        tls_flags::TlsFlags,
        token_flag::TokenFlag,
    },
    proto::directory_service_client::DirectoryServiceClient,
};

/// A client of the service.
pub(super) type DirectoryClient = DirectoryServiceClient<Channel>;

/// The flags that name the server.
#[derive(Debug, clap::Args)]
pub(super) struct ServerFlags {
    /// The address of `directory.listen`: `unix:/path`, `http://host:port` or `https://host:port`
    #[arg(long, value_name = "ADDR")]
    server: ServerAddress,
    /// The policy store [default: the default store, or the only one]
    #[arg(long, value_name = "NAME")]
    store: Option<String>,
    #[command(flatten)]
    connection: ConnectionFlags,
}

/// The flags with which a server is reached.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ConnectionFlags {
    #[command(flatten)]
    token: TokenFlag,
    /// Seconds that the answer may take
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    timeout: Duration,
    #[command(flatten)]
    tls: TlsFlags,
}

/// Why a conversation did not go on.
pub(super) enum CallError {
    /// The server says so.
    Status(Status),
    /// Something here.
    Here(CliError),
}

impl From<Status> for CallError {
    fn from(status: Status) -> Self {
        Self::Status(status)
    }
}

impl From<CliError> for CallError {
    fn from(error: CliError) -> Self {
        Self::Here(error)
    }
}

impl ServerFlags {
    /// Returns how the server is reached.
    pub(super) fn connection(&self) -> &ConnectionFlags {
        &self.connection
    }

    /// Returns the name of the store; empty for the server's default.
    pub(super) fn store(&self) -> String {
        self.store.clone().unwrap_or_default()
    }

    /// Returns a request with the token.
    pub(super) fn request<T>(&self, message: T) -> Result<Request<T>, CliError> {
        self.connection.request(message)
    }

    /// Holds a conversation that takes as long as the flag says at most.
    pub(super) fn ask<T>(
        &self,
        talk: impl AsyncFnOnce(DirectoryClient) -> Result<T, CallError>,
    ) -> Result<T, CliError> {
        self.connection.ask(&self.server, talk)
    }

    /// Holds a conversation that takes as long as it takes.
    pub(super) fn follow<T>(
        &self,
        talk: impl AsyncFnOnce(DirectoryClient) -> Result<T, CallError>,
    ) -> Result<T, CliError> {
        server_address::run(Duration::MAX, self.connection.talk(&self.server, talk))
    }
}

impl ConnectionFlags {
    /// Returns a request with the token.
    pub(super) fn request<T>(&self, message: T) -> Result<Request<T>, CliError> {
        let mut request = Request::new(message);
        if let Some(token) = self.token.read()? {
            let header = MetadataValue::try_from(format!("Bearer {token}"));
            let mut header =
                header.map_err(|_| CliError::Usage("the token fits no header".to_owned()))?;
            header.set_sensitive(true);
            request.metadata_mut().insert("authorization", header);
        }
        Ok(request)
    }

    /// Holds a conversation that takes as long as the flag says at most.
    pub(super) fn ask<T>(
        &self,
        server: &ServerAddress,
        talk: impl AsyncFnOnce(DirectoryClient) -> Result<T, CallError>,
    ) -> Result<T, CliError> {
        server_address::run(self.timeout, self.talk(server, talk))
    }

    async fn talk<T>(
        &self,
        server: &ServerAddress,
        talk: impl AsyncFnOnce(DirectoryClient) -> Result<T, CallError>,
    ) -> Result<T, CliError> {
        let connected = server.connect(&self.tls, None, self.timeout).await?;
        let client = DirectoryServiceClient::new(connected.channel());
        talk(client).await.map_err(|failure| match failure {
            CallError::Status(status) => refusal(&status),
            CallError::Here(error) => error,
        })
    }
}

fn refusal(status: &Status) -> CliError {
    let message =
        if status.message().is_empty() { chain(status) } else { status.message().to_owned() };
    let violations = status.get_details_bad_request().map(|details| details.field_violations);
    let violations = violations.unwrap_or_default();
    match status.code() {
        Code::InvalidArgument if !violations.is_empty() => {
            let lines =
                violations.iter().map(|one| format!("\n  {}: {}", one.field, one.description));
            CliError::Usage(format!("bad input{}", lines.collect::<String>()))
        }
        Code::InvalidArgument | Code::NotFound | Code::OutOfRange | Code::Unauthenticated => {
            CliError::Usage(message)
        }
        code => CliError::Failure(format!("the server refuses ({code:?}): {message}")),
    }
}
