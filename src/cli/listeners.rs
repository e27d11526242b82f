//! Binding the addresses that the settings name.

use std::{
    fs, io,
    os::unix::{
        fs::{FileTypeExt as _, PermissionsExt as _},
        net::UnixStream,
    },
    path::{Path, PathBuf},
};

use tokio::net::{TcpListener, UnixListener};

use super::{CliError, addresses::Addresses};
use crate::{
    server::Listener,
    settings::{HttpListen, ListenAddress, Settings, TcpAddress},
};

/// Everything the process listens on.
#[derive(Debug)]
pub(super) struct Listeners {
    pub grpc: Vec<Listener>,
    pub http: Option<TcpListener>,
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
pub(super) async fn bind(settings: &Settings) -> Result<Listeners, CliError> {
    let (mut grpc, mut sockets) = (Vec::new(), Vec::new());
    let mut addresses = Addresses::default();
    for address in &settings.listen {
        let failed = || CliError::io(format!("cannot listen on `{address}`"));
        match address {
            ListenAddress::Tcp(address) => {
                let (listener, bound) = tcp(address).await.map_err(failed())?;
                addresses.grpc.push(bound);
                grpc.push(Listener::Tcp(listener));
            }
            ListenAddress::Unix(path) => {
                let listener = unix(path, settings.socket_mode.bits()).map_err(failed())?;
                addresses.grpc.push(address.to_string());
                sockets.push(SocketFile(path.clone()));
                grpc.push(Listener::Unix(listener));
            }
        }
    }
    let mut http = None;
    if let HttpListen::On(address) = &settings.http_listen {
        let failed = CliError::io(format!("cannot listen on `{address}` for HTTP"));
        let (listener, bound) = tcp(address).await.map_err(failed)?;
        addresses.http = Some(bound);
        http = Some(listener);
    }
    Ok(Listeners { grpc, http, addresses, sockets })
}

async fn tcp(address: &TcpAddress) -> io::Result<(TcpListener, String)> {
    let listener = TcpListener::bind((address.host.as_str(), address.port)).await?;
    let bound = listener.local_addr()?.to_string();
    Ok((listener, bound))
}

fn unix(path: &Path, mode: u32) -> io::Result<UnixListener> {
    make_way(path)?;
    let listener = UnixListener::bind(path)?;
    if let Err(error) = fs::set_permissions(path, fs::Permissions::from_mode(mode)) {
        fs::remove_file(path)?;
        return Err(error);
    }
    Ok(listener)
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
