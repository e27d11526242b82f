//! The gates that take a solver: `invariants` and `no-gains`.

use std::{
    num::NonZeroUsize,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio_util::sync::CancellationToken;

use super::{
    Check, Difference, KeptStores, Outcome, Proof, ProofOptions, Solver, compare_gains, hold,
};
use crate::{
    analysis::{Witness, read_invariants},
    model::Problem,
    reload::{self, Gate, GateRefusal, SlowGates},
    store::{APPROVED_GAINS, Bounds, PolicyStore, approved_steps},
};

/// Gains that a refusal tells.
const TOLD: usize = 5;

/// The gates that take a solver.
#[derive(Debug)]
pub struct SolverGates {
    /// The solver.
    pub solver: Solver,
    /// The invariants of a store must be proved.
    pub invariants: bool,
    /// Nobody may gain.
    pub no_gains: bool,
    /// Time that one store may take.
    pub timeout: Duration,
    /// Bounds on what is read.
    pub bounds: Bounds,
    /// The folder with which a store is compared that is not in force yet.
    pub baseline: Option<PathBuf>,
    /// The stores as they were last in force, where there is no such folder.
    pub kept: Option<KeptStores>,
    /// Take a store as it is that is not in force yet and that neither of them has.
    pub trust_first: bool,
}

/// Solvers that prove at once beside a server: each takes about 55 MiB.
const SOLVERS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(1);

impl SlowGates for SolverGates {
    fn gates(&self) -> Vec<Gate> {
        let wanted = [(self.invariants, Gate::Invariants), (self.no_gains, Gate::NoGains)];
        wanted.into_iter().filter_map(|(is_wanted, gate)| is_wanted.then_some(gate)).collect()
    }

    fn judge(
        &self,
        candidate: &PolicyStore,
        in_force: Option<&PolicyStore>,
        cancelled: &CancellationToken,
    ) -> Vec<GateRefusal> {
        let options = ProofOptions {
            deadline: Instant::now().checked_add(self.timeout),
            cancelled: cancelled.clone(),
            solvers: SOLVERS.min(ProofOptions::default().solvers),
            ..ProofOptions::default()
        };
        let mut refusals = Vec::new();
        let mut refuse = |gate, problems: Vec<Problem>| {
            let of_gate = problems.into_iter().map(|problem| GateRefusal { gate, problem });
            refusals.extend(of_gate);
        };
        if self.invariants {
            refuse(Gate::Invariants, self.broken_invariants(candidate, &options));
        }
        if self.no_gains {
            refuse(Gate::NoGains, self.gains(candidate, in_force, &options));
        }
        refusals
    }
}

impl SolverGates {
    fn broken_invariants(&self, store: &PolicyStore, options: &ProofOptions) -> Vec<Problem> {
        let invariants = match read_invariants(store, &self.bounds) {
            Ok(invariants) => invariants,
            Err(problems) => return problems,
        };
        if invariants.is_empty() {
            return Vec::new();
        }
        let proofs = match hold(store, &invariants, &self.solver, options) {
            Ok(proofs) => proofs,
            Err(error) => return vec![not_passed(store, Gate::Invariants, &error)],
        };
        let failing = proofs.proofs.iter().filter(|proof| proof.fails());
        failing.filter_map(|proof| broken(store, proof)).collect()
    }

    fn gains(
        &self,
        candidate: &PolicyStore,
        in_force: Option<&PolicyStore>,
        options: &ProofOptions,
    ) -> Vec<Problem> {
        let baseline = match in_force {
            Some(_) => Ok(None),
            None => self.baseline(candidate),
        };
        let baseline = match baseline {
            Ok(baseline) => baseline,
            Err(message) => return vec![not_passed(candidate, Gate::NoGains, &message)],
        };
        let Some(old) = in_force.or(baseline.as_ref()) else {
            if self.trust_first {
                return Vec::new();
            }
            let message = "there is nothing to compare the store with";
            let help = "name a folder with `reload.baseline`, keep what is in force with `data`, or set \
                        `reload.first = \"trust\"`";
            return vec![not_passed(candidate, Gate::NoGains, message).with_help(help)];
        };
        if old.revision() == candidate.revision() || reload::only_narrows(candidate, old) {
            return Vec::new();
        }
        match is_approved(old, candidate) {
            Ok(true) => return Vec::new(),
            Ok(false) => {}
            Err(problem) => return vec![*problem],
        }
        let comparison = match compare_gains(old, candidate, &self.solver, options) {
            Ok(comparison) => comparison,
            Err(error) => return vec![not_passed(candidate, Gate::NoGains, &error)],
        };
        let told = comparison.gains.iter().take(TOLD);
        let mut problems: Vec<_> = told.map(|gain| gained(candidate, old, gain)).collect();
        if let Some(more @ 1..) = comparison.gains.len().checked_sub(TOLD) {
            problems.push(not_passed(candidate, Gate::NoGains, &format!("{more} gains more")));
        }
        let unknown = comparison.unknown.iter().take(TOLD);
        problems.extend(unknown.map(|reason| not_passed(candidate, Gate::NoGains, reason)));
        problems
    }

    /// Loads the state with which a store is compared that is not in force yet, if there is one.
    fn baseline(&self, candidate: &PolicyStore) -> Result<Option<PolicyStore>, String> {
        let Some(folder) = &self.baseline else {
            let Some(kept) = &self.kept else { return Ok(None) };
            let read = kept.read(candidate.name(), &self.bounds);
            return read
                .map_err(|error| format!("the state that was in force cannot be read: {error}"));
        };
        let stores = reload::read_folder_within(folder, &self.bounds);
        let stores = stores.map_err(|error| format!("the baseline cannot be read: {error}"))?;
        let files = stores.into_iter().find(|files| files.name() == candidate.name());
        let Some(files) = files else { return Ok(None) };
        let store = PolicyStore::load(Arc::new(files), &self.bounds).map_err(|problems| {
            let first = problems.first().map(ToString::to_string).unwrap_or_default();
            format!("the baseline is not valid: {first}")
        })?;
        Ok(Some(store))
    }
}

/// Returns whether exactly this step is approved.
fn is_approved(old: &PolicyStore, new: &PolicyStore) -> Result<bool, Box<Problem>> {
    let (from, to) = (old.revision().as_str(), new.revision().as_str());
    let approved = approved_steps(new.files())?;
    Ok(approved.iter().any(|step| step.from == from && step.to == to))
}

fn broken(store: &PolicyStore, proof: &Proof) -> Option<Problem> {
    let (message, witness) = match &proof.outcome {
        Outcome::Proved => return None,
        Outcome::Refuted { message, witness } => (message.clone(), witness.as_deref()),
        Outcome::Unknown(reason) => (format!("not proved: {reason}"), None),
    };
    let (file, what) = match &proof.check {
        Check::Holds(invariant) => (
            store.files().path(&invariant.file),
            format!("{} `{}`: {}", invariant.claim.as_str(), invariant.id, invariant.text),
        ),
        Check::NeverFails(policy) => (store.name().to_string(), format!("`{policy}` never fails")),
        // No gate asks the others.
        _ => return None,
    };
    let problem = Problem::of_file(file, format!("{}: {what}: {message}", Gate::Invariants));
    Some(match witness {
        Some(witness) => shown(problem, store, witness, ""),
        None => problem,
    })
}

fn gained(new: &PolicyStore, old: &PolicyStore, gain: &Difference) -> Problem {
    let message = format!("now allowed where {}", gain.environment);
    let problem = not_passed(new, Gate::NoGains, &message);
    let advice = format!(
        "`humbaba diff --approve` approves the step from {} to {} in `{APPROVED_GAINS}`",
        old.revision(),
        new.revision()
    );
    match gain.witness.as_deref() {
        Some(witness) => shown(problem, new, witness, &format!("{advice}\n")),
        None => problem.with_help(advice),
    }
}

/// Adds the request that shows it. The help begins with `advice`.
fn shown(problem: Problem, store: &PolicyStore, witness: &Witness, advice: &str) -> Problem {
    let record = witness.record(store, store.name().as_str()).unwrap_or_default();
    let message = format!("{}\n{witness}", problem.message());
    Problem::of_file(problem.file(), message)
        .with_help(format!("{advice}`humbaba check --record` asks it again: {record}"))
}

fn not_passed(store: &PolicyStore, gate: Gate, message: &str) -> Problem {
    Problem::of_file(store.name().as_str(), format!("{gate}: {message}"))
}
