//! The actions of a spreadsheet, gathered by the roles that may do them.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::sheet::{Sheet, SheetCell, SheetRow};

/// The longest name of a policy file, in bytes, without its ending.
const NAME_BYTES: usize = 60;

/// The actions that the same roles may do.
pub(super) struct ActionGroup<'a> {
    /// The name of their policy file; empty where nobody may do them.
    pub name: String,
    pub cells: &'a [SheetCell],
    pub rows: Vec<&'a SheetRow>,
}

impl ActionGroup<'_> {
    /// The id of the policy that those cells become.
    pub fn policy_id(&self, cell: SheetCell) -> String {
        match cell {
            SheetCell::Cond(condition) => format!("{}-if-{}", self.name, condition + 1),
            SheetCell::Allow | SheetCell::Deny => self.name.clone(),
        }
    }
}

/// Gathers the actions that the same roles may do, in the order of the spreadsheet.
pub(super) fn groups(sheet: &Sheet) -> Vec<ActionGroup<'_>> {
    let mut groups: Vec<ActionGroup<'_>> = Vec::new();
    let mut places: HashMap<&[SheetCell], usize> = HashMap::new();
    for row in &sheet.rows {
        let place = *places.entry(&row.cells).or_insert(groups.len());
        match groups.get_mut(place) {
            Some(group) => group.rows.push(row),
            None => {
                groups.push(ActionGroup { name: String::new(), cells: &row.cells, rows: vec![row] })
            }
        }
    }
    // File names that differ in the case of letters only are one file on some systems.
    let mut taken = HashSet::new();
    for (index, group) in groups.iter_mut().enumerate() {
        let allowed = slots(sheet, group.cells, |cell| cell == SheetCell::Allow);
        let any = slots(sheet, group.cells, |cell| cell != SheetCell::Deny);
        let name = match (allowed.len(), any.len()) {
            (_, 0) => continue,
            (0, _) => any.join("-"),
            (count, _) if count == sheet.roles.len() && count > 2 => "all-roles".to_owned(),
            _ => allowed.join("-"),
        };
        let name = if name.len() > NAME_BYTES { format!("roles-{}", index + 1) } else { name };
        let numbered = (2..).map(|count| format!("{name}-{count}"));
        let free = std::iter::once(name.clone())
            .chain(numbered)
            .find(|name| taken.insert(name.to_lowercase()));
        group.name = free.unwrap_or_default();
    }
    groups
}

/// Returns the roles whose cell is meant.
pub(super) fn slots<'a>(
    sheet: &'a Sheet,
    cells: &[SheetCell],
    is_meant: impl Fn(SheetCell) -> bool,
) -> Vec<&'a str> {
    let roles = sheet.roles.iter().zip(cells).filter(|(_, cell)| is_meant(**cell));
    roles.map(|(role, _)| role.name.as_str()).collect()
}

/// The conditions of a row of cells, each once.
pub(super) fn conditions(cells: &[SheetCell]) -> BTreeSet<usize> {
    let conditions = cells.iter().filter_map(|cell| match cell {
        SheetCell::Cond(condition) => Some(*condition),
        SheetCell::Allow | SheetCell::Deny => None,
    });
    conditions.collect()
}

/// Returns whether all roles that have a cell in one group may do the actions of another group
/// already, as far as those know of the cell's condition.
pub(super) fn covers(other: &ActionGroup<'_>, group: &ActionGroup<'_>, cell: SheetCell) -> bool {
    let knows = match cell {
        SheetCell::Cond(condition) => conditions(other.cells).contains(&condition),
        SheetCell::Allow | SheetCell::Deny => true,
    };
    let mut cells = group.cells.iter().zip(other.cells).filter(|(own, _)| **own == cell);
    !knows || cells.all(|(_, other)| *other == SheetCell::Allow || *other == cell)
}
