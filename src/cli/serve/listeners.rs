//! Binding the addresses that the settings name.

use std::{
    fs, io,
    os::unix::{
        fs::{FileTypeExt as _, PermissionsExt as _, chown},
        net::UnixStream,
    },
    path::{Path, PathBuf},
};

use rustix::{fs::Mode, process::umask};
use tokio::net::{TcpListener, UnixListener};

use super::addresses::Addresses;
use crate::{
    cli::CliError,
    net::{Listener, ServerTls},
    settings::{ListenAddress, Settings, SocketGroup, TcpAddress},
};

/// Everything the process listens on.
#[derive(Debug, Default)]
pub(super) struct Listeners {
    pub grpc: Vec<Listener>,
    pub http: Option<Listener>,
    pub directory: Option<Listener>,
    pub web: Option<Listener>,
    pub addresses: Addresses,
    /// Removes the Unix sockets at the end.
    pub sockets: Vec<SocketFile>,
}

/// The file of a Unix socket, which goes with the process.
#[derive(Debug)]
pub(super) struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Somebody may have removed it already; the next start copes with one that is left.
        let _ = fs::remove_file(&self.0);
    }
}

/// Binds all addresses or none.
pub(super) async fn bind(
    settings: &Settings,
    tls: Option<&ServerTls>,
) -> Result<Listeners, CliError> {
    let mut bound = Listeners::default();
    for address in &settings.listen {
        let (listener, address) = bound.bind("listen", address, settings, tls).await?;
        bound.addresses.grpc.push(address);
        bound.grpc.push(listener);
    }
    if let Some(address) = settings.http_listen.address() {
        let (listener, address) = bound.bind("http_listen", address, settings, tls).await?;
        bound.addresses.http = Some(address);
        bound.http = Some(listener);
    }
    if let Some(address) = settings.directory.listen.address() {
        let (listener, address) = bound.bind("directory.listen", address, settings, tls).await?;
        bound.addresses.directory = Some(address);
        bound.directory = Some(listener);
    }
    if let Some(address) = settings.web_listen.address() {
        let (listener, address) = bound.bind("web_listen", address, settings, tls).await?;
        bound.addresses.web = Some(address);
        bound.web = Some(listener);
    }
    Ok(bound)
}

/// Returns the words for an address that cannot be listened on.
pub(in crate::cli) fn cannot_listen(
    key: &str,
    address: &ListenAddress,
    error: &io::Error,
) -> String {
    format!("cannot listen on `{address}` of `{key}`: {error}")
}

impl Listeners {
    async fn bind(
        &mut self,
        key: &str,
        address: &ListenAddress,
        settings: &Settings,
        tls: Option<&ServerTls>,
    ) -> Result<(Listener, String), CliError> {
        self.listen(key, address, settings, tls).await.map_err(|error| {
            let advice = match error.kind() {
                io::ErrorKind::AddrInUse => "; `humbaba doctor` tells who listens there",
                _ => "",
            };
            CliError::Failure(cannot_listen(key, address, &error) + advice)
        })
    }

    async fn listen(
        &mut self,
        key: &str,
        address: &ListenAddress,
        settings: &Settings,
        tls: Option<&ServerTls>,
    ) -> io::Result<(Listener, String)> {
        match address {
            ListenAddress::Tcp(tcp) => {
                let listened = listen_tcp(tcp, settings, tls).await?;
                if key == "web_listen" {
                    known_callers(tcp, settings, &listened.0)?;
                }
                Ok(listened)
            }
            ListenAddress::Unix(path) => {
                let group = settings.socket_group.as_ref().map(SocketGroup::number).transpose();
                let group = group.map_err(of_group)?;
                let listener = unix(path, settings.socket_mode.bits(), group)?;
                self.sockets.push(SocketFile(path.clone()));
                Ok((Listener::Unix(listener), address.to_string()))
            }
        }
    }
}

async fn listen_tcp(
    address: &TcpAddress,
    settings: &Settings,
    tls: Option<&ServerTls>,
) -> io::Result<(Listener, String)> {
    let listener = TcpListener::bind((address.host.as_str(), address.port)).await?;
    let bound = listener.local_addr()?;
    if settings.speaks_tls(address) {
        let tls = tls.ok_or_else(|| io::Error::other("there is no certificate"))?;
        return Ok((Listener::Tls(listener, tls.clone()), format!("tls:{bound}")));
    }
    // A name that is taken for this machine's may lead elsewhere.
    if !bound.ip().to_canonical().is_loopback() && !settings.insecure {
        return Err(io::Error::other(format!(
            "it leads to {bound}, which can be reached from other machines, and there is no TLS"
        )));
    }
    Ok((Listener::Tcp(listener), bound.to_string()))
}

/// Refuses a name that was taken for this machine's and leads elsewhere, where anybody could ask.
fn known_callers(address: &TcpAddress, settings: &Settings, listener: &Listener) -> io::Result<()> {
    let (Listener::Tcp(listener) | Listener::Tls(listener, _)) = listener else { return Ok(()) };
    let bound = listener.local_addr()?;
    if bound.ip().to_canonical().is_loopback() || settings.knows_web_callers(address) {
        return Ok(());
    }
    Err(io::Error::other(format!(
        "it leads to {bound}, which can be reached from other machines, and nothing says who may call"
    )))
}

/// An address that is listened on until this is dropped.
#[derive(Debug)]
pub(in crate::cli) struct TriedAddress {
    _listener: Listener,
    _listeners: Listeners,
}

/// Listens on an address as a start does.
///
/// # Errors
/// The address cannot be listened on. It is [`io::ErrorKind::AddrInUse`] where somebody does.
pub(in crate::cli) async fn try_listen(
    key: &str,
    address: &ListenAddress,
    settings: &Settings,
    tls: Option<&ServerTls>,
) -> io::Result<TriedAddress> {
    let mut listeners = Listeners::default();
    let (listener, _) = listeners.listen(key, address, settings, tls).await?;
    Ok(TriedAddress { _listener: listener, _listeners: listeners })
}

/// Binds a socket that nobody can connect to before it has its group and mode.
fn unix(path: &Path, mode: u32, group: Option<u32>) -> io::Result<UnixListener> {
    make_way(path)?;
    let before = umask(Mode::RWXU | Mode::RWXG | Mode::RWXO);
    let listener = UnixListener::bind(path);
    umask(before);
    let listener = listener?;
    let owned = group.map_or(Ok(()), |group| {
        chown(path, None, Some(group)).map_err(|error| {
            let message = format!("cannot give it to group {group}: {error}");
            of_group(io::Error::new(error.kind(), message))
        })
    });
    let permissions = || fs::set_permissions(path, fs::Permissions::from_mode(mode));
    if let Err(error) = owned.and_then(|()| permissions()) {
        fs::remove_file(path)?;
        return Err(error);
    }
    Ok(listener)
}

/// The setting that errors of the group of a socket begin with.
pub(in crate::cli) const SOCKET_GROUP: &str = "`socket_group`";

fn of_group(error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{SOCKET_GROUP}: {error}"))
}

/// Removes the socket that a process left behind when it was killed, but nothing else: neither a
/// file of another kind nor a socket on which somebody still listens.
fn make_way(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
        Ok(metadata) if !metadata.file_type().is_socket() => {
            return Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                "there is a file that is no socket: remove it or name another path",
            ));
        }
        Ok(_) => {}
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(error) => Err(error),
        Ok(_) => Err(io::Error::new(
            io::ErrorKind::AddrInUse,
            "somebody listens there already: stop that process or name another path",
        )),
    }
}
