//! `humbaba healthcheck`: asks a running server whether it serves.

use std::time::Duration;

use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use super::{
    CliError, Exit,
    exit::chain,
    output,
    server_address::{self, ServerAddress},
    setting_flags::SettingFlags,
    tls_flags::TlsFlags,
};
use crate::grpc::health::STRICT;

/// Ask a running Humbaba whether it serves
///
/// A gRPC health check over TCP or a Unix socket, for exec probes: it reaches what listens on
/// loopback only. Exits with 0 if it serves and with 1 if not.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  humbaba healthcheck --address unix:/run/humbaba.sock")]
pub(super) struct HealthcheckArgs {
    /// The address at which it serves gRPC [default: the first `listen` address of the settings that needs no TLS,
    /// else the first]
    #[arg(long, value_name = "ADDR")]
    address: Option<ServerAddress>,
    /// The gRPC service to ask about [default: the process as a whole]
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    service: String,
    /// Fail while a policy store, the policies folder or a directory is refused, too
    #[arg(long, conflicts_with = "service")]
    strict: bool,
    /// Seconds that the answer may take
    #[arg(long, value_name = "SECONDS", default_value = "2", value_parser = seconds)]
    timeout: Duration,
    #[command(flatten)]
    tls: TlsFlags,
    #[command(flatten)]
    settings: SettingFlags,
}

pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds
        .filter(|timeout| !timeout.is_zero())
        .ok_or_else(|| "write a number of seconds, e.g. `2` or `0.5`".to_owned())
}

pub(super) fn run(args: &HealthcheckArgs) -> Result<Exit, CliError> {
    let address = match &args.address {
        Some(address) => address.clone(),
        None => {
            let settings = args.settings.settle(Vec::new())?.settings;
            ServerAddress::of(&settings)
                .ok_or_else(|| CliError::Usage("the settings name no address".to_owned()))?
        }
    };
    let service = if args.strict { STRICT } else { &args.service };
    let asked = ask(&address, &args.tls, args.timeout, service);
    match server_address::run(args.timeout, asked)? {
        ServingStatus::Serving => {
            output::print("serving\n")?;
            Ok(Exit::Ok)
        }
        status => Err(CliError::Failure(format!("not serving: {}", status.as_str_name()))),
    }
}

/// Asks a gRPC server about the health of a service; of an empty name: of the process.
pub(super) async fn ask(
    address: &ServerAddress,
    tls: &TlsFlags,
    timeout: Duration,
    service: &str,
) -> Result<ServingStatus, CliError> {
    // Health needs no token.
    let connected = address.connect(tls, None, timeout).await?;
    let mut client = HealthClient::new(connected.channel());
    let response = client.check(HealthCheckRequest { service: service.to_owned() }).await;
    let status = match response {
        Ok(response) => return Ok(response.into_inner().status()),
        Err(status) => status,
    };
    if status.code() == tonic::Code::NotFound {
        return Err(CliError::Failure(format!("no service is called `{service}`")));
    }
    let causes = std::error::Error::source(&status).map(chain);
    let causes = causes.map(|causes| format!(": {causes}")).unwrap_or_default();
    let failure = format!("the health check failed: {}{causes}", status.message());
    Err(address.explained(failure).await)
}
