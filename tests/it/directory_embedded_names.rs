//! Embedded directories whose store gets another namespace.

use std::sync::Arc;

use humbaba::{
    directory::{Assignment, AssignmentKey, Change},
    model::Uid,
    reload::Live,
    request::Grant,
    sources::{self, DirectorySource, SourceOf, SourceOptions, look_at_embedded},
    store::{PolicyStore, Stores},
};
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::{
    cli,
    support::{followed::options, server::status_of, stores, wait::until},
};

/// Whichever of the two the directory's thread hears of first.
#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_beside_a_change_of_the_namespace_stays_made() {
    let (schema, policies) = (cli::SCHEMA, cli::POLICIES);
    let bare_schema = schema.replace("namespace Guard {", "").replace("};\n}\n", "};\n");
    let bare_policies = policies.replace("Guard::", "");
    let store = |schema: &str, policies: &str| {
        stores::store("main", &[("schema.cedarschema", schema), ("policies.cedar", policies)])
    };
    let (bare, named) = (store(&bare_schema, &bare_policies), store(schema, policies));
    for _ in 0..20 {
        let (data, live) = (TempDir::new().unwrap(), Arc::new(Live::default()));
        let options = SourceOptions { data: Some(data.path().to_owned()), ..options() };
        let sources = [SourceOf { store: bare.name().clone(), source: DirectorySource::Embedded }];
        sources::announce(&sources, &options, &live);
        let publish = |store: &Arc<PolicyStore>| {
            let stores = [Arc::clone(store)];
            live.publish(Stores::new(stores.clone(), None), status_of(&stores));
        };
        publish(&bare);
        let running = sources::start(&sources, &options, &live).unwrap();
        let directory = &running.embedded()[bare.name()];
        until("it is loaded", async || live.in_force("main").is_ok()).await;
        let row = |user: usize| Assignment {
            key: AssignmentKey {
                principal: Uid::new("User", user.to_string()),
                role: "viewer".to_owned(),
                scope: Uid::new("Site", "1"),
            },
            expires_at: None,
            grant: Grant::default(),
        };
        let rows = (0..50).map(|user| Change::Put(row(user))).collect();
        directory.write(rows, String::new()).await.unwrap();
        let mut writes = JoinSet::new();
        for user in 0..50 {
            let (directory, key) = (directory.clone(), row(user).key);
            writes.spawn(async move {
                directory.write(vec![Change::Delete(key)], String::new()).await.map(drop)
            });
            if user == 10 {
                publish(&named);
            }
        }
        while let Some(written) = writes.join_next().await {
            written.unwrap().unwrap();
        }
        let kept = look_at_embedded(data.path(), &named, &options.limits).unwrap().unwrap();
        assert_eq!(kept.directory.counts().assignments, 0);
    }
}
