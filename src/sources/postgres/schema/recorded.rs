//! The tables of which changes are recorded.

use super::quote::quoted;

/// A table of which the changes are recorded.
pub(super) struct Recorded {
    /// The name of its functions and triggers.
    pub name: String,
    pub table: TableName,
    pub kind: &'static Kind,
    /// The expressions, in the order of the columns.
    pub values: Vec<String>,
    pub condition: Option<String>,
}

/// The name of a table, with its schema.
pub(super) struct TableName {
    pub schema: String,
    pub name: String,
}

impl TableName {
    pub fn quoted(&self) -> String {
        format!("{}.{}", quoted(&self.schema), quoted(&self.name))
    }
}

impl Recorded {
    /// The list of expressions, each cast to the type of its column, under the names of the table.
    pub fn select(&self) -> String {
        self.list(|(name, _, sql_type), value| format!("{value}::{sql_type} AS {name}"))
    }

    /// The same under the names of `changes`, as text wherever unlike values may be equal: in `jsonb`
    /// 1 and 1.0 are, in text what its collation says.
    pub fn select_exact(&self) -> String {
        self.list(|(_, name, sql_type), value| match *sql_type {
            "text" => format!("{value}::text COLLATE \"C\" AS {name}"),
            "jsonb" => format!("{value}::jsonb::text COLLATE \"C\" AS {name}"),
            _ => format!("{value}::{sql_type} AS {name}"),
        })
    }

    /// A line break ends what may be a comment.
    fn list(&self, column: impl Fn(&Column, &str) -> String) -> String {
        let columns = self.kind.columns.iter().zip(&self.values);
        let columns = columns.map(|(of, value)| {
            let break_after = if value.contains("--") { "\n" } else { "" };
            column(of, &format!("({value}{break_after})"))
        });
        format!("SELECT {}", columns.collect::<Vec<_>>().join(", "))
    }

    pub fn condition(&self) -> String {
        self.condition.as_ref().map_or_else(String::new, |condition| {
            let break_after = if condition.contains("--") { "\n" } else { "" };
            format!(" WHERE ({condition}{break_after})")
        })
    }
}

/// The meaning of rows.
pub(super) struct Kind {
    /// The name of the table or view.
    pub relation: &'static str,
    pub add: &'static str,
    pub remove: &'static str,
    pub columns: &'static [Column],
    /// The number of leading columns that are the key.
    pub key: usize,
}

/// The name of a column in the table, its name in `changes`, and its type.
pub(super) type Column = (&'static str, &'static str, &'static str);

impl Kind {
    /// The columns of `changes`.
    pub fn columns(&self) -> String {
        self.columns.iter().map(|(_, name, _)| *name).collect::<Vec<_>>().join(", ")
    }

    /// The columns of [`Recorded::select_exact`] as `changes` holds them.
    pub fn kept(&self) -> String {
        let kept = self.columns.iter().map(|(_, name, sql_type)| match *sql_type {
            "jsonb" => format!("{name}::jsonb"),
            _ => (*name).to_owned(),
        });
        kept.collect::<Vec<_>>().join(", ")
    }
}

pub(super) const ASSIGNMENTS: Kind = Kind {
    relation: "assignments",
    add: "add",
    remove: "remove",
    columns: &[
        ("principal_type", "type", "text"),
        ("principal_id", "id", "text"),
        ("role", "role", "text"),
        ("scope_type", "scope_type", "text"),
        ("scope_id", "scope_id", "text"),
        ("expires_at", "expires_at", "timestamptz"),
        ("granted_at", "granted_at", "timestamptz"),
        ("granted_by", "granted_by", "text"),
        ("reason", "reason", "text"),
    ],
    key: 5,
};

pub(super) const ENTITIES: Kind = Kind {
    relation: "entities",
    add: "add_entity",
    remove: "remove_entity",
    columns: &[("type", "type", "text"), ("id", "id", "text"), ("entity", "entity", "jsonb")],
    key: 2,
};
