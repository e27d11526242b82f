//! The triggers that record changes: whether each is there and fires, and which tables they are on.
//!
//! A change that no trigger saw is nowhere to be found. A trigger that was dropped, disabled or made
//! anew, and a table that was written anew, therefore have everything read anew; a trigger that does not
//! fire makes the state one that nobody can confirm.

use std::collections::BTreeMap;

/// An event of a trigger: its bit in `pg_trigger.tgtype`, and its name.
const EVENTS: [(u16, &str); 4] =
    [(1 << 2, "INSERT"), (1 << 4, "UPDATE"), (1 << 3, "DELETE"), (1 << 5, "TRUNCATE")];

/// The kinds of rows that are recorded, as the names of the functions begin.
const KINDS: [&str; 2] = ["record_assignments", "record_entities"];

/// The triggers at one snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Triggers {
    /// The triggers as the server lists them, with their transactions and their tables' files.
    text: String,
    fault: Option<String>,
}

impl Triggers {
    /// Returns the expression that [`Triggers::read`] reads. `schema` is quoted.
    pub(super) fn sql(schema: &str) -> String {
        let schema = schema.replace('\'', "''");
        format!(
            "(SELECT json_agg(json_build_array(p.proname, t.tgtype, t.tgenabled, t.tgrelid::text, \
             t.xmin::text, c.relfilenode::text) ORDER BY p.proname, t.tgname)::text \
             FROM pg_catalog.pg_proc AS p LEFT JOIN pg_catalog.pg_trigger AS t \
             ON t.tgfoid = p.oid AND NOT t.tgisinternal \
             LEFT JOIN pg_catalog.pg_class AS c ON c.oid = t.tgrelid \
             WHERE p.pronamespace = '{schema}'::regnamespace AND p.proname LIKE 'record\\_%' \
             AND p.prorettype = 'trigger'::regtype)"
        )
    }

    /// Reads what the server tells of them.
    pub(super) fn read(text: Option<&str>) -> Self {
        let text = text.unwrap_or_default().to_owned();
        let fault = fault(&text);
        Self { text, fault }
    }

    /// Returns why changes are not all recorded, in words for an operator.
    pub(super) fn fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }
}

/// The function, events, mode, table, transaction and file of a trigger.
type Told = (String, Option<u16>, Option<String>, Option<String>, Option<String>, Option<String>);

fn fault(text: &str) -> Option<String> {
    let told: Vec<Told> = serde_json::from_str(text).unwrap_or_default();
    let mut firing: BTreeMap<&str, u16> = BTreeMap::new();
    for (function, events, mode, ..) in &told {
        // `A` fires always, `O` but for what a replication brings.
        let fires = matches!(mode.as_deref(), Some("A" | "O"));
        let events = events.filter(|_| fires).unwrap_or_default();
        *firing.entry(function).or_default() |= events;
    }
    for kind in KINDS {
        if !firing.keys().any(|function| function.starts_with(kind)) {
            firing.insert(kind, 0);
        }
    }
    let faults: Vec<_> =
        firing.into_iter().filter_map(|(name, events)| missing(name, events)).collect();
    (!faults.is_empty()).then(|| {
        format!(
            "{}: changes of the table are not recorded, and roles that were taken away may still count. \
             Run what `humbaba directory schema` prints",
            faults.join("; ")
        )
    })
}

fn missing(function: &str, events: u16) -> Option<String> {
    let missing = EVENTS.iter().filter(|(bit, _)| events & bit == 0).map(|(_, name)| *name);
    let missing: Vec<_> = missing.collect();
    (!missing.is_empty()).then(|| {
        format!("the triggers with `{function}` for {} are missing or disabled", missing.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(modes: [&str; 4]) -> String {
        let events = [4, 16, 8, 32].into_iter().zip(modes);
        let trigger = |kind: &str, (event, mode): (u16, &str)| {
            format!("[\"record_{kind}\", {event}, \"{mode}\", \"1\", \"2\", \"3\"]")
        };
        let assignments = events.map(|event| trigger("assignments_1", event));
        let entities = [4, 16, 8, 32].map(|event| trigger("entities", (event, "A")));
        let all: Vec<_> = assignments.chain(entities).collect();
        format!("[{}]", all.join(","))
    }

    #[test]
    fn every_event_needs_a_trigger_that_fires() {
        let fault = |modes| Triggers::read(Some(&told(modes))).fault().map(str::to_owned);
        assert_eq!(fault(["A", "A", "A", "A"]), None);
        assert_eq!(fault(["A", "O", "A", "O"]), None);
        for (modes, said) in [
            (["D", "A", "A", "A"], "`record_assignments_1` for INSERT are"),
            (["A", "R", "D", "A"], "`record_assignments_1` for UPDATE, DELETE are"),
        ] {
            let fault = fault(modes).unwrap_or_default();
            assert!(fault.contains(said), "{fault}");
        }
    }

    #[test]
    fn a_function_without_triggers_or_none_at_all_is_a_fault() {
        let text = r#"[["record_assignments", null, null, null, null, null]]"#;
        for text in [Some(text), Some("[]"), None] {
            let triggers = Triggers::read(text);
            let fault = triggers.fault().unwrap_or_default();
            assert!(fault.contains("`record_assignments` for INSERT, UPDATE, DELETE, TRUNCATE"));
            assert!(fault.contains("`record_entities` for INSERT"), "{fault}");
        }
    }
}
