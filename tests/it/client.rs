//! `humbaba::client` against the real server, and against one that fails in ways that it must not.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use axum::{Router, body::Body, response::IntoResponse as _, routing::get};
use http::{Request as HttpRequest, StatusCode, request::Parts};
use humbaba::{
    client::{
        Batch, Builder, Client, ConnectError, Error, ListActions, ListPrincipals, ListResources,
        Page, Question, Refusal, RequirePermission, Retry, RoleAssignment, Timestamp, Tls, Uid,
    },
    proto::{
        self,
        authorization_service_server::{AuthorizationService, AuthorizationServiceServer},
    },
};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Code, Request, Response, Status, metadata::MetadataMap, transport::Server};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tower::Service as _;

use crate::{
    cli::policies,
    cli_sidecar::Sidecar,
    support::{TestServer, directory, pki::Authority, stores, tls::TlsServer, wait::DEADLINE},
};

/// A client that waits as long as a slow machine needs.
fn patient(address: impl Into<String>) -> Builder {
    Client::builder(address).timeout(DEADLINE)
}

fn alice() -> Uid {
    Uid::new("User", "alice")
}

fn site() -> Uid {
    Uid::new("Site", "1")
}

/// May alice, who holds a role on the site, do that there?
fn alice_as(role: &str, action: &str) -> Question {
    Question::new(alice(), action, site()).role(role, site())
}

async fn client_of(server: &TestServer) -> Client {
    patient(format!("http://{}", server.grpc)).connect().await.unwrap()
}

/// A port that nobody listens on.
async fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

/// A client of a server that is gone.
async fn client_of_nobody() -> Client {
    let retry = Retry { attempts: 2, ..Retry::default() };
    patient(format!("http://{}", nobody().await)).retry(retry).connect_lazy().unwrap()
}

#[tokio::test]
async fn it_asks_over_tcp_and_over_a_unix_socket() {
    let folder = policies(&["guard"]);
    let sidecar = Sidecar::start(folder.path(), &[]);
    for address in [sidecar.tcp(), sidecar.unix()] {
        let client = patient(address).connect().await.unwrap();
        let decision = client.is_authorized(alice_as("editor", "edit")).await.unwrap();
        assert!(decision.is_allowed());
        let decision = client.is_authorized(alice_as("viewer", "edit")).await.unwrap();
        assert!(!decision.is_allowed());
    }
}

#[tokio::test]
async fn it_shows_a_certificate_over_tls() {
    let clients = Authority::new("clients");
    let server = TlsServer::mutual(&clients, &["backend"]).await;
    let address = format!("https://{}", server.grpc);
    let trusted = || Tls::new().ca(server.ca.pem.as_str());
    let pair = clients.client(&["backend"]);
    let tls = trusted().identity(pair.cert.as_str(), pair.key.as_str());
    let client = patient(&address).tls(tls.clone()).connect().await.unwrap();
    assert!(client.is_authorized(alice_as("viewer", "site.view")).await.unwrap().is_allowed());
    let named = patient(&address).tls(tls.clone().server_name("localhost")).connect().await;
    assert!(named.unwrap().allowed_or_deny(alice_as("viewer", "site.view")).await);

    let other = Authority::new("others").client(&["backend"]);
    for (tls, what) in [
        (trusted(), "no certificate"),
        (trusted().identity(other.cert.as_str(), other.key.as_str()), "another authority"),
        (tls.clone().ca(Authority::new("x").pem.as_str()), "an unknown server"),
        (tls.server_name("example.com"), "another name"),
    ] {
        // A client's certificate is refused only after the handshake is over on the client's side.
        let client = patient(&address).tls(tls).retry(Retry::never()).connect_lazy().unwrap();
        let asked = client.is_authorized(alice_as("viewer", "site.view")).await;
        assert!(asked.is_err(), "{what}: {asked:?}");
        assert!(!client.allowed_or_deny(alice_as("viewer", "site.view")).await, "{what}");
    }
}

#[tokio::test]
async fn a_decision_tells_what_decided_and_why() {
    let server = TestServer::start([stores::acme()]).await;
    let client = client_of(&server).await;
    let allowed =
        client.is_authorized(alice_as("viewer", "site.view").in_store("acme")).await.unwrap();
    assert!(allowed.is_allowed() && !allowed.policies().is_empty());
    assert!(allowed.explanation().is_none() && allowed.errors().is_empty());
    assert!(!allowed.id().is_empty() && !allowed.revision().is_empty());
    assert_eq!(allowed.directory_version(), "");
    let denied = client.is_authorized(alice_as("viewer", "site.edit").explain()).await.unwrap();
    assert!(!denied.is_allowed());
    assert_eq!(denied.reason(), denied.explanation().unwrap().summary);
    let unexplained = client.is_authorized(alice_as("viewer", "site.edit")).await.unwrap();
    assert_eq!(unexplained.reason(), "this is not allowed");
}

#[tokio::test]
async fn facts_entities_and_expiry_reach_the_server() {
    let server = TestServer::start([stores::acme()]).await;
    let client = client_of(&server).await;
    let until = |millis| RoleAssignment {
        role: "viewer".to_owned(),
        scope: Some(site()),
        expires_at: Some(Timestamp::from_millis(millis)),
        ..RoleAssignment::default()
    };
    let view = || Question::new(alice(), "site.view", site());
    assert!(client.allowed_or_deny(view().role_assignment(until(4_000_000_000_000))).await);
    assert!(!client.allowed_or_deny(view().role_assignment(until(1))).await);
    let delete = Question::new(alice(), "site.delete", site());
    let error = client.is_authorized(delete.clone()).await.unwrap_err();
    assert_eq!(error.violations()[0].field, "context.reason", "{error}");
    assert!(client.is_authorized(delete.fact("reason", "audit")).await.is_ok());
}

#[tokio::test]
async fn every_fault_of_a_question_is_told() {
    let server = TestServer::start([stores::acme()]).await;
    let client = client_of(&server).await;
    let question =
        Question::new(Uid::new("Usr", "alice"), "site.view", site()).role("king", site());
    let error = client.is_authorized(question).await.unwrap_err();
    let Error::InvalidInput { violations, .. } = &error else { panic!("{error:?}") };
    let fields: Vec<_> = violations.iter().map(|one| one.field.as_str()).collect();
    assert!(fields.contains(&"principal.type"), "{error}");
    assert!(fields.contains(&"role_assignments[0].role"), "{error}");
    assert!(error.to_string().contains("king"), "{error}");
    let unknown = client.is_authorized(alice_as("viewer", "site.view").in_store("x")).await;
    assert!(matches!(unknown, Err(Error::UnknownStore(_))), "{unknown:?}");
    let version = alice_as("viewer", "site.view").at_least_version("embedded:x:1");
    let stale = client.is_authorized(version).await;
    assert!(matches!(stale, Err(Error::VersionNotThere(_))), "{stale:?}");
}

#[tokio::test]
async fn the_clients_policy_store_is_asked_where_a_question_names_none() {
    let server = TestServer::start([stores::acme(), stores::acme_as("other", "")]).await;
    let address = format!("http://{}", server.grpc);
    let client = patient(address).policy_store("acme").connect().await.unwrap();
    assert!(client.allowed_or_deny(alice_as("viewer", "site.view")).await);
    assert!(client.allowed_or_deny(alice_as("viewer", "site.view").in_store("other")).await);
    assert!(!client.allowed_or_deny(alice_as("viewer", "site.view").in_store("third")).await);
    assert!(client.batch_is_authorized(Batch::new([])).await.is_ok());
    assert!(client.list_actions(ListActions::new(alice(), site())).await.is_ok());
}

#[tokio::test]
async fn a_bad_question_of_a_batch_fails_alone() {
    let server = TestServer::start([stores::acme()]).await;
    let client = client_of(&server).await;
    let questions = [
        alice_as("viewer", "site.view"),
        alice_as("king", "site.view"),
        Question::new(alice(), "site.view", site()),
        alice_as("viewer", "site.edit").explain(),
    ];
    let answer = client.batch_is_authorized(Batch::new(questions).in_store("acme")).await.unwrap();
    let [viewer, king, nobody, edit] = &answer.decisions[..] else { panic!("{answer:?}") };
    assert!(viewer.as_ref().unwrap().is_allowed());
    let error = king.as_ref().unwrap_err();
    assert_eq!(error.violations()[0].field, "role_assignments[0].role", "{error:?}");
    assert!(!nobody.as_ref().unwrap().is_allowed());
    assert!(edit.as_ref().unwrap().explanation().is_some());
    assert!(!answer.revision.is_empty());
}

#[tokio::test]
async fn a_question_of_a_batch_with_a_store_or_version_of_its_own_is_refused() {
    let client = client_of_nobody().await;
    let questions = [
        alice_as("viewer", "site.view"),
        alice_as("viewer", "site.view").in_store("other").at_least_version("v"),
    ];
    let error = client.batch_is_authorized(Batch::new(questions)).await.unwrap_err();
    let fields: Vec<_> = error.violations().iter().map(|one| one.field.as_str()).collect();
    assert_eq!(fields, ["items[1].policy_store", "items[1].at_least_version"]);
}

#[tokio::test]
async fn actions_are_listed_with_the_undecided() {
    let server = TestServer::start([stores::acme()]).await;
    let client = client_of(&server).await;
    let list = ListActions::new(alice(), site()).role("viewer", site());
    let actions = client.list_actions(list).await.unwrap();
    assert!(actions.allowed.iter().any(|action| action.id == "site.view"), "{actions:?}");
    assert!(actions.undecided.iter().any(|one| one.uid.id == "site.delete"), "{actions:?}");
}

/// A server that says what it is told to: these statuses first, then an allow.
#[derive(Default)]
struct Scripted {
    statuses: Mutex<VecDeque<Status>>,
    hangs: bool,
    seen: Mutex<Vec<MetadataMap>>,
}

impl Scripted {
    fn saying(statuses: impl IntoIterator<Item = Status>) -> Self {
        Self { statuses: Mutex::new(statuses.into_iter().collect()), ..Self::default() }
    }

    async fn serve(self) -> (Arc<Self>, Builder) {
        let scripted = Arc::new(self);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let service = AuthorizationServiceServer::from_arc(Arc::clone(&scripted));
        let incoming = TcpListenerStream::new(listener);
        let serving = Server::builder().add_service(service).serve_with_incoming(incoming);
        tokio::spawn(serving);
        (scripted, patient(format!("http://{address}")))
    }

    fn calls(&self) -> usize {
        self.seen.lock().unwrap().len()
    }

    async fn answer<T>(
        &self,
        metadata: &MetadataMap,
        answer: impl FnOnce() -> T,
    ) -> Result<Response<T>, Status> {
        self.seen.lock().unwrap().push(metadata.clone());
        if self.hangs {
            std::future::pending::<()>().await;
        }
        let status = self.statuses.lock().unwrap().pop_front();
        status.map_or_else(|| Ok(Response::new(answer())), Err)
    }
}

fn proto_uid(id: &str) -> Option<proto::EntityUid> {
    Some(Uid::new("Site", id).into())
}

#[tonic::async_trait]
impl AuthorizationService for Scripted {
    async fn is_authorized(
        &self,
        request: Request<proto::IsAuthorizedRequest>,
    ) -> Result<Response<proto::IsAuthorizedResponse>, Status> {
        let decision = proto::Decision::Allow.into();
        let allow = || proto::IsAuthorizedResponse { decision, ..Default::default() };
        self.answer(request.metadata(), allow).await
    }

    async fn batch_is_authorized(
        &self,
        request: Request<proto::BatchIsAuthorizedRequest>,
    ) -> Result<Response<proto::BatchIsAuthorizedResponse>, Status> {
        let items = vec![proto::BatchIsAuthorizedResult { result: None }];
        let empty = || proto::BatchIsAuthorizedResponse { items, ..Default::default() };
        self.answer(request.metadata(), empty).await
    }

    async fn list_actions(
        &self,
        request: Request<proto::ListActionsRequest>,
    ) -> Result<Response<proto::ListActionsResponse>, Status> {
        self.answer(request.metadata(), Default::default).await
    }

    async fn list_resources(
        &self,
        request: Request<proto::ListResourcesRequest>,
    ) -> Result<Response<proto::ListResourcesResponse>, Status> {
        let question = request.get_ref();
        let next = if question.page_token.is_empty() { "more" } else { "" }.to_owned();
        let page = || proto::ListResourcesResponse {
            resources: proto_uid("1").into_iter().collect(),
            conditional: vec![proto::UndecidedEntity {
                entity: proto_uid("2"),
                reason: "context.reason".to_owned(),
            }],
            next_page_token: next,
            directory_version: question.at_least_version.clone(),
            revision: question.page_size.to_string(),
        };
        self.answer(request.metadata(), page).await
    }

    async fn list_principals(
        &self,
        request: Request<proto::ListPrincipalsRequest>,
    ) -> Result<Response<proto::ListPrincipalsResponse>, Status> {
        let page = || proto::ListPrincipalsResponse {
            principals: proto_uid("1").into_iter().collect(),
            ..Default::default()
        };
        self.answer(request.metadata(), page).await
    }
}

#[tokio::test]
async fn lists_go_on_page_by_page() {
    let (_, client) = Scripted::default().serve().await;
    let client = client.connect().await.unwrap();
    let list = ListResources::new(alice(), "site.view", "Site").page_size(7).at_least_version("v");
    let page = client.list_resources(list.clone()).await.unwrap();
    assert_eq!(page.allowed, [Uid::new("Site", "1")]);
    assert_eq!(
        (page.undecided[0].uid.id.as_str(), &*page.undecided[0].reason),
        ("2", "context.reason")
    );
    assert_eq!((page.revision.as_str(), page.directory_version.as_str()), ("7", "v"));
    let next = page.next_page_token.unwrap();
    assert_eq!(next, "more");
    let page = client.list_resources(list.after(next)).await.unwrap();
    assert_eq!(page.next_page_token, None);
    let list = ListPrincipals::new("User", "site.view", site());
    assert_eq!(client.list_principals(list).await.unwrap().allowed.len(), 1);
}

#[tokio::test]
async fn lists_and_versions_are_those_of_the_directory() {
    let store = stores::acme();
    let server = TestServer::start([Arc::clone(&store)]).await;
    let holds = [("alice", "1"), ("alice", "2"), ("bob", "2")];
    let changes = holds.map(|(user, site)| {
        directory::held(&format!("User::{user}"), "viewer", &format!("Site::{site}"))
    });
    directory::give(&server.live, &store, changes.into());
    let client = client_of(&server).await;
    let ids = |page: &Page| page.allowed.iter().map(|uid| uid.id.clone()).collect::<Vec<_>>();

    let sites = ListResources::new(alice(), "site.view", "Site").page_size(1);
    let first = client.list_resources(sites.clone()).await.unwrap();
    let next = first.next_page_token.clone().unwrap();
    let second = client.list_resources(sites.after(next)).await.unwrap();
    assert_eq!((ids(&first), ids(&second)), (vec!["1".to_owned()], vec!["2".to_owned()]));
    let users = ListPrincipals::new("User", "site.view", Uid::new("Site", "2"));
    assert_eq!(ids(&client.list_principals(users).await.unwrap()), ["alice", "bob"]);

    let view = Question::new(alice(), "site.view", site());
    let decision = client.is_authorized(view.clone().at_least_version(&first.directory_version));
    let decision = decision.await.unwrap();
    assert!(decision.is_allowed());
    assert_eq!(decision.directory_version(), first.directory_version);
    let other = client.is_authorized(view.at_least_version("another history")).await;
    assert!(matches!(other, Err(Error::VersionNotThere(_) | Error::InvalidInput { .. })));
}

#[tokio::test]
async fn a_call_is_repeated_while_the_server_is_unavailable() {
    let (server, client) =
        Scripted::saying([Status::unavailable("a"), Status::unavailable("b")]).serve().await;
    let client = client.connect().await.unwrap();
    assert!(client.is_authorized(alice_as("viewer", "site.view")).await.unwrap().is_allowed());
    assert_eq!(server.calls(), 3);
}

#[tokio::test]
async fn a_call_is_repeated_only_so_often() {
    let (server, client) =
        Scripted::saying((0..9).map(|n| Status::unavailable(n.to_string()))).serve().await;
    let retry = Retry { attempts: 3, ..Retry::default() };
    let client = client.retry(retry).connect().await.unwrap();
    let error = client.is_authorized(alice_as("viewer", "site.view")).await.unwrap_err();
    assert_eq!((server.calls(), error), (3, Error::Unavailable("2".to_owned())));
}

#[tokio::test]
async fn no_other_error_is_answered_with_another_attempt() {
    for code in (1..=16).map(Code::from).filter(|code| *code != Code::Unavailable) {
        let (server, client) = Scripted::saying([Status::new(code, "no")]).serve().await;
        let client = client.connect().await.unwrap();
        let error = client.is_authorized(alice_as("viewer", "site.view")).await;
        assert!(error.is_err(), "{code:?}");
        assert_eq!(server.calls(), 1, "{code:?}");
    }
}

#[tokio::test]
async fn a_call_ends_at_its_deadline_which_the_server_is_told() {
    let (server, client) = Scripted { hangs: true, ..Scripted::default() }.serve().await;
    let client = client.connect().await.unwrap();
    let timeout = Duration::from_millis(200);
    let started = Instant::now();
    let error = client.with_timeout(timeout).is_authorized(alice_as("viewer", "site.view")).await;
    assert_eq!(error.unwrap_err(), Error::DeadlineExceeded(timeout));
    assert!(started.elapsed() >= timeout - Duration::from_millis(5));
    let seen = server.seen.lock().unwrap();
    let told = seen[0].get("grpc-timeout").unwrap().to_str().unwrap();
    let micros: u64 = told.strip_suffix('u').unwrap().parse().unwrap();
    assert!(micros <= 200_000, "{told}");
}

#[tokio::test]
async fn pauses_between_attempts_end_with_the_deadline() {
    let (server, client) =
        Scripted::saying((0..9).map(|n| Status::unavailable(n.to_string()))).serve().await;
    let pause = DEADLINE * 3;
    let retry = Retry { attempts: 5, first_pause: pause, longest_pause: pause };
    let client = client.retry(retry).connect().await.unwrap();
    // The pause would be longer than the call may take, so there is none.
    let error = client.is_authorized(alice_as("viewer", "site.view")).await.unwrap_err();
    assert_eq!((server.calls(), error), (1, Error::Unavailable("0".to_owned())));
}

#[tokio::test]
async fn a_bearer_token_goes_with_each_call_and_is_never_shown() {
    let (server, client) = Scripted::default().serve().await;
    let client = client.bearer_token("s3cret");
    assert!(!format!("{client:?}").contains("s3cret"), "{client:?}");
    let client = client.connect().await.unwrap();
    assert!(!format!("{client:?}").contains("s3cret"), "{client:?}");
    assert!(client.allowed_or_deny(alice_as("viewer", "site.view")).await);
    assert_eq!(server.seen.lock().unwrap()[0].get("authorization").unwrap(), "Bearer s3cret");
}

#[tokio::test]
async fn an_answer_without_a_decision_is_an_error() {
    let (_, client) = Scripted::default().serve().await;
    let client = client.connect().await.unwrap();
    let answer = client.batch_is_authorized(Batch::new([])).await.unwrap();
    assert!(answer.decisions[0].is_err());
}

#[tokio::test]
async fn it_fails_closed_where_the_server_is_gone() {
    let client = client_of_nobody().await;
    let error = client.is_authorized(alice_as("owner", "site.view")).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
    assert!(!client.allowed_or_deny(alice_as("owner", "site.view")).await);
    assert!(client.batch_is_authorized(Batch::new([])).await.is_err());

    let server = TestServer::start([stores::acme()]).await;
    let client = client_of(&server).await;
    assert!(client.allowed_or_deny(alice_as("owner", "site.view")).await);
    server.stop().await;
    assert!(!client.allowed_or_deny(alice_as("owner", "site.view")).await);
}

#[tokio::test]
async fn a_bad_address_token_or_certificate_is_named() {
    for address in ["", "127.0.0.1:8180", "ftp://x", "unix:", "http//x", "grpc://x:1"] {
        let error = Client::connect(address).await.unwrap_err();
        assert!(matches!(error, ConnectError::Address(_)), "{address}: {error}");
    }
    let here = "http://127.0.0.1:1";
    let error = Client::builder(here).bearer_token("a\nb").connect().await.unwrap_err();
    assert!(matches!(error, ConnectError::BearerToken), "{error}");
    let error = Client::builder(here).tls(Tls::new()).connect().await.unwrap_err();
    assert!(matches!(error, ConnectError::TlsWithoutHttps(_)), "{error}");
    let tls = Tls::new().identity("x", "y");
    let error = Client::builder("https://127.0.0.1:1").tls(tls).connect().await.unwrap_err();
    assert!(matches!(error, ConnectError::Certificates { .. }), "{error}");
    let error = patient(format!("http://{}", nobody().await)).connect().await.unwrap_err();
    assert!(matches!(error, ConnectError::Unreachable { .. }), "{error}");
}

/// Asks for what the headers of a request say.
fn question_of(request: &Parts) -> Result<Question, Refusal> {
    let header = |name: &str| request.headers.get(name).and_then(|value| value.to_str().ok());
    let user = header("x-user").ok_or_else(|| Refusal::Unauthenticated("log in first".into()))?;
    let role = header("x-role").ok_or_else(|| Refusal::Denied("you have no role".into()))?;
    let question = Question::new(Uid::new("User", user), "site.edit", site());
    Ok(question.role(role, site()).explain())
}

/// The answer of an axum service behind the layer, which says whether it was reached.
async fn respond(client: Client, headers: &[(&'static str, &str)]) -> http::Response<Body> {
    let handler = get(async |request: axum::extract::Request| {
        let decision = request.extensions().get::<humbaba::client::Decision>().cloned();
        format!("reached, {}", decision.unwrap().is_allowed()).into_response()
    });
    let layer = RequirePermission::http(client, question_of);
    let mut router: Router = Router::new().route("/", handler).layer(layer);
    let mut request = HttpRequest::get("/");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    router.call(request.body(Body::empty()).unwrap()).await.unwrap()
}

/// Its status and words.
async fn over_http(client: Client, headers: &[(&'static str, &str)]) -> (StatusCode, String) {
    let response = respond(client, headers).await;
    let status = response.status();
    let body = axum::body::to_bytes(response.into_body(), 10_000).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn the_layer_lets_only_allowed_requests_through_to_axum() {
    let server = TestServer::start([stores::acme()]).await;
    let client = client_of(&server).await;
    let (user, editor, viewer) = (("x-user", "alice"), ("x-role", "editor"), ("x-role", "viewer"));
    let allowed = over_http(client.clone(), &[user, editor]).await;
    assert_eq!(allowed, (StatusCode::OK, "reached, true".to_owned()));
    let denied = over_http(client.clone(), &[user, viewer]).await;
    assert_eq!(denied.0, StatusCode::FORBIDDEN);
    let why = client.is_authorized(alice_as("viewer", "site.edit").explain()).await.unwrap();
    assert_eq!(denied.1, why.reason());
    let words = |words: &str| words.to_owned();
    let unauthenticated = over_http(client.clone(), &[editor]).await;
    assert_eq!(unauthenticated, (StatusCode::UNAUTHORIZED, words("log in first")));
    let no_role = over_http(client.clone(), &[user]).await;
    assert_eq!(no_role, (StatusCode::FORBIDDEN, words("you have no role")));
    // A question that does not fit the schema has no decision either.
    let misspelt = over_http(client, &[user, ("x-role", "editr")]).await;
    assert_eq!(misspelt.0, StatusCode::SERVICE_UNAVAILABLE);
    let gone = over_http(client_of_nobody().await, &[user, editor]).await;
    assert_eq!(gone.0, StatusCode::SERVICE_UNAVAILABLE);
    assert!(!gone.1.contains("reached"));
}

#[tokio::test]
async fn a_layer_around_it_has_the_decision_of_a_deny() {
    let server = TestServer::start([stores::acme()]).await;
    let client = client_of(&server).await;
    let headers = [("x-user", "alice"), ("x-role", "viewer")];
    let denied = respond(client.clone(), &headers).await;
    let decision = denied.extensions().get::<humbaba::client::Decision>().unwrap();
    assert!(!decision.is_allowed() && !decision.id().is_empty());
    let refused = respond(client, &headers[..1]).await;
    assert!(refused.extensions().get::<humbaba::client::Decision>().is_none(), "nobody decided");
}

/// Asks a gRPC service behind the layer for its health.
async fn over_grpc(client: Client, headers: &[(&'static str, &'static str)]) -> Result<(), Status> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (_, health) = tonic_health::server::health_reporter();
    let layer = RequirePermission::grpc(client, question_of);
    let server = Server::builder().layer(layer).add_service(health);
    let serving = tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    let channel = patient(format!("http://{address}")).connect().await.unwrap().channel();
    let mut request = Request::new(HealthCheckRequest { service: String::new() });
    for (name, value) in headers {
        request.metadata_mut().insert(*name, value.parse().unwrap());
    }
    let answer = HealthClient::new(channel).check(request).await;
    serving.abort();
    answer.map(drop)
}

#[tokio::test]
async fn the_layer_lets_only_allowed_calls_through_to_tonic() {
    let server = TestServer::start([stores::acme()]).await;
    let client = client_of(&server).await;
    let (user, editor, viewer) = (("x-user", "alice"), ("x-role", "editor"), ("x-role", "viewer"));
    over_grpc(client.clone(), &[user, editor]).await.unwrap();
    let why = client.is_authorized(alice_as("viewer", "site.edit").explain()).await.unwrap();
    let gone = client_of_nobody().await;
    for (client, headers, code, words) in [
        (&client, &[user, viewer][..], Code::PermissionDenied, why.reason()),
        (&client, &[user], Code::PermissionDenied, "you have no role"),
        (&client, &[editor], Code::Unauthenticated, "log in first"),
        (&client, &[user, ("x-role", "editr")], Code::Unavailable, "cannot be checked"),
        (&gone, &[user, editor], Code::Unavailable, "cannot be checked"),
    ] {
        let status = over_grpc(client.clone(), headers).await.unwrap_err();
        assert_eq!(status.code(), code, "{status:?}");
        assert!(status.message().contains(words), "{status:?}");
    }
}
