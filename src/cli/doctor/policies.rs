//! The stores that would be served.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::finding::DoctorFindings;
use crate::{
    analysis,
    cli::{
        output::counted,
        serve::options::{gated_options, reload_options},
        source,
    },
    model::{Problem, StoreName},
    reload::{self, Gate, Live, Options, SlowGates, Source},
    settings::Settings,
    store::PolicyStore,
    testing,
};

/// Problems of one store that are shown.
const SHOWN: usize = 5;

const POLICIES: &str = "policies";

/// The stores that could be loaded.
pub(super) type LoadedStores = BTreeMap<StoreName, Arc<PolicyStore>>;

/// Loads the stores as `serve` does, but for proofs, and returns those that are valid.
pub(super) fn look(
    settings: &Settings,
    slow_gates: Option<&Arc<dyn SlowGates>>,
    timeout: Duration,
    findings: &mut DoctorFindings,
) -> LoadedStores {
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
    let loaded = load(POLICIES, source, gated_options(settings, None), timeout, findings);
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
    loaded.values().for_each(|store| nothing_to_judge(settings, store, findings));
    if let Some(gates) = slow_gates {
        loaded.values().for_each(|store| gate(gates, store, timeout, findings));
    }
    if let Some(folder) = &settings.shadow.folder {
        let source = Source::Folder(folder.clone());
        load("shadow", source, reload_options(settings), timeout, findings);
    }
    loaded
}

fn load(
    about: &'static str,
    source: Source,
    options: Options,
    timeout: Duration,
    findings: &mut DoctorFindings,
) -> LoadedStores {
    let load = move || {
        let live = Live::default();
        let loaded = reload::load(&source, &options, &live);
        (loaded, live)
    };
    let Some((loaded, live)) = findings.take(about, timeout, load) else {
        return LoadedStores::new();
    };
    let status = live.status();
    for file in &status.unread {
        let advice = "move it into the folder of a store";
        findings.warning(about, format!("`{file}` is not read"), advice);
    }
    for store in status.stores.iter().filter(|store| !store.problems.is_empty()) {
        refused(about, &store.name, &store.problems, findings);
    }
    match (loaded, &status.folder_problem) {
        (Err(error), _) => findings.error(about, format!("nothing to decide with: {error}")),
        (Ok(()), Some(problem)) => findings.error(about, problem.clone()),
        (Ok(()), None) => {}
    }
    let stores = live.stores();
    stores.iter().for_each(|store| valid(about, store, findings));
    stores.iter().map(|store| (store.name().clone(), Arc::clone(store))).collect()
}

/// Looks whether a gate refuses a store before anything is proved.
fn gate(
    gates: &Arc<dyn SlowGates>,
    store: &Arc<PolicyStore>,
    timeout: Duration,
    findings: &mut DoctorFindings,
) {
    let (gates, candidate) = (Arc::clone(gates), Arc::clone(store));
    let refusal = findings.take(POLICIES, timeout, move || gates.refuses_unproved(&candidate));
    if let Some(refusal) = refusal.flatten() {
        let name = store.name();
        let mut message = format!("`{name}` is refused at a start\n{}", refusal.problem);
        if let Some(help) = refusal.problem.help() {
            message.push_str(&format!("\n  {help}"));
        }
        let advice = "a Humbaba that has the store in force already goes on with it";
        findings.problem(POLICIES, message, advice);
    }
}

/// Warns of gates that let a store pass because it has nothing that they look at.
fn nothing_to_judge(settings: &Settings, store: &PolicyStore, findings: &mut DoctorFindings) {
    let has_none = |gate: &Gate| match gate {
        Gate::Tests => testing::cases(store).is_ok_and(|cases| cases.is_empty()),
        Gate::Invariants => {
            let invariants = analysis::read_invariants(store, &settings.bounds);
            invariants.is_ok_and(|invariants| invariants.is_empty())
        }
        Gate::NoGains => false,
    };
    for gate in settings.reload.require.iter().filter(|gate| has_none(gate)) {
        let message = format!("`{}`: {}", store.name(), gate.nothing_to_judge());
        let advice = "add some, or see that the folder and its files have the right names";
        findings.warning(POLICIES, message, advice);
    }
}

fn valid(about: &'static str, store: &PolicyStore, findings: &mut DoctorFindings) {
    let policies = counted(store.policies().policies().count(), "policy", "policies");
    let (name, revision) = (store.name(), store.revision());
    findings.ok(about, format!("`{name}` is valid: {policies}, revision {revision}"));
    let count = store.warnings().len();
    if count > 0 {
        let warnings = counted(count, "warning", "warnings");
        let advice = "`humbaba validate` shows them";
        findings.warning(about, format!("`{name}` has {warnings}"), advice);
    }
}

fn refused(
    about: &'static str,
    name: &StoreName,
    problems: &[Problem],
    findings: &mut DoctorFindings,
) {
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
