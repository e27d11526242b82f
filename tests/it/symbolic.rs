//! The shipped policies and their invariants, proved for all requests, where the solver cvc5 is at hand
//! (Debian's package `cvc5`, or the environment variable `CVC5`).

use std::sync::Arc;

use humbaba::{
    analysis::read_invariants,
    proofs::{Check, Outcome, Proof, ProofOptions, Solver, prove},
    store::{Bounds, PolicyStore, embedded_stores},
};

use crate::support::skip::skip;

/// Policies that change no decision and stay: they stop what might be added.
const STOPPING: [&str; 2] = ["audit-is-kept", "mcp-read-only"];

#[test]
fn every_shipped_policy_has_its_use_and_every_invariant_holds() {
    let Some(solver) = solver() else { return };
    for files in embedded_stores() {
        let store = PolicyStore::load(Arc::new(files), &Bounds::default()).unwrap();
        let invariants = read_invariants(&store, &Bounds::default()).unwrap();
        assert!(invariants.len() >= 8, "{} has few invariants", store.name());
        for invariant in &invariants {
            // The words of the page and where they stand.
            let doc = invariant.doc.as_deref().unwrap_or_default();
            assert!(doc.contains('('), "`{}` names no source", invariant.id);
        }
        let options = ProofOptions::default();
        let proofs = prove(&store, &invariants, &solver, &options, &|_, _| ()).unwrap();
        let not_proved: Vec<&Proof> =
            proofs.proofs.iter().filter(|one| !matches!(one.outcome, Outcome::Proved)).collect();
        let unexpected: Vec<_> = not_proved
            .iter()
            .filter(|one| match &one.check {
                Check::Decides(policy) => !STOPPING.contains(&policy.as_str()),
                _ => true,
            })
            .collect();
        assert!(unexpected.is_empty(), "{}: {unexpected:#?}", store.name());
        assert!(proofs.all_proved());
    }
}

/// The solver, if there is one.
pub fn solver() -> Option<Solver> {
    let solver = Solver::find().ok();
    if solver.is_none() {
        skip("the solver cvc5 is not installed (Debian: `cvc5`), or CVC5 does not name it");
    }
    solver
}
