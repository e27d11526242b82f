//! Proofs about a store's policies, for all requests and all facts, with the solver cvc5.
//!
//! `cedar-policy-symcc` translates policies into questions to the solver, once for each kind of request;
//! here stands which questions are asked, and what becomes of a counterexample. Whatever is refuted is
//! refuted with a request that the store itself has decided so ([`Witness`]). What the solver cannot
//! tell in time is unknown, which proves nothing.
//!
//! *Architecture Invariant:* proofs stand beside the engine. No decision waits for one.
//!
//! [`Witness`]: crate::analysis::Witness

mod approvals;
mod cells;
mod claims;
mod comparer;
mod counterexample;
mod gates;
mod invariants;
mod kept;
mod moments;
mod partly_sent;
mod policies;
mod policy_view;
mod proof;
mod prove;
mod prover;
mod request_facts;
mod slots;
mod solver;
mod state_comparison;

pub use cells::settle;
pub use comparer::Difference;
pub use gates::SolverGates;
pub use kept::KeptStores;
pub use proof::{Check, Outcome, Proof, StoreProofs};
pub use prove::{hold, prove};
pub use solver::{ProofOptions, Solver, SolverMissing};
pub use state_comparison::{StateComparison, compare, compare_gains};

use cedar_policy_symcc::err::Error as SymccError;

#[cfg(test)]
mod tests;

/// Returns an error of the solver's compiler with all that it knows.
fn text_of(error: &SymccError) -> String {
    let causes: Vec<_> = match error {
        SymccError::PolicyNotWellTyped { errs } => errs.iter().map(ToString::to_string).collect(),
        other => std::iter::successors(std::error::Error::source(other), |error| error.source())
            .map(ToString::to_string)
            .collect(),
    };
    let mut text = error.to_string();
    for cause in causes.into_iter().filter(|cause| !cause.is_empty()) {
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}
