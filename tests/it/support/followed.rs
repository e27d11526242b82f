//! The directory of a store in this process, as a source keeps it.

use std::{collections::BTreeSet, path::PathBuf, sync::Arc, time::Duration};

use humbaba::{
    directory::Assignment,
    reload::Live,
    request::RequestLimits,
    sources::{self, DirectorySource, FileBounds, SourceOf, SourceOptions, Sources},
    store::{PolicyStore, Stores},
};

use super::{server::status_of, wait::until};

/// A store whose directory is followed.
pub struct Followed {
    pub live: Arc<Live>,
    store: Arc<PolicyStore>,
    _sources: Sources,
}

impl Followed {
    /// Begins to follow PostgreSQL.
    pub fn postgres(store: &Arc<PolicyStore>, url_file: PathBuf) -> Self {
        Self::postgres_comparing(store, url_file, Duration::from_secs(3_600))
    }

    /// The same, with all rows compared that often.
    pub fn postgres_comparing(
        store: &Arc<PolicyStore>,
        url_file: PathBuf,
        compare: Duration,
    ) -> Self {
        let live = Arc::new(Live::default());
        let options = SourceOptions { postgres_url_file: Some(url_file), compare, ..options() };
        let source = DirectorySource::Postgres { schema: None };
        let sources = [SourceOf { store: store.name().clone(), source }];
        sources::announce(&sources, &options, &live);
        let stores = [Arc::clone(store)];
        live.publish(Stores::new(stores.clone(), None), status_of(&stores));
        let running = sources::start(&sources, &options, &live).unwrap();
        Self { live, store: Arc::clone(store), _sources: running }
    }

    /// Waits until the directory has that version and returns its assignments.
    pub async fn at(&self, version: &str) -> BTreeSet<String> {
        until("the version is there", async || {
            let state = self.live.state();
            let state = state.directories[self.store.name()].state.as_ref();
            state.is_some_and(|state| state.version.has_reached(version).is_ok_and(|there| there))
        })
        .await;
        self.assignments()
    }

    /// The assignments, with what they end with.
    pub fn assignments(&self) -> BTreeSet<String> {
        let state = self.live.state();
        let state = state.directories[self.store.name()].state.as_ref().unwrap();
        state.directory.assignments().map(|row| shown(&row)).collect()
    }

    /// The fault of the source.
    pub fn problem(&self) -> String {
        let state = self.live.state();
        let problem = state.directories[self.store.name()].problem.as_deref();
        problem.unwrap_or_default().to_owned()
    }

    /// The problems of rows.
    pub fn row_problems(&self) -> Vec<String> {
        self.live.state().directories[self.store.name()].rows.problems.to_vec()
    }
}

/// Options under which nothing happens by itself within an hour.
pub fn options() -> SourceOptions {
    SourceOptions {
        max_age: Duration::from_secs(3_600),
        limits: RequestLimits::default(),
        bounds: FileBounds::default(),
        rehash_interval: Duration::from_secs(3_600),
        use_events: true,
        data: None,
        postgres_url_file: None,
        poll: Duration::from_millis(20),
        compare: Duration::from_secs(3_600),
        kept_changes: 0,
        followed_changes: 100,
    }
}

/// The assignments, with who granted them and until when.
fn shown(row: &Assignment) -> String {
    let short = |name: &str| name.rsplit("::").next().unwrap().to_owned();
    let key = &row.key;
    let (principal, scope) = (short(&key.principal.type_name), short(&key.scope.type_name));
    let end = row.expires_at.map(|end| format!(" until {end}")).unwrap_or_default();
    let by = if row.grant.granted_by.is_empty() { "" } else { " by " };
    format!(
        "{principal} {} {} {scope} {}{end}{by}{}",
        key.principal.id, key.role, key.scope.id, row.grant.granted_by
    )
}
