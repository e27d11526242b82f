//! `matrix.toml`: what the cells of the matrix mean as requests.

use std::collections::BTreeMap;

use super::{
    facts::TestFacts,
    node::{Node, TestPlace},
    table::{self, TestTable},
};
use crate::store::Problems;

/// The meaning of the cells of the matrix as requests.
#[derive(Debug, Default)]
pub(super) struct Meaning {
    pub scopes: BTreeMap<String, NamedFacts>,
    pub columns: BTreeMap<String, NamedFacts>,
    /// In the order of the file.
    pub rows: Vec<(Pattern, TestFacts, OpenFacts)>,
    /// In the order of the file.
    pub conds: Vec<Cond>,
    pub exempt: Vec<ExemptCells>,
}

/// Facts of a scope or a column.
#[derive(Debug)]
pub(super) struct NamedFacts {
    pub place: TestPlace,
    pub facts: TestFacts,
    pub open: OpenFacts,
}

/// The facts that a column or a row of the computed matrix leaves open. A case has those that it
/// names.
#[derive(Debug, Default)]
pub(super) struct OpenFacts {
    /// Roles that the principal may hold besides: `Site.editor`, or `*` for all.
    pub roles: Vec<(String, TestPlace)>,
    /// Attributes of the principal of which the value that is given is only an example.
    pub attributes: Vec<(String, TestPlace)>,
}

impl OpenFacts {
    fn take(table: &mut TestTable, problems: &mut Problems) -> Self {
        Self {
            roles: table.strings("open_roles", problems),
            attributes: table.strings("open_attributes", problems),
        }
    }
}

/// The facts that make conditional cells true and false.
#[derive(Debug)]
pub(super) struct Cond {
    pub place: TestPlace,
    pub name: String,
    pub cells: CellSelector,
    pub allow: Vec<CondFacts>,
    pub deny: Vec<CondFacts>,
}

/// Facts under which a cond cell allows, or denies.
#[derive(Debug)]
pub(super) struct CondFacts {
    pub name: Option<String>,
    pub facts: TestFacts,
}

/// Cells that mean nothing as a request.
#[derive(Debug)]
pub(super) struct ExemptCells {
    pub place: TestPlace,
    pub cells: CellSelector,
    pub reason: String,
}

/// Selects cells.
#[derive(Debug)]
pub(super) struct CellSelector {
    columns: Vec<Pattern>,
    actions: Vec<Pattern>,
    except: Vec<Pattern>,
}

/// A text in which `*` stands for any text.
#[derive(Debug)]
pub(super) struct Pattern {
    pub place: TestPlace,
    text: String,
}

impl Meaning {
    pub(super) fn read(node: Node, problems: &mut Problems) -> Option<Self> {
        let mut table = TestTable::new(node, problems)?;
        let mut meaning = Self {
            scopes: named(&mut table, "scopes", problems),
            columns: named(&mut table, "columns", problems),
            ..Self::default()
        };
        for field in table.fields("rows", problems) {
            let pattern = Pattern { place: field.place, text: field.name };
            let Some(mut table) = TestTable::new(field.value, problems) else { continue };
            let open = OpenFacts::take(&mut table, problems);
            let facts = TestFacts::take(&mut table, problems);
            table.finish(problems);
            meaning.rows.push((pattern, facts, open));
        }
        for node in table.array("cond", problems) {
            meaning.conds.extend(Cond::read(node, problems));
        }
        for node in table.array("exempt", problems) {
            meaning.exempt.extend(ExemptCells::read(node, problems));
        }
        table.finish(problems);
        Some(meaning)
    }
}

fn named(
    table: &mut TestTable,
    key: &'static str,
    problems: &mut Problems,
) -> BTreeMap<String, NamedFacts> {
    let mut named = BTreeMap::new();
    for field in table.fields(key, problems) {
        let Some(mut table) = TestTable::new(field.value, problems) else { continue };
        let open = if key == "columns" {
            OpenFacts::take(&mut table, problems)
        } else {
            OpenFacts::default()
        };
        let facts = TestFacts::take(&mut table, problems);
        table.finish(problems);
        named.insert(field.name, NamedFacts { place: field.place, facts, open });
    }
    named
}

impl Cond {
    fn read(node: Node, problems: &mut Problems) -> Option<Self> {
        let mut table = TestTable::new(node, problems)?;
        let name = table.required_string("name", problems);
        let cells = CellSelector::take(&mut table, problems);
        let allow = sides(&mut table, "allow", problems);
        let deny = sides(&mut table, "deny", problems);
        let place = name.as_ref().map_or_else(|| table.place().clone(), |(_, place)| place.clone());
        for (side, facts) in [("allow", &allow), ("deny", &deny)] {
            if facts.is_empty() {
                let message = format!("a condition needs facts that {side}: add `{side}`");
                problems.push(place.problem(message));
            }
        }
        table.finish(problems);
        Some(Self { place, name: name?.0, cells, allow, deny })
    }
}

/// One set of facts, or several with names.
fn sides(table: &mut TestTable, key: &'static str, problems: &mut Problems) -> Vec<CondFacts> {
    use super::node::Plain;

    let nodes = match table.take(key) {
        None => return Vec::new(),
        Some(node) if matches!(node.plain, Plain::Array(_)) => table::array(node, problems),
        Some(node) => vec![node],
    };
    let mut sides = Vec::new();
    for node in nodes {
        let Some(mut table) = TestTable::new(node, problems) else { continue };
        let name = table.string("name", problems).map(|(name, _)| name);
        let facts = TestFacts::take(&mut table, problems);
        table.finish(problems);
        sides.push(CondFacts { name, facts });
    }
    sides
}

impl ExemptCells {
    fn read(node: Node, problems: &mut Problems) -> Option<Self> {
        let mut table = TestTable::new(node, problems)?;
        let cells = CellSelector::take(&mut table, problems);
        let reason = table.required_string("reason", problems);
        let place = table.place().clone();
        table.finish(problems);
        Some(Self { place, cells, reason: reason?.0 })
    }
}

impl CellSelector {
    fn take(table: &mut TestTable, problems: &mut Problems) -> Self {
        let mut patterns = |key| {
            let texts = table.strings(key, problems);
            texts.into_iter().map(|(text, place)| Pattern { place, text }).collect()
        };
        Self {
            columns: patterns("columns"),
            actions: patterns("actions"),
            except: patterns("except"),
        }
    }

    /// Returns whether it is about the cell of a column and action.
    pub(super) fn hold(&self, column: &str, action: &str) -> bool {
        let any = |patterns: &[Pattern], text| patterns.iter().any(|pattern| pattern.matches(text));
        (self.columns.is_empty() || any(&self.columns, column))
            && (self.actions.is_empty() || any(&self.actions, action))
            && !any(&self.except, action)
    }
}

impl Pattern {
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn matches(&self, text: &str) -> bool {
        let mut parts = self.text.split('*');
        let first = parts.next().unwrap_or_default();
        let Some(mut rest) = text.strip_prefix(first) else { return false };
        let Some(last) = parts.next_back() else { return rest.is_empty() };
        for part in parts {
            match rest.split_once(part) {
                Some((_, after)) => rest = after,
                None => return false,
            }
        }
        rest.ends_with(last)
    }
}
