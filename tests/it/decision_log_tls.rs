//! The decision log: who called, over TLS.

use humbaba::audit::{DecisionLog, LogMode, LogOptions};
use serde_json::{Value as Json, json};
use tempfile::TempDir;

use crate::{
    decision_log::records,
    support::{
        pki::{Authority, Pair},
        tls::{TlsServer, ask_once, channel, mutual},
    },
};

/// Asks once over a connection of each client, and tells what the records say of them.
async fn callers(
    clients: &Authority,
    ids: &[&str],
    asking: impl IntoIterator<Item = Pair>,
) -> Vec<Json> {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("decisions.jsonl");
    let options =
        LogOptions { mode: LogMode::On, file: Some(file.clone()), ..LogOptions::default() };
    let log = DecisionLog::open(options).unwrap();
    let server = TlsServer::recording(log.clone(), mutual(clients, ids)).await;
    for client in asking {
        let channel = channel(server.grpc, &server.ca.pem, Some(&client));
        // Every call of the connection, not the first alone.
        ask_once(channel.clone()).await.unwrap();
        ask_once(channel).await.unwrap();
    }
    assert!(log.close(crate::support::wait::DEADLINE).await);
    records(&file).into_iter().map(|mut record| record["caller"].take()).collect()
}

#[tokio::test]
async fn a_record_names_the_client_of_the_certificate() {
    let clients = Authority::new("clients");
    let web = "spiffe://example.org/ns/shop/sa/web";
    let client = |names: &[&str]| clients.client(names);
    let told = callers(
        &clients,
        &["web.example.org", "spiffe://example.org/ns/shop/*"],
        [client(&["other.example.org", "web.example.org", web]), client(&["urn:other", web])],
    )
    .await;
    let identities: Vec<_> = told.iter().map(|caller| &caller["identity"]).collect();
    // The name that was let in, whatever else the certificate says.
    assert_eq!(identities, ["web.example.org", "web.example.org", web, web]);
    for caller in &told {
        assert!(caller["address"].as_str().unwrap().starts_with("127.0.0.1:"), "{caller}");
    }
    // Both calls came over one connection.
    assert_eq!(told[0], told[1]);
    assert_ne!(told[0]["address"], told[2]["address"]);
}

#[tokio::test]
async fn where_nobody_is_listed_it_is_the_first_uri_or_dns_name() {
    let clients = Authority::new("clients");
    let names: [&[&str]; 3] = [&["web.example.org", "urn:web"], &["web.example.org"], &[]];
    let told = callers(&clients, &[], names.map(|names| clients.client(names))).await;
    let identities: Vec<_> = told.iter().step_by(2).map(|caller| caller.get("identity")).collect();
    assert_eq!(identities, [Some(&json!("urn:web")), Some(&json!("web.example.org")), None]);
}
