//! The state of the process as JSON.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use serde::Serialize;

use crate::{
    audit::LogCounts,
    model::{Problem, Revision, StoreName, Timestamp},
    net::{BearerTokens, tls::TlsStatus},
    reload::{LiveDirectory, LiveState, LoadStatus, StoreStatus},
    shadow::{ShadowComparison, ShadowCounts, ShadowStatus},
};

/// The answer of `/status`.
#[derive(Debug, Serialize)]
pub(super) struct StatusPage<'a> {
    version: &'static str,
    uptime_seconds: u64,
    /// Calls are answered.
    serving: bool,
    /// Everything that was found is in force, and every directory decides.
    clean: bool,
    source: &'a str,
    last_attempt: Option<String>,
    last_change: Option<String>,
    reloads: u64,
    failures: u64,
    folder_problem: Option<&'a str>,
    unread: &'a [String],
    watch_problem: Option<&'a str>,
    /// Null where decisions are not recorded.
    decision_log: Option<LogCounts>,
    stores: Vec<StorePart<'a>>,
    directories: Vec<DirectoryStatus<'a>>,
    tls: Option<CertificateState>,
    tokens: Vec<TokensState>,
    /// Null where no shadow decisions are made.
    shadow: Option<ShadowPart<'a>>,
    /// The settings without secrets; null where they are not known.
    settings: Option<&'a serde_json::Value>,
}

#[derive(Debug, Serialize)]
struct DirectoryStatus<'a> {
    store: &'a StoreName,
    source: &'a str,
    /// Null before the first state.
    version: Option<String>,
    assignments: usize,
    entities: usize,
    /// Rows that do not fit the schema, and grant nothing.
    ignored: usize,
    age_seconds: u64,
    /// Why the store decides nothing; null where it decides.
    unavailable: Option<String>,
    problem: Option<&'a str>,
    row_problems: &'a [String],
}

#[derive(Debug, Serialize)]
struct ShadowPart<'a> {
    source: &'a str,
    folder_problem: Option<&'a str>,
    unread: &'a [String],
    watch_problem: Option<&'a str>,
    stores: Vec<StorePart<'a>>,
    #[serde(flatten)]
    counts: ShadowCounts,
    comparisons: &'a [ShadowComparison],
}

#[derive(Debug, Serialize)]
struct CertificateState {
    loaded_at: String,
    expires: String,
    client_ca_expires: Option<String>,
    reloads: u64,
    failures: u64,
    problem: Option<String>,
}

/// The tokens whose file a setting names.
#[derive(Debug, Serialize)]
struct TokensState {
    setting: &'static str,
    /// Tokens that count: more than one during a rotation.
    count: usize,
    /// Why the file as it is now is refused; null where it is not.
    problem: Option<Arc<String>>,
}

#[derive(Debug, Serialize)]
struct StorePart<'a> {
    name: &'a StoreName,
    revision: Option<&'a Revision>,
    loaded_at: Option<String>,
    policies: usize,
    /// True while a solver judges the files as they are now.
    proving: bool,
    /// When the solver began; null while none judges them.
    proving_since: Option<String>,
    problems: Vec<RenderedProblem<'a>>,
    warnings: Vec<RenderedProblem<'a>>,
}

#[derive(Debug, Serialize)]
struct RenderedProblem<'a> {
    #[serde(flatten)]
    problem: &'a Problem,
    rendered: String,
}

impl<'a> StatusPage<'a> {
    pub fn new(
        status: &'a LoadStatus,
        live: &'a LiveState,
        tls: Option<&TlsStatus>,
        serving: bool,
        uptime: Duration,
        decision_log: Option<LogCounts>,
        shadow: Option<&'a ShadowStatus>,
    ) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION"),
            uptime_seconds: uptime.as_secs(),
            serving,
            clean: status.is_clean() && live.directories_decide(),
            source: &status.source,
            last_attempt: status.last_attempt.map(text),
            last_change: status.last_change.map(text),
            reloads: status.reloads,
            failures: status.failures,
            folder_problem: status.folder_problem.as_deref(),
            unread: &status.unread,
            watch_problem: status.watch_problem.as_deref(),
            decision_log,
            stores: status.stores.iter().map(StorePart::new).collect(),
            directories: live.directories.iter().map(DirectoryStatus::new).collect(),
            tls: tls.map(CertificateState::new),
            shadow: shadow.map(ShadowPart::new),
            tokens: Vec::new(),
            settings: None,
        }
    }

    pub fn with_tokens<'t>(
        mut self,
        tokens: impl Iterator<Item = (&'static str, &'t BearerTokens)>,
    ) -> Self {
        let state = |(setting, tokens): (_, &BearerTokens)| TokensState {
            setting,
            count: tokens.count(),
            problem: tokens.problem(),
        };
        self.tokens = tokens.map(state).collect();
        self
    }

    pub fn with_settings(mut self, settings: &'a serde_json::Value) -> Self {
        self.settings = Some(settings);
        self
    }
}

impl<'a> ShadowPart<'a> {
    fn new(shadow: &'a ShadowStatus) -> Self {
        let candidate = &shadow.candidate;
        Self {
            source: &candidate.source,
            folder_problem: candidate.folder_problem.as_deref(),
            unread: &candidate.unread,
            watch_problem: candidate.watch_problem.as_deref(),
            stores: candidate.stores.iter().map(StorePart::new).collect(),
            counts: shadow.counts,
            comparisons: &shadow.comparisons,
        }
    }
}

impl<'a> DirectoryStatus<'a> {
    fn new((store, live): (&'a StoreName, &'a LiveDirectory)) -> Self {
        let counts = live.state.as_ref().map(|state| state.directory.counts()).unwrap_or_default();
        Self {
            store,
            source: &live.source,
            version: live.state.as_ref().map(|state| state.version.to_string()),
            assignments: counts.assignments,
            entities: counts.entities,
            ignored: counts.ignored + live.rows.left_out,
            age_seconds: live.age().as_secs(),
            unavailable: live.deciding().err().map(|error| error.to_string()),
            problem: live.problem.as_deref(),
            row_problems: &live.rows.problems,
        }
    }
}

impl CertificateState {
    fn new(tls: &TlsStatus) -> Self {
        let client_ca_expires = tls.client_ca_expires.map(Timestamp::from_seconds);
        Self {
            loaded_at: text(tls.loaded_at),
            expires: Timestamp::from_seconds(tls.expires).to_string(),
            client_ca_expires: client_ca_expires.map(|moment| moment.to_string()),
            reloads: tls.reloads,
            failures: tls.failures,
            problem: tls.problem.clone(),
        }
    }
}

impl<'a> StorePart<'a> {
    fn new(store: &'a StoreStatus) -> Self {
        Self {
            name: &store.name,
            revision: store.revision.as_ref(),
            loaded_at: store.loaded_at.map(text),
            policies: store.policies,
            proving: store.proving_since.is_some(),
            proving_since: store.proving_since.map(text),
            problems: store.problems.iter().map(RenderedProblem::new).collect(),
            warnings: store.warnings.iter().map(RenderedProblem::new).collect(),
        }
    }
}

impl<'a> RenderedProblem<'a> {
    fn new(problem: &'a Problem) -> Self {
        Self { problem, rendered: problem.render() }
    }
}

/// Returns a moment as text.
pub(super) fn text(time: SystemTime) -> String {
    let elapsed = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::after_1970(elapsed).to_string()
}
