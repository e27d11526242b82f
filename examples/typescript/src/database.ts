// The backend's own data. Roles are a table of it like any other.

import { randomUUID } from "node:crypto";
import sqlite from "node-sqlite3-wasm";
import type { SiteRole } from "./hitkeep.js";

const TABLES = `
  CREATE TABLE IF NOT EXISTS sites (id TEXT PRIMARY KEY, name TEXT NOT NULL);
  CREATE TABLE IF NOT EXISTS goals (id TEXT PRIMARY KEY, site TEXT NOT NULL, name TEXT NOT NULL);
  CREATE TABLE IF NOT EXISTS members (
    site TEXT NOT NULL, user TEXT NOT NULL, role TEXT NOT NULL, PRIMARY KEY (site, user)
  );
`;

export type Goal = { id: string; name: string };

export class Sites {
  readonly #database;

  constructor(path: string) {
    this.#database = new sqlite.Database(path);
    this.#database.exec(TABLES);
  }

  count(): number {
    return this.#rows("SELECT id FROM sites").length;
  }

  create(site: string, name: string, owner: string): void {
    this.#database.exec("BEGIN");
    try {
      this.#change("INSERT INTO sites VALUES (?, ?)", site, name);
      this.setRole(site, owner, "owner");
      this.#database.exec("COMMIT");
    } catch (error) {
      this.#database.exec("ROLLBACK");
      throw error;
    }
  }

  goals(site: string): Goal[] {
    return this.#rows("SELECT id, name FROM goals WHERE site = ?", site) as Goal[];
  }

  createGoal(site: string, name: string): string {
    const id = randomUUID();
    this.#change("INSERT INTO goals VALUES (?, ?, ?)", id, site, name);
    return id;
  }

  /** Returns false where the site has no such goal. */
  renameGoal(site: string, goal: string, name: string): boolean {
    return this.#change("UPDATE goals SET name = ? WHERE id = ? AND site = ?", name, goal, site);
  }

  role(site: string, user: string): SiteRole | undefined {
    const [held] = this.#rows("SELECT role FROM members WHERE site = ? AND user = ?", site, user);
    return held?.role as SiteRole | undefined;
  }

  hasOwnerBeside(site: string, user: string): boolean {
    const others = "SELECT user FROM members WHERE site = ? AND user <> ? AND role = 'owner'";
    return this.#rows(others, site, user).length > 0;
  }

  setRole(site: string, user: string, role: SiteRole): void {
    this.#change("REPLACE INTO members VALUES (?, ?, ?)", site, user, role);
  }

  /** Returns false where the user is no member. */
  remove(site: string, user: string): boolean {
    return this.#change("DELETE FROM members WHERE site = ? AND user = ?", site, user);
  }

  #rows(sql: string, ...values: string[]) {
    return this.#database.all(sql, values);
  }

  /** Returns whether anything changed. */
  #change(sql: string, ...values: string[]): boolean {
    return this.#database.run(sql, values).changes > 0;
  }
}
