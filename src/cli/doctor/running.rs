//! The state of a Humbaba that runs, by its own word.

use std::{path::Path, time::Duration};

use hyper::header::DATE;
use serde::Deserialize;

use super::{finding::DoctorFindings, policies::LoadedStores};
use crate::cli::{http_get::HttpPage, output::counted};

const RUNNING: &str = "running";

/// Problems of one store that are shown.
const SHOWN: usize = 5;

/// The answer of `/status`, as far as it is looked at.
#[derive(Debug, Deserialize)]
pub(super) struct RunningStatus {
    pub version: String,
    uptime_seconds: u64,
    serving: bool,
    source: String,
    folder_problem: Option<String>,
    watch_problem: Option<String>,
    stores: Vec<RunningStore>,
    directories: Vec<RunningDirectory>,
    decision_log: Option<RunningLog>,
    /// The clock of the process, as the head of the answer gives it.
    #[serde(skip)]
    pub date: Option<String>,
}

#[derive(Debug, Deserialize)]
struct RunningStore {
    name: String,
    revision: Option<String>,
    problems: Vec<StoreProblem>,
}

#[derive(Debug, Deserialize)]
struct StoreProblem {
    file: String,
    line: Option<usize>,
    column: Option<usize>,
    message: String,
}

#[derive(Debug, Deserialize)]
struct RunningDirectory {
    store: String,
    unavailable: Option<String>,
    problem: Option<String>,
    ignored: usize,
}

/// The decision log that it writes.
#[derive(Debug, Deserialize)]
struct RunningLog {
    destination: String,
}

impl RunningStatus {
    pub(super) fn read(page: HttpPage) -> Result<Self, String> {
        let status: Self = serde_json::from_str(&page.body)
            .map_err(|error| format!("`/status` is not that of a Humbaba: {error}"))?;
        Ok(Self { date: page.header(DATE).map(ToOwned::to_owned), ..status })
    }

    /// Returns whether it writes decision records to that file.
    pub(super) fn writes_records_to(&self, file: &Path) -> bool {
        let log = self.decision_log.as_ref();
        log.is_some_and(|log| log.destination == file.display().to_string())
    }
}

/// Reports the state of a running server, and compares it with the files of now.
pub(super) fn look(page: &RunningStatus, stores: &LoadedStores, findings: &mut DoctorFindings) {
    let up = Duration::from_secs(page.uptime_seconds);
    let serving = if page.serving { "it serves" } else { "it does not serve" };
    findings.ok(
        RUNNING,
        format!(
            "up for {up:?}, {serving} {} of {}",
            counted(page.stores.len(), "store", "stores"),
            page.source
        ),
    );
    let own = env!("CARGO_PKG_VERSION");
    if page.version != own {
        let message = format!("its version is {}, and that of this program {own}", page.version);
        findings.warning(RUNNING, message, "restart it, if it was to be updated");
    }
    if let Some(problem) = &page.folder_problem {
        let advice = "the last good state decides until the folder can be read";
        findings.problem(RUNNING, format!("it cannot use the policies folder: {problem}"), advice);
    }
    if let Some(problem) = &page.watch_problem {
        let advice = "changes are found when the folder is read anyway, after \
                      `reload.rehash_interval_s` at most";
        findings.warning(RUNNING, format!("it cannot watch the folder: {problem}"), advice);
    }
    page.stores.iter().for_each(|store| store.look(stores, findings));
    page.directories.iter().for_each(|directory| directory.look(findings));
}

impl RunningStore {
    fn look(&self, stores: &LoadedStores, findings: &mut DoctorFindings) {
        let Self { name, revision, problems } = self;
        let here = stores.iter().find(|(store, _)| store.as_str() == name);
        let here = here.map(|(_, store)| store.revision().to_string());
        if !problems.is_empty() {
            let mut lines = vec![match revision {
                Some(revision) => format!("it refused `{name}`, and decides with {revision} still"),
                None => format!("it refused `{name}`, which decides nothing"),
            }];
            lines.extend(problems.iter().take(SHOWN).map(StoreProblem::line));
            let advice = "mend the files; its log and `/status` have all of it";
            findings.problem(RUNNING, lines.join("\n"), advice);
            return;
        }
        match (revision, here) {
            (Some(revision), Some(here)) if *revision != here => findings.warning(
                RUNNING,
                format!("`{name}` is {revision} there, and the files here are {here}"),
                "does it read this folder? If so it takes them over within \
                 `reload.rehash_interval_s`",
            ),
            (Some(revision), _) => findings.ok(RUNNING, format!("`{name}`: revision {revision}")),
            (None, _) => {}
        }
    }
}

impl StoreProblem {
    fn line(&self) -> String {
        let Self { file, line, column, message } = self;
        match (line, column) {
            (Some(line), Some(column)) => format!("{file}:{line}:{column}: {message}"),
            _ => format!("{file}: {message}"),
        }
    }
}

impl RunningDirectory {
    fn look(&self, findings: &mut DoctorFindings) {
        let Self { store, unavailable, problem, ignored } = self;
        if let Some(why) = unavailable {
            let advice = "questions to the store are UNAVAILABLE until its directory is there";
            findings.problem(RUNNING, format!("the directory of `{store}`: {why}"), advice);
        } else if let Some(problem) = problem {
            let advice = "the last state decides, for `directory.max_age_s` at most";
            findings.warning(RUNNING, format!("the directory of `{store}`: {problem}"), advice);
        }
        if *ignored > 0 {
            let rows = counted(*ignored, "row grants", "rows grant");
            let advice = "`/status` names them with file and line";
            findings.warning(
                RUNNING,
                format!("the directory of `{store}`: {rows} nothing"),
                advice,
            );
        }
    }
}
