//! A PostgreSQL of a test's own, in a temporary folder, on a Unix socket.

use std::{
    env, fs,
    io::Write as _,
    net::TcpListener,
    os::unix::fs::{PermissionsExt as _, chown},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

use super::{pki::Pair, skip::skip, wait::DEADLINE};
use crate::cli;

/// The role that sidecars connect as.
pub const READER: &str = "humbaba_reader";
/// The role of the application.
pub const WRITER: &str = "app";

/// A server. It ends with the test.
pub struct Postgres {
    bin: PathBuf,
    server: Option<Child>,
    data: PathBuf,
    port: u16,
    /// The address on which it listens over TCP; empty: a Unix socket alone.
    listen: &'static str,
    folder: TempDir,
}

impl Postgres {
    /// Starts a server with the two roles; nothing where PostgreSQL is not installed.
    pub async fn start() -> Option<Self> {
        let postgres = Self::bare().await?;
        postgres.create_roles().await;
        Some(postgres)
    }

    /// The same, which also listens over TCP, with TLS where there is a certificate.
    pub async fn start_on_tcp(certificate: Option<&Pair>) -> Option<Self> {
        let mut postgres = Self::prepare()?;
        if let Some(Pair { cert, key }) = certificate {
            let files =
                [("server.crt", cert.as_str()), ("server.key", key), ("tls.conf", "ssl=on")];
            for (name, text) in files {
                let file = postgres.data.join(name);
                fs::write(&file, text).unwrap();
                fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
                if let Some((user, group)) = account() {
                    chown(&file, Some(user), Some(group)).unwrap();
                }
            }
            let conf = postgres.data.join("postgresql.conf");
            let mut conf = fs::OpenOptions::new().append(true).open(conf).unwrap();
            conf.write_all(b"\ninclude = 'tls.conf'\n").unwrap();
        }
        postgres.listen = "127.0.0.1";
        postgres.port = free_port();
        postgres.up().await;
        postgres.create_roles().await;
        Some(postgres)
    }

    async fn create_roles(&self) {
        let roles = format!("CREATE ROLE {READER} LOGIN; CREATE ROLE {WRITER} LOGIN;");
        self.client("postgres").await.batch_execute(&roles).await.unwrap();
    }

    /// Starts a server without roles of its own.
    pub async fn bare() -> Option<Self> {
        let mut postgres = Self::prepare()?;
        postgres.up().await;
        Some(postgres)
    }

    /// Makes the files of a server.
    fn prepare() -> Option<Self> {
        let Some(bin) = bin() else {
            skip("PostgreSQL is not installed");
            return None;
        };
        let folder = TempDir::new().unwrap();
        let data = folder.path().join("data");
        let postgres = Self { bin, server: None, data, port: 5432, listen: "", folder };
        if let Some((user, group)) = account() {
            chown(postgres.folder.path(), Some(user), Some(group)).unwrap();
        }
        let data = postgres.data.to_str().unwrap().to_owned();
        postgres.run("initdb", &["-D", &data, "-A", "trust", "-U", "postgres", "-N"]);
        Some(postgres)
    }

    /// Makes a standby of the server as it is now, and starts it.
    pub async fn standby(&self) -> Self {
        let folder = TempDir::new().unwrap();
        if let Some((user, group)) = account() {
            chown(folder.path(), Some(user), Some(group)).unwrap();
        }
        let data = folder.path().join("data");
        let from = self.folder.path().to_str().unwrap();
        let to = data.to_str().unwrap();
        self.run(
            "pg_basebackup",
            &["-h", from, "-U", "postgres", "-D", to, "-R", "-c", "fast", "-N"],
        );
        let bin = self.bin.clone();
        let mut standby = Self { bin, server: None, data, port: 5433, listen: "", folder };
        standby.up().await;
        standby
    }

    /// Starts the server and waits until it takes connections.
    pub async fn up(&mut self) {
        let begun = Instant::now();
        loop {
            assert!(begun.elapsed() < 2 * DEADLINE, "PostgreSQL does not start: {}", self.log());
            let ended = |server: &mut Child| server.try_wait().unwrap().is_some();
            if self.server.as_mut().is_none_or(ended) {
                // Processes of a server that was killed may still be there for a moment.
                self.server = Some(self.spawn());
            }
            if self.try_client("postgres").await.is_some() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Kills the server.
    pub fn kill(&mut self) {
        let mut server = self.server.take().unwrap();
        server.kill().unwrap();
        server.wait().unwrap();
    }

    /// Makes a directory by what `humbaba directory schema` prints.
    pub async fn install(&self, more: &[&str]) {
        let roles = ["directory", "schema", "--reader", READER, "--writer", WRITER];
        let printed = cli::run(&[&roles[..], more].concat());
        assert_eq!(printed.code, 0, "{printed:?}");
        self.client("postgres").await.batch_execute(&printed.out).await.unwrap();
    }

    /// A connection as that role.
    pub async fn client(&self, user: &str) -> Client {
        self.try_client(user).await.expect("a connection")
    }

    /// The same, if the server takes it.
    pub async fn try_client(&self, user: &str) -> Option<Client> {
        let (client, connection) = tokio_postgres::connect(&self.url(user), NoTls).await.ok()?;
        tokio::spawn(connection);
        Some(client)
    }

    /// The connection string for that role.
    pub fn url(&self, user: &str) -> String {
        let (folder, port) = (self.folder.path().display(), self.port);
        format!("host={folder} port={port} user={user} dbname=postgres")
    }

    /// A file with the connection string of sidecars.
    pub fn url_file(&self) -> PathBuf {
        let path = self.folder.path().join("url");
        fs::write(&path, self.url(READER)).unwrap();
        path
    }

    /// The port of its socket and over TCP.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// A folder that the server's account may read and write.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Runs one of PostgreSQL's programs.
    pub fn run(&self, program: &str, args: &[&str]) {
        let output = as_account(&self.bin.join(program)).args(args).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program}: {error}");
    }

    fn spawn(&self) -> Child {
        let log = self.folder.path().join("log");
        let log = fs::OpenOptions::new().create(true).append(true).open(log).unwrap();
        let mut command = self.command(self.listen);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap()
    }

    /// The command that starts the server, for a shell. It listens there over TCP, too.
    pub fn command_line(&self, address: &str) -> String {
        let command = self.command(address);
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        words.map(|word| format!("'{}'", word.to_str().unwrap())).collect::<Vec<_>>().join(" ")
    }

    fn command(&self, address: &str) -> Command {
        let folder = self.folder.path().to_str().unwrap();
        let listen = format!("listen_addresses={address}");
        // The server is killed and not the machine, so nothing must reach the disk.
        let settings = [&*listen, "fsync=off", "max_connections=100", "shared_buffers=16MB"];
        let mut command = as_account(&self.bin.join("postgres"));
        command
            .args(["-D", self.data.to_str().unwrap(), "-k", folder, "-p", &self.port.to_string()])
            .args(settings.iter().flat_map(|setting| ["-c", *setting]));
        command
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Some(mut server) = self.server.take() {
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}

/// A port on which nobody listens.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The first column of the first row.
pub async fn value(client: &Client, statement: &str) -> String {
    let answer = client.simple_query(statement).await.unwrap();
    let mut rows = answer.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap_or_default().to_owned()),
        _ => None,
    });
    rows.next().unwrap()
}

/// The first column of all rows.
pub async fn column(client: &Client, statement: &str) -> Vec<String> {
    let answer = client.simple_query(statement).await.unwrap();
    let rows = answer.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap_or_default().to_owned()),
        _ => None,
    });
    rows.collect()
}

/// The folder of PostgreSQL's programs: the newest that Debian installed, or that of the path.
fn bin() -> Option<PathBuf> {
    let installed = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let installed = installed.filter_map(|entry| Some(entry.ok()?.path().join("bin")));
    let mut found: Vec<_> = installed.collect();
    found.sort_by(|a, b| b.cmp(a));
    let path = env::var_os("PATH").unwrap_or_default();
    found.extend(env::split_paths(&path));
    found
        .into_iter()
        .find(|folder| folder.join("initdb").exists() && folder.join("postgres").exists())
}

/// The account of the server where tests run as root, which PostgreSQL refuses.
fn account() -> Option<(u32, u32)> {
    let is_root = fs::metadata("/proc/self").is_ok_and(|own| {
        use std::os::unix::fs::MetadataExt as _;
        own.uid() == 0
    });
    let accounts = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let account = accounts.lines().find(|line| line.starts_with("postgres:"))?;
    let mut fields = account.split(':').skip(2).map(|field| field.parse().ok());
    is_root.then_some((fields.next()??, fields.next()??))
}

/// A program that runs as the server's account and ends with the thread that started it.
fn as_account(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.current_dir("/").args(["--pdeathsig", "KILL"]);
    if let Some((user, group)) = account() {
        command.args([
            "--reuid",
            &user.to_string(),
            "--regid",
            &group.to_string(),
            "--clear-groups",
        ]);
    }
    command.arg(program);
    command
}
