//! `auth.token_file`: who may ask over gRPC, on every listener for decisions.

use std::fs;

use humbaba::{
    client::{Client, Error, Question, Uid},
    proto::authorization_service_client::AuthorizationServiceClient,
};
use serde_json::Value as Json;
use tempfile::TempDir;
use tonic::{Code, Request, Status};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest,
};

use crate::{
    cli::{command, end, policies},
    cli_sidecar::Sidecar,
    support::{
        ask::{Asking as _, ask, is_allow},
        directory_client::{channel, decisions},
        http,
        pki::Authority,
        raw, wait,
    },
};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// A sidecar that asks for the token of a file.
struct Guarded {
    sidecar: Sidecar,
    folder: TempDir,
    _policies: TempDir,
}

impl Guarded {
    fn start(more: &[&str]) -> Self {
        let (policies, folder) = (policies(&["guard"]), TempDir::new().unwrap());
        let file = folder.path().join("token");
        fs::write(&file, format!("{TOKEN}\n")).unwrap();
        let token = ["--token-file", file.to_str().unwrap()];
        let sidecar = Sidecar::start(policies.path(), &[&token[..], more].concat());
        Self { sidecar, folder, _policies: policies }
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path = self.folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    async fn asked(&self, token: Option<&str>) -> Result<bool, Status> {
        let mut request = Request::new(good());
        if let Some(token) = token {
            let value = format!("Bearer {token}").parse().unwrap();
            request.metadata_mut().insert("authorization", value);
        }
        let answer = decisions(&self.sidecar).is_authorized(request).await;
        answer.map(|answer| is_allow(&answer.into_inner()))
    }
}

fn good() -> humbaba::proto::IsAuthorizedRequest {
    ask("User::alice", "edit", "Site::42").role("editor", "Site::42")
}

#[tokio::test]
async fn every_call_needs_the_token_but_health_and_reflection() {
    let guarded = Guarded::start(&["--log-filter", "trace"]);
    assert!(guarded.asked(Some(TOKEN)).await.unwrap());
    let mut client = decisions(&guarded.sidecar);
    let there = || channel(&guarded.sidecar.tcp());
    let other = raw::call_path::<()>(there(), "/humbaba.v1.Other/Do", raw::slow_body().1).await;
    for status in [
        guarded.asked(None).await.unwrap_err(),
        guarded.asked(Some(&TOKEN.replace('0', "1"))).await.unwrap_err(),
        guarded.asked(Some("")).await.unwrap_err(),
        client
            .batch_is_authorized(humbaba::proto::BatchIsAuthorizedRequest::default())
            .await
            .unwrap_err(),
        client.list_actions(humbaba::proto::ListActionsRequest::default()).await.unwrap_err(),
        client.list_resources(humbaba::proto::ListResourcesRequest::default()).await.unwrap_err(),
        client.list_principals(humbaba::proto::ListPrincipalsRequest::default()).await.unwrap_err(),
        other.unwrap_err(),
    ] {
        assert_eq!(status.code(), Code::Unauthenticated, "{status}");
        assert!(status.message().contains("authorization: Bearer"), "{status}");
    }
    let over_unix = AuthorizationServiceClient::new(channel(&guarded.sidecar.unix()));
    let status = { over_unix }.is_authorized(good()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated, "a Unix socket needs it too");

    let mut health = HealthClient::new(there());
    let question = HealthCheckRequest::default();
    let serving = health.check(question.clone()).await.unwrap().into_inner();
    assert_eq!(serving.status(), ServingStatus::Serving);
    let first = health.watch(question).await.unwrap().into_inner().message().await.unwrap();
    assert_eq!(first.unwrap().status(), ServingStatus::Serving);
    let list = MessageRequest::ListServices(String::new());
    let list = ServerReflectionRequest { message_request: Some(list), ..Default::default() };
    let mut reflection = ServerReflectionClient::new(there());
    let listed = reflection.server_reflection_info(tokio_stream::iter([list])).await;
    assert!(listed.unwrap().into_inner().message().await.unwrap().is_some());

    let status = guarded.sidecar.addresses["http"].as_str().unwrap().parse().unwrap();
    let metrics = http::get(status, "/metrics").await.body;
    let refused = "humbaba_request_failures_total{code=\"Unauthenticated\",rpc=\"IsAuthorized\"} 4";
    assert!(metrics.contains(refused), "{metrics}");
    let shown = http::get(status, "/status").await.body;
    for text in [guarded.sidecar.log(), metrics, shown] {
        assert!(!text.contains(&TOKEN[..16]), "the token is shown: {text}");
    }
}

#[tokio::test]
async fn a_changed_file_changes_the_token_over_grpc_and_http() {
    let guarded = Guarded::start(&["--set", "reload.rehash_interval_s=1"]);
    let web = guarded.sidecar.addresses["web"].as_str().unwrap().parse().unwrap();
    let over_http = async |token: &str| {
        let bearer = format!("Authorization: Bearer {token}\r\n");
        http::get_with(web, "/openapi.json", &bearer).await.status
    };
    assert_eq!(over_http(TOKEN).await, 200);
    let new = TOKEN.to_uppercase();
    guarded.file("token", &new);
    wait::until("the new token is in force", async || guarded.asked(Some(&new)).await.is_ok())
        .await;
    assert_eq!(over_http(&new).await, 200);
    assert_eq!(over_http(TOKEN).await, 401);
    assert_eq!(guarded.asked(Some(TOKEN)).await.unwrap_err().code(), Code::Unauthenticated);
    guarded.file("token", "short");
    wait::until("the file is refused", async || {
        guarded.sidecar.log().contains("the tokens stay as they were")
    })
    .await;
    assert!(guarded.asked(Some(&new)).await.unwrap());
    let seen = async |path: &str| {
        let address = guarded.sidecar.addresses["http"].as_str().unwrap();
        http::get(address.parse().unwrap(), path).await.body
    };
    let refused = "humbaba_token_refused{setting=\"auth.token_file\"}";
    assert!(seen("/metrics").await.contains(&format!("{refused} 1")));
    let status: Json = serde_json::from_str(&seen("/status").await).unwrap();
    assert_eq!(status["tokens"][0]["setting"], "auth.token_file");
    let problem = status["tokens"][0]["problem"].as_str().unwrap();
    assert!(problem.contains("must be a token of 32"), "{problem}");
    // The clock has it read again and again, which is logged once.
    guarded.file("token", &new);
    wait::until("the file is accepted", async || {
        seen("/metrics").await.contains(&format!("{refused} 0"))
    })
    .await;
    let log = guarded.sidecar.log();
    assert_eq!(log.matches("the tokens stay as they were").count(), 1, "{log}");
    assert!(!guarded.sidecar.log().contains(&new[..16]), "{}", guarded.sidecar.log());
}

/// Writes the file, and waits until as many tokens count.
async fn replace(guarded: &Guarded, tokens: &[&str]) {
    guarded.file("token", &format!("{}\n", tokens.join("\n")));
    let address = guarded.sidecar.addresses["http"].as_str().unwrap().parse().unwrap();
    wait::until("the tokens are in force", async || {
        let status: Json = serde_json::from_str(&http::get(address, "/status").await.body).unwrap();
        status["tokens"][0]["count"] == tokens.len()
    })
    .await;
}

#[tokio::test]
async fn no_call_is_refused_while_one_token_takes_the_place_of_another() {
    let guarded = Guarded::start(&["--set", "reload.rehash_interval_s=1"]);
    let web = guarded.sidecar.addresses["web"].as_str().unwrap().parse().unwrap();
    let over_http = async |token: &str| {
        let bearer = format!("Authorization: Bearer {token}\r\n");
        http::get_with(web, "/openapi.json", &bearer).await.status
    };
    // A client may read the same file: it sends the first token.
    let file = guarded.folder.path().join("token").to_str().unwrap().to_owned();
    let check = || {
        let question = ["--action", "edit", "--role", "editor", "--token-file", &file];
        guarded.sidecar.check(&guarded.sidecar.tcp(), &question).code
    };
    let new = TOKEN.to_uppercase();
    for tokens in [&[TOKEN, &new][..], &[&new, TOKEN]] {
        replace(&guarded, tokens).await;
        for token in tokens {
            assert!(guarded.asked(Some(token)).await.unwrap(), "{token}");
            assert_eq!(over_http(token).await, 200, "{token}");
        }
        assert_eq!(check(), 0);
    }
    replace(&guarded, &[&new]).await;
    assert!(guarded.asked(Some(&new)).await.unwrap());
    assert_eq!(guarded.asked(Some(TOKEN)).await.unwrap_err().code(), Code::Unauthenticated);
    assert_eq!(over_http(TOKEN).await, 401);
    assert_eq!(check(), 0);
}

#[tokio::test]
async fn the_command_line_and_the_client_send_it() {
    let guarded = Guarded::start(&[]);
    let (right, wrong) =
        (guarded.file("right", TOKEN), guarded.file("wrong", &TOKEN.replace('0', "x")));
    let empty = guarded.file("empty", "\n");
    let question = ["--action", "edit", "--role", "editor"];
    for address in [guarded.sidecar.tcp(), guarded.sidecar.unix()] {
        let check =
            |file: &[&str]| guarded.sidecar.check(&address, &[&question[..], file].concat());
        for (file, code, said) in [
            (&["--token-file", &right][..], 0, ""),
            (&["--token-file", &wrong], 64, "is none of those of this listener"),
            (&["--token-file", &empty], 64, "holds no token"),
            (&["--token-file", "/nowhere"], 1, "cannot read `/nowhere`"),
            (&[], 64, "asks for a token: name its file with `--token-file`"),
        ] {
            let ended = check(file);
            assert_eq!(ended.code, code, "{file:?}: {ended:?}");
            assert!(ended.err.contains(said), "{file:?}: {ended:?}");
        }
        // A probe has no token.
        assert_eq!(end(&mut command(&["healthcheck", "--address", &address])).code, 0);

        let ask = async |client: Client| {
            let site = Uid::new("Site", "42");
            let question = Question::new(Uid::new("User", "alice"), "edit", site.clone());
            client.is_authorized(question.role("editor", site)).await
        };
        let builder = || Client::builder(address.clone());
        let with_token = builder().bearer_token(TOKEN).connect().await.unwrap();
        assert!(ask(with_token).await.unwrap().is_allowed());
        let without = ask(builder().connect().await.unwrap()).await.unwrap_err();
        assert!(matches!(without, Error::NotAccepted(_)), "{without}");
    }
}

#[test]
fn over_tls_a_token_takes_the_place_of_client_certificates() {
    let files = TempDir::new().unwrap();
    let authority = Authority::new("servers");
    authority.server(2088).write(files.path());
    let path = |name: &str| files.path().join(name).to_str().unwrap().to_owned();
    fs::write(path("ca.pem"), &authority.pem).unwrap();
    let (cert, key, ca) = (path("tls.crt"), path("tls.key"), path("ca.pem"));
    let guarded =
        Guarded::start(&["--tls-cert", &cert, "--tls-key", &key, "--listen", "0.0.0.0:0"]);
    let address = guarded.sidecar.addresses["grpc"][2].as_str().unwrap();
    let address = address.replace("tls:0.0.0.0", "https://127.0.0.1");
    let token = guarded.file("copy", TOKEN);
    let question = ["--action", "edit", "--role", "editor", "--ca", &ca];
    let ended = guarded.sidecar.check(&address, &question);
    assert_eq!(ended.code, 64, "{ended:?}");
    let ended =
        guarded.sidecar.check(&address, &[&question[..], &["--token-file", &token]].concat());
    assert_eq!(ended.code, 0, "{ended:?}");
    let ended = end(&mut command(&["healthcheck", "--address", &address, "--ca", &ca]));
    assert_eq!(ended.code, 0, "{ended:?}");
}

#[test]
fn a_file_without_a_token_keeps_the_process_from_starting() {
    let (policies, folder) = (policies(&["guard"]), TempDir::new().unwrap());
    let short = folder.path().join("short");
    fs::write(&short, "secret").unwrap();
    for (file, said) in
        [(short.to_str().unwrap(), "must be a token of 32"), ("/nowhere", "cannot read `/nowhere`")]
    {
        let serve = ["serve", "--web-listen=off", "--http-listen=off", "--token-file", file];
        let ended = end(command(&serve).arg("--policies").arg(policies.path()));
        assert_eq!(ended.code, 64, "{ended:?}");
        assert!(ended.err.contains(said) && ended.err.contains("auth.token_file"), "{ended:?}");
    }
}

#[tokio::test]
async fn a_file_of_tokens_that_is_put_back_is_told_to_be_in_order() {
    let guarded = Guarded::start(&[]);
    guarded.file("token", "short");
    let refused = "the tokens stay as they were";
    crate::cli_sidecar::until("the refusal", || {
        guarded.sidecar.log().contains(refused).then_some(())
    });
    guarded.file("token", &format!("{TOKEN}\n"));
    let again = "the file of tokens is in order again";
    crate::cli_sidecar::until(again, || guarded.sidecar.log().contains(again).then_some(()));
    assert!(guarded.asked(Some(TOKEN)).await.unwrap());
}
