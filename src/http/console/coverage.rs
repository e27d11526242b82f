//! The coverage of policies by tests and invariants.

use std::collections::BTreeMap;

use crate::{
    analysis::{Claim, read_invariants},
    engine::PreparedPolicy,
    model::Problem,
    store::{Bounds, PolicyStore},
    testing::{PolicyCoverage, run_coverage},
};

/// Problems of test files or invariants that are shown.
const PROBLEMS: usize = 5;

/// The coverage of the policies of a store by its tests and invariants.
#[derive(Debug)]
pub(super) struct Coverage {
    /// By policy.
    pub policies: BTreeMap<String, PolicyCoverage>,
    pub invariants: Vec<Rule>,
}

/// An invariant.
#[derive(Debug)]
pub(super) struct Rule {
    pub id: String,
    pub claim: &'static str,
    pub text: String,
    pub file: String,
}

impl Coverage {
    /// Measures how tests cover the policies, and reads the invariants.
    pub fn of(store: &PolicyStore, bounds: &Bounds) -> Result<Self, String> {
        let report = run_coverage(store).map_err(|problems| rendered(&problems))?;
        let invariants = read_invariants(store, bounds).map_err(|problems| rendered(&problems))?;
        let rules = invariants.into_iter().map(|invariant| Rule {
            claim: match invariant.claim {
                Claim::Never => "never",
                Claim::Always => "always",
            },
            id: invariant.id,
            text: invariant.text,
            file: invariant.file,
        });
        let policies = report.policies.into_iter().map(|policy| (policy.id.clone(), policy));
        Ok(Self { policies: policies.collect(), invariants: rules.collect() })
    }
}

fn rendered(problems: &[Problem]) -> String {
    problems.iter().take(PROBLEMS).map(Problem::render).collect::<Vec<_>>().join("\n")
}

/// Returns the file in which a policy is written, a link that of its template.
pub(super) fn file_of(store: &PolicyStore, policy: &PreparedPolicy) -> String {
    let id = cedar_policy::PolicyId::new(policy.written_as());
    store.file_of(&id).unwrap_or_default().to_owned()
}
