//! Rows of a directory as the database holds them.

use rusqlite::{OptionalExtension as _, Row, Transaction, params};

use super::{error::DatabaseError, set_hash::SetHash};
use crate::{
    directory::{Assignment, AssignmentKey, Change, EntityRow},
    model::{Timestamp, Uid},
    request::Grant,
};

const ASSIGNMENT: &str = "principal_type, principal_id, role, scope_type, scope_id, expires_at, \
                          granted_at, granted_by, reason";

/// Makes one change of the rows, and of their digest.
pub(super) fn change(
    transaction: &Transaction<'_>,
    rows: &mut SetHash,
    change: &Change,
) -> Result<(), DatabaseError> {
    match change {
        Change::Put(row) => {
            delete_assignment(transaction, rows, &row.key)?;
            let AssignmentKey { principal, role, scope } = &row.key;
            transaction
                .prepare_cached(
                    "INSERT INTO assignments VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
                )?
                .execute(params![
                    principal.type_name,
                    principal.id,
                    role,
                    scope.type_name,
                    scope.id,
                    written(row.expires_at),
                    written(row.grant.granted_at),
                    row.grant.granted_by,
                    row.grant.reason,
                ])?;
            rows.add(&assignment_bytes(row));
        }
        Change::Delete(key) => delete_assignment(transaction, rows, key)?,
        Change::PutEntity(row) => {
            delete_entity(transaction, rows, &row.uid)?;
            transaction
                .prepare_cached("INSERT INTO entities VALUES (?1, ?2, ?3)")?
                .execute(params![row.uid.type_name, row.uid.id, row.json])?;
            rows.add(&entity_bytes(row));
        }
        Change::DeleteEntity(uid) => delete_entity(transaction, rows, uid)?,
    }
    Ok(())
}

fn delete_assignment(
    transaction: &Transaction<'_>,
    rows: &mut SetHash,
    AssignmentKey { principal, role, scope }: &AssignmentKey,
) -> Result<(), DatabaseError> {
    let sql = format!(
        "DELETE FROM assignments WHERE principal_type = ?1 AND principal_id = ?2 AND role = ?3 \
         AND scope_type = ?4 AND scope_id = ?5 RETURNING {ASSIGNMENT}"
    );
    let key = params![principal.type_name, principal.id, role, scope.type_name, scope.id];
    let mut statement = transaction.prepare_cached(&sql)?;
    let gone = statement.query_row(key, |row| Ok(assignment(row))).optional()?;
    if let Some(gone) = gone {
        rows.remove(&assignment_bytes(&gone?));
    }
    Ok(())
}

fn delete_entity(
    transaction: &Transaction<'_>,
    rows: &mut SetHash,
    uid: &Uid,
) -> Result<(), DatabaseError> {
    let sql = "DELETE FROM entities WHERE type = ?1 AND id = ?2 RETURNING type, id, entity";
    let mut statement = transaction.prepare_cached(sql)?;
    let key = params![uid.type_name, uid.id];
    let gone = statement.query_row(key, entity).optional()?;
    if let Some(gone) = gone {
        rows.remove(&entity_bytes(&gone));
    }
    Ok(())
}

/// Reads all rows, with their digest.
pub(super) fn read(
    connection: &rusqlite::Connection,
) -> Result<(Vec<Change>, SetHash), DatabaseError> {
    let (mut changes, mut hash) = (Vec::new(), SetHash::default());
    let mut statement = connection.prepare(&format!("SELECT {ASSIGNMENT} FROM assignments"))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let row = assignment(row)?;
        hash.add(&assignment_bytes(&row));
        changes.push(Change::Put(row));
    }
    let mut statement = connection.prepare("SELECT type, id, entity FROM entities")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let row = entity(row)?;
        hash.add(&entity_bytes(&row));
        changes.push(Change::PutEntity(row));
    }
    Ok((changes, hash))
}

fn assignment(row: &Row<'_>) -> Result<Assignment, DatabaseError> {
    Ok(Assignment {
        key: AssignmentKey {
            principal: Uid::new(row.get::<_, String>(0)?, row.get::<_, String>(1)?),
            role: row.get(2)?,
            scope: Uid::new(row.get::<_, String>(3)?, row.get::<_, String>(4)?),
        },
        expires_at: moment(&row.get::<_, String>(5)?)?,
        grant: Grant {
            granted_at: moment(&row.get::<_, String>(6)?)?,
            granted_by: row.get(7)?,
            reason: row.get(8)?,
        },
    })
}

fn entity(row: &Row<'_>) -> rusqlite::Result<EntityRow> {
    let uid = Uid::new(row.get::<_, String>(0)?, row.get::<_, String>(1)?);
    Ok(EntityRow { uid, json: row.get(2)? })
}

/// Returns a moment as its column has it: empty where there is none.
pub(super) fn written(moment: Option<Timestamp>) -> String {
    moment.map(|moment| moment.to_string()).unwrap_or_default()
}

/// Reads a moment of a column.
pub(super) fn moment(text: &str) -> Result<Option<Timestamp>, DatabaseError> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|error| DatabaseError::Damaged(format!("{error}")))
}

fn assignment_bytes(row: &Assignment) -> Vec<u8> {
    let AssignmentKey { principal, role, scope } = &row.key;
    let (expires_at, granted_at) = (written(row.expires_at), written(row.grant.granted_at));
    let grant = [expires_at.as_str(), &granted_at, &row.grant.granted_by, &row.grant.reason];
    let key = [principal.type_name.as_str(), &principal.id, role, &scope.type_name, &scope.id];
    fields("assignment", key.into_iter().chain(grant))
}

fn entity_bytes(row: &EntityRow) -> Vec<u8> {
    fields("entity", [row.uid.type_name.as_str(), &row.uid.id, &row.json])
}

/// Returns texts one after the other, each with its length, so that no two lists of texts are alike.
pub(super) fn fields<'a>(kind: &'a str, fields: impl IntoIterator<Item = &'a str>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for field in [kind].into_iter().chain(fields) {
        bytes.extend((field.len() as u64).to_be_bytes());
        bytes.extend(field.as_bytes());
    }
    bytes
}

/// Returns a number as SQLite holds it.
pub(super) fn number(number: u64) -> Result<i64, DatabaseError> {
    i64::try_from(number).map_err(|_| DatabaseError::Damaged(format!("{number} is too large")))
}
