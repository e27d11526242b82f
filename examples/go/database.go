package main

import (
	"database/sql"
	"errors"

	_ "github.com/mattn/go-sqlite3"
)

// Sites is the backend's own data. Roles are a table of it like any other.
type Sites struct{ db *sql.DB }

// Goal is a goal of a site.
type Goal struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

const schema = `
	CREATE TABLE IF NOT EXISTS sites (id TEXT PRIMARY KEY, name TEXT NOT NULL);
	CREATE TABLE IF NOT EXISTS goals (id TEXT PRIMARY KEY, site TEXT NOT NULL REFERENCES sites, name TEXT NOT NULL);
	CREATE TABLE IF NOT EXISTS members (
		site TEXT NOT NULL REFERENCES sites, user TEXT NOT NULL, role TEXT NOT NULL, PRIMARY KEY (site, user)
	);`

// OpenSites opens the database at that path.
func OpenSites(path string) (*Sites, error) {
	db, err := sql.Open("sqlite3", path)
	if err != nil {
		return nil, err
	}
	// Each connection to `:memory:` would have a database of its own.
	db.SetMaxOpenConns(1)
	_, err = db.Exec(schema)
	return &Sites{db}, err
}

// Count returns how many sites there are.
func (s *Sites) Count() (count int, err error) {
	return count, s.db.QueryRow("SELECT count(*) FROM sites").Scan(&count)
}

// Create makes a site and its owner.
func (s *Sites) Create(site, name, owner string) error {
	tx, err := s.db.Begin()
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if _, err := tx.Exec("INSERT INTO sites VALUES (?, ?)", site, name); err != nil {
		return err
	}
	if _, err := tx.Exec("INSERT INTO members VALUES (?, ?, 'owner')", site, owner); err != nil {
		return err
	}
	return tx.Commit()
}

// Goals lists the goals of a site.
func (s *Sites) Goals(site string) ([]Goal, error) {
	rows, err := s.db.Query("SELECT id, name FROM goals WHERE site = ?", site)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	goals := []Goal{}
	for rows.Next() {
		var goal Goal
		if err := rows.Scan(&goal.ID, &goal.Name); err != nil {
			return nil, err
		}
		goals = append(goals, goal)
	}
	return goals, rows.Err()
}

// CreateGoal makes a goal.
func (s *Sites) CreateGoal(id, site, name string) error {
	_, err := s.db.Exec("INSERT INTO goals VALUES (?, ?, ?)", id, site, name)
	return err
}

// RenameGoal returns false where the site has no such goal.
func (s *Sites) RenameGoal(site, goal, name string) (bool, error) {
	return s.changes("UPDATE goals SET name = ? WHERE id = ? AND site = ?", name, goal, site)
}

// Role returns the user's role on a site, empty where they have none.
func (s *Sites) Role(site, user string) (role string, err error) {
	err = s.db.QueryRow("SELECT role FROM members WHERE site = ? AND user = ?", site, user).Scan(&role)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return role, err
}

// HasOwnerBeside tells whether a site has another owner than the user.
func (s *Sites) HasOwnerBeside(site, user string) (has bool, err error) {
	others := "SELECT count(*) > 0 FROM members WHERE site = ? AND user <> ? AND role = 'owner'"
	return has, s.db.QueryRow(others, site, user).Scan(&has)
}

// SetRole adds a member or changes their role.
func (s *Sites) SetRole(site, user, role string) error {
	_, err := s.db.Exec("REPLACE INTO members VALUES (?, ?, ?)", site, user, role)
	return err
}

// Remove returns false where the user is no member.
func (s *Sites) Remove(site, user string) (bool, error) {
	return s.changes("DELETE FROM members WHERE site = ? AND user = ?", site, user)
}

func (s *Sites) changes(statement string, values ...interface{}) (bool, error) {
	result, err := s.db.Exec(statement, values...)
	if err != nil {
		return false, err
	}
	rows, err := result.RowsAffected()
	return rows > 0, err
}
