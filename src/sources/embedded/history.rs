//! The latest changes, kept for those who follow a directory.

use rusqlite::{Connection, Transaction, params};
use serde::{Deserialize, Serialize};

use super::{
    error::DatabaseError,
    rows::{fields, moment, number, written},
    set_hash::SetHash,
};
use crate::{
    directory::{Assignment, AssignmentKey, Change, EntityRow},
    model::Uid,
    request::Grant,
};

/// Adds the changes of one version.
pub(super) fn add(
    transaction: &Transaction<'_>,
    history: &mut SetHash,
    version: u64,
    changes: &[Change],
) -> Result<(), DatabaseError> {
    let mut insert = transaction.prepare_cached("INSERT INTO changes VALUES (?1, ?2, ?3)")?;
    for (place, change) in (0_i64..).zip(changes) {
        let text = serde_json::to_string(&StoredChange::of(change));
        let text = text.map_err(|error| DatabaseError::Damaged(error.to_string()))?;
        insert.execute(params![number(version)?, place, text])?;
        history.add(&bytes(number(version)?, place, &text));
    }
    Ok(())
}

/// Removes the oldest versions until at most `limit` changes are left, and returns the last version
/// that is gone, where any is. The latest version stays whatever its length.
pub(super) fn trim(
    transaction: &Transaction<'_>,
    history: &mut SetHash,
    latest: u64,
    limit: u64,
) -> Result<Option<u64>, DatabaseError> {
    let mut trimmed = None;
    while history.rows() > limit {
        let oldest = "SELECT min(version) FROM changes";
        let oldest: Option<i64> =
            transaction.prepare_cached(oldest)?.query_row([], |row| row.get(0))?;
        let Some(oldest) = oldest.filter(|oldest| u64::try_from(*oldest) != Ok(latest)) else {
            break;
        };
        let delete = "DELETE FROM changes WHERE version = ?1 RETURNING version, place, change";
        let mut delete = transaction.prepare_cached(delete)?;
        let mut gone = delete.query([oldest])?;
        while let Some(row) = gone.next()? {
            history.remove(&bytes(row.get(0)?, row.get(1)?, &row.get::<_, String>(2)?));
        }
        trimmed = u64::try_from(oldest).ok();
    }
    Ok(trimmed)
}

/// Reads the changes of each version, in order.
pub(super) fn read(connection: &Connection) -> Result<Vec<(u64, Vec<Change>)>, DatabaseError> {
    let changes = "SELECT version, change FROM changes ORDER BY version, place";
    let mut statement = connection.prepare(changes)?;
    let mut rows = statement.query([])?;
    let mut versions: Vec<(u64, Vec<Change>)> = Vec::new();
    while let Some(row) = rows.next()? {
        let version = u64::try_from(row.get::<_, i64>(0)?).unwrap_or_default();
        let stored = serde_json::from_str::<StoredChange>(&row.get::<_, String>(1)?);
        let stored = stored.map_err(|error| DatabaseError::Damaged(error.to_string()))?;
        let change = stored.into_change()?;
        match versions.last_mut() {
            Some((last, changes)) if *last == version => changes.push(change),
            _ => versions.push((version, vec![change])),
        }
    }
    Ok(versions)
}

/// Returns the digest of the history.
pub(super) fn hash(connection: &Connection) -> Result<SetHash, DatabaseError> {
    let mut hash = SetHash::default();
    let mut statement = connection.prepare("SELECT version, place, change FROM changes")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        hash.add(&bytes(row.get(0)?, row.get(1)?, &row.get::<_, String>(2)?));
    }
    Ok(hash)
}

fn bytes(version: i64, place: i64, change: &str) -> Vec<u8> {
    fields("change", [version.to_string().as_str(), &place.to_string(), change])
}

/// A change as JSON, with the columns of a row.
#[derive(Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case")]
enum StoredChange {
    PutAssignment(StoredAssignment),
    DeleteAssignment(StoredAssignment),
    PutEntity { r#type: String, id: String, entity: String },
    DeleteEntity { r#type: String, id: String },
}

#[derive(Default, Serialize, Deserialize)]
struct StoredAssignment {
    principal_type: String,
    principal_id: String,
    role: String,
    scope_type: String,
    scope_id: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    expires_at: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    granted_at: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    granted_by: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    reason: String,
}

impl StoredChange {
    fn of(change: &Change) -> Self {
        match change {
            Change::Put(row) => Self::PutAssignment(StoredAssignment {
                expires_at: written(row.expires_at),
                granted_at: written(row.grant.granted_at),
                granted_by: row.grant.granted_by.clone(),
                reason: row.grant.reason.clone(),
                ..StoredAssignment::of(&row.key)
            }),
            Change::Delete(key) => Self::DeleteAssignment(StoredAssignment::of(key)),
            Change::PutEntity(EntityRow { uid: Uid { type_name, id }, json }) => {
                Self::PutEntity { r#type: type_name.clone(), id: id.clone(), entity: json.clone() }
            }
            Change::DeleteEntity(Uid { type_name, id }) => {
                Self::DeleteEntity { r#type: type_name.clone(), id: id.clone() }
            }
        }
    }

    fn into_change(self) -> Result<Change, DatabaseError> {
        Ok(match self {
            Self::PutAssignment(row) => Change::Put(Assignment {
                expires_at: moment(&row.expires_at)?,
                grant: Grant {
                    granted_at: moment(&row.granted_at)?,
                    granted_by: row.granted_by.clone(),
                    reason: row.reason.clone(),
                },
                key: row.into_key(),
            }),
            Self::DeleteAssignment(row) => Change::Delete(row.into_key()),
            Self::PutEntity { r#type, id, entity } => {
                Change::PutEntity(EntityRow { uid: Uid::new(r#type, id), json: entity })
            }
            Self::DeleteEntity { r#type, id } => Change::DeleteEntity(Uid::new(r#type, id)),
        })
    }
}

impl StoredAssignment {
    fn of(AssignmentKey { principal, role, scope }: &AssignmentKey) -> Self {
        Self {
            principal_type: principal.type_name.clone(),
            principal_id: principal.id.clone(),
            role: role.clone(),
            scope_type: scope.type_name.clone(),
            scope_id: scope.id.clone(),
            ..Self::default()
        }
    }

    fn into_key(self) -> AssignmentKey {
        AssignmentKey {
            principal: Uid::new(self.principal_type, self.principal_id),
            role: self.role,
            scope: Uid::new(self.scope_type, self.scope_id),
        }
    }
}
