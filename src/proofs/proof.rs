//! The outcome of proofs about one store.

use crate::{
    analysis::{Invariant, Witness},
    model::{Revision, StoreName},
};

/// The proofs about one store.
#[derive(Debug)]
pub struct StoreProofs {
    /// The store.
    pub store: StoreName,
    /// Its revision.
    pub revision: Revision,
    /// The number of its policies, links included.
    pub policies: usize,
    /// The number of kinds of requests that its schema allows.
    pub environments: usize,
    /// The proofs: those of the policies by id, then the invariants in the order of their files.
    pub proofs: Vec<Proof>,
}

/// One proof, or the lack of it.
#[derive(Debug)]
pub struct Proof {
    /// The statement.
    pub check: Check,
    /// The outcome.
    pub outcome: Outcome,
}

/// The claims to be proved.
#[derive(Debug)]
pub enum Check {
    /// The policy's evaluation never fails.
    NeverFails(String),
    /// Some request makes the policy apply.
    Applies(String),
    /// The policy's condition does not always hold.
    ConditionMatters(String),
    /// Without the policy some decision changes.
    Decides(String),
    /// An invariant holds.
    Holds(Box<Invariant>),
}

/// The result of a proof.
#[derive(Debug)]
pub enum Outcome {
    /// It holds for all requests.
    Proved,
    /// It does not hold.
    Refuted {
        /// The requests that it is about, or the reason.
        message: String,
        /// A request that shows it, decided by the store itself. A policy that nothing needs has none.
        witness: Option<Box<Witness>>,
    },
    /// The solver cannot tell, for that reason.
    Unknown(String),
}

impl StoreProofs {
    /// Returns whether nothing is refuted or unknown but that some policy changes no decision.
    #[must_use]
    pub fn all_proved(&self) -> bool {
        !self.proofs.iter().any(Proof::fails)
    }
}

impl Proof {
    /// Returns whether something is wrong. A policy that changes no decision may be there to stop
    /// others that might be added.
    #[must_use]
    pub fn fails(&self) -> bool {
        match (&self.check, &self.outcome) {
            (_, Outcome::Proved) | (Check::Decides(_), Outcome::Refuted { .. }) => false,
            (_, Outcome::Refuted { .. } | Outcome::Unknown(_)) => true,
        }
    }
}
