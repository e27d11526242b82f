//! The backend's own data. Roles are a table of it like any other.

use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, OptionalExtension as _, Params, Result, params};
use serde::Serialize;

const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS sites (id TEXT PRIMARY KEY, name TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS goals (id TEXT PRIMARY KEY, site TEXT NOT NULL, name TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS members (
        site TEXT NOT NULL, user TEXT NOT NULL, role TEXT NOT NULL, PRIMARY KEY (site, user)
    );
";

/// One thread at a time has the connection, for as long as a statement takes.
pub struct Sites {
    connection: Mutex<Connection>,
}

#[derive(Serialize)]
pub struct Goal {
    pub id: String,
    pub name: String,
}

impl Sites {
    pub fn open(path: &str) -> Result<Self> {
        let connection = Connection::open(path)?;
        connection.execute_batch(TABLES)?;
        Ok(Self { connection: Mutex::new(connection) })
    }

    pub fn create(&self, site: &str, name: &str, owner: &str) -> Result<()> {
        let mut connection = self.connection();
        let transaction = connection.transaction()?;
        transaction.execute("INSERT INTO sites VALUES (?, ?)", params![site, name])?;
        transaction.execute("INSERT INTO members VALUES (?, ?, 'owner')", params![site, owner])?;
        transaction.commit()
    }

    pub fn count(&self) -> Result<u32> {
        self.connection().query_row("SELECT count(*) FROM sites", [], |row| row.get(0))
    }

    pub fn goals(&self, site: &str) -> Result<Vec<Goal>> {
        let connection = self.connection();
        let mut goals = connection.prepare("SELECT id, name FROM goals WHERE site = ?")?;
        goals.query_map([site], |row| Ok(Goal { id: row.get(0)?, name: row.get(1)? }))?.collect()
    }

    pub fn create_goal(&self, id: &str, site: &str, name: &str) -> Result<()> {
        self.change("INSERT INTO goals VALUES (?, ?, ?)", [id, site, name]).map(drop)
    }

    /// Returns false where the site has no such goal.
    pub fn rename_goal(&self, site: &str, goal: &str, name: &str) -> Result<bool> {
        self.change("UPDATE goals SET name = ? WHERE id = ? AND site = ?", [name, goal, site])
    }

    pub fn role(&self, site: &str, user: &str) -> Result<Option<String>> {
        let held = "SELECT role FROM members WHERE site = ? AND user = ?";
        self.connection().query_row(held, [site, user], |row| row.get(0)).optional()
    }

    pub fn has_owner_beside(&self, site: &str, user: &str) -> Result<bool> {
        let others = "SELECT 1 FROM members WHERE site = ? AND user <> ? AND role = 'owner'";
        self.connection().prepare(others)?.exists([site, user])
    }

    pub fn set_role(&self, site: &str, user: &str, role: &str) -> Result<()> {
        self.change("REPLACE INTO members VALUES (?, ?, ?)", [site, user, role]).map(drop)
    }

    /// Returns false where the user is no member.
    pub fn remove(&self, site: &str, user: &str) -> Result<bool> {
        self.change("DELETE FROM members WHERE site = ? AND user = ?", [site, user])
    }

    /// Returns whether anything changed.
    fn change(&self, sql: &str, values: impl Params) -> Result<bool> {
        Ok(self.connection().execute(sql, values)? > 0)
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
