//! The acts of hostile peers on a real sidecar: it goes on, its memory is bounded, and everybody else
//! is answered meanwhile.

use std::{
    fs,
    net::SocketAddr,
    time::{Duration, Instant},
};

use humbaba::proto::{
    ListActionsRequest, authorization_service_client::AuthorizationServiceClient,
};
use prost::Message as _;
use tokio::io::AsyncWriteExt as _;
use tonic::Code;

use crate::{
    cli::{policies, write_store},
    support::{
        ask::{self, Asking as _, Knowing as _, action, assignment, entity, is_allow, text, uid},
        hostile::{
            self, DATA, END_HEADERS, HEADERS, Random, beginning, call, connect, frame, headers,
            is_closed, message, reset_rapidly, send_nonsense,
        },
        http, raw,
        siege::{MIB, Siege, good, hits, raise_file_handles, slow_peers_are_closed, wait_for_open},
        skip::skip_even_in_ci,
        wait,
    },
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_connections() {
    const COUNT: usize = 5_000;
    let handles = raise_file_handles();
    if handles.is_some_and(|maximum| maximum < COUNT as u64 + 500) {
        skip_even_in_ci(&format!("the system allows {handles:?} file handles only"));
        return;
    }
    let siege = Siege::begin(&[]).await;
    let mut idle = Vec::new();
    for _ in 0..COUNT {
        let mut connection = connect(siege.grpc).await.unwrap();
        connection.write_all(&beginning()).await.unwrap();
        idle.push(connection);
    }
    wait_for_open(siege.http, "grpc", COUNT..).await;
    siege.answers_on().await;
    for connection in idle.iter_mut().step_by(500) {
        assert!(!is_closed(connection, Duration::from_millis(5)).await);
    }
    siege.end(COUNT * 48 * 1024).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_beyond_the_limit() {
    let siege = Siege::begin(&["limits.connections=20"]).await;
    let mut closed = 0;
    let mut kept = Vec::new();
    for _ in 0..100 {
        let mut connection = connect(siege.grpc).await.unwrap();
        let _ = connection.write_all(&beginning()).await;
        if is_closed(&mut connection, Duration::from_millis(20)).await {
            closed += 1;
        } else {
            kept.push(connection);
        }
    }
    assert!((75..100).contains(&closed), "{closed}");
    let metrics = http::get(siege.http, "/metrics").await.body;
    assert!(
        metrics.contains("humbaba_connections_closed_total{face=\"grpc\",reason=\"limit\"} "),
        "{metrics}"
    );
    assert_eq!(hits(siege.http, "connections").await, closed);
    drop(kept);
    tokio::time::sleep(Duration::from_millis(200)).await;
    siege.end(16 * MIB).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_loris() {
    let siege = Siege::begin(&[
        "limits.patience_ms=1000",
        "limits.request_timeout_ms=1000",
        "limits.keepalive_interval_s=1",
        "limits.keepalive_timeout_s=1",
    ])
    .await;
    let long_header = frame(HEADERS, END_HEADERS, 1, &headers().repeat(100));
    let call = call(1, &good().encode_to_vec());
    let begun = [beginning(), call[0].clone()].concat();
    let cases: [(SocketAddr, &[u8], &[u8]); 5] = [
        (siege.grpc, b"", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        (siege.grpc, &beginning(), &long_header),
        (siege.grpc, &begun, &call[1]),
        (siege.http, b"", &[b'x'; 1_000]),
        (siege.http, b"GET /status HTTP/1.1\r\n", &b"x: y\r\n".repeat(100)),
    ];
    slow_peers_are_closed(&cases).await;
    let metrics = http::get(siege.http, "/metrics").await.body;
    for face in ["grpc", "http"] {
        let counted = format!("connections_closed_total{{face=\"{face}\",reason=\"slow\"}} ");
        let line = metrics.lines().find(|line| line.contains(&counted)).unwrap();
        assert!(!line.ends_with(" 0"), "{line}");
    }
    assert!(hits(siege.http, "patience_ms").await >= 40);
    assert!(hits(siege.http, "request_timeout_ms").await >= 20);
    siege.end(32 * MIB).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rapid_resets() {
    let siege = Siege::begin(&[]).await;
    for _ in 0..20 {
        assert!(reset_rapidly(siege.grpc, 5_000).await.unwrap(), "it is let be");
    }
    siege.end(32 * MIB).await;
}

/// `HUMBABA_TEST_FRAMES` says how many.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_and_mutated_frames() {
    let frames = std::env::var("HUMBABA_TEST_FRAMES").ok().and_then(|count| count.parse().ok());
    let frames = frames.unwrap_or(10_000);
    let siege = Siege::begin(&[]).await;
    let request = good().explained().encode_to_vec();
    let started = Instant::now();
    let mut tasks = Vec::new();
    for seed in 1..=4 {
        let (request, grpc) = (request.clone(), siege.grpc);
        tasks.push(tokio::spawn(async move {
            let mut random = Random(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(seed));
            let mut sent = 0;
            while sent < frames / 4 {
                sent += send_nonsense(grpc, &request, &mut random).await.unwrap();
            }
            sent
        }));
    }
    let mut sent = 0;
    for task in tasks {
        sent += task.await.unwrap();
    }
    let grown = siege.grown() / 1024;
    println!("{sent} frames in {:.1?}, memory +{grown} KiB", started.elapsed());
    siege.end(64 * MIB).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_that_are_too_large() {
    let siege = Siege::begin(&[]).await;
    let status = raw::call_with(siege.channel(), raw::frame(&vec![0; 100 * MIB])).await;
    let code = status.unwrap_err().code();
    // The answer may be overtaken by the end of the stream on which it came.
    assert!([Code::OutOfRange, Code::Unavailable].contains(&code), "{code:?}");
    // Two bytes each, which would be two hundred once they are read.
    let entities = raw::frame(&[0x32, 0].repeat(2_000_000));
    for _ in 0..5 {
        let status = raw::call_with(siege.channel(), entities.clone()).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
    }
    assert_eq!(hits(siege.http, "message_parts").await, 5);
    // Much is promised and nothing comes.
    let mut waiting = Vec::new();
    for _ in 0..100 {
        let mut connection = connect(siege.grpc).await.unwrap();
        let promise = frame(DATA, 0, 1, &message(4_000_000, &[0; 1_000]));
        let call = frame(HEADERS, END_HEADERS, 1, &headers());
        connection.write_all(&[beginning(), call, promise].concat()).await.unwrap();
        waiting.push(connection);
    }
    siege.answers_on().await;
    drop(waiting);
    siege.end(64 * MIB).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn compressed_messages_that_become_too_large() {
    let siege = Siege::begin(&[]).await;
    // A gigabyte of empty entities in one megabyte.
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let entities = [0x32, 0].repeat(MIB / 2);
    for _ in 0..1_000 {
        std::io::Write::write_all(&mut encoder, &entities).unwrap();
    }
    let bomb = encoder.finish().unwrap();
    let length = u32::try_from(bomb.len()).unwrap().to_be_bytes();
    let frame = [&[1], &length[..], &bomb].concat();
    let codes = (0..8).map(|_| {
        let call = raw::call_compressed(siege.channel(), frame.clone());
        tokio::spawn(async move { call.await.unwrap_err().code() })
    });
    for code in codes.collect::<Vec<_>>() {
        assert_eq!(code.await.unwrap(), Code::OutOfRange);
    }
    assert_eq!(hits(siege.http, "message_bytes").await, 8);
    siege.end(64 * MIB).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_that_together_are_too_large() {
    let siege = Siege::begin(&["limits.held_bytes=8000000"]).await;
    let mut calls = Vec::new();
    for _ in 0..8 {
        let (body, slow) = raw::slow_body();
        let call = tokio::spawn(raw::call(siege.channel(), slow));
        // All but the end of four million bytes.
        let begun = hostile::message(4_000_000, &vec![0; 3_900_000]);
        tokio::spawn(async move {
            let _ = body.send(begun).await;
            tokio::time::sleep(Duration::from_secs(3)).await;
        });
        calls.push(call);
    }
    let mut shed = 0;
    for call in calls {
        let status = call.await.unwrap().unwrap_err();
        shed += u64::from(status.code() == Code::ResourceExhausted);
    }
    assert!(shed >= 6, "{shed} were shed");
    assert_eq!(hits(siege.http, "held_bytes").await, shed);
    siege.end(64 * MIB).await;
}

/// A thousand groups, each in the next, a thousand entities and assignments, explained.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_and_deep_questions() {
    let folder = policies(&["guard"]);
    let schema = crate::cli::SCHEMA.replace("Group in [Role]", "Group in [Role, Group]");
    fs::write(folder.path().join("guard/schema.cedarschema"), schema).unwrap();
    let siege = Siege::begin_with(folder, &[]).await;
    let mut deep = ask::ask("User::alice", "edit", "Site::42")
        .explained()
        .entity(entity("User::alice").within("Group::0"));
    for group in 0..900 {
        let within = format!("Group::{}", group + 1);
        deep = deep.entity(entity(&format!("Group::{group}")).within(&within));
    }
    let mut wide = ask::ask("User::alice", "edit", "Site::42").explained();
    for site in 0..999 {
        let site = format!("Site::s{site}");
        wide = wide.entity(entity(&site)).role("viewer", &site);
    }
    for (question, all_tried) in [(deep, true), (wide.clone(), false)] {
        let mut client = AuthorizationServiceClient::new(siege.channel());
        let answer = client.is_authorized(question).await;
        let explanation = answer.unwrap().into_inner().explanation.unwrap();
        let says_so = explanation.summary.contains("Not every role was tried");
        assert_eq!(says_so, !all_tried, "{explanation:?}");
        // The resource's own come first.
        let missing = &explanation.missing_roles;
        assert_eq!(
            missing.first().map(|role| role.scope.clone()),
            Some(Some(uid("Guard::Site::42")))
        );
    }
    let list = ListActionsRequest {
        principal: wide.principal.clone(),
        resource: wide.resource.clone(),
        entities: wide.entities.clone(),
        role_assignments: wide
            .role_assignments
            .into_iter()
            .chain([assignment("owner", "Site::42")])
            .collect(),
        ..ListActionsRequest::default()
    };
    let mut client = AuthorizationServiceClient::new(siege.channel());
    let listed = client.list_actions(list).await.unwrap().into_inner();
    assert_eq!(
        listed.actions,
        [action("edit"), action("view")].map(|uid| ask_type(uid, &listed.actions))
    );
    // Every group of a chain of 900 has all those above it as ancestors, twice while it is decided.
    siege.end(192 * MIB).await;
}

/// The same action, its type written as the answer writes it.
fn ask_type(
    uid: humbaba::proto::EntityUid,
    like: &[humbaba::proto::EntityUid],
) -> humbaba::proto::EntityUid {
    humbaba::proto::EntityUid { r#type: like.first().unwrap().r#type.clone(), ..uid }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expensive_policy() {
    let folder = policies(&[]);
    let expensive: String = (0..100)
        .map(|n| {
            format!(
                "@id(\"expensive-{n}\") permit (principal, action == Guard::Action::\"edit\", resource)
                 when {{ context has reason && context.reason like \"*a{n}*a*a*a*a*a*a*a*b\" }};\n"
            )
        })
        .collect();
    let all = format!("{}{expensive}", crate::cli::POLICIES);
    write_store(folder.path(), "guard", &all);
    let siege = Siege::begin_with(folder, &[]).await;
    let question =
        ask::ask("User::alice", "edit", "Site::42").fact("reason", text(&"a1a".repeat(20_000)));
    let mut calls = Vec::new();
    for _ in 0..40 {
        let mut client = AuthorizationServiceClient::new(siege.channel());
        let question = question.clone();
        calls.push(tokio::spawn(async move { client.is_authorized(question).await }));
    }
    for call in calls {
        assert!(!is_allow(&call.await.unwrap().unwrap().into_inner()));
    }
    siege.end(64 * MIB).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_callers_deadline_is_kept() {
    let siege = Siege::begin(&[]).await;
    let deadline = [vec![0], hostile::text("grpc-timeout"), hostile::text("100m")].concat();
    let headers = frame(HEADERS, END_HEADERS, 1, &[headers(), deadline].concat());
    let mut connection = connect(siege.grpc).await.unwrap();
    connection.write_all(&[beginning(), headers].concat()).await.unwrap();
    // Nothing more comes of the call.
    let started = Instant::now();
    wait::until("the call is given up", async || {
        let metrics = http::get(siege.http, "/metrics").await.body;
        metrics.contains("code=\"DeadlineExceeded\",rpc=\"IsAuthorized\"} 1\n")
    })
    .await;
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    assert_eq!(hits(siege.http, "request_timeout_ms").await, 0, "it is not the server's limit");
    siege.end(16 * MIB).await;
}
