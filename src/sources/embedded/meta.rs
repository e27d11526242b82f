//! The row that says which state a database has, and seals it.

use rusqlite::{Connection, params};
use sha2::{Digest as _, Sha256};

use super::{
    error::DatabaseError,
    rows::{fields, number},
    set_hash::SetHash,
};

/// The state of a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Meta {
    /// The generation of its versions.
    pub uuid: String,
    /// The number of writes so far.
    pub counter: u64,
    /// The last version whose changes the history does not have any more.
    pub trimmed: u64,
    /// The digest of all rows.
    pub rows: SetHash,
    /// The digest of the history.
    pub history: SetHash,
}

impl Meta {
    /// Returns the state of an empty database.
    pub fn new() -> Self {
        let (rows, history) = (SetHash::default(), SetHash::default());
        Self { uuid: new_uuid(), counter: 0, trimmed: 0, rows, history }
    }

    /// Returns the same state in a generation of its own.
    pub fn of_new_generation(self) -> Self {
        Self { uuid: new_uuid(), ..self }
    }

    /// Reads the row.
    ///
    /// # Errors
    /// It is not there, or not as it was written.
    pub fn read(connection: &Connection) -> Result<Self, DatabaseError> {
        let unreadable = || DatabaseError::damaged("the row that seals it cannot be read");
        let sql = "SELECT uuid, counter, trimmed, rows, history, seal FROM meta WHERE one = 1";
        let hash = |bytes: Vec<u8>| SetHash::from_bytes(&bytes).ok_or_else(unreadable);
        let mut statement = connection.prepare_cached(sql)?;
        let mut found = statement.query([])?;
        let row = found.next()?.ok_or_else(unreadable)?;
        let count = |column| -> Result<u64, DatabaseError> {
            u64::try_from(row.get::<_, i64>(column)?).map_err(|_| unreadable())
        };
        let meta = Self {
            uuid: row.get(0)?,
            counter: count(1)?,
            trimmed: count(2)?,
            rows: hash(row.get(3)?)?,
            history: hash(row.get(4)?)?,
        };
        if row.get::<_, Vec<u8>>(5)? != meta.seal() {
            return Err(DatabaseError::damaged("its seal is broken"));
        }
        Ok(meta)
    }

    /// Writes the row.
    ///
    /// # Errors
    /// SQLite fails.
    pub fn write(&self, connection: &Connection) -> Result<(), DatabaseError> {
        let sql = "INSERT OR REPLACE INTO meta VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6)";
        connection.prepare_cached(sql)?.execute(params![
            self.uuid,
            number(self.counter)?,
            number(self.trimmed)?,
            self.rows.to_bytes(),
            self.history.to_bytes(),
            self.seal(),
        ])?;
        Ok(())
    }

    fn seal(&self) -> Vec<u8> {
        let numbers = [self.counter.to_string(), self.trimmed.to_string()];
        let texts = [self.uuid.as_str()].into_iter().chain(numbers.iter().map(String::as_str));
        let mut bytes = fields("meta", texts);
        bytes.extend(self.rows.to_bytes());
        bytes.extend(self.history.to_bytes());
        Sha256::digest(&bytes).to_vec()
    }
}

fn new_uuid() -> String {
    uuid::Uuid::now_v7().simple().to_string()
}
