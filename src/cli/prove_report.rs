//! The forms in which proofs are reported.

use std::{collections::BTreeMap, fmt::Write as _};

use serde_json::{Value as Json, json};

use super::Exit;
use crate::{
    analysis::Witness,
    proofs::{Check, Outcome, Proof, Solver, StateComparison, StoreProofs},
    store::PolicyStore,
};

/// The message at the end.
pub(super) struct ProofReport {
    pub stores: Vec<Json>,
    /// The lines of the file of witnesses.
    pub records: Vec<String>,
    pub exit: Exit,
}

impl Default for ProofReport {
    fn default() -> Self {
        Self { stores: Vec::new(), records: Vec::new(), exit: Exit::Ok }
    }
}

impl ProofReport {
    pub fn fails(&mut self, exit: Exit) {
        if self.exit != Exit::InvalidPolicies {
            self.exit = exit;
        }
    }

    /// Keeps a witness for the file and returns its id and record.
    pub fn witness(
        &mut self,
        store: &PolicyStore,
        kind: &str,
        witness: &Witness,
    ) -> (String, Json) {
        let prefix = format!("{}-{kind}-", store.name());
        let count = self.records.iter().filter(|record| record.contains(&prefix)).count();
        let id = format!("{prefix}{}", count + 1);
        let record = witness.record(store, &id).unwrap_or_default();
        let json = serde_json::from_str(&record).unwrap_or_default();
        self.records.push(format!("{record}\n"));
        (id, json)
    }
}

/// Describes the proofs of a store in words. `witnesses` has the id of each proof's witness, where it
/// is written to the file.
pub(super) fn human(
    proofs: &StoreProofs,
    store: &PolicyStore,
    solver: &Solver,
    witnesses: &[Option<&str>],
) -> String {
    let mut text = format!(
        "{}: {} policies, {} kinds of requests, cvc5 {}\n",
        proofs.store,
        proofs.policies,
        proofs.environments,
        solver.version()
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
    for (proof, id) in proofs.proofs.iter().zip(witnesses) {
        human_proof(&mut text, proof, store, *id);
    }
    text
}

/// Returns the verdict of a comparison in words.
pub(super) fn verdict(comparison: &StateComparison) -> &'static str {
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

pub(super) fn human_witness(text: &mut String, witness: &Witness) {
    for line in witness.to_string().lines() {
        let _ = writeln!(text, "    {line}");
    }
}

/// Says how the request is found in the file of witnesses.
pub(super) fn human_id(text: &mut String, id: Option<&str>) {
    if let Some(id) = id {
        let _ = writeln!(text, "    --decision-id {id}");
    }
}

/// Returns the proofs of a store as JSON, each with its witness.
pub(super) fn json_of(proofs: &StoreProofs, witnesses: Vec<Option<(String, Json)>>) -> Json {
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
