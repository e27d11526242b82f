//! Binding the addresses that the settings name.

use std::{
    fs, io,
    os::unix::{
        fs::{FileTypeExt as _, PermissionsExt as _, chown},
        net::UnixStream,
    },
    path::{Path, PathBuf},
};

use rustix::{
    fs::{Access, Mode, access},
    process::umask,
};
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
        let failed = CliError::io(format!("cannot listen on `{address}`"));
        let (listener, address) = bound.listen(address, settings, tls).await.map_err(failed)?;
        bound.addresses.grpc.push(address);
        bound.grpc.push(listener);
    }
    if let Some(address) = settings.http_listen.address() {
        let failed = CliError::io(format!("cannot listen on `{address}` for HTTP"));
        let (listener, address) = bound.listen(address, settings, tls).await.map_err(failed)?;
        bound.addresses.http = Some(address);
        bound.http = Some(listener);
    }
    if let Some(address) = settings.directory.listen.address() {
        let failed = CliError::io(format!("cannot listen on `{address}` for directories"));
        let (listener, address) = bound.listen(address, settings, tls).await.map_err(failed)?;
        bound.addresses.directory = Some(address);
        bound.directory = Some(listener);
    }
    if let Some(address) = settings.web_listen.address() {
        let failed = CliError::io(format!(
            "cannot listen on `{address}` for AuthZEN (`--web-listen` names another place, or `off`)"
        ));
        let listened = bound.listen(address, settings, tls).await;
        let listened = listened.and_then(|listened| known_callers(address, settings, listened));
        let (listener, address) = listened.map_err(failed)?;
        bound.addresses.web = Some(address);
        bound.web = Some(listener);
    }
    Ok(bound)
}

impl Listeners {
    async fn listen(
        &mut self,
        address: &ListenAddress,
        settings: &Settings,
        tls: Option<&ServerTls>,
    ) -> io::Result<(Listener, String)> {
        match address {
            ListenAddress::Tcp(tcp) => listen_tcp(tcp, settings, tls).await,
            ListenAddress::Unix(path) => {
                let group = settings.socket_group.as_ref().map(SocketGroup::number).transpose()?;
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
fn known_callers(
    address: &ListenAddress,
    settings: &Settings,
    listened: (Listener, String),
) -> io::Result<(Listener, String)> {
    let (ListenAddress::Tcp(address), Listener::Tcp(listener) | Listener::Tls(listener, _)) =
        (address, &listened.0)
    else {
        return Ok(listened);
    };
    let bound = listener.local_addr()?;
    if bound.ip().to_canonical().is_loopback() || settings.knows_web_callers(address) {
        return Ok(listened);
    }
    Err(io::Error::other(format!(
        "it leads to {bound}, which can be reached from other machines, and nothing says who may call"
    )))
}

/// Tries whether an address could be listened on, and lets go of it.
///
/// # Errors
/// The address cannot be listened on. It is [`io::ErrorKind::AddrInUse`] where somebody does.
pub(in crate::cli) async fn try_listen(
    address: &ListenAddress,
    settings: &Settings,
    tls: Option<&ServerTls>,
) -> io::Result<()> {
    match address {
        ListenAddress::Tcp(tcp) => {
            let listened = listen_tcp(tcp, settings, tls).await?;
            if settings.web_listen.address() == Some(address) {
                known_callers(address, settings, listened)?;
            }
            Ok(())
        }
        ListenAddress::Unix(path) => {
            settings.socket_group.as_ref().map(SocketGroup::number).transpose()?;
            socket_place(path)?;
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            let folder = folder.unwrap_or(Path::new("."));
            Ok(access(folder, Access::WRITE_OK | Access::EXEC_OK)?)
        }
    }
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
            io::Error::new(error.kind(), format!("cannot give it to group {group}: {error}"))
        })
    });
    let permissions = || fs::set_permissions(path, fs::Permissions::from_mode(mode));
    if let Err(error) = owned.and_then(|()| permissions()) {
        fs::remove_file(path)?;
        return Err(error);
    }
    Ok(listener)
}

/// Removes the socket that a process left behind when it was killed, but nothing else: neither a
/// file of another kind nor a socket on which somebody still listens.
fn make_way(path: &Path) -> io::Result<()> {
    match socket_place(path)? {
        SocketPlace::Free => Ok(()),
        SocketPlace::LeftBehind => fs::remove_file(path),
    }
}

/// The place of a socket at which nobody listens.
enum SocketPlace {
    Free,
    /// There is a socket of a process that is gone.
    LeftBehind,
}

fn socket_place(path: &Path) -> io::Result<SocketPlace> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(SocketPlace::Free),
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
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            Ok(SocketPlace::LeftBehind)
        }
        Err(error) => Err(error),
        Ok(_) => Err(io::Error::new(
            io::ErrorKind::AddrInUse,
            "somebody listens there already: stop that process or name another path",
        )),
    }
}
