//! A server that speaks TLS, and clients of it.

use std::{fs, net::SocketAddr, sync::Arc, time::Duration};

use humbaba::{
    audit::DecisionLog,
    grpc::{GrpcOptions, GrpcServer, ServeError},
    http::{HttpOptions, HttpServer},
    net::{
        Listener, ServerTls,
        tls::{TlsOptions, TlsVersion},
    },
    proto::authorization_service_client::AuthorizationServiceClient,
    reload::Live,
    store::Stores,
    telemetry::MetricsProvider,
};
use rustls::{ClientConfig, RootCertStore, pki_types::pem::PemObject as _};
use tempfile::TempDir;
use tokio::{net::TcpListener, task::JoinHandle};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

use super::{
    ask, http,
    pki::{Authority, Pair},
    server::status_of,
    stores,
};

/// A server with TLS on both faces, and metrics over plain HTTP besides. It ends when dropped.
pub struct TlsServer {
    pub folder: TempDir,
    /// Whom the clients trust.
    pub ca: Authority,
    pub tls: ServerTls,
    pub grpc: SocketAddr,
    pub https: SocketAddr,
    pub http: SocketAddr,
    serving: Vec<JoinHandle<Result<(), ServeError>>>,
}

/// Options for the files of a folder, which clients need no certificate for.
pub fn options(folder: &TempDir) -> TlsOptions {
    TlsOptions {
        certificate: folder.path().join("tls.crt"),
        key: folder.path().join("tls.key"),
        client_ca: None,
        client_ids: Vec::new(),
        http_client_certificates: true,
        min_version: TlsVersion::V1_2,
        handshake_timeout: Duration::from_secs(20),
        handshakes_under_way: 1_024.try_into().unwrap(),
    }
}

/// Takes clients of an authority with one of those names.
pub fn mutual(clients: &Authority, ids: &[&str]) -> impl FnOnce(&mut TlsOptions) {
    |options| {
        let path = options.certificate.with_file_name("clients.crt");
        fs::write(&path, &clients.pem).unwrap();
        options.client_ca = Some(path);
        options.client_ids = ids.iter().map(|id| id.parse().unwrap()).collect();
    }
}

impl TlsServer {
    /// A server with TLS as that function wants it.
    pub async fn start(change: impl FnOnce(&mut TlsOptions)) -> Self {
        Self::with(GrpcOptions::default(), DecisionLog::off(), change).await
    }

    /// The same, with its decisions recorded.
    pub async fn recording(
        decision_log: DecisionLog,
        change: impl FnOnce(&mut TlsOptions),
    ) -> Self {
        Self::with(GrpcOptions::default(), decision_log, change).await
    }

    /// The same with options of the server.
    pub async fn limited(server: GrpcOptions, change: impl FnOnce(&mut TlsOptions)) -> Self {
        Self::with(server, DecisionLog::off(), change).await
    }

    async fn with(
        server: GrpcOptions,
        decision_log: DecisionLog,
        change: impl FnOnce(&mut TlsOptions),
    ) -> Self {
        let (folder, ca) = (TempDir::new().unwrap(), Authority::new("servers"));
        ca.server(2088).write(folder.path());
        let mut options = options(&folder);
        change(&mut options);
        let tls = ServerTls::load(options).unwrap();
        let live = Arc::new(Live::default());
        let loaded = vec![stores::acme()];
        live.publish(Stores::new(loaded.clone(), None), status_of(&loaded));
        let metrics = MetricsProvider::default();
        let server = GrpcServer::new(live, server, None, &metrics, decision_log);
        let http_server =
            HttpServer::new(&server, HttpOptions::default(), None, serde_json::Value::Null);
        server.set_serving(true);
        let bind = || async { TcpListener::bind("127.0.0.1:0").await.unwrap() };
        let (grpc, https, http) = (bind().await, bind().await, bind().await);
        let address = |listener: &TcpListener| listener.local_addr().unwrap();
        let addresses = (address(&grpc), address(&https), address(&http));
        let grpc = vec![Listener::Tls(grpc, tls.clone())];
        let serving = vec![
            tokio::spawn({
                let server = server.clone();
                async move { server.serve(grpc, std::future::pending()).await }
            }),
            tokio::spawn({
                let (server, listener) = (http_server.clone(), Listener::Tls(https, tls.clone()));
                async move {
                    server.serve(listener, std::future::pending()).await;
                    Ok(())
                }
            }),
            tokio::spawn(async move {
                http_server.serve(http, std::future::pending()).await;
                Ok(())
            }),
        ];
        let (grpc, https, http) = addresses;
        Self { folder, ca, tls, grpc, https, http, serving }
    }

    /// A server that takes clients of an authority with one of those names.
    pub async fn mutual(clients: &Authority, ids: &[&str]) -> Self {
        Self::start(mutual(clients, ids)).await
    }

    /// Asks one question over a new connection.
    pub async fn ask(&self, client: Option<&Pair>) -> Result<(), String> {
        ask_once(channel(self.grpc, &self.ca.pem, client)).await
    }

    /// One line of the metrics, without its name and labels; 0 if it is not there.
    pub async fn metric(&self, series: &str) -> f64 {
        let metrics = http::get(self.http, "/metrics").await.body;
        let value = metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        value.map_or(0.0, |value| value.parse().unwrap())
    }

    /// The number of handshakes that were refused for a reason.
    pub async fn refused(&self, face: &str, reason: &str) -> f64 {
        let series =
            format!(r#"humbaba_tls_handshakes_refused_total{{face="{face}",reason="{reason}"}}"#);
        self.metric(&series).await
    }

    /// The part of the status on TLS.
    pub async fn status(&self) -> serde_json::Value {
        let page = http::get(self.http, "/status").await.body;
        serde_json::from_str::<serde_json::Value>(&page).unwrap()["tls"].take()
    }
}

impl Drop for TlsServer {
    fn drop(&mut self) {
        self.serving.iter().for_each(JoinHandle::abort);
    }
}

/// A connection that is opened when it is first needed.
pub fn channel(address: SocketAddr, ca: &str, client: Option<&Pair>) -> Channel {
    let mut tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(ca));
    if let Some(client) = client {
        tls = tls.identity(Identity::from_pem(&client.cert, &client.key));
    }
    let endpoint = Endpoint::from_shared(format!("https://{address}")).unwrap();
    endpoint.tls_config(tls).unwrap().connect_lazy()
}

/// Asks one question.
pub async fn ask_once(channel: Channel) -> Result<(), String> {
    let question = ask("User::alice", "site.view", "Site::1");
    let answer = AuthorizationServiceClient::new(channel).is_authorized(question).await;
    answer.map(drop).map_err(|status| format!("{status:?}"))
}

/// The parts that a client needs that is no gRPC client.
pub fn client_config(
    ca: &str,
    client: Option<&Pair>,
    versions: &[&'static rustls::SupportedProtocolVersion],
    protocols: &[&str],
) -> Arc<ClientConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(rustls::pki_types::CertificateDer::from_pem_slice(ca.as_bytes()).unwrap()).unwrap();
    let builder = ClientConfig::builder_with_provider(provider);
    let builder = builder.with_protocol_versions(versions).unwrap().with_root_certificates(roots);
    let mut config = match client {
        None => builder.with_no_client_auth(),
        Some(pair) => {
            let cert = rustls::pki_types::CertificateDer::from_pem_slice(pair.cert.as_bytes());
            let key = rustls::pki_types::PrivateKeyDer::from_pem_slice(pair.key.as_bytes());
            builder.with_client_auth_cert(vec![cert.unwrap()], key.unwrap()).unwrap()
        }
    };
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    Arc::new(config)
}

/// A connection on which nothing was said yet.
pub async fn connect(
    address: SocketAddr,
    config: Arc<ClientConfig>,
) -> std::io::Result<tokio_rustls::client::TlsStream<tokio::net::TcpStream>> {
    let connection = tokio::net::TcpStream::connect(address).await?;
    let name = "localhost".try_into().unwrap();
    tokio_rustls::TlsConnector::from(config).connect(name, connection).await
}

/// Gets a path over HTTPS.
pub async fn https_get(
    address: SocketAddr,
    config: Arc<ClientConfig>,
    path: &str,
) -> std::io::Result<String> {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    let mut connection = connect(address, config).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    connection.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await?;
    Ok(answer)
}
