//! Coverage: which policies apply in a case, and which of their conditions a case makes true, or
//! false.
//!
//! A condition counts only in the cases that reach it: the policy's scope matches, and all
//! conditions before it hold.

use std::collections::HashMap;

use crate::{
    engine::{ClauseKind, clause_outcomes, conditions_of},
    model::{Location, Problem},
    request::RequestLimits,
    store::PolicyStore,
};

/// The coverage of the policies of a store by its cases.
#[derive(Debug)]
pub struct CoverageReport {
    /// The policies, in the order of their ids.
    pub policies: Vec<PolicyCoverage>,
}

/// The coverage of a policy by the cases of its store.
#[derive(Debug)]
pub struct PolicyCoverage {
    /// The policy's id.
    pub id: String,
    /// The file that it is written in, a link that of its template.
    pub file: Option<String>,
    /// The cases whose request matches its scope.
    pub asked: usize,
    /// The cases in which it applies.
    pub applied: usize,
    /// Its conditions, in their order.
    pub conditions: Vec<ConditionCoverage>,
}

/// The coverage of a condition by the cases of its store. A condition is a conjunct of a `when`, or all
/// of an `unless`.
#[derive(Debug)]
pub struct ConditionCoverage {
    /// The text as it is written.
    pub text: String,
    /// The place of the text; none in a policy in JSON.
    pub location: Option<Location>,
    /// The cases that make it true.
    pub made_true: usize,
    /// The cases that make it false.
    pub made_false: usize,
    is_unless: bool,
}

impl PolicyCoverage {
    /// Returns whether something of the policy is never asked, never true or never false.
    #[must_use]
    pub fn has_gaps(&self) -> bool {
        self.applied == 0 || self.conditions.iter().any(ConditionCoverage::has_gaps)
    }
}

impl ConditionCoverage {
    /// Returns whether no case makes it true, or none makes it false.
    #[must_use]
    pub fn has_gaps(&self) -> bool {
        self.made_true == 0 || self.made_false == 0
    }
}

/// Measures how the cases of a store cover its policies. Cases that fail count as well.
///
/// # Errors
/// Every problem of every test file, if there is one.
pub fn run_coverage(store: &PolicyStore) -> Result<CoverageReport, Vec<Problem>> {
    let cases = super::cases(store)?;
    let engine = store.engine();
    let mut policies: Vec<_> = engine
        .slices()
        .policies()
        .map(|policy| {
            let conditions = conditions_of(policy).into_iter().map(|clause| ConditionCoverage {
                text: clause.text(),
                location: clause.location(),
                made_true: 0,
                made_false: 0,
                is_unless: clause.kind == ClauseKind::Unless,
            });
            PolicyCoverage {
                id: policy.id().to_owned(),
                file: store
                    .file_of(&cedar_policy::PolicyId::new(policy.written_as()))
                    .map(str::to_owned),
                asked: 0,
                applied: 0,
                conditions: conditions.collect(),
            }
        })
        .collect();
    let places = policies.iter().enumerate().map(|(place, policy)| (policy.id.clone(), place));
    let places: HashMap<String, usize> = places.collect();
    for case in cases {
        // A case of a request that is refused asks no policy.
        let Ok(request) = store.check(&case.input, case.now, &RequestLimits::default()) else {
            continue;
        };
        for outcomes in clause_outcomes(engine, &request).unwrap_or_default() {
            let place = places.get(outcomes.policy.id()).copied();
            if let Some(policy) = place.and_then(|place| policies.get_mut(place)) {
                policy.count(&outcomes.held);
            }
        }
    }
    Ok(CoverageReport { policies })
}

impl PolicyCoverage {
    /// Counts a case that makes the conditions hold or not, up to the first that does not.
    fn count(&mut self, held: &[bool]) {
        self.asked += 1;
        let applies = held.len() == self.conditions.len() && held.iter().all(|held| *held);
        self.applied += usize::from(applies);
        for (condition, held) in self.conditions.iter_mut().zip(held) {
            let is_true = *held != condition.is_unless;
            condition.made_true += usize::from(is_true);
            condition.made_false += usize::from(!is_true);
        }
    }
}
