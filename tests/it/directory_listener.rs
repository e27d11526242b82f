//! The listener of `DirectoryService`: its callers, and the services beside it.

use std::fs;

use humbaba::{
    directory::{DirectoryVersion, Position},
    grpc::DirectoryListener,
    net::Listener,
    proto::{
        WriteRequest, authorization_service_client::AuthorizationServiceClient,
        directory_service_client::DirectoryServiceClient,
    },
    reload::RowReport,
    request::RequestLimits,
};
use tempfile::TempDir;
use tonic::{Code, Request};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use crate::{
    cli::{command, end, policies},
    support::{
        TestServer,
        ask::ask,
        directory_client::{address, changes, channel, directory, put, sidecar},
        pki::Authority,
        stores, wait,
    },
};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

fn alice() -> WriteRequest {
    changes([put("User::alice", "editor", "Site::42")])
}

fn with_token(token: &str) -> Request<WriteRequest> {
    let mut request = Request::new(alice());
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    request
}

#[test]
fn it_is_never_open_by_default() {
    let (folder, data) = (policies(&["guard"]), TempDir::new().unwrap());
    let path = |name: &str| data.path().join(name).to_str().unwrap().to_owned();
    let authority = Authority::new("clients");
    let server = authority.server(2080);
    fs::write(path("ca.pem"), &authority.pem).unwrap();
    fs::write(path("cert.pem"), &server.cert).unwrap();
    fs::write(path("key.pem"), &server.key).unwrap();
    fs::write(path("short"), "0123").unwrap();
    let (ca, cert, key) = (path("ca.pem"), path("cert.pem"), path("key.pem"));
    let tls = ["--tls-cert", &cert, "--tls-key", &key, "--tls-client-ca", &ca];
    let short = path("short");
    for (arguments, said) in [
        (vec!["--directory-listen", "127.0.0.1:0"], "everybody who reaches `127.0.0.1:0`"),
        // Client certificates do not protect an address without TLS.
        ([&["--directory-listen", "127.0.0.1:0"][..], &tls].concat(), "directory.token_file"),
        (
            vec!["--directory-listen", "127.0.0.1:0", "--directory-token-file", &short],
            "must be a token of 32",
        ),
        (
            vec!["--directory-listen", "127.0.0.1:0", "--directory-token-file", "/nowhere"],
            "cannot read `/nowhere`",
        ),
        (
            vec!["--directory-listen", "0.0.0.0:0", "--directory-token-file", &ca],
            "can be reached from other machines",
        ),
    ] {
        let ended = end(command(&["serve", "--listen", "127.0.0.1:0", "--http-listen", "off"])
            .args(["--policies", folder.path().to_str().unwrap()])
            .args(&arguments));
        assert_eq!(ended.code, 64, "{arguments:?}: {ended:?}");
        assert!(ended.err.contains(said), "{arguments:?}: {ended:?}");
    }
    let ended = end(command(&["serve", "--directory", "guard=embedded", "--http-listen", "off"])
        .args(["--policies", folder.path().to_str().unwrap(), "--listen", "127.0.0.1:0"]));
    assert_eq!(ended.code, 64, "{ended:?}");
    assert!(ended.err.contains("name one with `data`"), "{ended:?}");
}

#[tokio::test]
async fn only_callers_with_the_token_get_through() {
    let (folder, data) = (policies(&["guard"]), TempDir::new().unwrap());
    let file = data.path().join("token");
    fs::write(&file, TOKEN).unwrap();
    let tcp = ["--directory-listen", "127.0.0.1:0", "--set", "reload.rehash_interval_s=1"];
    let token = ["--directory-token-file", file.to_str().unwrap()];
    let running = sidecar(folder.path(), data.path(), &[&tcp[..], &token].concat());
    let mut client = directory(&running);
    for status in [
        client.write(alice()).await.unwrap_err(),
        client.write(with_token(&TOKEN.replace('0', "1"))).await.unwrap_err(),
        client
            .list_assignments(humbaba::proto::ListAssignmentsRequest::default())
            .await
            .unwrap_err(),
        client.list_entities(humbaba::proto::ListEntitiesRequest::default()).await.unwrap_err(),
        client.watch(humbaba::proto::WatchRequest::default()).await.unwrap_err(),
    ] {
        assert_eq!(status.code(), Code::Unauthenticated, "{status}");
    }
    client.write(with_token(TOKEN)).await.unwrap();
    let new = TOKEN.replace('0', "x");
    fs::write(&file, format!("{TOKEN}\n{new}\n")).unwrap();
    wait::until("both count", async || client.write(with_token(&new)).await.is_ok()).await;
    client.write(with_token(TOKEN)).await.unwrap();
    fs::write(&file, &new).unwrap();
    wait::until("the old token counts no longer", async || {
        client.write(with_token(TOKEN)).await.is_err()
    })
    .await;
    client.write(with_token(&new)).await.unwrap();
    assert_eq!(client.write(with_token(TOKEN)).await.unwrap_err().code(), Code::Unauthenticated);

    let server = address(&running);
    let put = ["directory", "put", "--server", &server, "User::bob", "viewer", "Site::1"];
    assert_eq!(end(&mut command(&put)).code, 64);
    let ended = end(command(&put).args(["--token-file", file.to_str().unwrap()]));
    assert_eq!(ended.code, 0, "{ended:?}");
}

#[test]
fn client_certificates_protect_it_without_a_token() {
    let (folder, data) = (policies(&["guard"]), TempDir::new().unwrap());
    let authority = Authority::new("clients");
    let path = |name: &str| data.path().join(name).to_str().unwrap().to_owned();
    let (ca, cert, key) = (path("ca.pem"), path("tls.crt"), path("tls.key"));
    fs::write(&ca, &authority.pem).unwrap();
    authority.server(2080).write(data.path());
    let tls = ["--tls-cert", &cert, "--tls-key", &key, "--tls-client-ca", &ca];
    let listen = ["--directory-listen", "tls:127.0.0.1:0"];
    let running = sidecar(folder.path(), data.path(), &[&listen[..], &tls].concat());
    let client = TempDir::new().unwrap();
    authority.client(&["backend"]).write(client.path());
    let file = |name: &str| client.path().join(name).to_str().unwrap().to_owned();
    let server = running.addresses["directory"].as_str().unwrap().to_owned();
    let list = ["directory", "list", "--server", &server, "--ca", &ca];
    assert_eq!(end(&mut command(&list)).code, 1);
    let (cert, key) = (file("tls.crt"), file("tls.key"));
    let ended = end(command(&list).args(["--cert", &cert, "--key", &key]));
    assert_eq!(ended.code, 0, "{ended:?}");
}

#[tokio::test]
async fn directories_and_decisions_share_no_listener() {
    let (folder, data) = (policies(&["guard"]), TempDir::new().unwrap());
    let running = sidecar(folder.path(), data.path(), &[]);
    let there = channel(&address(&running));
    let question = ask("User::alice", "edit", "Site::42");
    let mut decisions = AuthorizationServiceClient::new(there.clone());
    let status = decisions.is_authorized(question.clone()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
    let mut client = DirectoryServiceClient::new(channel(&running.tcp()));
    assert_eq!(client.write(alice()).await.unwrap_err().code(), Code::Unimplemented);
    let mut health = HealthClient::new(there);
    let health_of = |service: &str| HealthCheckRequest { service: service.to_owned() };
    for service in ["", "humbaba.v1.DirectoryService"] {
        let health = health.check(health_of(service)).await.unwrap().into_inner();
        assert_eq!(health.status(), ServingStatus::Serving);
    }
    let other = health.check(health_of("humbaba.v1.AuthorizationService")).await.unwrap_err();
    assert_eq!(other.code(), Code::NotFound);
}

#[tokio::test]
async fn a_message_that_is_too_large_is_refused_before_it_is_read() {
    let (folder, data) = (policies(&["guard"]), TempDir::new().unwrap());
    let more = ["--set", "limits.message_bytes=10000", "--set", "limits.message_parts=200"];
    let running = sidecar(folder.path(), data.path(), &more);
    let mut client = directory(&running);
    let many =
        |count| changes((0..count).map(|id| put(&format!("User::u{id}"), "viewer", "Site::42")));
    assert_eq!(client.write(many(1_000)).await.unwrap_err().code(), Code::OutOfRange);
    let status = client.write(many(100)).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().contains("200 parts"), "{status}");
    client.write(many(10)).await.unwrap();
}

#[tokio::test]
async fn a_directory_that_is_kept_elsewhere_is_not_written_here() {
    let server = TestServer::start([stores::acme()]).await;
    let name = "acme".parse().unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let directory = DirectoryListener { listener: Listener::Tcp(listener), tokens: None };
    let serving = server.server.clone();
    let serving = tokio::spawn(async move {
        serving.serve_with_directory(Vec::new(), Some(directory), std::future::pending()).await
    });
    let mut client = DirectoryServiceClient::new(channel(&format!("http://{address}")));
    let status = client.write(alice()).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert!(status.message().contains("has no directory"), "{status}");

    server.live.add_directory(&name, "files:/etc/who", std::time::Duration::from_secs(60), 100);
    assert_eq!(client.write(alice()).await.unwrap_err().code(), Code::Unavailable);
    let empty = server.live.empty_directory(&name, &RequestLimits::default()).unwrap();
    let version = DirectoryVersion { generation: "g".into(), position: Position::Count(0) };
    server.live.replace_directory(&name, empty, version, RowReport::default());
    assert_eq!(client.write(alice()).await.unwrap_err().code(), Code::Unavailable, "not opened");
    server.server.set_embedded(Default::default());
    let status = client.write(alice()).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert!(status.message().contains("files:/etc/who"), "{status}");
    let nowhere = WriteRequest { policy_store: "nowhere".into(), ..alice() };
    assert_eq!(client.write(nowhere).await.unwrap_err().code(), Code::NotFound);
    serving.abort();
}
