//! The matrix of a store, computed from its policies.
//!
//! A column and a row are a request: who asks, in which roles, for what, on what. What the column,
//! the scope of the row and the row say is known, exactly those roles among it. In the *base*
//! request every other optional fact is absent; in its *variants* optional facts are open too.
//! Required facts that nobody gave are always open.

use std::collections::BTreeMap;

use super::{
    Witness, build,
    candidates::Constants,
    evaluation::Evaluation,
    fact::{Base, Place},
    policies::Policies,
    search::{Found, Search},
    slots,
    truth::Truth,
    world::{Optional, World},
};
use crate::{
    engine::{ClauseKind, PreparedPolicy, clauses},
    model::Problem,
    request::Violation,
    store::PolicyStore,
    testing::{Expected, MatrixCell, matrix_cells},
};

/// A computed matrix.
#[derive(Debug, Clone)]
pub struct Matrix {
    /// The names of the columns.
    pub columns: Vec<String>,
    /// The rows, in the order of `matrix.csv`, else by action.
    pub rows: Vec<Row>,
}

/// A row of a matrix.
#[derive(Debug, Clone)]
pub struct Row {
    /// The scope of the row.
    pub scope: String,
    /// The action.
    pub action: String,
    /// The vendor's words for the action; empty where there are none.
    pub label: String,
    /// A cell for each column.
    pub cells: Vec<Cell>,
}

/// A cell of a matrix.
#[derive(Debug, Clone)]
pub struct Cell {
    /// `Allow` where the base request is allowed, `Cond` where only a variant is, else `Deny`.
    pub value: Expected,
    /// True where that is certain; else the values that were tried say so.
    pub certain: bool,
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

/// A matrix cannot be computed.
#[derive(Debug)]
pub enum MatrixError {
    /// The files of the expected matrix have problems.
    Problems(Vec<Problem>),
    /// A cell is no request that fits the schema.
    Violations {
        /// The scope, action and column of the cell.
        cell: String,
        /// The problems of it.
        violations: Vec<Violation>,
    },
}

impl Matrix {
    /// Computes the matrix of a store: its cells are those of `matrix.csv`, and without one those
    /// of all role slots and actions.
    ///
    /// # Errors
    /// The problems of the matrix's files.
    pub fn of(store: &PolicyStore) -> Result<Self, MatrixError> {
        let constants = Constants::of([store.engine()]);
        let mut columns: Vec<String> = Vec::new();
        let mut rows: Vec<Row> = Vec::new();
        for question in questions(store)? {
            if !columns.contains(&question.column) {
                columns.push(question.column.clone());
            }
            let is_its_row =
                |row: &&mut Row| row.scope == question.scope && row.action == question.action;
            let cell = cell(store, &constants, question.clone())?;
            match rows.iter_mut().rev().find(is_its_row) {
                Some(row) => row.cells.push(cell),
                None => rows.push(Row {
                    scope: question.scope.clone(),
                    action: question.action.clone(),
                    label: question.label.clone(),
                    cells: vec![cell],
                }),
            }
        }
        Ok(Self { columns, rows })
    }

    /// Returns the cells that are not as `matrix.csv` says, with their columns.
    pub fn unexpected(&self) -> impl Iterator<Item = (&Row, &str, &Cell)> {
        self.cells().filter(|(_, _, cell)| {
            cell.exempt.is_none() && cell.expected.is_some_and(|expected| expected != cell.value)
        })
    }

    /// Returns the cell of a row in a column, if it has one.
    #[must_use]
    pub fn cell<'m>(&self, row: &'m Row, column: &str) -> Option<&'m Cell> {
        row.cells.iter().find(|cell| cell.question.column == column)
    }

    /// Returns the scopes of the rows, in their order, each once.
    #[must_use]
    pub fn scopes(&self) -> Vec<&str> {
        let mut scopes = Vec::new();
        for row in &self.rows {
            if !scopes.contains(&row.scope.as_str()) {
                scopes.push(row.scope.as_str());
            }
        }
        scopes
    }

    /// Returns all cells with their rows and columns.
    pub fn cells(&self) -> impl Iterator<Item = (&Row, &str, &Cell)> {
        self.rows
            .iter()
            .flat_map(|row| row.cells.iter().map(move |cell| (row, cell)))
            .map(|(row, cell)| (row, cell.question.column.as_str(), cell))
    }
}

/// Returns the cells of a store's matrix: those of `matrix.csv`, and without one those of all role
/// slots and actions.
pub(super) fn questions(store: &PolicyStore) -> Result<Vec<MatrixCell>, MatrixError> {
    let cells = matrix_cells(store.files(), store.schema()).map_err(MatrixError::Problems)?;
    Ok(if cells.is_empty() { slots::questions(store) } else { cells })
}

pub(super) fn world<'a>(
    store: &'a PolicyStore,
    question: &MatrixCell,
    optional: Optional,
) -> Result<World<'a>, MatrixError> {
    let world = World::new(store.schema(), store.stored(), &question.input, question.now, optional);
    let mut world = world.map_err(|violations| MatrixError::Violations {
        cell: format!("{} / {} / {}", question.scope, question.action, question.column),
        violations,
    })?;
    world.open_roles = Some(question.open_roles.clone());
    let principal = Base::Entity(world.request.principal.clone());
    let open = question
        .open_attributes
        .iter()
        .map(|name| Place { base: principal.clone(), path: vec![name.as_str().into()] });
    world.opened.extend(open);
    Ok(world)
}

pub(super) fn cell(
    store: &PolicyStore,
    constants: &Constants,
    question: MatrixCell,
) -> Result<Cell, MatrixError> {
    let engine = store.engine();
    let mut cell = Cell {
        value: Expected::Deny,
        certain: true,
        policies: Vec::new(),
        restrictions: Vec::new(),
        witness: None,
        expected: question.expected,
        exempt: question.exempt.clone(),
        question,
    };
    if !applies(store, &cell.question) {
        return Ok(cell);
    }
    let mut base = world(store, &cell.question, Optional::Absent)?;
    let request = &base.request;
    let policies = Policies::new(
        engine,
        &request.action,
        request.principal.entity_type(),
        request.resource.entity_type(),
    );
    let find = |world: &mut World<'_>, goal: &dyn Fn(&World<'_>) -> Truth| {
        Search { constants, engine }.find(world, &[goal])
    };
    let denied = match policies.allow(&base) {
        Truth::True => Found::No,
        Truth::False => Found::Yes,
        Truth::Open(_) => {
            cell.certain = false;
            find(&mut base, &|world| policies.allow(world).not())
        }
    };
    let mut variants = world(store, &cell.question, Optional::Open)?;
    cell.restrictions = applicable(&policies, &policies.forbids, &variants);
    if denied != Found::Yes {
        cell.value = if denied == Found::No { Expected::Allow } else { Expected::Cond };
        cell.policies = applicable(&policies, &policies.permits, &base);
        return Ok(cell);
    }
    cell.certain = true;
    let permits = applicable(&policies, &policies.permits, &variants);
    match policies.allow(&variants) {
        Truth::False => {}
        Truth::True => cell.value = Expected::Cond,
        Truth::Open(_) => match find(&mut variants, &|world| policies.allow(world)) {
            Found::Yes => {
                cell.value = Expected::Cond;
                cell.witness = Some(build::request_of(&variants));
            }
            Found::No => cell.certain = false,
            Found::GaveUp => {
                cell.certain = false;
                cell.value = Expected::Cond;
            }
        },
    }
    if cell.value == Expected::Cond {
        cell.policies = permits;
    } else {
        let base = world(store, &cell.question, Optional::Absent)?;
        cell.policies = if permits.is_empty() {
            Vec::new()
        } else {
            applicable(&policies, &policies.forbids, &base)
        };
        cell.restrictions = Vec::new();
    }
    Ok(cell)
}

/// Returns whether the action may be asked by such a principal on such a resource.
pub(super) fn applies(store: &PolicyStore, question: &MatrixCell) -> bool {
    let schema = store.schema();
    let input = &question.input;
    let action = input.action.as_ref().and_then(|uid| schema.action(&uid.type_name, &uid.id));
    let type_of = |uid: &Option<crate::model::Uid>| {
        uid.as_ref().and_then(|uid| schema.entity_type(&uid.type_name))
    };
    let types = type_of(&input.principal).zip(type_of(&input.resource));
    action.zip(types).is_some_and(|(action, (principal, resource))| {
        action.principals.contains(principal) && action.resources.contains(resource)
    })
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
