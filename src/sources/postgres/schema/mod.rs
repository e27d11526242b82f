//! The SQL of a directory in PostgreSQL: tables or views, and triggers that record each change.

mod mapping;
mod quote;
mod recorded;

pub use mapping::{AssignmentsOf, EntitiesOf, Mapping, MappingError};

use std::fmt::Write as _;

pub(super) use self::quote::quoted;
use self::{
    quote::text,
    recorded::{ASSIGNMENTS, ENTITIES, Kind, Recorded, TableName},
};

/// The schema of PostgreSQL in which a directory is, unless its source names another.
pub const DEFAULT_SCHEMA: &str = "humbaba";

/// The form of what is made here, which sidecars look for in the comments of its functions. It is
/// another one after each change of the SQL without which sidecars could hold something wrong.
pub(super) const FORM: &str = "form 2";

const FRAME: &str = include_str!("frame.sql");
const TRIGGER: &str = include_str!("trigger.sql");

/// The tables and roles that the SQL is made for.
#[derive(Debug, Clone, Default)]
pub struct SchemaOptions {
    /// The schema; unset: [`DEFAULT_SCHEMA`].
    pub schema: Option<String>,
    /// The tables of the product that are read.
    pub mapping: Mapping,
    /// The role of the sidecars, which gets to read.
    pub reader: Option<String>,
    /// The role of the application, which gets to write and to ask for versions.
    pub writer: Option<String>,
}

/// Returns the SQL that makes a directory, or brings it up to date.
#[must_use]
pub fn schema_sql(options: &SchemaOptions) -> String {
    let name = options.schema.as_deref().unwrap_or(DEFAULT_SCHEMA);
    let schema = quoted(name);
    let (assignments, entities) = (options.mapping.assignments(), options.mapping.entities());
    let mut tables = relation(name, &ASSIGNMENTS, assignments);
    tables.push_str(&relation(name, &ENTITIES, entities));
    FRAME
        .replace("@tables@", &tables)
        .replace("@grants@", &grants(&schema, options))
        .replace("@schema_text@", &text(&schema))
        .replace("@schema@", &schema)
}

/// Makes the table that the application writes, or the view of its own tables, and the triggers.
fn relation(schema: &str, kind: &'static Kind, mapped: Vec<Recorded>) -> String {
    let table = TableName { schema: schema.to_owned(), name: kind.relation.to_owned() };
    let (schema, qualified) = (quoted(schema), table.quoted());
    let mut sql = String::new();
    if mapped.is_empty() {
        let column = |(index, (name, _, sql_type)): (usize, &(&str, _, &str))| {
            let required = if index < kind.key || *sql_type == "jsonb" { " NOT NULL" } else { "" };
            format!("    {name} {sql_type}{required},\n")
        };
        let columns: String = kind.columns.iter().enumerate().map(column).collect();
        let key: Vec<_> = kind.columns.iter().take(kind.key).map(|(name, ..)| *name).collect();
        let key = key.join(", ");
        let _ = write!(
            sql,
            "CREATE TABLE IF NOT EXISTS {qualified} (\n{columns}    PRIMARY KEY ({key})\n);\n\n"
        );
        let values = kind.columns.iter().map(|(name, ..)| (*name).to_owned()).collect();
        let name = kind.relation.to_owned();
        sql.push_str(&trigger(&schema, &Recorded { name, table, kind, values, condition: None }));
        return sql;
    }
    let parts: Vec<_> = mapped
        .iter()
        .map(|from| {
            let (select, table) = (from.select(), from.table.quoted());
            format!("    {select} FROM {table} AS t{}", from.condition())
        })
        .collect();
    let _ = write!(
        sql,
        "CREATE OR REPLACE VIEW {qualified} AS\n{};\n\n",
        parts.join("\n    UNION ALL\n")
    );
    sql.extend(mapped.iter().map(|from| trigger(&schema, from)));
    sql
}

fn trigger(schema: &str, from: &Recorded) -> String {
    let TableName { schema: table_schema, name: table_name } = &from.table;
    let table = from.table.quoted();
    let comment = format!("{FORM}\n{table_schema}\n{table_name}");
    let function = format!("{schema}.record_{}", from.name);
    let triggers = [
        ("insert", "REFERENCING NEW TABLE AS new_rows "),
        ("update", "REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows "),
        ("delete", "REFERENCING OLD TABLE AS old_rows "),
        ("truncate", ""),
    ];
    let triggers: String = triggers
        .map(|(event, rows)| {
            let name = quoted(&format!("humbaba_{}_{event}", from.name));
            let event = event.to_uppercase();
            format!(
                "CREATE TRIGGER {name} AFTER {event} ON {table} {rows}FOR EACH STATEMENT\n    \
                 EXECUTE FUNCTION {function}();\n\
                 ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name};\n"
            )
        })
        .concat();
    TRIGGER
        .replace("@triggers@", &triggers)
        .replace("@function@", &function)
        .replace("@comment@", &text(&comment))
        .replace("@columns@", &from.kind.columns())
        .replace("@kept@", &from.kind.kept())
        .replace("@add@", from.kind.add)
        .replace("@remove@", from.kind.remove)
        .replace("@table_text@", &text(&table))
        .replace("@select@", &from.select_exact())
        .replace("@where@", &from.condition())
}

fn grants(schema: &str, options: &SchemaOptions) -> String {
    let mut sql = String::new();
    if let Some(reader) = options.reader.as_deref().map(quoted) {
        let _ = write!(
            sql,
            "GRANT USAGE ON SCHEMA {schema} TO {reader};\n\
             GRANT SELECT ON {schema}.assignments, {schema}.entities, {schema}.changes, \
             {schema}.history TO {reader};\n\
             GRANT EXECUTE ON FUNCTION {schema}.generation(), {schema}.last_seq(), \
             {schema}.adopt(), {schema}.renew() TO {reader};\n"
        );
    }
    if let Some(writer) = options.writer.as_deref().map(quoted) {
        let _ = write!(
            sql,
            "GRANT USAGE ON SCHEMA {schema} TO {writer};\n\
             GRANT EXECUTE ON FUNCTION {schema}.token(), {schema}.version() TO {writer};\n"
        );
        let own = [
            (options.mapping.assignments.is_empty(), "assignments"),
            (options.mapping.entities.is_empty(), "entities"),
        ];
        for (_, table) in own.iter().filter(|(is_own, _)| *is_own) {
            let _ = writeln!(
                sql,
                "GRANT SELECT, INSERT, UPDATE, DELETE ON {schema}.{table} TO {writer};"
            );
        }
    }
    sql
}
