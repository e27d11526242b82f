//! `humbaba prove`: proofs about policies, with the solver cvc5.

use std::{fmt::Write as _, fs, path::PathBuf, sync::Arc, time::Duration};

use serde_json::json;

use super::{
    CliError, Exit, folder_at,
    output::{self, Format},
    progress::QuietFlag,
    prove_report::{ProofReport, human, human_id, human_witness, json_of, verdict},
    setting_flags::SettingFlags,
    stores,
};
use crate::{
    analysis,
    model::{Problem, StoreName},
    proofs::{self, Difference, Outcome, ProofOptions, Solver},
    settings::Settings,
    store::{PolicyStore, StoreFiles},
};

/// Differences of a kind that people are shown.
const SHOWN: usize = 3;

/// Prove policies for all requests, with the solver cvc5
///
/// No policy can fail, none is dead, none is without effect, and the invariants of `invariants/*.cedar`
/// hold: for every request there can be, not for those of the tests. What is refuted is shown by a request
/// that `humbaba check --record` asks again. With `--against`, instead: who may more, and who less,
/// than with an older state.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The solver is `cvc5` on the PATH, or what the variable CVC5 names (Debian and Ubuntu:
`apt-get install cvc5`).

Exit codes:
  0   everything is proved; with --against, nobody gains
  2   something is refuted or unknown; with --against, somebody gains, or may
  3   invalid policies or invariants
  64  no solver, or bad usage

Examples:
  humbaba prove policies/hitkeep
  humbaba prove policies --against git:main --witness gains.jsonl
  humbaba check --policies policies --record gains.jsonl --decision-id hitkeep-gain-1")]
pub(super) struct ProveArgs {
    /// Policies folders or folders of single stores [default: the stores that `serve` would load]
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Only the store of this name; may be given several times
    #[arg(long, value_name = "NAME")]
    store: Vec<StoreName>,
    /// Compare with this folder, or with git:REV[:PATH], a folder in a commit
    #[arg(long, value_name = "OLD")]
    against: Option<String>,
    /// Write the requests that refute something to this file, as decision records
    #[arg(long, value_name = "FILE")]
    witness: Option<PathBuf>,
    /// How long the solver may take for one question, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = ProofOptions::QUERY_TIMEOUT_S)]
    query_timeout: u64,
    /// The form of the report
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    #[command(flatten)]
    quiet: QuietFlag,
    #[command(flatten)]
    settings: SettingFlags,
}

pub(super) fn run(args: &ProveArgs) -> Result<Exit, CliError> {
    let settings = args.settings.settle(Vec::new())?.settings;
    let stores = stores::of_paths(&args.paths, &args.store, &settings)?;
    let solver = Solver::find().map_err(|error| CliError::Usage(error.to_string()))?;
    let timeout = Duration::from_secs(args.query_timeout.max(1));
    let options = ProofOptions {
        query_timeout: timeout,
        on_forbid_error: settings.on_forbid_error,
        ..ProofOptions::default()
    };
    let run = Run { args, settings: &settings, solver: &solver, options };
    let mut report = ProofReport::default();
    match &args.against {
        Some(old) => {
            let old = folder_at::stores(old, &usual_folder(args, &settings), &settings.bounds)?;
            run.compare(stores, old, &mut report)?;
        }
        None => {
            for files in stores {
                run.prove(files, &mut report)?;
            }
        }
    }
    if let Some(path) = &args.witness {
        let cannot = CliError::io(format!("cannot write `{}`", path.display()));
        fs::write(path, report.records.concat()).map_err(cannot)?;
    }
    if args.format == Format::Json {
        let solver = format!("cvc5 {}", solver.version());
        output::print_json(&json!({ "solver": solver, "stores": report.stores }))?;
    }
    Ok(report.exit)
}

/// The folder that is read where only a commit is named.
fn usual_folder(args: &ProveArgs, settings: &Settings) -> PathBuf {
    let named = args.paths.first().cloned().or_else(|| settings.policies.clone());
    named.unwrap_or_else(|| PathBuf::from("policies"))
}

struct Run<'a> {
    args: &'a ProveArgs,
    settings: &'a Settings,
    solver: &'a Solver,
    options: ProofOptions,
}

impl Run<'_> {
    fn is_human(&self) -> bool {
        self.args.format == Format::Human
    }

    fn prove(&self, files: StoreFiles, report: &mut ProofReport) -> Result<(), CliError> {
        let bounds = &self.settings.bounds;
        let name = files.name().clone();
        let loaded = PolicyStore::load(Arc::new(files), bounds).and_then(|store| {
            let invariants = analysis::read_invariants(&store, bounds)?;
            Ok((store, invariants))
        });
        let (store, invariants) = match loaded {
            Ok(loaded) => loaded,
            Err(problems) => return self.invalid(&name, &problems, report),
        };
        let progress = self.args.quiet.progress(format!("proving {name}"));
        let told = |done, all| progress.set(done, all);
        let proofs = proofs::prove(&store, &invariants, self.solver, &self.options, &told)
            .map_err(CliError::Failure)?;
        drop(progress);
        if !proofs.all_proved() {
            report.fails(Exit::Refused);
        }
        let mut witnesses = Vec::new();
        for proof in &proofs.proofs {
            witnesses.push(match &proof.outcome {
                Outcome::Refuted { witness: Some(witness), .. } => {
                    Some(report.witness(&store, "refuted", witness))
                }
                _ => None,
            });
        }
        if self.is_human() {
            let ids: Vec<_> = witnesses
                .iter()
                .map(|found| found.as_ref().map(|(id, _)| id.as_str()))
                .map(|id| id.filter(|_| self.args.witness.is_some()))
                .collect();
            output::print(&human(&proofs, &store, self.solver, &ids))?;
        }
        report.stores.push(json_of(&proofs, witnesses));
        Ok(())
    }

    fn invalid(
        &self,
        store: &StoreName,
        problems: &[Problem],
        report: &mut ProofReport,
    ) -> Result<(), CliError> {
        report.fails(Exit::InvalidPolicies);
        report.stores.push(json!({ "store": store, "problems": problems }));
        if self.is_human() {
            problems.iter().try_for_each(|problem| output::print(&problem.render()))?;
        }
        Ok(())
    }

    fn compare(
        &self,
        new: Vec<StoreFiles>,
        old: Vec<StoreFiles>,
        report: &mut ProofReport,
    ) -> Result<(), CliError> {
        // Two single stores are compared whatever they are called.
        let single = new.len() == 1 && old.len() == 1;
        let mut old: Vec<_> = old.into_iter().map(Some).collect();
        for files in new {
            let is_same = |one: &&mut Option<StoreFiles>| {
                one.as_ref().is_some_and(|one| single || one.name() == files.name())
            };
            let name = files.name().clone();
            let before = old.iter_mut().find(is_same).and_then(Option::take);
            let before = before.unwrap_or_else(|| empty(&files));
            let bounds = &self.settings.bounds;
            let load = |files| PolicyStore::load(Arc::new(files), bounds);
            let (before, after) = match (load(before), load(files)) {
                (Ok(before), Ok(after)) => (before, after),
                (before, after) => {
                    let problems = [before.err(), after.err()].into_iter().flatten().flatten();
                    self.invalid(&name, &problems.collect::<Vec<_>>(), report)?;
                    continue;
                }
            };
            self.compare_store(&before, &after, report)?;
        }
        let only_old = old.into_iter().flatten().map(|files| files.name().clone());
        let only_old =
            only_old.filter(|name| self.args.store.is_empty() || self.args.store.contains(name));
        for name in only_old {
            if self.is_human() {
                output::print(&format!("{name}: the store is gone, and all that it allowed\n"))?;
            }
            report.stores.push(json!({ "store": name, "gone": true }));
        }
        Ok(())
    }

    fn compare_store(
        &self,
        before: &PolicyStore,
        after: &PolicyStore,
        report: &mut ProofReport,
    ) -> Result<(), CliError> {
        let name = after.name();
        let progress = self.args.quiet.progress(format!("proving {name}"));
        let told = |done, all| progress.set(done, all);
        let comparison = proofs::compare(before, after, self.solver, &self.options, &told)
            .map_err(CliError::Failure)?;
        drop(progress);
        if !comparison.gains_nothing() {
            report.fails(Exit::Refused);
        }
        let mut text = format!("{name}: {}\n", verdict(&comparison));
        let sides = [
            ("gain", after, &comparison.gains, "now allowed"),
            ("loss", before, &comparison.losses, "no longer allowed"),
        ];
        let mut json = json!({
            "store": name,
            "old_revision": before.revision().as_str(),
            "new_revision": after.revision().as_str(),
            "equivalent": comparison.is_equivalent(),
            "unknown": comparison.unknown,
            "trust": comparison.trust,
        });
        for (kind, store, differences, words) in sides {
            let mut listed = Vec::new();
            for (index, difference) in differences.iter().enumerate() {
                let Difference { environment, count, witness } = difference;
                let mut told = String::new();
                let _ = write!(told, "  {kind}: {words} where {environment}");
                let more = count.saturating_sub(1);
                let _ = match more {
                    0 => writeln!(told),
                    more => writeln!(told, ", and {more} more like it"),
                };
                // A loss may have facts that only the new schema knows.
                let store = if witness.decide(store).is_ok() { store } else { after };
                let (id, record) = report.witness(store, kind, witness);
                human_witness(&mut told, witness);
                human_id(&mut told, self.args.witness.is_some().then_some(&*id));
                if index < SHOWN {
                    text.push_str(&told);
                }
                listed.push(json!({ "where": environment, "count": count, "witness": record }));
            }
            if let Some(more @ 1..) = differences.len().checked_sub(SHOWN) {
                let _ = writeln!(text, "  {kind}: {more} more, which `--format json` shows");
            }
            if let Some(json) = json.as_object_mut() {
                json.insert(if kind == "gain" { "gains" } else { "losses" }.into(), listed.into());
            }
        }
        for more in &comparison.trust {
            let _ = writeln!(text, "  gain: callers are understood otherwise: {more}");
        }
        for reason in &comparison.unknown {
            let _ = writeln!(text, "  unknown: {reason}");
        }
        report.stores.push(json);
        if self.is_human() { output::print(&text) } else { Ok(()) }
    }
}

/// A store that is not there yet: it allows nothing.
fn empty(new: &StoreFiles) -> StoreFiles {
    let is_schema =
        |path: &str| path.ends_with(".cedarschema") || path.ends_with(".cedarschema.json");
    let schema = new.iter().filter(|(path, _)| is_schema(path));
    let schema = schema.map(|(path, bytes)| (path.to_owned(), Arc::from(bytes)));
    StoreFiles::new(new.name().clone(), schema.collect::<Vec<_>>())
}
