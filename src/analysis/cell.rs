//! The cells of a matrix: from the evaluation of a request of which some facts are open to its
//! answer.

use std::collections::BTreeMap;

use super::{
    MatrixError, Witness, build,
    cell_world::{applies, policies, world},
    constants::Constants,
    evaluation::Evaluation,
    open_cell::{Answered, OpenCell, OpenPart},
    policies::Policies,
    search::{Found, Search},
    truth::Truth,
    world::{Optional, World},
};
use crate::{
    engine::{ClauseKind, PreparedPolicy, clauses},
    store::PolicyStore,
    testing::{Expected, MatrixCell},
};

/// A cell of a matrix.
#[derive(Debug, Clone)]
pub struct Cell {
    /// `Allow` where the base request is allowed, `Cond` where only a variant is, else `Deny`.
    pub value: Expected,
    /// The part that evaluation and search leave open; there the value is the likely one.
    pub(super) open: Option<OpenPart>,
    /// Why a solver that was asked could not settle it.
    pub unsettled: Option<String>,
    /// The permits behind an allow or a condition; the forbids behind a deny.
    pub policies: Vec<CellPolicy>,
    /// The forbids that may deny though a permit allows.
    pub restrictions: Vec<CellPolicy>,
    /// For a condition: a request that is allowed.
    pub witness: Option<Witness>,
    /// The answer in `matrix.csv`.
    pub expected: Option<Expected>,
    /// Why the cell means nothing as a request, if it does not.
    pub exempt: Option<String>,
    /// The cell as a request.
    pub(super) question: MatrixCell,
}

/// A policy that has a say in a cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CellPolicy {
    /// Its id.
    pub id: String,
    /// Its `@doc`, or nothing.
    pub doc: String,
    /// The clauses that the facts of the cell leave open.
    pub open: Vec<Clause>,
}

/// A clause of a policy that depends on facts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clause {
    /// Its text.
    pub text: String,
    /// True for an `unless`: the text must not hold.
    pub unless: bool,
}

impl Cell {
    fn new(question: MatrixCell) -> Self {
        Self {
            value: Expected::Deny,
            open: None,
            unsettled: None,
            policies: Vec::new(),
            restrictions: Vec::new(),
            witness: None,
            expected: question.expected,
            exempt: question.exempt.clone(),
            question,
        }
    }

    /// Returns whether the value is certain; else the values that were tried say so.
    #[must_use]
    pub fn is_proved(&self) -> bool {
        self.open.is_none()
    }

    /// Asks what evaluation and search leave open of the cell, until nothing is or the answer is
    /// unknown.
    ///
    /// # Errors
    /// The cell is no request that fits the schema of the store.
    pub fn settle(
        &mut self,
        store: &PolicyStore,
        ask: &mut dyn FnMut(&OpenCell<'_>) -> Answered,
    ) -> Result<(), MatrixError> {
        while let Some(part) = self.open {
            let open = OpenCell::new(store, &self.question, part)?;
            match (part, ask(&open)) {
                (OpenPart::Base, Answered::None) => self.conclude(store, Expected::Allow)?,
                (OpenPart::Base, Answered::Some(_)) => {
                    let variants = world(store, &self.question, Optional::Open)?;
                    match policies(store, &variants).allow(&variants) {
                        Truth::True => self.conclude(store, Expected::Cond)?,
                        Truth::False => self.conclude(store, Expected::Deny)?,
                        Truth::Open(_) => self.open = Some(OpenPart::Variants),
                    }
                }
                (OpenPart::Variants, Answered::None) => self.conclude(store, Expected::Deny)?,
                (OpenPart::Variants, Answered::Some(witness)) => {
                    self.conclude(store, Expected::Cond)?;
                    self.witness = Some(*witness);
                }
                (_, Answered::Unknown(reason)) => {
                    self.unsettled = Some(reason);
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Forgets what evaluation and search say, so that a solver has to say all.
    #[cfg(test)]
    pub(crate) fn forget(&mut self, store: &PolicyStore) {
        if applies(store, &self.question) {
            self.open = Some(OpenPart::Base);
            let is_denied = self.value == Expected::Deny;
            self.value = if is_denied { Expected::Allow } else { Expected::Deny };
        }
    }

    /// Sets the value, which is certain, and the policies that decide it.
    fn conclude(&mut self, store: &PolicyStore, value: Expected) -> Result<(), MatrixError> {
        self.value = value;
        self.open = None;
        self.policies = Vec::new();
        self.restrictions = Vec::new();
        let base = world(store, &self.question, Optional::Absent)?;
        let variants = world(store, &self.question, Optional::Open)?;
        let policies = policies(store, &base);
        if value != Expected::Deny {
            self.restrictions = applicable(&policies, &policies.forbids, &variants);
        }
        self.policies = match value {
            Expected::Allow => applicable(&policies, &policies.permits, &base),
            Expected::Cond => applicable(&policies, &policies.permits, &variants),
            Expected::Deny if applicable(&policies, &policies.permits, &variants).is_empty() => {
                Vec::new()
            }
            Expected::Deny => applicable(&policies, &policies.forbids, &base),
        };
        Ok(())
    }

    /// Sets the value that is likely, and what is open.
    fn leave_open(
        &mut self,
        store: &PolicyStore,
        value: Expected,
        part: OpenPart,
    ) -> Result<(), MatrixError> {
        self.conclude(store, value)?;
        self.open = Some(part);
        Ok(())
    }
}

/// Computes a cell by evaluation and, where that leaves it open, by a search.
pub(super) fn cell(
    store: &PolicyStore,
    constants: &Constants,
    question: MatrixCell,
) -> Result<Cell, MatrixError> {
    let mut cell = Cell::new(question);
    if !applies(store, &cell.question) {
        return Ok(cell);
    }
    let search = Search { constants, engine: store.engine() };
    let mut base = world(store, &cell.question, Optional::Absent)?;
    let policies = policies(store, &base);
    let denied = match policies.allow(&base) {
        Truth::True => {
            cell.conclude(store, Expected::Allow)?;
            return Ok(cell);
        }
        Truth::False => Found::Yes,
        Truth::Open(_) => search.find(&mut base, &[&|world| policies.allow(world).not()]),
    };
    match denied {
        Found::Yes => {}
        Found::No => {
            cell.leave_open(store, Expected::Allow, OpenPart::Base)?;
            return Ok(cell);
        }
        Found::GaveUp => {
            cell.leave_open(store, Expected::Cond, OpenPart::Base)?;
            return Ok(cell);
        }
    }
    let mut variants = world(store, &cell.question, Optional::Open)?;
    match policies.allow(&variants) {
        Truth::False => cell.conclude(store, Expected::Deny)?,
        Truth::True => cell.conclude(store, Expected::Cond)?,
        Truth::Open(_) => match search.find(&mut variants, &[&|world| policies.allow(world)]) {
            Found::Yes => {
                cell.conclude(store, Expected::Cond)?;
                cell.witness = Some(build::request_of(&variants));
            }
            Found::No => cell.leave_open(store, Expected::Deny, OpenPart::Variants)?,
            Found::GaveUp => cell.leave_open(store, Expected::Cond, OpenPart::Variants)?,
        },
    }
    Ok(cell)
}

/// Returns the policies that apply or may apply, with the clauses that are open.
fn applicable(
    policies: &Policies<'_>,
    of: &[&PreparedPolicy],
    world: &World<'_>,
) -> Vec<CellPolicy> {
    let evaluation = Evaluation::new(policies.engine, world);
    let may_apply = of.iter().filter(|policy| evaluation.applies(policy) != Truth::False);
    let described = |policy: &&PreparedPolicy| {
        let annotations: BTreeMap<_, _> = policy.annotations().collect();
        CellPolicy {
            id: policy.id().to_owned(),
            doc: annotations.get("doc").copied().unwrap_or_default().to_owned(),
            open: open_clauses(evaluation, policy, world),
        }
    };
    may_apply.map(described).collect()
}

fn open_clauses(
    evaluation: Evaluation<'_>,
    policy: &PreparedPolicy,
    world: &World<'_>,
) -> Vec<Clause> {
    let is_open = |truth: Truth| matches!(truth, Truth::Open(_));
    let request = &world.request;
    let clauses = clauses(policy.policy());
    let open = clauses.iter().filter(|clause| match (clause.kind, clause.condition()) {
        (ClauseKind::Principal, _) => {
            is_open(evaluation.scope(policy.principal(), &request.principal))
        }
        (ClauseKind::Resource, _) => {
            is_open(evaluation.scope(policy.resource(), &request.resource))
        }
        (_, Some(condition)) => is_open(evaluation.holds(policy, condition)),
        (_, None) => false,
    });
    let shown = open.map(|clause| Clause {
        text: in_one_line(&clause.text()),
        unless: clause.kind == ClauseKind::Unless,
    });
    shown.collect()
}

/// The text with each run of blanks as one.
fn in_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
