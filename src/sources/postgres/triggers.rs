//! The triggers that record changes: whether the tables that are read have them, and whether they
//! always fire.
//!
//! A change that no trigger saw is nowhere to be found. Where a trigger, a table or a view was made
//! anew or altered, everything is therefore read anew; where a table that is read lacks a trigger, or one
//! does not always fire, nobody can confirm the state.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::schema::FORM;

/// An event of a trigger: its bit in `pg_trigger.tgtype`, and its name.
const EVENTS: [(u16, &str); 4] =
    [(1 << 2, "INSERT"), (1 << 4, "UPDATE"), (1 << 3, "DELETE"), (1 << 5, "TRUNCATE")];

/// The relations that are read, each with what the names of its functions begin with.
const RELATIONS: [(&str, &str); 2] =
    [("assignments", "record_assignments"), ("entities", "record_entities")];

/// The triggers at one snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Triggers {
    /// The catalog as the server tells it, with the transactions that wrote it and the tables' files.
    text: String,
    fault: Option<String>,
}

/// The part of the server's catalog that says whether changes are recorded. It has more fields: those
/// only show that something was altered.
#[derive(Debug, Default, Deserialize)]
struct Catalog {
    tables: Vec<Table>,
    functions: Vec<Function>,
    triggers: Vec<Trigger>,
}

/// A table that is read.
#[derive(Debug, Deserialize)]
struct Table {
    /// The table of the directory, or the view, that it is read by.
    relation: String,
    oid: String,
    name: String,
    /// True where all changes of it are those of statements on it.
    is_plain: bool,
}

/// A function that records changes.
#[derive(Debug, Deserialize)]
struct Function {
    name: String,
    form: Option<String>,
    /// The table that has the name now of the table that it was made for.
    named: Option<String>,
}

/// A trigger of one event, AFTER and for each statement, without a condition.
#[derive(Debug, Deserialize)]
struct Trigger {
    function: String,
    table: String,
    event: u16,
    /// `A` fires always, `O` but where `session_replication_role` is `replica`.
    mode: String,
}

impl Triggers {
    /// Returns the expression that [`Triggers::read`] reads. `schema` is quoted.
    pub(super) fn sql(schema: &str) -> String {
        include_str!("triggers.sql").replace("@schema@", &schema.replace('\'', "''"))
    }

    /// Reads what the server tells of them.
    pub(super) fn read(text: Option<&str>) -> Self {
        let text = text.unwrap_or_default().to_owned();
        let fault = serde_json::from_str::<Catalog>(&text).unwrap_or_default().fault();
        Self { text, fault }
    }

    /// Returns why changes are not all recorded, in words for an operator.
    pub(super) fn fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }
}

impl Catalog {
    fn fault(&self) -> Option<String> {
        let mut faults = Vec::new();
        if self.functions.iter().any(|function| function.form.as_deref() != Some(FORM)) {
            faults
                .push("the schema is of another version of `humbaba directory schema`".to_owned());
        }
        for (relation, prefix) in RELATIONS {
            let tables: Vec<_> =
                self.tables.iter().filter(|table| table.relation == relation).collect();
            let is_of = |function: &&Function| function.name.starts_with(prefix);
            let functions: Vec<_> = self.functions.iter().filter(is_of).collect();
            if functions.is_empty() {
                faults.push(format!("there is no function `{prefix}`"));
            }
            faults.extend(functions.iter().filter_map(|function| self.missing(function, &tables)));
            faults.extend(tables.iter().filter_map(|table| self.unrecorded(table, &functions)));
        }
        (!faults.is_empty()).then(|| {
            format!(
                "{}: changes are not all recorded, and roles that were taken away may still count. Run \
                 what `humbaba directory schema` prints",
                faults.join("; ")
            )
        })
    }

    /// Returns the events of a table that a function always records.
    fn recorded(&self, function: &Function, table: &Table) -> BTreeSet<u16> {
        let is_it = |trigger: &&Trigger| {
            trigger.function == function.name && trigger.table == table.oid && trigger.mode == "A"
        };
        self.triggers.iter().filter(is_it).map(|trigger| trigger.event).collect()
    }

    /// Says which triggers a function lacks on the table that is read.
    fn missing(&self, function: &Function, tables: &[&Table]) -> Option<String> {
        let recorded = tables
            .iter()
            .filter(|table| function.named.as_ref().is_none_or(|named| *named == table.oid))
            .map(|table| self.recorded(function, table))
            .max_by_key(BTreeSet::len)
            .unwrap_or_default();
        let missing: Vec<_> = EVENTS
            .iter()
            .filter(|(event, _)| !recorded.contains(event))
            .map(|(_, name)| *name)
            .collect();
        (!missing.is_empty()).then(|| {
            format!(
                "the triggers with `{}` for {} are missing, disabled or not ALWAYS on the table that is \
                 read",
                function.name,
                missing.join(", ")
            )
        })
    }

    /// Says that changes of a table pass all functions.
    fn unrecorded(&self, table: &Table, functions: &[&Function]) -> Option<String> {
        if !table.is_plain {
            return Some(format!(
                "`{}` is no plain table: what is written in its partitions, children or parent, or by a \
                 subscription, fires no trigger of it, nor does the loss of the rows of an unlogged one",
                table.name
            ));
        }
        let is_recorded =
            functions.iter().any(|function| !self.recorded(function, table).is_empty());
        (!is_recorded).then(|| format!("`{}` is read and has no triggers", table.name))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;

    const ALL: [&str; 4] = ["A", "A", "A", "A"];

    fn table(relation: &str, oid: &str) -> Json {
        json!({ "relation": relation, "oid": oid, "name": format!("t{oid}"), "is_plain": true,
            "xmin": "7" })
    }

    fn function(name: &str, named: Option<&str>) -> Json {
        json!({ "name": name, "form": FORM, "named": named })
    }

    fn triggers(function: &str, table: &str, modes: [&str; 4]) -> Vec<Json> {
        let trigger = |((event, _), mode)| json!({ "function": function, "table": table, "event": event, "mode": mode });
        EVENTS.into_iter().zip(modes).map(trigger).collect()
    }

    /// A catalog in which everything is right, if so are the modes and the table of the triggers.
    fn catalog(modes: [&str; 4], on: &str) -> Json {
        let mut all = triggers("record_assignments_1", on, modes);
        all.extend(triggers("record_entities", "2", ALL));
        json!({
            "tables": [table("assignments", "1"), table("entities", "2")],
            "functions": [function("record_assignments_1", Some("1")), function("record_entities", None)],
            "triggers": all,
        })
    }

    fn fault(catalog: &Json) -> String {
        let text = catalog.to_string();
        Triggers::read(Some(&text)).fault().unwrap_or_default().to_owned()
    }

    #[test]
    fn every_event_needs_a_trigger_that_always_fires() {
        assert_eq!(fault(&catalog(ALL, "1")), "");
        for (modes, said) in [
            (["D", "A", "A", "A"], "`record_assignments_1` for INSERT are"),
            (["A", "R", "D", "A"], "`record_assignments_1` for UPDATE, DELETE are"),
            (["A", "A", "A", "O"], "`record_assignments_1` for TRUNCATE are"),
        ] {
            let fault = fault(&catalog(modes, "1"));
            assert!(fault.contains(said), "{fault}");
        }
    }

    #[test]
    fn triggers_on_another_table_than_the_one_that_is_read_do_not_count() {
        let said = fault(&catalog(ALL, "9"));
        assert!(said.contains("for INSERT, UPDATE, DELETE, TRUNCATE are missing"), "{said}");
        assert!(said.contains("`t1` is read and has no triggers"), "{said}");
        // The view goes on reading a table of which the name was given to another.
        let mut renamed = catalog(ALL, "1");
        renamed["functions"][0] = function("record_assignments_1", Some("9"));
        assert!(fault(&renamed).contains("`record_assignments_1` for INSERT"));
        // That was only renamed.
        renamed["functions"][0] = function("record_assignments_1", None);
        assert_eq!(fault(&renamed), "");
    }

    #[test]
    fn every_table_that_is_read_is_recorded() {
        let mut more = catalog(ALL, "1");
        more["tables"].as_array_mut().unwrap().push(table("assignments", "3"));
        assert!(fault(&more).contains("`t3` is read and has no triggers"));
        let mut parent = catalog(ALL, "1");
        parent["tables"][0]["is_plain"] = json!(false);
        assert!(fault(&parent).contains("`t1` is no plain table"));
    }

    #[test]
    fn a_function_without_triggers_or_none_at_all_is_a_fault() {
        let alone = json!({ "tables": [], "triggers": [],
            "functions": [function("record_assignments", None)] });
        let said = fault(&alone);
        assert!(said.contains("`record_assignments` for INSERT, UPDATE, DELETE, TRUNCATE"));
        assert!(said.contains("there is no function `record_entities`"), "{said}");
        for text in [Some("{}"), Some(""), None] {
            let triggers = Triggers::read(text);
            assert!(
                triggers.fault().unwrap_or_default().contains("no function `record_assignments`")
            );
        }
    }

    #[test]
    fn a_schema_of_another_version_is_a_fault() {
        for form in [json!(null), json!("form 1")] {
            let mut older = catalog(ALL, "1");
            older["functions"][1]["form"] = form;
            assert!(fault(&older).starts_with("the schema is of another version"));
        }
    }
}
