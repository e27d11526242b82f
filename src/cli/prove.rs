//! `humbaba prove`: proofs about policies, with the solver cvc5.

use std::{collections::BTreeMap, fmt::Write as _, fs, path::PathBuf, sync::Arc, time::Duration};

use serde_json::{Value as Json, json};

use super::{
    CliError, Exit, folder_at,
    output::{self, Format},
    progress::QuietFlag,
    setting_flags::SettingFlags,
    stores,
};
use crate::{
    analysis::{self, Witness},
    model::{Problem, StoreName},
    proofs::{
        self, Check, Comparison, Difference, Outcome, Proof, ProofOptions, Solver, StoreProofs,
    },
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
    #[arg(long, value_name = "SECONDS", default_value_t = 20)]
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
    let options = ProofOptions { query_timeout: timeout, ..ProofOptions::default() };
    let run = Run { args, settings: &settings, solver: &solver, options };
    let mut report = Report::default();
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

/// The folder that is meant where only a commit is named.
fn usual_folder(args: &ProveArgs, settings: &Settings) -> PathBuf {
    let named = args.paths.first().cloned().or_else(|| settings.policies.clone());
    named.unwrap_or_else(|| PathBuf::from("policies"))
}

/// The message at the end.
struct Report {
    stores: Vec<Json>,
    /// The lines of the file of witnesses.
    records: Vec<String>,
    exit: Exit,
}

impl Default for Report {
    fn default() -> Self {
        Self { stores: Vec::new(), records: Vec::new(), exit: Exit::Ok }
    }
}

impl Report {
    fn fails(&mut self, exit: Exit) {
        if self.exit != Exit::InvalidPolicies {
            self.exit = exit;
        }
    }

    /// Keeps a witness for the file and returns its id and record.
    fn witness(&mut self, store: &PolicyStore, kind: &str, witness: &Witness) -> (String, Json) {
        let prefix = format!("{}-{kind}-", store.name());
        let count = self.records.iter().filter(|record| record.contains(&prefix)).count();
        let id = format!("{prefix}{}", count + 1);
        let record = witness.record(store, &id).unwrap_or_default();
        let json = serde_json::from_str(&record).unwrap_or_default();
        self.records.push(format!("{record}\n"));
        (id, json)
    }
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

    fn prove(&self, files: StoreFiles, report: &mut Report) -> Result<(), CliError> {
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
            output::print(&self.human(&proofs, &store, &witnesses))?;
        }
        report.stores.push(json_of(&proofs, witnesses));
        Ok(())
    }

    fn invalid(
        &self,
        store: &StoreName,
        problems: &[Problem],
        report: &mut Report,
    ) -> Result<(), CliError> {
        report.fails(Exit::InvalidPolicies);
        report.stores.push(json!({ "store": store, "problems": problems }));
        if self.is_human() {
            problems.iter().try_for_each(|problem| output::print(&problem.render()))?;
        }
        Ok(())
    }

    fn human(
        &self,
        proofs: &StoreProofs,
        store: &PolicyStore,
        witnesses: &[Option<(String, Json)>],
    ) -> String {
        let mut text = format!(
            "{}: {} policies, {} kinds of requests, cvc5 {}\n",
            proofs.store,
            proofs.policies,
            proofs.environments,
            self.solver.version()
        );
        // Proofs of the same kind about all policies are told in one line.
        let mut of_all: BTreeMap<usize, (&str, bool)> = BTreeMap::new();
        for proof in &proofs.proofs {
            if let Some((place, words)) = of_all_policies(&proof.check) {
                let (_, proved) = of_all.entry(place).or_insert((words, true));
                *proved &= matches!(proof.outcome, Outcome::Proved);
            }
        }
        for (words, _) in of_all.into_values().filter(|(_, proved)| *proved) {
            let _ = writeln!(text, "  proved   {words}");
        }
        for (proof, witness) in proofs.proofs.iter().zip(witnesses) {
            let id = witness.as_ref().map(|(id, _)| id.as_str());
            human_proof(&mut text, proof, store, id.filter(|_| self.args.witness.is_some()));
        }
        text
    }

    fn compare(
        &self,
        new: Vec<StoreFiles>,
        old: Vec<StoreFiles>,
        report: &mut Report,
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
        report: &mut Report,
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
                let found = witness.as_ref().map(|witness| {
                    let (id, record) = report.witness(store, kind, witness);
                    let id = self.args.witness.is_some().then_some(id);
                    human_witness(&mut told, witness);
                    human_id(&mut told, id.as_deref());
                    record
                });
                if found.is_none() {
                    told.push_str("    of the solver's example no request could be made\n");
                }
                if index < SHOWN {
                    text.push_str(&told);
                }
                listed.push(json!({ "where": environment, "count": count, "witness": found }));
            }
            if let Some(more @ 1..) = differences.len().checked_sub(SHOWN) {
                let _ = writeln!(text, "  {kind}: {more} more, which `--format json` shows");
            }
            if let Some(json) = json.as_object_mut() {
                json.insert(if kind == "gain" { "gains" } else { "losses" }.into(), listed.into());
            }
        }
        for more in &comparison.trust {
            let _ = writeln!(text, "  gain: callers are believed more: {more}");
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

fn verdict(comparison: &Comparison) -> &'static str {
    let no_gain = comparison.gains.is_empty() && comparison.trust.is_empty();
    match (no_gain, comparison.losses.is_empty()) {
        (false, _) if !comparison.unknown.is_empty() => {
            "MORE PERMISSIVE: somebody gains, and not everything can be compared"
        }
        _ if !comparison.unknown.is_empty() => "UNKNOWN: not everything can be compared",
        (true, true) => "equivalent: every request is decided as before",
        (true, false) => "less permissive: nobody gains",
        (false, true) => "MORE PERMISSIVE: somebody gains, and nobody loses",
        (false, false) => "MORE AND LESS PERMISSIVE: somebody gains, and somebody loses",
    }
}

/// The words for a check that is told of all policies together, and its place among them.
fn of_all_policies(check: &Check) -> Option<(usize, &'static str)> {
    match check {
        Check::NeverFails(_) => Some((0, "no policy can fail")),
        Check::Applies(_) => Some((1, "every policy applies to some request")),
        Check::ConditionMatters(_) => Some((2, "no condition always holds")),
        Check::Decides(_) => Some((3, "without any one policy, some decision changes")),
        Check::Holds(_) => None,
    }
}

fn words(check: &Check) -> String {
    match check {
        Check::NeverFails(policy) => format!("`{policy}` never fails"),
        Check::Applies(policy) => format!("`{policy}` applies to some request"),
        Check::ConditionMatters(policy) => format!("the condition of `{policy}` matters"),
        Check::Decides(policy) => format!("without `{policy}` some decision changes"),
        Check::Holds(invariant) => {
            format!("{} {}: {}", invariant.claim.as_str(), invariant.id, invariant.text)
        }
    }
}

fn human_proof(text: &mut String, proof: &Proof, store: &PolicyStore, id: Option<&str>) {
    let is_invariant = matches!(proof.check, Check::Holds(_));
    let _ = match &proof.outcome {
        // The others are told together.
        Outcome::Proved if !is_invariant => Ok(()),
        Outcome::Proved => writeln!(text, "  proved   {}", words(&proof.check)),
        Outcome::Unknown(reason) => {
            writeln!(text, "  UNKNOWN  {}\n    {reason}", words(&proof.check))
        }
        Outcome::Refuted { message, .. } if proof.fails() => {
            writeln!(text, "  REFUTED  {}\n    {message}", words(&proof.check))
        }
        // The message says it in a sentence of its own.
        Outcome::Refuted { message, .. } => writeln!(text, "  note     {message}"),
    };
    if let Outcome::Refuted { witness: Some(witness), .. } = &proof.outcome {
        human_witness(text, witness);
        if let Ok(decision) = witness.decide(store) {
            for policy in &decision.determining {
                let _ = writeln!(text, "    by {}", policy.id());
            }
        }
        human_id(text, id);
    }
}

fn human_witness(text: &mut String, witness: &Witness) {
    for line in witness.to_string().lines() {
        let _ = writeln!(text, "    {line}");
    }
}

/// Says how the request is found in the file of witnesses.
fn human_id(text: &mut String, id: Option<&str>) {
    if let Some(id) = id {
        let _ = writeln!(text, "    --decision-id {id}");
    }
}

fn json_of(proofs: &StoreProofs, witnesses: Vec<Option<(String, Json)>>) -> Json {
    let each = proofs.proofs.iter().zip(witnesses).map(|(proof, witness)| {
        let (check, subject) = match &proof.check {
            Check::NeverFails(policy) => ("never_fails", policy),
            Check::Applies(policy) => ("applies", policy),
            Check::ConditionMatters(policy) => ("condition_matters", policy),
            Check::Decides(policy) => ("decides", policy),
            Check::Holds(invariant) => (invariant.claim.as_str(), &invariant.id),
        };
        let (outcome, message) = match &proof.outcome {
            Outcome::Proved => ("proved", None),
            Outcome::Refuted { message, .. } => ("refuted", Some(message)),
            Outcome::Unknown(reason) => ("unknown", Some(reason)),
        };
        let text = match &proof.check {
            Check::Holds(invariant) => Some(&invariant.text),
            _ => None,
        };
        let witness = witness.map(|(_, record)| record);
        json!({ "check": check, "id": subject, "text": text, "outcome": outcome,
                "message": message, "witness": witness })
    });
    json!({
        "store": proofs.store,
        "revision": proofs.revision.as_str(),
        "policies": proofs.policies,
        "environments": proofs.environments,
        "all_proved": proofs.all_proved(),
        "proofs": each.collect::<Vec<_>>(),
    })
}
