//! `humbaba watch`: validates and tests policy stores after each change.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    io::{self, IsTerminal as _},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use tokio::signal::unix::{SignalKind, signal};

use super::{CliError, Exit, diff_report, matrix, output, setting_flags::SettingFlags};
use crate::{
    analysis,
    model::{OnForbidError, Problem, StoreName},
    reload::{FolderError, FolderStores, WatchFolder},
    store::{Bounds, PolicyStore, StoreFiles},
    testing::{self, TestReport},
};

/// Time after which the folder is read even without an event.
const INTERVAL: Duration = Duration::from_secs(1);
/// Failed cases that are shown: a changed policy may fail hundreds.
const FAILURES: usize = 5;
/// Moves to the top left corner of a terminal and clears what is below.
const CLEAR: &str = "\x1b[H\x1b[2J";

/// Validate and test policy stores on each save, and show what changes
///
/// Watches a folder while you edit. On each save the stores that changed are validated and their
/// tests run, and the cells of the matrix that are others than when the watch began are shown, in
/// words: who gains what, who loses what. Ctrl-C ends it.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  humbaba watch ./policies/hitkeep")]
pub(super) struct WatchArgs {
    /// A policies folder or the folder of a single store
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    #[command(flatten)]
    settings: SettingFlags,
}

pub(super) fn run(args: &WatchArgs) -> Result<Exit, CliError> {
    let settings = args.settings.settle(Vec::new())?.settings;
    let watch = WatchFolder {
        path: args.folder.clone(),
        bounds: settings.bounds.clone(),
        settle: settings.reload.settle,
        interval: INTERVAL,
    };
    let mut watched = Watched::new(settings.bounds, settings.on_forbid_error);
    let is_terminal = io::stdout().is_terminal();
    let watching = watch.start(move |read| {
        let Some(text) = watched.look(read) else { return };
        let begin = if is_terminal { CLEAR } else { "" };
        // Nobody is left to read an error.
        let _ = output::print(&format!("{begin}{text}\n"));
    });
    let watching = watching.map_err(CliError::io("cannot watch the folder"))?;
    until_ended().map_err(CliError::io("cannot wait for Ctrl-C"))?;
    drop(watching);
    Ok(Exit::Ok)
}

/// Waits for SIGINT or SIGTERM.
fn until_ended() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        Ok(())
    })
}

/// The stores of a folder that is being watched.
struct Watched {
    bounds: Bounds,
    on_forbid_error: OnForbidError,
    /// The first valid state of each store, with which later ones are compared.
    first: BTreeMap<StoreName, PolicyStore>,
    /// The state seen last: a digest of each store, and the errors of the rest.
    last: Option<(BTreeMap<StoreName, String>, String)>,
}

impl Watched {
    fn new(bounds: Bounds, on_forbid_error: OnForbidError) -> Self {
        Self { bounds, on_forbid_error, first: BTreeMap::new(), last: None }
    }

    /// Returns the report on a folder; `None` if nothing has changed.
    fn look(&mut self, read: Result<FolderStores, FolderError>) -> Option<String> {
        let (stores, errors) = match read {
            Ok(read) => (read.stores, read.errors),
            Err(error) => (Vec::new(), vec![error]),
        };
        let errors: String = errors.iter().map(|error| format!("error: {error}\n")).collect();
        let digests: BTreeMap<_, _> =
            stores.iter().map(|files| (files.name().clone(), files.digest())).collect();
        let now = (digests, errors);
        if self.last.as_ref() == Some(&now) {
            return None;
        }
        let (before, _) = self.last.take().unwrap_or_default();
        let mut text = now.1.clone();
        for files in stores {
            if before.get(files.name()) != now.0.get(files.name()) {
                text.push_str(&self.store(files));
            }
        }
        for name in before.keys().filter(|name| !now.0.contains_key(*name)) {
            let _ = writeln!(text, "gone     {name}");
        }
        self.last = Some(now);
        Some(text)
    }

    /// Validates and tests a store, and tells how it differs from its first state.
    fn store(&mut self, files: StoreFiles) -> String {
        let name = files.name().clone();
        let store = match PolicyStore::load(Arc::new(files), &self.bounds) {
            Ok(store) => store,
            Err(problems) => return invalid(&name, &problems),
        };
        let mut text = String::new();
        for warning in store.warnings() {
            let _ = writeln!(text, "{}", warning.render().trim_end());
        }
        match testing::run(&store) {
            Err(problems) => return text + &invalid(&name, &problems),
            Ok(report) if report.failed() == 0 => {
                let policies = store.policies().policies().count();
                let _ = writeln!(
                    text,
                    "ok       {name}: {}, {} pass",
                    output::counted(policies, "policy", "policies"),
                    output::counted(report.results.len(), "case", "cases"),
                );
            }
            Ok(report) => {
                text.push_str(&first_failures(&report));
                let failed = output::counted(report.failed(), "case fails", "cases fail");
                let _ = writeln!(text, "failed   {name}: {failed}");
            }
        }
        match self.first.get(&name) {
            Some(first) => text.push_str(&changed_cells(first, &store, self.on_forbid_error)),
            None => drop(self.first.insert(name, store)),
        }
        text
    }
}

fn first_failures(report: &TestReport) -> String {
    let mut text = String::new();
    for (case, failure) in report.failures().take(FAILURES) {
        let _ = writeln!(text, "✗ {}:{} {}: {}", case.file, case.line, case.name, failure.reason);
    }
    if let Some(more @ 1..) = report.failed().checked_sub(FAILURES) {
        let _ = writeln!(text, "✗ {more} more, which `humbaba test` shows");
    }
    text
}

fn invalid(name: &StoreName, problems: &[Problem]) -> String {
    let mut text = String::new();
    for problem in problems {
        let _ = writeln!(text, "{}", problem.render().trim_end());
    }
    let problems = output::counted(problems.len(), "problem", "problems");
    let _ = writeln!(text, "invalid  {name}: {problems}");
    text
}

/// Writes who gains and who loses what between two states of a store.
fn changed_cells(
    first: &PolicyStore,
    store: &PolicyStore,
    on_forbid_error: OnForbidError,
) -> String {
    let found = match analysis::diff(first, store, on_forbid_error) {
        Ok(found) => found,
        Err(error) => return format!("{}\n", matrix::cannot(store, error)),
    };
    let mut text = "since the watch began:\n".to_owned();
    for (_, sentence, _) in diff_report::sentences(&found) {
        let _ = writeln!(text, "  {sentence}");
    }
    for line in diff_report::not_known(&found) {
        let _ = writeln!(text, "  {line}");
    }
    let _ = writeln!(text, "  {}", diff_report::summary(&found));
    text
}
