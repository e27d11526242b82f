//! Rows of PostgreSQL as changes of a directory.

use tokio_postgres::SimpleQueryRow;

use crate::{
    directory::{Assignment, AssignmentKey, Change, EntityRow},
    model::{Timestamp, Uid},
    request::Grant,
    schema::Schema,
    sources::row_key::RowKey,
};

/// The columns of the table of changes, in the order in which [`read`] reads them. Between the kind and the
/// entity are those of an assignment, of which the principal's stand for an entity too.
pub(super) const COLUMNS: [&str; 11] = [
    "kind",
    "type",
    "id",
    "role",
    "scope_type",
    "scope_id",
    "expires_at",
    "granted_at",
    "granted_by",
    "reason",
    "entity",
];

/// The meaning of a row.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Row {
    /// A row is there from now on.
    Added(Content),
    /// A row is not there any more; it is read as when it was added.
    Removed(Content),
    /// Everything is to be read anew.
    Reload,
    /// A part of the key is NULL, so that no directory holds it.
    Nothing,
}

/// An assignment or entity, as the change that puts it in force; or a row that cannot be read, and
/// grants nothing.
pub(super) type Content = Result<Change, Box<Unreadable>>;

/// A row that cannot be read, or not be kept.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unreadable {
    /// Its entity or assignment, where that can be read.
    pub key: Option<RowKey>,
    pub message: String,
}

/// Gives the entities that a row is about the full names of their types.
pub(super) fn qualify(content: &mut Content, schema: &Schema) {
    match content {
        Ok(change) => change.qualify(schema),
        Err(unreadable) => {
            unreadable.key = unreadable.key.take().map(|key| {
                let mut deletion = key.deletion();
                deletion.qualify(schema);
                RowKey::of(&deletion)
            });
        }
    }
}

/// Reads a row of which [`COLUMNS`] begin at that column.
pub(super) fn read(row: &SimpleQueryRow, first: usize) -> Row {
    read_fields(std::array::from_fn(|index| row.try_get(first + index).ok().flatten()))
}

fn read_fields(fields: [Option<&str>; COLUMNS.len()]) -> Row {
    let [kind, ..] = fields;
    match kind {
        Some("add") => Row::Added(assignment(fields)),
        Some("add_entity") => Row::Added(entity(fields)),
        Some("remove") => removed(assignment(fields)),
        Some("remove_entity") => removed(entity(fields)),
        // What is not known here may take a role away: only all rows together say what is held.
        _ => Row::Reload,
    }
}

fn removed(content: Content) -> Row {
    match content {
        Err(unreadable) if unreadable.key.is_none() => Row::Nothing,
        content => Row::Removed(content),
    }
}

fn assignment(fields: [Option<&str>; COLUMNS.len()]) -> Content {
    let [
        _,
        type_name,
        id,
        role,
        scope_type,
        scope_id,
        expires_at,
        granted_at,
        granted_by,
        reason,
        _,
    ] = fields;
    let key = || {
        let (principal, scope) = (Uid::new(type_name?, id?), Uid::new(scope_type?, scope_id?));
        Some(AssignmentKey { principal, role: role?.to_owned(), scope })
    };
    let Some(key) = key() else {
        return Err(unreadable(None, &fields, "a part of the key is NULL"));
    };
    let (Ok(expires_at), Ok(granted_at)) = (moment(expires_at), moment(granted_at)) else {
        let fault = "`expires_at` or `granted_at` is not in the years 1 to 9999";
        return Err(unreadable(Some(RowKey::Assignment(key)), &fields, fault));
    };
    let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
    let grant = Grant { granted_at, granted_by: text(granted_by), reason: text(reason) };
    Ok(Change::Put(Assignment { key, expires_at, grant }))
}

fn entity(fields: [Option<&str>; COLUMNS.len()]) -> Content {
    let [_, type_name, id, .., entity] = fields;
    let uid = type_name.zip(id).map(|(type_name, id)| Uid::new(type_name, id));
    match (uid, entity) {
        (Some(uid), Some(json)) => Ok(Change::PutEntity(EntityRow { uid, json: json.to_owned() })),
        (uid, _) => Err(unreadable(uid.map(RowKey::Entity), &fields, "a column is NULL")),
    }
}

fn moment(text: Option<&str>) -> Result<Option<Timestamp>, ()> {
    let Some(text) = text else { return Ok(None) };
    let moment = Timestamp::from_millis(text.parse().map_err(drop)?);
    if moment.is_in_range() { Ok(Some(moment)) } else { Err(()) }
}

fn unreadable(key: Option<RowKey>, fields: &[Option<&str>], fault: &str) -> Box<Unreadable> {
    let shown = fields.iter().skip(1).take(5).map(|field| {
        let field = field.unwrap_or("NULL");
        field.chars().take(80).collect::<String>()
    });
    let message = format!("{}: {fault}", shown.collect::<Vec<_>>().join(" "));
    Box::new(Unreadable { key, message })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROW: [Option<&str>; COLUMNS.len()] = [
        Some("add"),
        Some("User"),
        Some("alice"),
        Some("owner"),
        Some("Site"),
        Some("1"),
        Some("1769850000123"),
        None,
        Some("bob"),
        None,
        None,
    ];

    fn with(column: &str, value: Option<&'static str>) -> Row {
        let changed = |index: usize| {
            if COLUMNS.get(index) == Some(&column) {
                value
            } else {
                ROW.get(index).copied().flatten()
            }
        };
        read_fields(std::array::from_fn(changed))
    }

    #[test]
    fn a_row_is_an_assignment() {
        let key = AssignmentKey {
            principal: Uid::new("User", "alice"),
            role: "owner".to_owned(),
            scope: Uid::new("Site", "1"),
        };
        let grant = Grant { granted_at: None, granted_by: "bob".to_owned(), reason: String::new() };
        let expires_at = Some(Timestamp::from_millis(1_769_850_000_123));
        let put = Change::Put(Assignment { key, expires_at, grant });
        assert_eq!(read_fields(ROW), Row::Added(Ok(put.clone())));
        assert_eq!(with("kind", Some("remove")), Row::Removed(Ok(put)));
    }

    #[test]
    fn a_row_that_cannot_be_read_says_what_it_is_about() {
        for (column, value) in [("expires_at", "253402300800000"), ("granted_at", "soon")] {
            let Row::Added(Err(unreadable)) = with(column, Some(value)) else {
                unreachable!("{column} was read");
            };
            let Row::Added(Ok(good)) = read_fields(ROW) else { unreachable!() };
            assert_eq!(unreadable.key, Some(RowKey::of(&good)));
            let message = unreadable.message;
            assert!(message.starts_with("User alice owner Site 1: "), "{message}");
        }
        for column in ["id", "scope_type"] {
            let Row::Added(Err(unreadable)) = with(column, None) else {
                unreachable!("{column} was read");
            };
            assert_eq!(unreadable.key, None);
        }
        let no_entity = with("kind", Some("add_entity"));
        let Row::Added(Err(unreadable)) = no_entity else {
            unreachable!("an entity without an entity was read");
        };
        assert_eq!(unreadable.key, Some(RowKey::Entity(Uid::new("User", "alice"))));
    }

    #[test]
    fn what_is_not_known_has_everything_read_anew() {
        for kind in [Some("reload"), Some("grant"), Some("put"), Some("delete"), None] {
            assert_eq!(with("kind", kind), Row::Reload, "{kind:?}");
        }
    }
}
