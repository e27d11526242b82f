// The backend's own data. Roles are a table of it like any other.

import { randomUUID } from "node:crypto";
import Database from "better-sqlite3";
import type { SiteRole } from "./hitkeep.js";

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS sites (id TEXT PRIMARY KEY, name TEXT NOT NULL);
  CREATE TABLE IF NOT EXISTS goals (id TEXT PRIMARY KEY, site TEXT NOT NULL REFERENCES sites, name TEXT NOT NULL);
  CREATE TABLE IF NOT EXISTS members (
    site TEXT NOT NULL REFERENCES sites, user TEXT NOT NULL, role TEXT NOT NULL, PRIMARY KEY (site, user)
  );
`;

export type Goal = { id: string; name: string };

export class Sites {
  readonly #database;

  constructor(path: string) {
    this.#database = new Database(path);
    this.#database.exec(SCHEMA);
  }

  count(): number {
    return this.#database.prepare<[], number>("SELECT count(*) FROM sites").pluck().get() ?? 0;
  }

  create(site: string, name: string, owner: string): void {
    this.#database.transaction(() => {
      this.#database.prepare("INSERT INTO sites VALUES (?, ?)").run(site, name);
      this.setRole(site, owner, "owner");
    })();
  }

  goals(site: string): Goal[] {
    return this.#database.prepare<[string], Goal>("SELECT id, name FROM goals WHERE site = ?").all(site);
  }

  createGoal(site: string, name: string): string {
    const id = randomUUID();
    this.#database.prepare("INSERT INTO goals VALUES (?, ?, ?)").run(id, site, name);
    return id;
  }

  /** Returns false where the site has no such goal. */
  renameGoal(site: string, goal: string, name: string): boolean {
    const rename = this.#database.prepare("UPDATE goals SET name = ? WHERE id = ? AND site = ?");
    return rename.run(name, goal, site).changes > 0;
  }

  role(site: string, user: string): SiteRole | undefined {
    const held = "SELECT role FROM members WHERE site = ? AND user = ?";
    return this.#database.prepare<[string, string], SiteRole>(held).pluck().get(site, user);
  }

  hasOwnerBeside(site: string, user: string): boolean {
    const others = "SELECT 1 FROM members WHERE site = ? AND user <> ? AND role = 'owner'";
    return this.#database.prepare(others).get(site, user) !== undefined;
  }

  setRole(site: string, user: string, role: SiteRole): void {
    this.#database.prepare("REPLACE INTO members VALUES (?, ?, ?)").run(site, user, role);
  }

  /** Returns false where the user is no member. */
  remove(site: string, user: string): boolean {
    const remove = this.#database.prepare("DELETE FROM members WHERE site = ? AND user = ?");
    return remove.run(site, user).changes > 0;
  }
}
