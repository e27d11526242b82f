//! The addresses of the settings: free, or taken, and by whom.

use std::{io, time::Duration};

use hyper::header::LOCATION;
use tonic_health::pb::health_check_response::ServingStatus;

use super::{finding::DoctorFindings, running::RunningStatus};
use crate::{
    cli::{
        CliError, healthcheck,
        http_get::{HttpPage, get, get_any},
        serve::listeners::{SOCKET_GROUP, TriedAddress, cannot_listen, try_listen},
        server_address::{self, ServerAddress},
        tls_flags::TlsFlags,
    },
    net::ServerTls,
    settings::{ListenAddress, Settings},
};

const ADDRESSES: &str = "addresses";

/// The occupant of an address that is taken.
enum Occupant {
    /// A Humbaba, by its own word; the words tell its state.
    Humbaba(Result<String, String>),
    /// Something that does not answer as a Humbaba would.
    Stranger(String),
    /// Nobody knows: it speaks TLS.
    Unknown,
}

/// Tries each address, and returns the status of the Humbaba that listens there, if one does.
pub(super) fn look(
    settings: &Settings,
    tls: Option<&ServerTls>,
    flags: &TlsFlags,
    timeout: Duration,
    findings: &mut DoctorFindings,
) -> Option<RunningStatus> {
    let (mut status, mut is_there, mut unknown) = (None, false, Vec::new());
    // Held until all are tried, as a start holds them: two settings may lead to one address.
    let mut held = Vec::new();
    for (key, address) in settings.addresses() {
        let shown = format!("`{address}` of `{key}`");
        let Some(tried) = try_address(key, address, settings, tls, timeout, findings) else {
            continue;
        };
        let error = match tried {
            Ok(listener) => {
                findings.ok(ADDRESSES, format!("{shown} is free"));
                held.push(listener);
                continue;
            }
            Err(error) => error,
        };
        if error.kind() != io::ErrorKind::AddrInUse {
            let message = cannot_listen(key, address, &error);
            findings.problem(ADDRESSES, message, advice(&error));
            continue;
        }
        if !held.is_empty() {
            held.clear();
            let tried = try_address(key, address, settings, tls, timeout, findings);
            if let Some(Ok(_)) = tried {
                let advice = "another address of the settings leads there too: name one of them";
                findings.problem(ADDRESSES, cannot_listen(key, address, &error), advice);
                continue;
            }
        }
        let server = ServerAddress::reaching(address, settings);
        let occupant = match key {
            "http_listen" => http(&server, flags, timeout, &mut status),
            "web_listen" => web(&server, flags, timeout),
            _ => grpc(&server, flags, timeout),
        };
        match occupant {
            Occupant::Humbaba(told) => {
                is_there = true;
                tell(&shown, told, findings);
            }
            Occupant::Stranger(why) => stranger(&shown, address, &why, findings),
            Occupant::Unknown => unknown.push(shown),
        }
    }
    for shown in unknown {
        if is_there {
            findings
                .ok(ADDRESSES, format!("{shown} is taken, with TLS, by this Humbaba or another"));
        } else {
            let message = format!("{shown} is taken by something that speaks TLS");
            let advice = "if it is no Humbaba, stop it or listen elsewhere; `--ca FILE` lets it be \
                          asked";
            findings.warning(ADDRESSES, message, advice);
        }
    }
    status
}

/// Tries to listen on an address; nothing where that took too long, which is reported.
fn try_address(
    key: &str,
    address: &ListenAddress,
    settings: &Settings,
    tls: Option<&ServerTls>,
    timeout: Duration,
    findings: &mut DoctorFindings,
) -> Option<io::Result<TriedAddress>> {
    let trying = async { Ok(try_listen(key, address, settings, tls).await) };
    let tried = server_address::run(timeout, trying);
    tried
        .inspect_err(|error| {
            let message = format!("`{address}` of `{key}`: {error}");
            findings.problem(ADDRESSES, message, "does a name server answer?");
        })
        .ok()
}

fn tell(shown: &str, told: Result<String, String>, findings: &mut DoctorFindings) {
    match told {
        Ok(state) => findings.ok(ADDRESSES, format!("{shown}: a Humbaba listens, {state}")),
        Err(state) => {
            let advice = "it has nothing to decide with yet, or is stopping: see its log";
            findings.problem(ADDRESSES, format!("{shown}: a Humbaba listens, {state}"), advice);
        }
    }
}

fn stranger(shown: &str, address: &ListenAddress, why: &str, findings: &mut DoctorFindings) {
    let other = match address {
        ListenAddress::Tcp(tcp) => format!("`ss -ltnp 'sport = :{}'` names it", tcp.port),
        ListenAddress::Unix(path) => format!("`ss -lxp | grep {}` names it", path.display()),
    };
    findings.problem(
        ADDRESSES,
        format!("{shown} is taken by something that is no Humbaba: {why}"),
        format!("stop it, or listen elsewhere; {other}"),
    );
}

fn advice(error: &io::Error) -> &'static str {
    if error.to_string().starts_with(SOCKET_GROUP) {
        return "name a group of which the account of the process is a member, or leave it out";
    }
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "name a port of 1024 or more, or a folder that the account of the process may write"
        }
        io::ErrorKind::AddrNotAvailable => "no interface of this machine has that address",
        io::ErrorKind::NotFound => "make the folder of the socket, or correct the name of the host",
        _ => "correct the address in the settings",
    }
}

/// Asks for the health of a gRPC server.
fn grpc(server: &ServerAddress, flags: &TlsFlags, timeout: Duration) -> Occupant {
    if server.speaks_tls() && flags.read().is_err() {
        return Occupant::Unknown;
    }
    match server_address::run(timeout, healthcheck::ask(server, flags, timeout, "")) {
        Ok(ServingStatus::Serving) => Occupant::Humbaba(Ok("SERVING".to_owned())),
        Ok(status) => Occupant::Humbaba(Err(status.as_str_name().to_owned())),
        Err(error) => Occupant::Stranger(error.to_string()),
    }
}

fn http(
    server: &ServerAddress,
    flags: &TlsFlags,
    timeout: Duration,
    status: &mut Option<RunningStatus>,
) -> Occupant {
    ask(server, flags, timeout, get(server, flags, "/status"), |page| {
        let page = RunningStatus::read(page)?;
        let version = format!("version {}", page.version);
        *status = Some(page);
        Ok(version)
    })
}

fn web(server: &ServerAddress, flags: &TlsFlags, timeout: Duration) -> Occupant {
    ask(server, flags, timeout, get_any(server, flags, "/"), |page| {
        // The console, or the way to it where a token is asked for.
        let is_console = page.body.contains("Humbaba</title>");
        if is_console || page.header(LOCATION) == Some("/sign-in") {
            return Ok("with the console".to_owned());
        }
        Err(format!("`/` answers with {} and is not the console", page.status))
    })
}

/// Asks for a page that a Humbaba has, and reads it.
fn ask(
    server: &ServerAddress,
    flags: &TlsFlags,
    timeout: Duration,
    getting: impl Future<Output = Result<HttpPage, CliError>>,
    read: impl FnOnce(HttpPage) -> Result<String, String>,
) -> Occupant {
    if server.speaks_tls() && flags.read().is_err() {
        return Occupant::Unknown;
    }
    let got = server_address::run(timeout, getting);
    match got.map_err(|error| error.to_string()).and_then(read) {
        Ok(told) => Occupant::Humbaba(Ok(told)),
        Err(why) => Occupant::Stranger(why),
    }
}
