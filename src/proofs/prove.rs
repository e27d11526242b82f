//! The proofs about one store, shared out among solvers.

use super::{
    ProofOptions, Solver,
    policies::StaticPolicy,
    proof::{Check, Outcome, Proof, StoreProofs},
    prover::Prover,
    solver::work,
};
use crate::{analysis::Invariant, store::PolicyStore};

/// One piece of work for one solver.
enum Task<'a> {
    Invariant(&'a Invariant),
    Policy(&'a StaticPolicy),
    Decides(&'a StaticPolicy),
    NeverFails(&'a StaticPolicy),
}

/// Proves that no policy of a store can fail, that each has its use, and that invariants hold.
/// `progress` is called with the numbers of pieces that are done and of all.
///
/// # Errors
/// The solver cannot be started, or a link cannot be filled in.
pub fn prove(
    store: &PolicyStore,
    invariants: &[Invariant],
    solver: &Solver,
    options: &ProofOptions,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<StoreProofs, String> {
    let prover = Prover::new(store)?;
    // The longest first.
    let tasks: Vec<_> = invariants
        .iter()
        .map(Task::Invariant)
        .chain(prover.policies.iter().map(Task::Decides))
        .chain(prover.policies.iter().map(Task::Policy))
        .collect();
    work_on(&prover, &tasks, solver, options, progress)
}

/// Proves that invariants hold, and that no policy can fail, without which they would mean nothing.
///
/// # Errors
/// The solver cannot be started, or a link cannot be filled in.
pub fn hold(
    store: &PolicyStore,
    invariants: &[Invariant],
    solver: &Solver,
    options: &ProofOptions,
) -> Result<StoreProofs, String> {
    let prover = Prover::new(store)?;
    let never_fail = prover.policies.iter().map(Task::NeverFails);
    let tasks: Vec<_> = invariants.iter().map(Task::Invariant).chain(never_fail).collect();
    work_on(&prover, &tasks, solver, options, &|_, _| ())
}

/// Returns the policy that may fail, if there is one.
fn may_fail(proofs: &[Proof]) -> Option<String> {
    proofs.iter().find_map(|proof| match (&proof.check, &proof.outcome) {
        (Check::NeverFails(_), Outcome::Proved) => None,
        (Check::NeverFails(policy), _) => {
            Some(format!("it holds only if no policy fails, and `{policy}` may"))
        }
        _ => None,
    })
}

/// Works on tasks, and puts what comes of them in order.
fn work_on(
    prover: &Prover<'_>,
    tasks: &[Task<'_>],
    solver: &Solver,
    options: &ProofOptions,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<StoreProofs, String> {
    let done = work(solver, options, tasks, progress, |session, task| match task {
        Task::Invariant(invariant) => {
            let outcome = prover.invariant(session, invariant);
            vec![Proof { check: Check::Holds(Box::new((*invariant).clone())), outcome }]
        }
        Task::Policy(policy) => prover.policy(session, policy),
        Task::Decides(policy) => {
            let check = Check::Decides(policy.policy.id().to_string());
            vec![Proof { check, outcome: prover.decides(session, policy) }]
        }
        Task::NeverFails(policy) => vec![prover.proof_of_never_failing(session, policy)],
    })?;
    let mut proofs: Vec<_> = done.into_iter().flatten().collect();
    if let Some(reason) = may_fail(&proofs) {
        // The solver skips what fails, and the sidecar denies where a forbid does.
        let is_proved = |proof: &&mut Proof| {
            matches!((&proof.check, &proof.outcome), (Check::Holds(_), Outcome::Proved))
        };
        for proof in proofs.iter_mut().filter(is_proved) {
            proof.outcome = Outcome::Unknown(reason.clone());
        }
    }
    // Stable, so the invariants keep the order of their files and policies that of their ids.
    proofs.sort_by_key(|proof| match &proof.check {
        Check::NeverFails(_) => 0,
        Check::Applies(_) => 1,
        Check::ConditionMatters(_) => 2,
        Check::Decides(_) => 3,
        Check::Holds(_) => 4,
    });
    Ok(StoreProofs {
        store: prover.store.name().clone(),
        revision: *prover.store.revision(),
        policies: prover.policies.iter().count(),
        environments: prover.environments.len(),
        proofs,
    })
}
