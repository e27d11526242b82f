//! The conditions of a matrix, numbered, each once.

use crate::{
    analysis::{Cell, CellPolicy, Clause, Matrix},
    testing::Expected,
};

/// The conditions of a matrix. The same policies with the same open clauses are one condition.
pub(super) struct Notes<'a> {
    notes: Vec<Note<'a>>,
}

/// One condition.
pub(super) struct Note<'a> {
    pub number: usize,
    /// The policies of which one must apply.
    pub permits: &'a [CellPolicy],
    /// The policies of which none may apply.
    pub forbids: &'a [CellPolicy],
}

impl<'a> Notes<'a> {
    pub(super) fn of(matrix: &'a Matrix) -> Self {
        let mut notes = Self { notes: Vec::new() };
        for (_, _, cell) in matrix.cells() {
            if has_note(cell) && notes.number(cell).is_none() {
                let number = notes.notes.len() + 1;
                let (permits, forbids) = parts(cell);
                notes.notes.push(Note { number, permits, forbids });
            }
        }
        notes
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Note<'a>> {
        self.notes.iter()
    }

    /// The number of a cell's condition, if it has one.
    pub(super) fn number(&self, cell: &Cell) -> Option<usize> {
        let wanted = has_note(cell).then(|| parts(cell))?;
        let found = self.notes.iter().find(|note| (note.permits, note.forbids) == wanted);
        found.map(|note| note.number)
    }
}

/// Returns whether a cell has a note: a condition has one, and an allow with restrictions.
fn has_note(cell: &Cell) -> bool {
    match cell.value {
        Expected::Cond => true,
        Expected::Allow => !cell.restrictions.is_empty(),
        Expected::Deny => false,
    }
}

fn parts(cell: &Cell) -> (&[CellPolicy], &[CellPolicy]) {
    match cell.value {
        Expected::Cond => (&cell.policies, &cell.restrictions),
        Expected::Allow | Expected::Deny => (&[], &cell.restrictions),
    }
}

/// Returns the open clauses of a policy in a line; nothing where it has none.
pub(super) fn clauses(policy: &CellPolicy) -> String {
    let alone = policy.open.len() == 1;
    let clause = |clause: &Clause| match (clause.unless, alone) {
        (true, _) => format!("not ({})", clause.text),
        // `||` binds less than the `&&` between clauses.
        (false, false) if clause.text.contains("||") => format!("({})", clause.text),
        (false, _) => clause.text.clone(),
    };
    policy.open.iter().map(clause).collect::<Vec<_>>().join(" && ")
}

/// Returns the word of a cell.
pub(super) fn word(cell: &Cell) -> &'static str {
    match cell.value {
        Expected::Allow => "allow",
        Expected::Deny => "deny",
        Expected::Cond => "cond",
    }
}

/// Returns what is to be added to a cell that is not certain.
pub(super) const NOT_PROVED: &str = "computed, not proved";
