//! Certificates that change while the process runs.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use humbaba::{
    net::{ServerTls, tls::TlsError},
    reload::WatchFiles,
};
use serde_json::Value as Json;
use tempfile::TempDir;

use crate::support::{
    pki::{Authority, Pair, mount},
    tls::{TlsServer, ask_once, channel, options},
    wait::until,
};

fn watch(tls: &ServerTls, use_events: bool) -> humbaba::reload::Reloader {
    let watched = tls.clone();
    WatchFiles {
        paths: tls.paths(),
        settle: Duration::from_millis(20),
        // So late that only an event, or so early that only the clock, finds a change.
        interval: if use_events { Duration::from_secs(3600) } else { Duration::from_millis(50) },
        use_events,
    }
    .start(move || watched.reload())
}

#[tokio::test]
async fn only_what_is_whole_and_fits_together_is_put_in_force() {
    let clients = Authority::new("clients");
    let server = TlsServer::mutual(&clients, &[]).await;
    let client = clients.client(&["web.example.org"]);
    let (folder, next) = (server.folder.path(), server.ca.server(2077));
    let before = server.status().await;
    assert_eq!(before["expires"], "2088-12-31T00:00:00Z", "{before}");
    assert_eq!(before["client_ca_expires"], "2090-01-01T00:00:00Z", "{before}");
    let secret = next.key.lines().nth(1).unwrap();
    let cut = |text: &str| text[..text.len() / 2].to_owned();
    for (failures, (file, text, part)) in [
        ("tls.crt", next.cert.clone(), "is not the one of the certificate"),
        ("tls.crt", cut(&next.cert), "tls.crt` holds no usable certificates"),
        ("tls.crt", String::new(), "there is no certificate in it"),
        ("tls.crt", next.key.clone(), "there is no certificate in it"),
        ("tls.crt", NONSENSE.to_owned(), "certificate 1"),
        ("tls.key", cut(&next.key), "tls.key` holds no private key"),
        ("tls.key", next.cert.clone(), "tls.key` holds no private key"),
        ("tls.key", format!("{}{secret}", cut(&next.key)), "tls.key` holds no private key"),
        ("clients.crt", "x".to_owned(), "clients.crt` holds no usable certificates"),
    ]
    .into_iter()
    .enumerate()
    {
        let path = folder.join(file);
        let good = fs::read(&path).unwrap();
        fs::write(&path, text).unwrap();
        server.tls.reload();
        server.tls.reload();
        let status = server.status().await;
        let problem = status["problem"].as_str().unwrap_or_default();
        assert!(problem.contains(part), "{file}: no `{part}` in {status}");
        assert!(!problem.contains(secret), "{problem}");
        assert_eq!(status["failures"], Json::from(failures * 2 + 1), "{status}");
        assert_eq!(status["expires"], before["expires"]);
        assert_eq!(server.metric("humbaba_certificate_refused").await, 1.0);
        server.ask(Some(&client)).await.unwrap();
        // Gone is as bad, and told once however often it is looked for.
        fs::remove_file(&path).unwrap();
        server.tls.reload();
        server.tls.reload();
        let status = server.status().await;
        assert!(status["problem"].as_str().unwrap().contains("cannot read"), "{status}");
        assert_eq!(status["failures"], Json::from(failures * 2 + 2), "{status}");
        fs::write(&path, good).unwrap();
        server.tls.reload();
        assert_eq!(server.status().await["problem"], Json::Null);
    }
    next.write(folder);
    server.tls.reload();
    server.ask(Some(&client)).await.unwrap();
    assert_eq!(server.status().await["expires"], "2077-12-31T00:00:00Z");
    let expiry = r#"humbaba_certificate_expiry_timestamp_seconds{certificate="server"}"#;
    assert_eq!(server.metric(expiry).await, 3_408_134_400.0);
    let applied = server.metric(r#"humbaba_certificate_reloads_total{result="applied"}"#).await;
    assert_eq!(applied, 10.0);
}

/// PEM of what is no certificate.
const NONSENSE: &str = "-----BEGIN CERTIFICATE-----\nbm9uc2Vuc2U=\n-----END CERTIFICATE-----\n";

#[test]
fn without_a_good_certificate_there_is_no_beginning() {
    let (folder, ca) = (TempDir::new().unwrap(), Authority::new("servers"));
    assert!(matches!(ServerTls::load(options(&folder)), Err(TlsError::Unreadable { .. })));
    let (one, other) = (ca.server(2088), ca.server(2088));
    Pair { cert: one.cert.clone(), key: other.key }.write(folder.path());
    assert!(matches!(ServerTls::load(options(&folder)), Err(TlsError::Mismatch { .. })));
    one.write(folder.path());
    ServerTls::load(options(&folder)).unwrap();
    let mut pipe = options(&folder);
    pipe.key = "/dev/null".into();
    assert!(ServerTls::load(pipe).unwrap_err().to_string().contains("it is not a regular file"));
}

#[tokio::test]
async fn a_change_is_found_by_events_and_by_the_clock() {
    for use_events in [true, false] {
        let server = TlsServer::start(|_| {}).await;
        let _watch = watch(&server.tls, use_events);
        for year in [2077, 2066] {
            server.ca.server(year).write(server.folder.path());
            let expected = Json::from(format!("{year}-12-31T00:00:00Z"));
            until("the new certificate", async || server.status().await["expires"] == expected)
                .await;
        }
    }
}

#[tokio::test]
async fn a_secret_that_the_kubelet_swaps_is_found_each_time() {
    let server = TlsServer::start(|options| {
        let folder = options.certificate.parent().unwrap().join("secret");
        fs::create_dir(&folder).unwrap();
        let read = |name| fs::read_to_string(options.certificate.with_file_name(name)).unwrap();
        mount(&folder, "0", &[("tls.crt", &read("tls.crt")), ("tls.key", &read("tls.key"))]);
        options.certificate = folder.join("tls.crt");
        options.key = folder.join("tls.key");
    })
    .await;
    let _watch = watch(&server.tls, true);
    for year in [2077, 2066, 2055] {
        let pair = server.ca.server(year);
        let files = [("tls.crt", pair.cert.as_str()), ("tls.key", pair.key.as_str())];
        mount(&server.folder.path().join("secret"), &year.to_string(), &files);
        let expected = Json::from(format!("{year}-12-31T00:00:00Z"));
        until("the new certificate", async || server.status().await["expires"] == expected).await;
    }
    let status = server.status().await;
    assert_eq!((&status["reloads"], &status["failures"]), (&Json::from(3), &Json::from(0)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_right_client_is_served_across_rotations_without_a_failed_call() {
    let (clients, next_clients) = (Authority::new("clients"), Authority::new("next clients"));
    let server = Arc::new(TlsServer::mutual(&clients, &["web.example.org"]).await);
    let _watch = watch(&server.tls, true);
    let right = clients.client(&["web.example.org"]);
    let done = Arc::new(AtomicBool::new(false));
    let kept = channel(server.grpc, &server.ca.pem, Some(&right));
    let counts = [Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0))];
    // One asks over one connection all the time, the other over a new one for each question.
    let callers = [Some(kept), None].into_iter().zip(counts.clone()).map(|(kept, count)| {
        let (server, right, done) = (Arc::clone(&server), right.clone(), Arc::clone(&done));
        tokio::spawn(async move {
            while !done.load(Ordering::Relaxed) {
                match &kept {
                    Some(kept) => ask_once(kept.clone()).await?,
                    None => server.ask(Some(&right)).await?,
                }
                count.fetch_add(1, Ordering::Relaxed);
            }
            Ok::<_, String>(())
        })
    });
    let callers: Vec<_> = callers.collect();
    let asked = || counts.each_ref().map(|count| count.load(Ordering::Relaxed));
    let bundle = format!("{}{}", next_clients.pem, clients.pem);
    for year in 2060..2070 {
        server.ca.server(year).write(server.folder.path());
        // The authority that comes and the one that goes are trusted side by side for a while.
        let trusted = if year % 2 == 0 { &bundle } else { &clients.pem };
        fs::write(server.folder.path().join("clients.crt"), trusted).unwrap();
        let expected = Json::from(format!("{year}-12-31T00:00:00Z"));
        until("the new certificate", async || server.status().await["expires"] == expected).await;
        let before = asked();
        until("questions since", async || {
            asked().iter().zip(before).all(|(now, before)| *now > before + 2)
        })
        .await;
    }
    done.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.await.unwrap().unwrap();
    }
    for reason in ["identity_not_listed", "certificate_untrusted", "other", "by_client"] {
        assert_eq!(server.refused("grpc", reason).await, 0.0, "{reason}");
    }
    // A client that is no longer trusted is refused, and the wrong name was never right.
    server.ask(Some(&clients.client(&["evil.example.org"]))).await.unwrap_err();
    assert!(server.refused("grpc", "identity_not_listed").await >= 1.0);
    fs::write(server.folder.path().join("clients.crt"), &next_clients.pem).unwrap();
    until("the authority is gone", async || server.ask(Some(&right)).await.is_err()).await;
    server.ask(Some(&next_clients.client(&["web.example.org"]))).await.unwrap();
}
