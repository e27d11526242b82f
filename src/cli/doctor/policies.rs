//! The stores that would be served.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::finding::Findings;
use crate::{
    cli::{CliError, output::counted, source},
    model::{Problem, StoreName},
    reload::{FolderStores, Gate, Source},
    settings::Settings,
    store::PolicyStore,
    testing,
};

/// Problems of one store that are shown.
const SHOWN: usize = 5;

const POLICIES: &str = "policies";

/// The stores that could be loaded.
pub(super) type Loaded = BTreeMap<StoreName, Arc<PolicyStore>>;

/// The result of reading a folder: each store, or what is wrong with it.
struct Read {
    stores: Vec<(StoreName, Result<PolicyStore, Vec<Problem>>)>,
    errors: Vec<String>,
    unread: Vec<String>,
}

/// Loads the stores as `serve` would, and returns those that are valid.
pub(super) fn look(settings: &Arc<Settings>, timeout: Duration, findings: &mut Findings) -> Loaded {
    let source = source::source(settings);
    match &source {
        Source::Folder(folder) => findings.ok(POLICIES, format!("from `{}`", folder.display())),
        Source::Embedded => findings.warning(
            POLICIES,
            "the built-in stores, which are for trying out, because no folder is named and there \
             is no `./policies`",
            "name a folder with `--policies` or the setting `policies`",
        ),
    }
    let loaded = of_source(POLICIES, source, settings, timeout, findings);
    if let Some(name) = &settings.default_store
        && !loaded.contains_key(name)
    {
        let there_are: Vec<_> = loaded.keys().map(StoreName::as_str).collect();
        findings.problem(
            POLICIES,
            format!("the default store `{name}` is not among the valid ones"),
            format!("`default_store` must name one of them: {}", there_are.join(", ")),
        );
    }
    if settings.reload.require.contains(&Gate::Tests) {
        loaded.values().for_each(|store| tests(store, timeout, findings));
    }
    if let Some(folder) = &settings.shadow.folder {
        let source = Source::Folder(folder.clone());
        of_source("shadow", source, settings, timeout, findings);
    }
    loaded
}

fn of_source(
    about: &'static str,
    source: Source,
    settings: &Arc<Settings>,
    timeout: Duration,
    findings: &mut Findings,
) -> Loaded {
    let bounded = Arc::clone(settings);
    let read = findings.take(about, timeout, move || read(&source, &bounded));
    let Read { stores, errors, unread } = match read {
        Some(Ok(read)) => read,
        Some(Err(error)) => {
            findings.error(about, error.to_string());
            return Loaded::new();
        }
        None => return Loaded::new(),
    };
    errors.into_iter().for_each(|error| findings.error(about, error));
    for file in unread {
        let advice = "move it into the folder of a store";
        findings.warning(about, format!("`{file}` is not read"), advice);
    }
    let mut loaded = Loaded::new();
    for (name, store) in stores {
        match store {
            Ok(store) => {
                valid(about, &store, settings, findings);
                loaded.insert(name, Arc::new(store));
            }
            Err(problems) => refused(about, &name, &problems, findings),
        }
    }
    loaded
}

fn read(source: &Source, settings: &Settings) -> Result<Read, CliError> {
    let FolderStores { stores, errors, unread, .. } = source::read(source, &settings.bounds)?;
    let load = |files| PolicyStore::load(Arc::new(files), &settings.bounds);
    Ok(Read {
        stores: stores.into_iter().map(|files| (files.name().clone(), load(files))).collect(),
        errors: errors.iter().map(ToString::to_string).collect(),
        unread,
    })
}

fn valid(about: &'static str, store: &PolicyStore, settings: &Settings, findings: &mut Findings) {
    let policies = counted(store.policies().policies().count(), "policy", "policies");
    let (name, revision) = (store.name(), store.revision());
    findings.ok(about, format!("`{name}` is valid: {policies}, revision {revision}"));
    let (count, advice) = (store.warnings().len(), "`humbaba validate` shows them");
    let warnings = counted(count, "warning", "warnings");
    if count > 0 && settings.reload.deny_warnings {
        let message = format!("`{name}` has {warnings}, and `reload.deny_warnings` refuses it");
        findings.problem(about, message, advice);
    } else if count > 0 {
        findings.warning(about, format!("`{name}` has {warnings}"), advice);
    }
}

fn refused(about: &'static str, name: &StoreName, problems: &[Problem], findings: &mut Findings) {
    let mut lines = vec![format!("`{name}` is refused")];
    for problem in problems.iter().take(SHOWN) {
        lines.push(problem.to_string());
        lines.extend(problem.help().map(|help| format!("  {help}")));
    }
    let more = problems.len().saturating_sub(SHOWN);
    if more > 0 {
        lines.push(format!("and {more} more"));
    }
    let advice = "`humbaba validate` shows the places; a running Humbaba keeps the last good state";
    findings.problem(about, lines.join("\n"), advice);
}

/// Runs the tests of a store, which the gate `tests` would.
fn tests(store: &Arc<PolicyStore>, timeout: Duration, findings: &mut Findings) {
    let (name, store) = (store.name().clone(), Arc::clone(store));
    let advice = "`humbaba test` shows them";
    match findings.take(POLICIES, timeout, move || testing::run(&store)) {
        Some(Ok(report)) if report.failed() == 0 => {
            findings.ok(POLICIES, format!("the tests of `{name}` pass, as `reload.require` asks"));
        }
        Some(Ok(report)) => {
            let failed = counted(report.failed(), "test fails", "tests fail");
            let message = format!("{failed} of `{name}`, and `reload.require` refuses it");
            findings.problem(POLICIES, message, advice);
        }
        Some(Err(problems)) => {
            let problems = counted(problems.len(), "problem", "problems");
            let message = format!("the tests of `{name}` cannot be run: {problems}");
            findings.problem(POLICIES, message, advice);
        }
        None => {}
    }
}
