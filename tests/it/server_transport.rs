//! Everything around a call: bytes, connections, overload, health, reflection, the end.

use std::{collections::BTreeSet, time::Duration};

use humbaba::{
    audit::DecisionLog,
    grpc::{GrpcOptions, GrpcServer},
    net::Listener,
    proto::{
        authorization_service_client::AuthorizationServiceClient,
        authorization_service_server::SERVICE_NAME,
    },
    reload::Live,
    store::Stores,
    telemetry::MetricsProvider,
};
use prost::Message as _;
use prost_types::FileDescriptorProto;
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio_stream::StreamExt as _;
use tonic::{
    Code,
    transport::{Channel, Endpoint},
};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tonic_types::StatusExt as _;

use crate::support::{
    TestServer,
    ask::{Asking as _, Knowing as _, ask, entity, text},
    http,
    raw::{call, call_path, call_with, frame, refusal, slow_body},
    server::status_of,
    stores, wait,
};

fn question() -> Vec<u8> {
    ask("User::alice", "site.view", "Site::1").encode_to_vec()
}

#[tokio::test]
async fn bytes_that_are_no_request_are_bad_input() {
    let server = TestServer::start([stores::acme()]).await;
    let good = question();
    let mut cases = vec![
        ("garbage", frame(b"\xff\xff\xff\xff garbage")),
        ("not UTF-8", frame(b"\x0a\x02\xff\xfe")),
        ("a text for a message", frame(b"\x12\x03abc")),
        ("no message", Vec::new()),
        ("half a frame head", frame(&good)[..3].to_vec()),
        ("half a frame", frame(&good)[..good.len()].to_vec()),
        ("a frame longer than its message", [&[0, 0, 0, 1, 0][..], &good].concat()),
        ("compressed, but not", [&[1][..], &frame(&good)[1..]].concat()),
        ("an unknown flag", [&[7][..], &frame(&good)[1..]].concat()),
    ];
    cases.extend((1..good.len()).map(|cut| ("a cut message", frame(&good[..cut]))));
    for (name, bytes) in cases {
        let answer = call_with(server.channel(), bytes).await;
        // A message that is cut between two fields is a smaller message.
        let code = answer.expect_err(name).code();
        assert!([Code::InvalidArgument, Code::Unimplemented].contains(&code), "{name}: {code:?}");
    }
    assert!(call_with(server.channel(), frame(&good)).await.is_ok());
}

/// Clients of gRPC's C core take an error whose end is a frame of its own for a broken stream.
#[tokio::test]
async fn an_error_is_in_the_headers_alone_however_long_the_question() {
    let server = TestServer::start([stores::acme()]).await;
    let long = GrpcOptions::default().inline_bytes;
    for attributes in [1, long] {
        let text = text(&"x".repeat(attributes));
        let question = ask("User::alice", "site.nothing", "Site::1")
            .entity(entity("User::alice").attribute("name", text));
        let (status, is_all) = refusal(server.channel(), frame(&question.encode_to_vec())).await;
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(is_all, "{attributes}");
    }
}

#[tokio::test]
async fn fields_of_a_later_contract_are_ignored() {
    let server = TestServer::start([stores::acme()]).await;
    // Field 1000, a number.
    let bytes = [question(), vec![0xc0, 0x3e, 0x01]].concat();
    assert!(call_with(server.channel(), frame(&bytes)).await.is_ok());
}

#[tokio::test]
async fn an_unknown_method_is_unimplemented() {
    let server = TestServer::start([stores::acme()]).await;
    let mut client = tonic::client::Grpc::new(server.channel());
    client.ready().await.unwrap();
    let path = format!("/{SERVICE_NAME}/Nothing").parse().unwrap();
    let codec = tonic_prost::ProstCodec::<(), ()>::default();
    let status = client.unary(tonic::Request::new(()), path, codec).await.unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
}

#[tokio::test]
async fn calls_beyond_the_limit_are_shed_and_told_when_to_come_back() {
    let options = GrpcOptions { concurrent_requests: 1, ..GrpcOptions::default() };
    let server = TestServer::with([stores::acme()], options).await;
    let (body, slow) = slow_body();
    let under_way = tokio::spawn(call(server.channel(), slow));
    wait::until("the call is under way", async || in_flight(&server).await == 1).await;

    let status = server.refuses(ask("User::alice", "site.view", "Site::1")).await;
    assert_eq!(status.code(), Code::ResourceExhausted);
    let retry = status.get_details_retry_info().expect("a google.rpc.RetryInfo");
    assert!(retry.retry_delay.unwrap() > Duration::ZERO);
    // Probes get through.
    assert_eq!(health(server.channel(), "").await.unwrap(), ServingStatus::Serving);

    body.send(frame(&question())).await.unwrap();
    drop(body);
    assert!(under_way.await.unwrap().is_ok());
    assert!(server.ask(ask("User::alice", "site.view", "Site::1")).await.is_ok());
    let metrics = http::get(server.http, "/metrics").await.body;
    assert!(metrics.contains("humbaba_requests_shed_total 1\n"), "{metrics}");
    assert!(metrics.contains("limits_hit_total{limit=\"concurrent_requests\"} 1\n"), "{metrics}");
}

#[tokio::test]
async fn watches_have_a_limit_of_their_own() {
    let options = GrpcOptions { watches: 2, concurrent_requests: 1, ..GrpcOptions::default() };
    let server = TestServer::with([stores::acme()], options).await;
    let watch = async || {
        let request = HealthCheckRequest::default();
        let mut stream = HealthClient::new(server.channel()).watch(request).await?.into_inner();
        stream.next().await.unwrap().map(|_| stream)
    };
    let (first, _second) = (watch().await.unwrap(), watch().await.unwrap());
    let status = watch().await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert_eq!(status.message(), "the limit `limits.watches` of 2 is reached: try again later");
    assert!(status.get_details_retry_info().is_some());
    // A reflection stream counts as one.
    use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
    let mut reflection = ServerReflectionClient::new(server.channel());
    let status = reflection.server_reflection_info(tokio_stream::empty()).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    // Neither decisions nor health checks have to do with it.
    assert!(server.ask(ask("User::alice", "site.view", "Site::1")).await.is_ok());
    assert_eq!(health(server.channel(), "").await.unwrap(), ServingStatus::Serving);
    let metrics = http::get(server.http, "/metrics").await.body;
    assert!(metrics.contains("limits_hit_total{limit=\"watches\"} 2\n"), "{metrics}");
    drop(first);
    wait::until("there is room again", async || watch().await.is_ok()).await;
}

#[tokio::test]
async fn a_health_check_that_never_arrives_is_given_up() {
    let options =
        GrpcOptions { request_timeout: Duration::from_millis(50), ..GrpcOptions::default() };
    let server = TestServer::with([stores::acme()], options).await;
    for method in ["Check", "Watch"] {
        let (_body, slow) = slow_body();
        let path = format!("/grpc.health.v1.Health/{method}");
        let status = call_path::<()>(server.channel(), &path, slow).await.unwrap_err();
        assert_eq!(status.code(), Code::DeadlineExceeded, "{method}");
    }
}

#[tokio::test]
async fn a_caller_that_goes_away_gives_its_place_back() {
    let options = GrpcOptions { concurrent_requests: 1, ..GrpcOptions::default() };
    let server = TestServer::with([stores::acme()], options).await;
    let (_body, slow) = slow_body();
    let under_way = tokio::spawn(call(server.channel(), slow));
    wait::until("the call is under way", async || in_flight(&server).await == 1).await;
    under_way.abort();
    wait::until("the call is forgotten", async || in_flight(&server).await == 0).await;
    assert!(server.ask(ask("User::alice", "site.view", "Site::1")).await.is_ok());
}

#[tokio::test]
async fn a_request_that_never_arrives_is_given_up() {
    let options =
        GrpcOptions { request_timeout: Duration::from_millis(50), ..GrpcOptions::default() };
    let server = TestServer::with([stores::acme()], options).await;
    let (_body, slow) = slow_body();
    let status = call(server.channel(), slow).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert_eq!(in_flight(&server).await, 0);
}

async fn in_flight(server: &TestServer) -> u64 {
    let metrics = http::get(server.http, "/metrics").await.body;
    let line = metrics.lines().find_map(|line| line.strip_prefix("humbaba_requests_in_flight "));
    line.expect("the metric").parse().unwrap()
}

async fn health(channel: Channel, service: &str) -> Result<ServingStatus, Code> {
    let request = HealthCheckRequest { service: service.to_owned() };
    let answer = HealthClient::new(channel).check(request).await;
    answer.map(|answer| answer.into_inner().status()).map_err(|status| status.code())
}

#[tokio::test]
async fn health_is_not_serving_until_it_is_set() {
    let server = TestServer::empty(GrpcOptions::default()).await;
    let both =
        async || (health(server.channel(), "").await, health(server.channel(), SERVICE_NAME).await);
    let (yes, no) = (Ok(ServingStatus::Serving), Ok(ServingStatus::NotServing));
    assert_eq!(both().await, (no, no));
    server.publish([stores::acme()], None);
    server.server.set_serving(true);
    assert_eq!(both().await, (yes, yes));
    server.server.set_serving(false);
    assert_eq!(both().await, (no, no));
    assert_eq!(health(server.channel(), "other.Service").await, Err(Code::NotFound));
}

#[tokio::test]
async fn a_watch_of_health_hears_of_changes_and_of_the_end() {
    let server = TestServer::empty(GrpcOptions::default()).await;
    let watch = async |service: &str| {
        let request = HealthCheckRequest { service: service.to_owned() };
        HealthClient::new(server.channel()).watch(request).await.unwrap().into_inner()
    };
    let mut known = watch(SERVICE_NAME).await;
    let mut unknown = watch("other.Service").await;
    let next = async |stream: &mut tonic::Streaming<_>| {
        let message: tonic_health::pb::HealthCheckResponse = stream.next().await?.unwrap();
        Some(message.status())
    };
    assert_eq!(next(&mut known).await, Some(ServingStatus::NotServing));
    assert_eq!(next(&mut unknown).await, Some(ServingStatus::ServiceUnknown));
    server.publish([stores::acme()], None);
    server.server.set_serving(true);
    assert_eq!(next(&mut known).await, Some(ServingStatus::Serving));
    // Nothing more is said while the state stays the same.
    server.publish([stores::acme()], None);
    // An open watch does not keep the server from stopping.
    let started = std::time::Instant::now();
    server.begin_stop();
    assert_eq!(next(&mut known).await, None);
    server.stop().await;
    assert!(started.elapsed() < GrpcOptions::default().drain_timeout);
}

/// The answers of a server when it is asked for its services and for the file of a symbol.
macro_rules! reflect {
    ($version:ident, $channel:expr) => {{
        use tonic_reflection::pb::$version::{
            ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
            server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
        };
        let mut client = ServerReflectionClient::new($channel);
        let asked = [
            MessageRequest::ListServices(String::new()),
            MessageRequest::FileContainingSymbol(SERVICE_NAME.to_owned()),
            MessageRequest::FileByFilename("humbaba/v1/types.proto".to_owned()),
            MessageRequest::FileByFilename("google/rpc/status.proto".to_owned()),
        ];
        let asked = asked.map(|request| ServerReflectionRequest {
            host: String::new(),
            message_request: Some(request),
        });
        let mut answers =
            client.server_reflection_info(tokio_stream::iter(asked)).await.unwrap().into_inner();
        let mut services = BTreeSet::new();
        let mut files = Vec::new();
        while let Some(answer) = answers.next().await {
            match answer.unwrap().message_response.unwrap() {
                MessageResponse::ListServicesResponse(list) => {
                    services.extend(list.service.into_iter().map(|service| service.name));
                }
                MessageResponse::FileDescriptorResponse(found) => {
                    files.extend(found.file_descriptor_proto);
                }
                other => panic!("{other:?}"),
            }
        }
        (services, files)
    }};
}

#[tokio::test]
async fn reflection_describes_the_services() {
    let server = TestServer::start([stores::acme()]).await;
    for (version, (services, files)) in
        [("v1", reflect!(v1, server.channel())), ("v1alpha", reflect!(v1alpha, server.channel()))]
    {
        for service in [
            SERVICE_NAME.to_owned(),
            "grpc.health.v1.Health".to_owned(),
            format!("grpc.reflection.{version}.ServerReflection"),
        ] {
            assert!(services.contains(&service), "{service} is not in {services:?}");
        }
        let files: Vec<_> =
            files.iter().map(|file| FileDescriptorProto::decode(&file[..]).unwrap()).collect();
        let names: Vec<_> = files.iter().map(FileDescriptorProto::name).collect();
        assert_eq!(
            names,
            [
                "humbaba/v1/authorization_service.proto",
                "humbaba/v1/types.proto",
                "google/rpc/status.proto",
            ]
        );
        let methods: Vec<_> =
            files[0].service[0].method.iter().map(|method| method.name()).collect();
        assert_eq!(
            methods,
            ["IsAuthorized", "BatchIsAuthorized", "ListActions", "ListResources", "ListPrincipals"]
        );
    }
}

#[tokio::test]
async fn stopping_answers_what_is_under_way_and_takes_nothing_new() {
    let server = TestServer::start([stores::acme()]).await;
    let (body, slow) = slow_body();
    let under_way = tokio::spawn(call(server.channel(), slow));
    wait::until("the call is under way", async || in_flight(&server).await == 1).await;

    server.begin_stop();
    wait::until("no connection is taken", async || TcpStream::connect(server.grpc).await.is_err())
        .await;
    body.send(frame(&question())).await.unwrap();
    drop(body);
    assert!(under_way.await.unwrap().is_ok());
    server.stop().await;
}

#[tokio::test]
async fn stopping_does_not_wait_for_ever() {
    let options =
        GrpcOptions { drain_timeout: Duration::from_millis(50), ..GrpcOptions::default() };
    let server = TestServer::with([stores::acme()], options).await;
    let (_body, slow) = slow_body();
    let _under_way = tokio::spawn(call(server.channel(), slow));
    wait::until("the call is under way", async || in_flight(&server).await == 1).await;
    server.stop().await;
}

#[tokio::test]
async fn one_server_listens_on_tcp_and_on_a_unix_socket() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("humbaba.sock");
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let targets =
        [format!("http://{}", tcp.local_addr().unwrap()), format!("unix:{}", path.display())];
    let live = std::sync::Arc::new(Live::default());
    let loaded = [stores::acme()];
    let status = status_of(&loaded);
    live.publish(Stores::new(loaded, None), status);
    let (options, metrics) = (GrpcOptions::default(), MetricsProvider::default());
    let server = GrpcServer::new(live, options, None, &metrics, DecisionLog::off());
    let listeners = vec![Listener::Tcp(tcp), Listener::Unix(UnixListener::bind(&path).unwrap())];
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving =
        tokio::spawn(async move { server.serve(listeners, async { drop(stopped.await) }).await });
    for target in targets {
        let channel = Endpoint::from_shared(target).unwrap().connect().await.unwrap();
        let mut client = AuthorizationServiceClient::new(channel);
        let answer = client.is_authorized(ask("User::alice", "site.view", "Site::1")).await;
        assert!(answer.is_ok(), "{answer:?}");
    }
    stop.send(()).unwrap();
    tokio::time::timeout(wait::DEADLINE, serving).await.unwrap().unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_callers_at_once_each_get_their_own_answer() {
    use crate::support::ask::Asking as _;

    let server = TestServer::start([stores::acme()]).await;
    let calls: Vec<_> = (0..200)
        .map(|n| {
            let question = ask(&format!("User::u{n}"), "site.view", &format!("Site::{n}"));
            let question = match n % 3 {
                0 => question,
                1 => question.role("viewer", &format!("Site::{n}")),
                _ => question.role("king", "Site::1"),
            };
            let mut client = server.client();
            tokio::spawn(async move { client.is_authorized(question).await })
        })
        .collect();
    for (n, call) in calls.into_iter().enumerate() {
        let answer = call.await.unwrap();
        match n % 3 {
            0 => assert!(!crate::support::ask::is_allow(answer.unwrap().get_ref())),
            1 => assert!(crate::support::ask::is_allow(answer.unwrap().get_ref())),
            _ => assert_eq!(answer.unwrap_err().code(), Code::InvalidArgument),
        }
    }
    assert_eq!(in_flight(&server).await, 0);
}
