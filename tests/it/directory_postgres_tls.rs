//! Following a PostgreSQL over TLS.

use std::{fs, path::PathBuf, sync::Arc};

use humbaba::store::PolicyStore;

use crate::{
    cli,
    support::{
        followed::Followed,
        pki::Authority,
        postgres::{Postgres, READER, WRITER, value},
        stores,
        wait::until,
    },
};

fn store() -> Arc<PolicyStore> {
    let files = [("schema.cedarschema", cli::SCHEMA), ("policies.cedar", cli::POLICIES)];
    stores::store("main", &files)
}

/// A server with a directory, and the file of its authority's certificate.
struct Lab {
    postgres: Postgres,
    authority: Authority,
}

impl Lab {
    async fn new() -> Option<Self> {
        let authority = Authority::new("of the database");
        let postgres = Postgres::start_on_tcp(Some(&authority.server(2089))).await?;
        postgres.install(&[]).await;
        Some(Self { postgres, authority })
    }

    /// A file that trusts an authority.
    fn trusting(&self, authority: &Authority, name: &str) -> PathBuf {
        let file = self.postgres.folder().join(name);
        fs::write(&file, &authority.pem).unwrap();
        file
    }

    /// The connection string with which sidecars reach a host that is here.
    fn url(&self, host: &str, root_cert: &std::path::Path) -> String {
        let (port, root_cert) = (self.postgres.port(), root_cert.display());
        format!(
            "host={host} hostaddr=127.0.0.1 port={port} user={READER} dbname=postgres \
             sslmode=verify-full sslrootcert='{root_cert}'"
        )
    }

    fn url_file(&self, text: &str) -> PathBuf {
        let file = self.postgres.folder().join("url-tls");
        fs::write(&file, text).unwrap();
        file
    }

    async fn grant(&self, user: &str) -> String {
        let app = self.postgres.client(WRITER).await;
        let grant = format!(
            "INSERT INTO humbaba.assignments (principal_type, principal_id, role, scope_type, scope_id) \
             VALUES ('User', '{user}', 'editor', 'Site', '1')"
        );
        app.batch_execute(&grant).await.unwrap();
        value(&app, "SELECT humbaba.version()").await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_followed_over_tls_and_refused_where_its_certificate_is_of_somebody_else() {
    let Some(lab) = Lab::new().await else { return };
    let right = lab.trusting(&lab.authority, "right.pem");
    let wrong = lab.trusting(&Authority::new("another"), "wrong.pem");
    let good = lab.url("localhost", &right);
    let file = lab.url_file(&good);
    let first = lab.grant("7").await;
    let followed = Followed::postgres(&store(), file.clone());
    let one = ["User 7 editor Site 1".to_owned()];
    assert!(followed.at(&first).await.iter().eq(&one));
    let admin = lab.postgres.client("postgres").await;
    let of_reader = format!(
        "FROM pg_stat_activity AS a JOIN pg_stat_ssl AS s USING (pid) WHERE usename = '{READER}'"
    );
    assert_eq!(value(&admin, &format!("SELECT bool_and(s.ssl) {of_reader}")).await, "t");

    let nowhere = lab.postgres.folder().join("nowhere.pem");
    for (url, said) in [
        (lab.url("localhost", &wrong), "of an authority that is not trusted"),
        (lab.url("db.internal", &right), "not valid for name \"db.internal\""),
        (lab.url("localhost", &nowhere), "nowhere.pem"),
    ] {
        fs::write(&file, &url).unwrap();
        admin
            .batch_execute(&format!("SELECT pg_terminate_backend(pid) {of_reader}"))
            .await
            .unwrap();
        until("it is refused", async || followed.problem().contains(said)).await;
        // What is in force stays, and who begins so gets nothing.
        assert!(followed.assignments().iter().eq(&one));
        let fresh = Followed::postgres(&store(), file.clone());
        until("it is refused at the start", async || fresh.problem().contains(said)).await;
        assert!(fresh.live.state().directories.values().all(|directory| directory.state.is_none()));
        fs::write(&file, &good).unwrap();
        until("it is followed again", async || followed.problem().is_empty()).await;
    }
    let second = lab.grant("8").await;
    assert_eq!(followed.at(&second).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_tls_is_refused_where_tls_is_asked_for() {
    let Some(postgres) = Postgres::start_on_tcp(None).await else { return };
    postgres.install(&[]).await;
    let lab = Lab { postgres, authority: Authority::new("of nobody") };
    let root_cert = lab.trusting(&lab.authority, "root.pem");
    let version = lab.grant("7").await;
    let url = lab.url("localhost", &root_cert);
    let file = lab.url_file(&url);
    let followed = Followed::postgres(&store(), file.clone());
    until("it is refused", async || followed.problem().contains("server does not support TLS"))
        .await;
    assert!(followed.live.state().directories.values().all(|directory| directory.state.is_none()));
    fs::write(&file, url.replace("verify-full", "prefer")).unwrap();
    assert_eq!(followed.at(&version).await.len(), 1);
}
