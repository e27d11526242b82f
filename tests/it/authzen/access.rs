//! The callers that `web_listen` answers, and what is not served there.

use std::fs;

use axum::body::Bytes;
use http_body_util::Full;
use humbaba::{
    grpc::GrpcOptions,
    http::{WebOptions, WebServer},
    net::{BearerTokens, Listener, ServerTls},
};
use hyper::Request;
use rustls::version::TLS13;
use serde_json::{Value as Json, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use super::web::{Web, ask};
use crate::{
    cli::{command, end, policies},
    support::{
        TestServer,
        http::get,
        pki::{Authority, Pair},
        stores,
        tls::{client_config, connect, mutual, options},
    },
};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

fn question() -> Json {
    ask("User::alice", "site.preview", "Site::1")
}

fn body() -> Full<Bytes> {
    Full::new(question().to_string().into())
}

#[tokio::test]
async fn only_the_names_of_the_listener_are_answered() {
    let options = WebOptions { hosts: vec!["pdp.example.com".to_owned()], ..WebOptions::default() };
    let web = Web::with([stores::acme()], GrpcOptions::default(), options).await;
    for (host, status) in [
        ("localhost", 200),
        ("127.0.0.1", 200),
        ("pdp.example.com:443", 200),
        ("evil.example.com", 421),
        ("10.0.0.1:8182", 421),
        ("me@localhost", 400),
        ("", 400),
    ] {
        let request = Request::post("/access/v1/evaluation").header("host", host);
        let request =
            request.header("content-type", "application/json").header("x-request-id", "i");
        let answer = web.send(request.body(body()).unwrap()).await;
        assert_eq!(answer.status, status, "{host}: {}", answer.body);
        assert_eq!(answer.headers["x-request-id"], "i");
    }
    let request = web.request("/access/v1/evaluation").header("host", "evil.example.com");
    assert_eq!(web.send(request.body(body()).unwrap()).await.status, 400, "two hosts");
    let request =
        Request::get("/.well-known/authzen-configuration").header("host", "pdp.example.com");
    let metadata = web.send(request.body(Full::default()).unwrap()).await.json();
    assert_eq!(metadata["policy_decision_point"], json!("http://pdp.example.com"));
}

#[tokio::test]
async fn a_token_is_asked_for_where_there_is_one() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("token");
    fs::write(&path, TOKEN).unwrap();
    let tokens = Some(BearerTokens::load(&path).unwrap());
    let web = Web::with(
        [stores::acme()],
        GrpcOptions::default(),
        WebOptions { tokens, ..WebOptions::default() },
    )
    .await;
    for (sent, status) in [
        (Some(format!("Bearer {TOKEN}")), 200),
        (Some(format!("Bearer {TOKEN}x")), 401),
        (Some(TOKEN.to_owned()), 401),
        (None, 401),
    ] {
        let request = web.request("/access/v1/evaluation");
        let request = match &sent {
            Some(sent) => request.header("authorization", sent),
            None => request,
        };
        let answer = web.send(request.body(body()).unwrap()).await;
        assert_eq!(answer.status, status, "{sent:?}");
        assert_eq!(answer.headers.contains_key("www-authenticate"), status == 401);
    }
    let of_store = web.request("/stores/acme/access/v1/search/action").body(body()).unwrap();
    assert_eq!(web.send(of_store).await.status, 401);
    for path in ["/openapi.json", "/.well-known/authzen-configuration", "/nothing"] {
        assert_eq!(web.get(path).await.status, 401, "{path}");
    }
    let metrics = get(web.server.http, "/metrics").await.body;
    for (rpc, count) in [("Evaluation", 3), ("Search", 1)] {
        let refused = "humbaba_request_failures_total{code=\"Unauthenticated\",rpc=";
        let refused = format!("{refused}\"{rpc}\"}} {count}\n");
        assert!(metrics.contains(&refused), "{refused}{metrics}");
    }
}

#[tokio::test]
async fn each_listener_serves_its_own_and_nothing_else() {
    let web = Web::start([stores::acme()]).await;
    for path in ["/livez", "/readyz", "/status", "/metrics", "/log-level"] {
        assert_eq!(web.get(path).await.status, 404, "{path}");
        assert_eq!(get(web.server.http, "/.well-known/authzen-configuration").await.status, 404);
    }
    assert_eq!(get(web.server.http, "/openapi.json").await.status, 404);
}

#[tokio::test]
async fn the_openapi_document_describes_every_path() {
    let web = Web::start([stores::acme()]).await;
    let document = web.get("/openapi.json").await.json();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1."));
    let paths = document["paths"].as_object().unwrap();
    for (path, operations) in paths {
        let path = path.replace("{store}", "acme");
        for method in operations.as_object().unwrap().keys() {
            let request = web.request(&path).method(method.to_uppercase().as_str());
            let answer = web.send(request.body(Full::new("{}".into())).unwrap()).await;
            assert!([200, 400].contains(&answer.status), "{method} {path}: {answer:?}");
        }
    }
    let described = |path: &str| paths.keys().any(|described| described == path);
    for endpoint in
        ["evaluation", "evaluations", "search/subject", "search/resource", "search/action"]
    {
        assert!(described(&format!("/access/v1/{endpoint}")), "{endpoint}");
        assert!(described(&format!("/stores/{{store}}/access/v1/{endpoint}")), "{endpoint}");
    }
    assert!(described("/.well-known/authzen-configuration"));
    assert!(described("/.well-known/authzen-configuration/stores/{store}"));
}

/// Posts a question over TLS with HTTP/1.1; the whole answer.
async fn post_tls(
    address: std::net::SocketAddr,
    ca: &str,
    client: Option<&Pair>,
) -> std::io::Result<String> {
    let config = client_config(ca, client, &[&TLS13], &["http/1.1"]);
    let mut connection = connect(address, config).await?;
    let body = question().to_string();
    let request = format!(
        "POST /access/v1/evaluation HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    connection.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await?;
    Ok(answer)
}

#[tokio::test]
async fn over_tls_clients_need_the_certificates_that_the_settings_want() {
    let (folder, servers, clients) =
        (TempDir::new().unwrap(), Authority::new("servers"), Authority::new("clients"));
    servers.server(2088).write(folder.path());
    let mut tls = options(&folder);
    mutual(&clients, &["pep.example.com"])(&mut tls);
    // This is of `http_listen` alone.
    tls.http_client_certificates = false;
    let tls = ServerTls::load(tls).unwrap();
    let server = TestServer::start([stores::acme()]).await;
    let web = WebServer::new(&server.server, WebOptions::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let listener = Listener::Tls(listener, tls);
    let serving = tokio::spawn(async move { web.serve(listener, std::future::pending()).await });
    let known = clients.client(&["pep.example.com"]);
    let answer = post_tls(address, &servers.pem, Some(&known)).await.unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.ends_with(r#"{"decision":true}"#),
        "{answer}"
    );
    for client in [
        None,
        Some(clients.client(&["other.example.com"])),
        Some(servers.client(&["pep.example.com"])),
    ] {
        let answer = post_tls(address, &servers.pem, client.as_ref()).await;
        assert!(answer.as_ref().map_or(true, String::is_empty), "{answer:?}");
    }
    // HTTP/2 is spoken too.
    let config = client_config(&servers.pem, Some(&known), &[&TLS13], &["h2", "http/1.1"]);
    let connection = connect(address, config).await.unwrap();
    assert_eq!(connection.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    serving.abort();
}

#[tokio::test]
async fn connections_beyond_the_limit_are_closed() {
    let options = WebOptions { connections: 1, ..WebOptions::default() };
    let web = Web::with([stores::acme()], GrpcOptions::default(), options).await;
    let _open = TcpStream::connect(web.address).await.unwrap();
    let mut closed = TcpStream::connect(web.address).await.unwrap();
    let read = tokio::time::timeout(crate::support::wait::DEADLINE, closed.read(&mut [0; 1])).await;
    assert!(matches!(read.unwrap(), Ok(0) | Err(_)), "the second one is closed");
}

#[test]
fn a_listener_that_anybody_could_ask_is_refused() {
    let folder = policies(&["guard"]);
    let place = TempDir::new().unwrap();
    let path = |name: &str| place.path().join(name).to_str().unwrap().to_owned();
    fs::write(path("token"), format!("{TOKEN}\n")).unwrap();
    fs::write(path("short"), "secret\n").unwrap();
    let refused = |args: &[&str]| {
        let mut serve =
            command(&["serve", "--listen=127.0.0.1:0", "--http-listen=off", "--policies"]);
        let ended = end(serve.arg(folder.path()).args(args));
        assert_eq!(ended.code, 64, "{args:?}: {}", ended.err);
        ended.err
    };
    let token = format!("auth.token_file={}", path("token"));
    let short = format!("auth.token_file={}", path("short"));
    let missing = format!("auth.token_file={}", path("missing"));
    for (args, part) in [
        (
            &["--web-listen", "0.0.0.0:0", "--insecure"][..],
            "nothing says who may call: set `tls.client_ca` or `auth.token_file`",
        ),
        (&["--web-listen", "0.0.0.0:0", "--set", &token], "there is no TLS"),
        (&["--web-listen", "127.0.0.1:0", "--set", &short], "must be a token of 32"),
        (&["--web-listen", "127.0.0.1:0", "--set", &missing], "cannot read"),
        (&["--set", "authzen.public_url=http://pdp.example.com"], "is not an `https` URL"),
        (&["--set", "authzen.public_url=https://pdp.example.com/?a=b"], "is not an `https` URL"),
        (
            &["--set", "http.hosts=pdp.example.com:8182"],
            "is not a host: write a name or an IP address without a port",
        ),
    ] {
        let err = refused(args);
        assert!(err.contains(part), "{args:?}: {err}");
    }
    let mut print =
        command(&["serve", "--print-config", "--web-listen", "0.0.0.0:0", "--insecure"]);
    let printed = end(print.args(["--set", &token, "--set", "http.hosts=a.example,[::1]"]));
    assert_eq!(printed.code, 0, "{}", printed.err);
    for line in ["web_listen = \"0.0.0.0:0\"", "hosts = [\"a.example\", \"::1\"]"] {
        assert!(printed.out.contains(line), "{}", printed.out);
    }
}
