//! Rows of PostgreSQL as changes of a directory.

use tokio_postgres::SimpleQueryRow;

use crate::{
    directory::{Assignment, AssignmentKey, Change, EntityRow},
    model::{Timestamp, Uid},
    request::Grant,
};

/// The columns of a row, in the order in which [`row`] reads them.
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
    Change(Change),
    /// Everything is to be read anew.
    Reload,
    /// A part of the key is NULL, so that no directory holds it.
    Nothing,
    /// It cannot be read, and grants nothing. What its key held before is gone all the same.
    Bad {
        gone: Option<Change>,
        message: String,
    },
}

/// Reads a row of which [`COLUMNS`] begin at that column.
pub(super) fn read(row: &SimpleQueryRow, first: usize) -> Row {
    read_fields(std::array::from_fn(|index| row.try_get(first + index).ok().flatten()))
}

fn read_fields(fields: [Option<&str>; COLUMNS.len()]) -> Row {
    let [
        kind,
        type_name,
        id,
        role,
        scope_type,
        scope_id,
        expires_at,
        granted_at,
        by,
        reason,
        entity,
    ] = fields;
    let uid = || Some(Uid::new(type_name?, id?));
    let key = || {
        let scope = Uid::new(scope_type?, scope_id?);
        Some(AssignmentKey { principal: uid()?, role: role?.to_owned(), scope })
    };
    match kind {
        Some("put") => {
            let Some(key) = key() else {
                return bad(None, &fields, "a part of the key is NULL");
            };
            let (Ok(expires_at), Ok(granted_at)) = (moment(expires_at), moment(granted_at)) else {
                let fault = "`expires_at` or `granted_at` is not in the years 1 to 9999";
                return bad(Some(Change::Delete(key)), &fields, fault);
            };
            let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
            let grant = Grant { granted_at, granted_by: text(by), reason: text(reason) };
            Row::Change(Change::Put(Assignment { key, expires_at, grant }))
        }
        Some("put_entity") => match (uid(), entity) {
            (Some(uid), Some(json)) => {
                Row::Change(Change::PutEntity(EntityRow { uid, json: json.to_owned() }))
            }
            (uid, _) => bad(uid.map(Change::DeleteEntity), &fields, "a column is NULL"),
        },
        Some("delete") => key().map_or(Row::Nothing, |key| Row::Change(Change::Delete(key))),
        Some("delete_entity") => {
            uid().map_or(Row::Nothing, |uid| Row::Change(Change::DeleteEntity(uid)))
        }
        Some("reload") => Row::Reload,
        _ => bad(None, &fields, "its kind is not known here: bring the sidecar up to date"),
    }
}

fn moment(text: Option<&str>) -> Result<Option<Timestamp>, ()> {
    let Some(text) = text else { return Ok(None) };
    let moment = Timestamp::from_millis(text.parse().map_err(drop)?);
    if moment.is_in_range() { Ok(Some(moment)) } else { Err(()) }
}

fn bad(gone: Option<Change>, fields: &[Option<&str>], fault: &str) -> Row {
    let shown = fields.iter().skip(1).take(5).map(|field| {
        let field = field.unwrap_or("NULL");
        field.chars().take(80).collect::<String>()
    });
    Row::Bad { gone, message: format!("{}: {fault}", shown.collect::<Vec<_>>().join(" ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROW: [Option<&str>; COLUMNS.len()] = [
        Some("put"),
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
        let put = Change::Put(Assignment { key: key.clone(), expires_at, grant });
        assert_eq!(read_fields(ROW), Row::Change(put));
        assert_eq!(with("kind", Some("delete")), Row::Change(Change::Delete(key)));
        assert_eq!(with("kind", Some("reload")), Row::Reload);
    }

    #[test]
    fn a_row_that_cannot_be_read_takes_away_what_its_key_held() {
        for (column, value) in [("expires_at", "253402300800000"), ("granted_at", "soon")] {
            let Row::Bad { gone: Some(Change::Delete(key)), message } = with(column, Some(value))
            else {
                unreachable!("{column} was read");
            };
            assert_eq!(key.principal.id, "alice");
            assert!(message.starts_with("User alice owner Site 1: "), "{message}");
        }
        for (column, value) in
            [("id", None), ("scope_type", None), ("kind", Some("grant")), ("kind", None)]
        {
            assert!(matches!(with(column, value), Row::Bad { gone: None, .. }), "{column}");
        }
        let no_entity = with("kind", Some("put_entity"));
        assert!(matches!(no_entity, Row::Bad { gone: Some(Change::DeleteEntity(_)), .. }));
    }
}
