//! A spreadsheet of roles by actions, as it was exported to CSV.

use std::{
    collections::{HashMap, HashSet},
    str::FromStr as _,
};

use cedar_policy_core::ast::UnreservedId;
use csv::{ReaderBuilder, StringRecord, Trim};

use crate::{
    model::{Problem, Text, decode},
    store::Problems,
};

/// The most roles, actions and conditions of a spreadsheet, and the most bytes of a cell. Every
/// cell becomes a test or several.
const ROLES: usize = 50;
const ACTIONS: usize = 2_000;
const CONDITIONS: usize = 500;
const CELL_BYTES: usize = 2_000;

/// The columns of a matrix that are not roles.
const OTHER_COLUMNS: [&str; 4] = ["scope", "label", "condition", "source"];
const ACTION: &str = "action";

const ALLOW: [&str; 8] = ["allow", "yes", "y", "x", "true", "1", "✓", "✔"];
const DENY: [&str; 11] = ["", "deny", "no", "n", "false", "0", "-", "–", "—", "✗", "✘"];
const COND: &str = "cond";
/// The words of a condition for which the spreadsheet has none.
const UNNAMED: &str = "a condition that the spreadsheet does not name";

/// The types that a schema knows without declaring them.
pub(super) const PRIMITIVE_TYPES: [&str; 14] = [
    "Action",
    "Bool",
    "Boolean",
    "Entity",
    "Extension",
    "Long",
    "Record",
    "Set",
    "String",
    "datetime",
    "decimal",
    "duration",
    "ipaddr",
    "__cedar",
];

/// A spreadsheet of roles by actions.
#[derive(Debug)]
pub(super) struct Sheet {
    pub roles: Vec<Renamed>,
    pub rows: Vec<SheetRow>,
    /// The words of each condition.
    pub conditions: Vec<String>,
}

/// A name in the spreadsheet, and in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renamed {
    /// The name in the spreadsheet.
    pub written: String,
    /// The name in the store.
    pub name: String,
}

/// An action and who may do it.
#[derive(Debug)]
pub(super) struct SheetRow {
    pub scope: String,
    pub action: Renamed,
    pub label: String,
    pub condition: String,
    pub source: String,
    /// A cell for each role.
    pub cells: Vec<SheetCell>,
}

/// The answer of a cell of the spreadsheet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum SheetCell {
    Allow,
    Deny,
    /// Under the condition of that place among [`Sheet::conditions`].
    Cond(usize),
}

impl Sheet {
    /// Reads a spreadsheet. `file` names it in problems.
    ///
    /// # Errors
    /// Every problem of the spreadsheet.
    pub(super) fn read(file: &str, bytes: &[u8]) -> Result<Self, Vec<Problem>> {
        let text = decode(bytes).map_err(|error| {
            let problem = Problem::of_file(file, format!("the file is {error}"));
            vec![problem.with_help("save the spreadsheet as \"CSV UTF-8\"")]
        })?;
        let mut reader = SheetReader::new(Text::new(file, text));
        if let Some(quote) = unclosed_quote(text, delimiter(text)) {
            let message = "a quote is not closed: the lines below it would be part of its cell";
            let problem = Problem::at(&reader.text, quote..quote + 1, message);
            let help = "close it at the end of the cell; a quote within a quoted cell is `\"\"`";
            return Err(vec![problem.with_help(help)]);
        }
        let mut records = ReaderBuilder::new()
            .delimiter(delimiter(text))
            .flexible(true)
            .has_headers(false)
            .trim(Trim::All)
            .from_reader(text.as_bytes());
        let mut columns: Option<SheetColumns> = None;
        let mut rows = Vec::new();
        // Those beyond the bound are only counted.
        let mut actions = 0;
        for record in records.records() {
            if reader.problems.leaves_rest(file) {
                break;
            }
            let record = match record {
                Ok(record) => record,
                Err(error) => {
                    reader.problem(error.position(), error.to_string());
                    break;
                }
            };
            match &columns {
                None => {
                    let found = reader.columns(&record);
                    if found.role_count > ROLES {
                        break;
                    }
                    columns = Some(found);
                }
                Some(_) if record.iter().all(str::is_empty) => {}
                Some(columns) => {
                    actions += 1;
                    if actions <= ACTIONS {
                        rows.extend(reader.row(columns, &record));
                    }
                }
            }
        }
        if reader.problems.is_empty() && rows.is_empty() {
            let help = "write the roles in the first line, and below it a line for each action";
            let problem = Problem::of_file(file, "the spreadsheet has no action");
            reader.problems.push(problem.with_help(help));
        }
        if actions > ACTIONS {
            let message = format!("the spreadsheet has {actions} actions, more than {ACTIONS}");
            reader.problem(None, message);
        } else {
            reader.name_actions(&mut rows);
        }
        if !reader.problems.is_empty() {
            return Err(reader.problems.into_vec());
        }
        let roles = columns.map(|columns| columns.roles).unwrap_or_default();
        let roles = roles.into_iter().map(|(_, role)| role).collect();
        let rows = rows.into_iter().map(|(_, row)| row).collect();
        Ok(Self { roles, rows, conditions: reader.conditions })
    }
}

/// Returns the byte of a quote that begins a cell of several lines and does not end with it: at the end of the
/// file, or before other text.
fn unclosed_quote(text: &str, delimiter: u8) -> Option<usize> {
    let mut bytes = text.bytes().enumerate().peekable();
    let mut is_begin = true;
    while let Some((at, byte)) = bytes.next() {
        if byte != b'"' || !is_begin {
            is_begin = byte == delimiter || byte == b'\n' || byte == b'\r';
            continue;
        }
        let (mut is_closed, mut is_long) = (false, false);
        while let Some((_, byte)) = bytes.next() {
            is_long |= byte == b'\n';
            if byte == b'"' && bytes.next_if(|(_, next)| *next == b'"').is_none() {
                is_closed = true;
                break;
            }
        }
        let ends_cell = bytes
            .peek()
            .is_none_or(|(_, next)| *next == delimiter || matches!(next, b'\n' | b'\r' | b' '));
        if !is_closed || is_long && !ends_cell {
            return Some(at);
        }
        is_begin = false;
    }
    None
}

/// The character between the cells: the one that the first line has most of, outside of quotes.
fn delimiter(text: &str) -> u8 {
    let mut is_quoted = false;
    let mut counts = [(b'\t', 0), (b';', 0), (b',', 0)];
    for byte in text.trim_start().bytes() {
        match byte {
            b'"' => is_quoted = !is_quoted,
            b'\n' if !is_quoted => break,
            _ if is_quoted => {}
            _ => {
                let count = counts.iter_mut().find(|(delimiter, _)| *delimiter == byte);
                count.into_iter().for_each(|(_, count)| *count += 1);
            }
        }
    }
    // The last of equal counts wins.
    counts.into_iter().max_by_key(|(_, count)| *count).map_or(b',', |(delimiter, _)| delimiter)
}

/// The places of the columns.
#[derive(Default)]
struct SheetColumns {
    action: usize,
    /// The places of [`OTHER_COLUMNS`].
    others: [Option<usize>; OTHER_COLUMNS.len()],
    /// The roles with their places, no more than [`ROLES`].
    roles: Vec<(usize, Renamed)>,
    role_count: usize,
}

/// A place in the text: of a record.
type RecordPosition = Option<csv::Position>;

struct SheetReader {
    text: Text,
    problems: Problems,
    conditions: Vec<String>,
    /// The places of conditions by their words.
    by_words: HashMap<String, usize>,
}

impl SheetReader {
    fn new(text: Text) -> Self {
        Self {
            text,
            problems: Problems::default(),
            conditions: Vec::new(),
            by_words: HashMap::new(),
        }
    }

    fn problem(&mut self, position: Option<&csv::Position>, message: impl Into<String>) {
        let start = self.start(position);
        self.problems.add(self.text.name(), || Problem::at(&self.text, (start, 0), message));
    }

    /// Returns the byte at which a record begins.
    fn start(&self, position: Option<&csv::Position>) -> usize {
        let text = self.text.text();
        let start = position.and_then(|position| usize::try_from(position.byte()).ok());
        let start = start.unwrap_or_default().min(text.len());
        // The reader counts the empty lines before a record to the record.
        let rest = text.get(start..).unwrap_or_default();
        start + (rest.len() - rest.trim_start().len())
    }

    fn columns(&mut self, headers: &StringRecord) -> SheetColumns {
        let other =
            |header: &str| OTHER_COLUMNS.iter().position(|name| header.eq_ignore_ascii_case(name));
        let named = headers.iter().position(|header| header.eq_ignore_ascii_case(ACTION));
        let first = || headers.iter().position(|header| other(header).is_none());
        let mut columns = SheetColumns {
            action: named.or_else(first).unwrap_or_default(),
            ..SheetColumns::default()
        };
        let mut written = HashSet::new();
        for (place, header) in headers.iter().enumerate() {
            if self.problems.leaves_rest(self.text.name()) {
                return columns;
            }
            let is_role = place != columns.action && !header.is_empty() && other(header).is_none();
            if let Some(slot) = other(header).and_then(|other| columns.others.get_mut(other)) {
                *slot = Some(place);
            }
            if !header.is_empty() && !written.insert(header) {
                let message = format!("two columns are called `{header}`: give one another name");
                self.problem(headers.position(), message);
            } else if header.len() > CELL_BYTES {
                self.too_long(headers, place);
            } else if is_role {
                columns.role_count += 1;
                if columns.role_count > ROLES {
                    continue;
                }
                let name = slot(header, columns.roles.len() + 1, &columns.roles);
                columns.roles.push((place, Renamed { written: header.to_owned(), name }));
            }
        }
        let count = columns.role_count;
        if count == 0 {
            let message = "the first line names no role: write the roles in it, each in a column";
            self.problem(headers.position(), message);
        } else if count > ROLES {
            let message = format!("the spreadsheet has {count} roles, more than {ROLES}");
            self.problem(headers.position(), message);
        }
        columns
    }

    fn row(
        &mut self,
        columns: &SheetColumns,
        record: &StringRecord,
    ) -> Option<(RecordPosition, SheetRow)> {
        let position = record.position().cloned();
        if let Some(place) = record.iter().position(|cell| cell.len() > CELL_BYTES) {
            self.too_long(record, place);
            return None;
        }
        let cell = |place| record.get(place).unwrap_or_default();
        let [scope, label, condition, source] =
            columns.others.map(|place| place.map(cell).unwrap_or_default());
        let written = cell(columns.action).to_owned();
        if written.is_empty() {
            self.problem(position.as_ref(), "the line names no action");
            return None;
        }
        let named = |place: usize| {
            place == columns.action
                || columns.others.contains(&Some(place))
                || columns.roles.iter().any(|(role, _)| *role == place)
        };
        let unnamed = record.iter().enumerate().find(|(at, cell)| !cell.is_empty() && !named(*at));
        if let Some((place, _)) = unnamed {
            let message = format!("column {} has a cell here and no name", place + 1);
            self.problem(position.as_ref(), message);
        }
        let cells: Vec<_> =
            columns.roles.iter().map(|(place, _)| self.cell(cell(*place), condition)).collect();
        if self.conditions.len() > CONDITIONS {
            self.conditions.truncate(CONDITIONS);
            self.by_words.clear();
            let message = format!("the spreadsheet has more than {CONDITIONS} conditions");
            self.problem(position.as_ref(), message);
        }
        if written.contains('*') && cells.iter().any(|cell| matches!(cell, SheetCell::Cond(_))) {
            let message = format!(
                "`{written}` has a condition, and in `matrix.toml` a `*` stands for any text: \
                 write the action without it"
            );
            self.problem(position.as_ref(), message);
        }
        let action = Renamed { name: written.clone(), written };
        let [scope, label, condition, source] =
            [scope, label, condition, source].map(str::to_owned);
        Some((position, SheetRow { scope, action, label, condition, source, cells }))
    }

    fn cell(&mut self, text: &str, condition: &str) -> SheetCell {
        let lower = text.to_lowercase();
        if ALLOW.contains(&&*lower) {
            return SheetCell::Allow;
        }
        if DENY.contains(&&*lower) {
            return SheetCell::Deny;
        }
        let words = match (lower == COND, condition) {
            (true, "") => UNNAMED,
            (true, condition) => condition,
            (false, _) => text,
        };
        let words = one_line(words);
        let next = self.conditions.len();
        let place = *self.by_words.entry(words.clone()).or_insert(next);
        if place == next {
            self.conditions.push(words);
        }
        SheetCell::Cond(place)
    }

    fn too_long(&mut self, record: &StringRecord, place: usize) {
        let message = format!("the cell in column {} has more than {CELL_BYTES} bytes", place + 1);
        self.problem(record.position(), message);
    }

    /// Gives each action an id of its own: an action of several scopes has the scope in front.
    fn name_actions(&mut self, rows: &mut [(RecordPosition, SheetRow)]) {
        let mut scopes: HashMap<String, HashSet<String>> = HashMap::new();
        for (_, row) in &*rows {
            let of_action = scopes.entry(row.action.written.clone()).or_default();
            of_action.insert(row.scope.clone());
        }
        let mut starts: HashMap<String, usize> = HashMap::new();
        for (position, row) in rows {
            let has_several = scopes.get(&row.action.written).is_some_and(|all| all.len() > 1);
            if has_several && !row.scope.is_empty() {
                row.action.name = format!("{}.{}", row.scope, row.action.written);
            }
            let start = self.start(position.as_ref());
            if let Some(first) = starts.insert(row.action.name.clone(), start) {
                let before = self.text.text().get(..first).unwrap_or_default();
                let line = before.matches('\n').count() + 1;
                let message = format!(
                    "the action `{}` stands in line {line} already: give one of them another \
                     name, or each a `scope` of its own",
                    row.action.name
                );
                self.problem(position.as_ref(), message);
            }
        }
    }
}

/// Returns a name for the slot of a role that no other role has.
fn slot(header: &str, number: usize, taken: &[(usize, Renamed)]) -> String {
    let is_free = |name: &str| taken.iter().all(|(_, role)| role.name != name);
    let is_good = |name: &str| {
        let is_other = OTHER_COLUMNS.contains(&name) || name == ACTION;
        is_identifier(name) && !is_other && is_free(name)
    };
    let words = header.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
    let joined = words.join("_");
    let with_number = format!("role_{number}");
    let with_words = format!("role_{joined}");
    let candidates = if joined.is_empty() {
        vec![with_number]
    } else {
        vec![header.to_owned(), joined, with_words, with_number]
    };
    let numbered = (2..).map(|count| format!("role_{number}_{count}"));
    candidates.into_iter().chain(numbered).find(|name| is_good(name)).unwrap_or_default()
}

/// Returns whether a text can be the name of an attribute or a type in policies and schemas.
pub(super) fn is_identifier(text: &str) -> bool {
    let is_word = text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    // Cedar's parser takes what is around a name as well.
    is_word && UnreservedId::from_str(text).is_ok()
}

/// Returns a text in one line, with single blanks between its words.
pub(super) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
