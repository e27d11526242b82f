//! Running mutants: is there a test that notices each change of a policy?
//!
//! A policy is satisfied or not whatever the others say, so for each case it is enough to evaluate
//! the changed policy and to put it in the place of the old one: no store is made for a mutant.

use std::collections::HashMap;

use cedar_policy_core::{ast, entities::Entities};

use super::{
    case::{Case, Expectation},
    equivalent::{self, Equivalent},
    mutate::{self, Mutant},
    run::mismatch,
};
use crate::{
    engine::{CedarDecision, Slices, cedar_request, evaluate, request_entities},
    model::{Effect, OnForbidError, Problem, StoreName},
    request::RequestLimits,
    store::{PolicyStore, Problems},
};

/// The report on the mutants of a store.
#[derive(Debug)]
pub struct MutantReport {
    /// The store.
    pub store: StoreName,
    /// Every mutant and its fate, in the order of the policies.
    pub mutants: Vec<(Mutant, Fate)>,
    /// Problems of `mutants.toml`: a mutant in it that is not there, or that a test catches.
    pub problems: Vec<Problem>,
}

/// The fate of a mutant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// A case fails on it.
    Caught {
        /// The first such case that was tried.
        case: String,
    },
    /// It is no valid policy.
    Refused {
        /// The error of the validation.
        reason: String,
    },
    /// No test notices it.
    Survived,
    /// No test notices it, and `mutants.toml` says why none can.
    Equivalent {
        /// Why.
        reason: String,
    },
}

impl MutantReport {
    /// Counts the mutants of a fate.
    pub fn count(&self, fate: impl Fn(&Fate) -> bool) -> usize {
        self.mutants.iter().filter(|(_, of_mutant)| fate(of_mutant)).count()
    }

    /// Returns the percentage of mutants that are caught, of those that a test could notice.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "there are not 2^52 mutants")]
    pub fn caught_percent(&self) -> f64 {
        let caught = self.count(|fate| matches!(fate, Fate::Caught { .. }));
        let survived = self.count(|fate| *fate == Fate::Survived);
        if survived == 0 { 100.0 } else { caught as f64 * 100.0 / (caught + survived) as f64 }
    }

    /// Returns whether at least `threshold` per cent are caught and `mutants.toml` is right.
    #[must_use]
    pub fn is_success(&self, threshold: f64) -> bool {
        self.problems.is_empty() && self.caught_percent() >= threshold
    }
}

/// Runs every mutant of a store. The tests of the store itself have to pass: a case that fails
/// anyway is left out. `progress` is called with the numbers of mutants that are done and of all.
///
/// # Errors
/// Every problem of every test file, if there is one.
pub fn run_mutants(
    store: &PolicyStore,
    progress: &dyn Fn(usize, usize),
) -> Result<MutantReport, Vec<Problem>> {
    let cases = super::cases(store)?;
    let mut problems = Problems::default();
    let equivalents = equivalent::read(store.files(), &mut problems);
    if !problems.is_empty() {
        return Err(super::in_order(problems));
    }
    let baseline = Baseline::new(store, &cases);
    let mutants = mutate::mutants(store);
    let all = mutants.len();
    let mut mutants: Vec<_> = (1..)
        .zip(mutants)
        .map(|(number, mutant)| {
            let fate = baseline.fate(&mutant);
            progress(number, all);
            (mutant, fate)
        })
        .collect();
    for equivalent in equivalents {
        problems.extend(acknowledge(equivalent, &mut mutants));
    }
    Ok(MutantReport { store: store.name().clone(), mutants, problems: problems.into_vec() })
}

/// Marks an equivalent mutant; a problem if it is none.
fn acknowledge(equivalent: Equivalent, mutants: &mut [(Mutant, Fate)]) -> Option<Problem> {
    let Equivalent { mutant: id, reason, place } = equivalent;
    let Some((_, fate)) = mutants.iter_mut().find(|(mutant, _)| mutant.id == id) else {
        return Some(place.problem(format!("there is no mutant `{id}`")));
    };
    let message = match fate {
        Fate::Survived => {
            *fate = Fate::Equivalent { reason };
            return None;
        }
        Fate::Caught { case } => {
            format!("the mutant `{id}` is not equivalent: `{case}` catches it")
        }
        Fate::Refused { .. } => format!("the mutant `{id}` is not valid anyway"),
        Fate::Equivalent { .. } => format!("the mutant `{id}` is named twice"),
    };
    Some(place.problem(message).with_help("take it out"))
}

/// A case on the store's own policies.
struct BaselineCase<'a> {
    case: &'a Case,
    request: ast::Request,
    entities: Entities,
    permits: Vec<String>,
    forbids: Vec<String>,
    errors: Vec<String>,
}

struct Baseline<'a> {
    store: &'a PolicyStore,
    decided: Vec<BaselineCase<'a>>,
    /// The cases in which each policy is satisfied or fails: they are tried first.
    touched: HashMap<String, Vec<usize>>,
}

/// The answer of the policies of one effect.
struct Said {
    satisfied: Vec<String>,
    errors: Vec<String>,
}

impl Said {
    fn new(outcome: &CedarDecision) -> Self {
        Self {
            satisfied: outcome.determining().map(str::to_owned).collect(),
            errors: outcome.errors.iter().map(|error| error.policy_id.clone()).collect(),
        }
    }
}

impl<'a> Baseline<'a> {
    fn new(store: &'a PolicyStore, cases: &'a [Case]) -> Self {
        let set: &ast::PolicySet = store.policies().as_ref();
        let of = |effect| {
            store.engine().arrange(set.policies().filter(|policy| policy.effect() == effect))
        };
        let (permits, forbids) = (of(ast::Effect::Permit), of(ast::Effect::Forbid));
        let decided = cases.iter().filter_map(|case| decide(store, case, &permits, &forbids));
        let decided: Vec<_> = decided.filter(BaselineCase::passes_unchanged).collect();
        let mut touched: HashMap<String, Vec<usize>> = HashMap::new();
        for (index, case) in decided.iter().enumerate() {
            for policy in case.permits.iter().chain(&case.forbids).chain(&case.errors) {
                touched.entry(policy.clone()).or_default().push(index);
            }
        }
        Self { store, decided, touched }
    }

    fn fate(&self, mutant: &Mutant) -> Fate {
        let set = match &mutant.by {
            Ok(set) => set,
            Err(reason) => return Fate::Refused { reason: reason.clone() },
        };
        if let Err(reason) = self.store.validate(set) {
            return Fate::Refused { reason };
        }
        let set: &ast::PolicySet = set.as_ref();
        let is_permit = set.policies().any(|policy| policy.effect() == ast::Effect::Permit);
        let changed = self.store.engine().arrange(set.policies());
        let touched =
            mutant.replaced.iter().filter_map(|policy| self.touched.get(policy)).flatten();
        let first = touched.filter_map(|index| self.decided.get(*index));
        let case = first
            .chain(&self.decided)
            .find(|decided| !decided.passes(mutant, &changed, is_permit))
            .map(|decided| format!("{}: {}", decided.case.file, decided.case.name));
        case.map_or(Fate::Survived, |case| Fate::Caught { case })
    }
}

fn decide<'a>(
    store: &PolicyStore,
    case: &'a Case,
    permits: &Slices,
    forbids: &Slices,
) -> Option<BaselineCase<'a>> {
    if matches!(case.expectation, Expectation::Invalid { .. }) {
        // No policy is asked.
        return None;
    }
    let checked = store.check(&case.input, case.now, &RequestLimits::default()).ok()?;
    let entities = request_entities(store.engine(), &checked).ok()?;
    let request = cedar_request(&checked);
    let said = |slices| Said::new(&evaluate(slices, &request, &entities, OnForbidError::Deny));
    let (permits, forbids) = (said(permits), said(forbids));
    let errors = [permits.errors, forbids.errors].concat();
    Some(BaselineCase {
        case,
        permits: permits.satisfied,
        forbids: forbids.satisfied,
        errors,
        request,
        entities,
    })
}

impl BaselineCase<'_> {
    /// Returns whether the case passes on the mutant.
    fn passes(&self, mutant: &Mutant, changed: &Slices, is_permit: bool) -> bool {
        let outcome = evaluate(changed, &self.request, &self.entities, OnForbidError::Deny);
        let stays = |policy: &&str| !mutant.replaced.contains(*policy);
        let mut permits: Vec<_> = ids(&self.permits).filter(stays).collect();
        let mut forbids: Vec<_> = ids(&self.forbids).filter(stays).collect();
        if is_permit {
            permits.extend(outcome.determining());
        } else {
            forbids.extend(outcome.determining());
        }
        let errors = ids(&self.errors).filter(stays).count() + outcome.errors.len();
        self.is_expected(permits, forbids, errors)
    }

    /// Returns whether the case passes on the store's own policies.
    fn passes_unchanged(&self) -> bool {
        let (permits, forbids) = (ids(&self.permits).collect(), ids(&self.forbids).collect());
        self.is_expected(permits, forbids, self.errors.len())
    }

    fn is_expected(&self, permits: Vec<&str>, forbids: Vec<&str>, errors: usize) -> bool {
        let allow = forbids.is_empty() && !permits.is_empty();
        let (effect, mut policies) =
            if allow { (Effect::Allow, permits) } else { (Effect::Deny, forbids) };
        policies.sort_unstable();
        mismatch(&self.case.expectation, effect, &policies, errors).is_none()
    }
}

fn ids(policies: &[String]) -> impl Iterator<Item = &str> {
    policies.iter().map(String::as_str)
}
