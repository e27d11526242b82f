//! The tables of which changes are recorded.

/// A table of which the changes are recorded.
pub(super) struct Recorded {
    /// The name of its functions and triggers.
    pub name: String,
    /// Quoted.
    pub table: String,
    pub kind: &'static Kind,
    /// The expressions, in the order of the columns.
    pub values: Vec<String>,
    pub condition: Option<String>,
}

impl Recorded {
    /// The list of expressions, each cast to the type of its column. A line break ends what may be a
    /// comment.
    pub fn select(
        &self,
        name: impl Fn(&(&'static str, &'static str, &'static str)) -> &'static str,
    ) -> String {
        let columns = self.kind.columns.iter().zip(&self.values);
        let columns = columns.map(|(column, value)| {
            let break_after = if value.contains("--") { "\n" } else { "" };
            format!("({value}{break_after})::{} AS {}", column.2, name(column))
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
    /// The columns: their name in the table, their name in `changes`, and their type.
    pub columns: &'static [(&'static str, &'static str, &'static str)],
    /// The number of leading columns that are the key.
    pub key: usize,
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
