//! The gates that take a solver: `invariants` and `no-gains`.

use std::{
    num::NonZeroUsize,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio_util::sync::CancellationToken;

use super::{
    Check, Difference, KeptStores, Outcome, Proof, ProofOptions, Solver,
    approvals::{self, Approval, advice},
    compare_gains, hold,
};
use crate::{
    analysis::{Witness, read_invariants},
    model::{OnForbidError, Problem},
    reload::{self, Gate, GateRefusal, SlowGates},
    store::{Bounds, PolicyStore},
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
    /// The rule for a forbid whose evaluation fails.
    pub on_forbid_error: OnForbidError,
    /// Bounds on what is read.
    pub bounds: Bounds,
    /// The folder with which a store is compared that this process has not had in force.
    pub baseline: Option<PathBuf>,
    /// The stores as they were last in force, which count where there is no such folder.
    pub kept: Option<KeptStores>,
    /// Take a store as it is that this process has not had in force and that neither of them has.
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
        last: Option<&PolicyStore>,
        cancelled: &CancellationToken,
    ) -> Vec<GateRefusal> {
        let options = ProofOptions {
            deadline: Instant::now().checked_add(self.timeout),
            cancelled: cancelled.clone(),
            solvers: SOLVERS.min(ProofOptions::default().solvers),
            on_forbid_error: self.on_forbid_error,
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
            refuse(Gate::NoGains, self.gains(candidate, last, &options));
        }
        refusals
    }

    fn refuses_unproved(&self, candidate: &PolicyStore) -> Option<GateRefusal> {
        let compared = self.no_gains.then(|| self.first_compared_with(candidate))?;
        let problem = *compared.err()?;
        Some(GateRefusal { gate: Gate::NoGains, problem })
    }

    fn before_in_force(&self, stores: &[Arc<PolicyStore>]) {
        if let Some(kept) = &self.kept {
            kept.keep(stores);
        }
    }
}

impl SolverGates {
    fn broken_invariants(&self, store: &PolicyStore, options: &ProofOptions) -> Vec<Problem> {
        let invariants = match read_invariants(store, &self.bounds) {
            Ok(invariants) => invariants,
            Err(problems) => return problems,
        };
        if invariants.is_empty() {
            let gate = Gate::Invariants;
            tracing::warn!(store = %store.name(), gate = %gate, "{}", gate.nothing_to_judge());
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
        last: Option<&PolicyStore>,
        options: &ProofOptions,
    ) -> Vec<Problem> {
        let first = match last {
            Some(_) => None,
            None => match self.first_compared_with(candidate) {
                Ok(first) => first,
                Err(problem) => return vec![*problem],
            },
        };
        // Nothing, where the store is trusted.
        let Some(old) = last.or(first.as_ref()) else { return Vec::new() };
        let trust = candidate.understands_otherwise_than(old);
        let same = old.revision() == candidate.revision();
        if trust.is_empty() && (same || reload::only_narrows(candidate, old)) {
            return Vec::new();
        }
        let approval = match approvals::of_step(old, candidate, &trust) {
            Ok(Approval::Given) => return Vec::new(),
            Ok(approval) => approval,
            Err(problem) => return vec![*problem],
        };
        let advice = advice(old, candidate, &trust);
        let refusal =
            |message: &str| not_passed(candidate, Gate::NoGains, message).with_help(advice.clone());
        let more = |more| refusal(&format!("callers are understood otherwise: {more}"));
        let mut problems: Vec<_> = trust.iter().map(more).collect();
        if same {
            return ended(approval, candidate, problems);
        }
        let comparison = match compare_gains(old, candidate, &self.solver, options) {
            Ok(comparison) => comparison,
            Err(error) => return vec![not_passed(candidate, Gate::NoGains, &error)],
        };
        let told = comparison.gains.iter().take(TOLD);
        problems.extend(told.map(|gain| gained(candidate, gain, &advice)));
        if let Some(more @ 1..) = comparison.gains.len().checked_sub(TOLD) {
            problems.push(not_passed(candidate, Gate::NoGains, &format!("{more} gains more")));
        }
        problems.extend(comparison.unknown.iter().take(TOLD).map(|reason| refusal(reason)));
        if let Some(more @ 1..) = comparison.unknown.len().checked_sub(TOLD) {
            let more = format!("{more} more that cannot be told");
            problems.push(not_passed(candidate, Gate::NoGains, &more));
        }
        ended(approval, candidate, problems)
    }

    /// Returns the state with which a store is compared that this process has not had in force; nothing
    /// where there is none, and the store is trusted.
    ///
    /// # Errors
    /// It cannot be read, or there is none.
    fn first_compared_with(
        &self,
        candidate: &PolicyStore,
    ) -> Result<Option<PolicyStore>, Box<Problem>> {
        match self.baseline(candidate) {
            Ok(None) if !self.trust_first => {
                let message = "there is nothing to compare the store with";
                let keeping = match (&self.kept, &self.baseline) {
                    (None, None) => ", with `data`, so that the next start knows what was in force",
                    _ => "",
                };
                let help = format!(
                    "set `reload.first = \"trust\"` for this one start{keeping}, or name a folder that \
                     has the store with `reload.baseline`"
                );
                Err(Box::new(not_passed(candidate, Gate::NoGains, message).with_help(help)))
            }
            Ok(found) => Ok(found),
            Err(message) => {
                let help = match &self.baseline {
                    Some(_) => "correct `reload.baseline`, or what it names",
                    None => {
                        "restore the file, or name a folder that has the store with \
                         `reload.baseline`; to trust the store as it is now, remove the file and set \
                         `reload.first = \"trust\"` for this one start"
                    }
                };
                Err(Box::new(not_passed(candidate, Gate::NoGains, &message).with_help(help)))
            }
        }
    }

    /// Loads the state with which a store is compared that this process has not had in force, if there
    /// is one.
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

/// Adds to the refusals of a step that it was approved once, or that another one is.
fn ended(approval: Approval, candidate: &PolicyStore, mut refusals: Vec<Problem>) -> Vec<Problem> {
    let message = match approval {
        Approval::Ended(words) => format!("the approval of this step {words}"),
        Approval::OfOther(words) => words,
        Approval::None | Approval::Given => return refusals,
    };
    if !refusals.is_empty() {
        refusals.push(not_passed(candidate, Gate::NoGains, &message));
    }
    refusals
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

fn gained(new: &PolicyStore, gain: &Difference, advice: &str) -> Problem {
    let message = format!("now allowed where {}", gain.environment);
    let problem = not_passed(new, Gate::NoGains, &message);
    shown(problem, new, &gain.witness, &format!("{advice}\n"))
}

/// Adds the request that shows it. The help begins with `advice`.
fn shown(problem: Problem, store: &PolicyStore, witness: &Witness, advice: &str) -> Problem {
    let record = witness.record(store, store.name().as_str()).unwrap_or_default();
    let message = format!("{}\n{witness}", problem.message());
    Problem::of_file(problem.file(), message)
        .with_help(format!("{advice}`humbaba check --record` asks it again:"))
        .with_record(record)
}

fn not_passed(store: &PolicyStore, gate: Gate, message: &str) -> Problem {
    Problem::of_file(store.name().as_str(), format!("{gate}: {message}"))
}
