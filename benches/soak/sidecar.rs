//! The sidecar, and what can be seen of it.

use std::{
    collections::HashMap,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use serde_json::Value as Json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::sleep,
};

use crate::directories;

/// The sidecar's limit on slow peers.
pub const PATIENCE: Duration = Duration::from_secs(2);

const SCHEMA: &str = "namespace Soak {
  @role entity Role; entity User in [Role]; entity Site { viewer: Role, editor: Role };
  action view, edit appliesTo { principal: User, resource: Site };
}";

fn policies(round: u64) -> String {
    format!(
        "// {round}
@id(\"view\") permit (principal, action == Soak::Action::\"view\", resource)
when {{ principal in [resource.viewer, resource.editor] }};
@id(\"edit\") permit (principal, action == Soak::Action::\"edit\", resource)
when {{ principal in resource.editor }};\n"
    )
}

/// Puts other policies in place, at one stroke.
pub fn write_policies(home: &Path, round: u64) {
    let next = home.join("policies.cedar.next");
    fs::write(&next, policies(round)).unwrap();
    fs::rename(next, home.join("policies/soak/policies.cedar")).unwrap();
}

/// A running sidecar, killed at the end.
pub struct Sidecar {
    child: Child,
    pub home: PathBuf,
    /// The gRPC address without TLS.
    pub plain: SocketAddr,
    /// The gRPC address with TLS.
    pub tls: SocketAddr,
    pub http: SocketAddr,
}

/// The state of the process at one moment.
#[derive(Debug, Clone)]
pub struct Sample {
    /// KiB in memory.
    pub memory: u64,
    pub threads: u64,
    pub handles: u64,
    /// Every line of the metrics that is one number.
    pub metrics: HashMap<String, f64>,
}

impl Sample {
    pub fn metric(&self, series: &str) -> f64 {
        self.metrics.get(series).copied().unwrap_or(f64::NAN)
    }

    /// Tasks of the runtimes.
    pub fn tasks(&self) -> f64 {
        self.metric("humbaba_tasks")
    }
}

impl Sidecar {
    /// Starts it with the certificates that are in `home` already.
    #[allow(clippy::zombie_processes)] // It ends with the value that is returned.
    pub async fn start(binary: &Path, home: &Path) -> Self {
        for name in ["soak", directories::FILES, directories::KEPT] {
            let store = home.join("policies").join(name);
            fs::create_dir_all(&store).unwrap();
            fs::write(store.join("schema.cedarschema"), SCHEMA).unwrap();
            fs::write(store.join("policies.cedar"), policies(0)).unwrap();
        }
        let in_home = |source: &str, path: &str| format!("{source}{}", home.join(path).display());
        let file = home.join("addresses.json");
        let tls = |name: &str| home.join("tls").join(name);
        let patience = format!("limits.patience_ms={}", PATIENCE.as_millis());
        let child = Command::new(binary)
            .args(["serve", "--listen", "127.0.0.1:0", "--listen", "tls:127.0.0.1:0"])
            .args(["--http-listen", "plain:127.0.0.1:0", "--web-listen", "off"])
            .args(["--log-filter", "error,humbaba=error", "--set", &patience])
            .args(["--default-store", "soak", "--set", "directory.kept_changes=100"])
            .arg("--directory")
            .arg(in_home(&format!("{}=files:", directories::FILES), "directory"))
            .args(["--directory", &format!("{}=embedded", directories::KEPT)])
            .args(["--data", &in_home("", "data")])
            .args(["--directory-listen", &in_home("unix:", "directory.sock")])
            .args(["--tls-client-id", super::certificates::CLIENT])
            .arg("--tls-cert")
            .arg(tls("tls.crt"))
            .arg("--tls-key")
            .arg(tls("tls.key"))
            .arg("--tls-client-ca")
            .arg(tls("clients.crt"))
            .arg("--policies")
            .arg(home.join("policies"))
            .arg("--addr-file")
            .arg(&file)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        loop {
            sleep(Duration::from_millis(50)).await;
            let Ok(text) = fs::read_to_string(&file) else { continue };
            let addresses: Json = serde_json::from_str(&text).unwrap();
            let address = |value: &Json| {
                let text = value.as_str().unwrap();
                text.rsplit_once("s:").map_or(text, |(_, address)| address).parse().unwrap()
            };
            let grpc = &addresses["grpc"];
            let sidecar = Self {
                plain: address(&grpc[0]),
                tls: address(&grpc[1]),
                http: address(&addresses["http"]),
                home: home.to_owned(),
                child,
            };
            while !sidecar.get("/readyz").await.starts_with("HTTP/1.1 200") {
                sleep(Duration::from_millis(50)).await;
            }
            return sidecar;
        }
    }

    /// Gets a path over HTTP, with the head of the answer.
    pub async fn get(&self, path: &str) -> String {
        let mut connection = TcpStream::connect(self.http).await.unwrap();
        let host = self.http;
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        connection.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await.unwrap();
        answer
    }

    pub async fn status(&self) -> Json {
        let answer = self.get("/status").await;
        let (_, page) = answer.split_once("\r\n\r\n").unwrap();
        serde_json::from_str(page).unwrap()
    }

    /// KiB in memory.
    pub fn memory(&self) -> u64 {
        self.of_status("VmRSS:")
    }

    fn of_status(&self, name: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    pub async fn sample(&self) -> Sample {
        let answer = self.get("/metrics").await;
        let (_, text) = answer.split_once("\r\n\r\n").unwrap();
        let metrics = text.lines().filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            Some((series.to_owned(), value.parse().ok()?))
        });
        let handles = fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap().count();
        Sample {
            memory: self.memory(),
            threads: self.of_status("Threads:"),
            handles: handles as u64,
            metrics: metrics.collect(),
        }
    }
}

impl Drop for Sidecar {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
