//! The cells of the expected matrix as cases.

use std::collections::HashSet;

use cedar_policy_core::ast::EntityType;

use super::{
    case::{Case, DEFAULT_NOW, Expectation, ExpectedPolicies},
    facts::TestFacts,
    matrix_meaning::{Cond, CondFacts, Meaning},
    matrix_rows::{Expected, ExpectedRow},
    node::TestPlace,
};
use crate::{
    model::{Effect, Uid},
    schema::{EntityShape, Schema, Slot},
    store::Problems,
};

/// The file of the cells.
pub(super) const CSV: &str = "matrix.csv";
/// The file that says what they mean.
pub(super) const MEANING: &str = "matrix.toml";

/// A cell of the matrix that means nothing as a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exempt {
    /// The scope of the row.
    pub scope: String,
    /// The action of the row.
    pub action: String,
    /// The column.
    pub column: String,
    /// Why.
    pub reason: String,
}

/// Makes cases of cells.
pub(super) struct CellCases<'a> {
    meaning: &'a Meaning,
    schema: &'a Schema,
    problems: &'a mut Problems,
    /// Scopes and columns that were missed already.
    missing: HashSet<(&'static str, String)>,
    /// The places of the conditions and exemptions that a cell used.
    pub used: HashSet<*const ()>,
    pub cases: Vec<Case>,
    pub exempt: Vec<Exempt>,
}

impl<'a> CellCases<'a> {
    pub fn new(meaning: &'a Meaning, schema: &'a Schema, problems: &'a mut Problems) -> Self {
        Self {
            meaning,
            schema,
            problems,
            missing: HashSet::new(),
            used: HashSet::new(),
            cases: Vec::new(),
            exempt: Vec::new(),
        }
    }

    /// The facts of a cell.
    pub fn facts(&mut self, row: &ExpectedRow, column: &str) -> Option<TestFacts> {
        let Some(scope) = self.meaning.scopes.get(&row.scope) else {
            self.missing("scopes", &row.scope, &row.place);
            return None;
        };
        let Some(of_column) = self.meaning.columns.get(column) else {
            self.missing("columns", column, &row.place);
            return None;
        };
        let mut facts = scope.facts.clone();
        facts.add(&of_column.facts, self.schema);
        for (_, row_facts, _) in
            self.meaning.rows.iter().filter(|(pattern, ..)| pattern.matches(&row.action))
        {
            facts.add(row_facts, self.schema);
        }
        Some(facts)
    }

    /// The roles and attributes that the column and the row of a cell leave open.
    pub fn open(
        &mut self,
        row: &ExpectedRow,
        column: &str,
    ) -> (Vec<(EntityType, Slot)>, Vec<String>) {
        let of_column = self.meaning.columns.get(column).map(|column| &column.open);
        let of_rows = self.meaning.rows.iter().filter(|(pattern, ..)| pattern.matches(&row.action));
        let (mut roles, mut attributes) = (Vec::new(), Vec::new());
        for open in of_column.into_iter().chain(of_rows.map(|(.., open)| open)) {
            for (name, place) in &open.roles {
                let found = slots_named(self.schema, name);
                if found.is_empty() {
                    self.problems.push(place.problem(format!(
                        "no role `{name}`: write the scope's type and the slot, as in `Site.editor`"
                    )));
                }
                roles.extend(found);
            }
            attributes.extend(open.attributes.iter().map(|(name, _)| name.clone()));
        }
        (roles, attributes)
    }

    /// Makes the cases of a row, and notes its exempt cells.
    pub fn row(&mut self, row: &ExpectedRow) {
        let conds: Vec<_> = row
            .cells
            .iter()
            .filter_map(|(column, cell)| self.cond_of(row, column, *cell))
            .collect();
        for (column, cell) in &row.cells {
            if let Some(exempt) = self.exempt_of(row, column) {
                self.exempt.push(exempt);
                continue;
            }
            let Some(facts) = self.facts(row, column) else { continue };
            self.cell(row, column, *cell, &facts, &conds);
        }
    }

    fn missing(&mut self, kind: &'static str, name: &str, place: &TestPlace) {
        if self.missing.insert((kind, name.to_owned())) {
            let message = format!("`{MEANING}` does not say what `{name}` means");
            let help = format!("add a table `[{kind}.{name}]` to it");
            self.problems.push(place.problem(message).with_help(help));
        }
    }

    /// Returns the exemption of a cell, if there is one, and notes that it is used.
    pub fn exempt_of(&mut self, row: &ExpectedRow, column: &str) -> Option<Exempt> {
        let exempt =
            self.meaning.exempt.iter().find(|exempt| exempt.cells.hold(column, &row.action))?;
        self.used.insert(std::ptr::from_ref(exempt).cast());
        Some(Exempt {
            scope: row.scope.clone(),
            action: row.action.clone(),
            column: column.to_owned(),
            reason: exempt.reason.clone(),
        })
    }

    /// The condition of a cond cell, if it is one and is not exempt.
    fn cond_of(&mut self, row: &ExpectedRow, column: &str, cell: Expected) -> Option<&'a Cond> {
        let exempt =
            self.meaning.exempt.iter().any(|exempt| exempt.cells.hold(column, &row.action));
        if cell != Expected::Cond || exempt {
            return None;
        }
        let cond = self.meaning.conds.iter().find(|cond| cond.cells.hold(column, &row.action));
        match cond {
            Some(cond) => {
                self.used.insert(std::ptr::from_ref(cond).cast());
            }
            None => {
                let message = format!(
                    "the cell `cond` of `{}` in the column `{column}` has no `[[cond]]` in `{MEANING}`",
                    row.action
                );
                self.problems.push(row.place.problem(message));
            }
        }
        cond
    }

    fn cell(
        &mut self,
        row: &ExpectedRow,
        column: &str,
        cell: Expected,
        facts: &TestFacts,
        conds: &[&'a Cond],
    ) {
        match cell {
            Expected::Allow => self.case(row, column, "", facts, None, Effect::Allow),
            Expected::Deny => {
                self.case(row, column, "", facts, None, Effect::Deny);
                let mut done: HashSet<*const Cond> = HashSet::new();
                for cond in conds {
                    if !done.insert(std::ptr::from_ref(*cond)) {
                        continue;
                    }
                    for (index, side) in cond.allow.iter().enumerate() {
                        let name =
                            format!("although {}", side_name(cond, side, index, cond.allow.len()));
                        let facts_of_side = side.facts.circumstances();
                        self.case(row, column, &name, facts, Some(&facts_of_side), Effect::Deny);
                    }
                }
            }
            Expected::Cond => {
                let cond =
                    self.meaning.conds.iter().find(|cond| cond.cells.hold(column, &row.action));
                let Some(cond) = cond else { return };
                for (effect, sides) in [(Effect::Allow, &cond.allow), (Effect::Deny, &cond.deny)] {
                    for (index, side) in sides.iter().enumerate() {
                        let what = if effect == Effect::Allow { "if" } else { "unless" };
                        let name = format!("{what} {}", side_name(cond, side, index, sides.len()));
                        self.case(row, column, &name, facts, Some(&side.facts), effect);
                    }
                }
            }
        }
    }

    fn case(
        &mut self,
        row: &ExpectedRow,
        column: &str,
        what: &str,
        facts: &TestFacts,
        more: Option<&TestFacts>,
        effect: Effect,
    ) {
        let mut facts = facts.clone();
        if let Some(more) = more {
            facts.add(more, self.schema);
        }
        let separator = if what.is_empty() { "" } else { ", " };
        self.cases.push(Case {
            name: format!("{} / {} / {column}{separator}{what}", row.scope, row.action),
            file: CSV.to_owned(),
            line: row.place.line(),
            input: facts.request(&Uid::action(&row.action), self.schema),
            now: facts.now.unwrap_or(DEFAULT_NOW),
            expectation: Expectation::Decision {
                effect,
                policies: ExpectedPolicies::Any,
                errors: None,
            },
        });
    }
}

/// The role slots of `Type.slot`; of `*` all.
fn slots_named(schema: &Schema, name: &str) -> Vec<(EntityType, Slot)> {
    let of_type = |shape: &EntityShape| {
        let slots = shape.slots.keys().cloned();
        slots.map(|slot| (shape.entity_type.clone(), slot)).collect::<Vec<_>>()
    };
    if name == "*" {
        return schema.entities().flat_map(of_type).collect();
    }
    let Some((ty, slot)) = name.rsplit_once('.') else { return Vec::new() };
    let shape = schema.entity_type(ty).and_then(|ty| schema.entity(ty));
    let slots = shape.map(of_type).unwrap_or_default();
    slots.into_iter().filter(|(_, of)| of.as_str() == slot).collect()
}

fn side_name(cond: &Cond, side: &CondFacts, index: usize, count: usize) -> String {
    match &side.name {
        Some(name) => format!("{}: {name}", cond.name),
        None if count == 1 => cond.name.clone(),
        None => format!("{}: {}", cond.name, index + 1),
    }
}
