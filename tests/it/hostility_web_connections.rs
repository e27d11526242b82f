//! Many connections to `web_listen`.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::timeout,
};

use crate::{
    hostility_web::{WebSiege, posted, question},
    support::{
        hostile::{connect, is_closed},
        siege::{MIB, hits, raise_file_handles, wait_for_open},
        skip::skip_even_in_ci,
        wait,
    },
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_connections() {
    const COUNT: usize = 5_000;
    let handles = raise_file_handles();
    if handles.is_some_and(|maximum| maximum < 8 * (COUNT as u64 + 500)) {
        // An eighth of the handles is for this listener.
        skip_even_in_ci(&format!("the system allows {handles:?} file handles only"));
        return;
    }
    let idle_for = ["limits.patience_ms=60000", "limits.http_head_timeout_ms=60000"];
    let siege = WebSiege::begin(&[&["limits.web_connections=6000"], &idle_for[..]].concat()).await;
    let (mut idle, kept) = (Vec::new(), posted(&question(), "keep-alive"));
    for number in 0..COUNT {
        let mut connection = connect(siege.web).await.unwrap();
        // Some say nothing, some have been answered, and some have begun.
        match number % 3 {
            0 => {}
            1 => {
                connection.write_all(&kept).await.unwrap();
                connection.read_exact(&mut [0; 12]).await.unwrap();
            }
            _ => connection.write_all(&kept[..40]).await.unwrap(),
        }
        idle.push(connection);
    }
    wait_for_open(siege.http, "web", COUNT..).await;
    siege.both_answer_on().await;
    for connection in idle.iter_mut().step_by(501) {
        let mut rest = [0; 4_096];
        let _ = timeout(Duration::from_millis(50), connection.read(&mut rest)).await;
        assert!(!is_closed(connection, Duration::from_millis(5)).await);
    }
    siege.end(COUNT * 48 * 1024).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_beyond_the_limit() {
    let siege = WebSiege::begin(&["limits.web_connections=20"]).await;
    let mut kept = Vec::new();
    for _ in 0..18 {
        kept.push(connect(siege.web).await.unwrap());
    }
    let mut closed = 0;
    wait::until("connections are closed", async || {
        let mut further = connect(siege.web).await.unwrap();
        if is_closed(&mut further, Duration::from_millis(50)).await {
            closed += 1;
        } else {
            kept.push(further);
        }
        closed >= 10
    })
    .await;
    assert!(hits(siege.http, "web_connections").await >= closed);
    drop(kept);
    // The caller of AuthZEN may have been one of those.
    siege.end_without_caller(16 * MIB).await;
}
