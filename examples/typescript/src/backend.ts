// A small analytics backend: sites, goals and members. Each route says what it requires.

import { randomUUID } from "node:crypto";
import type { AddressInfo } from "node:net";
import express, { type ErrorRequestHandler, type Request, type RequestHandler, type Response } from "express";
import { Sites } from "./database.js";
import { onMember, onNewSite, onSite } from "./facts.js";
import { Action, SiteRole } from "./hitkeep.js";
import { Pep } from "./pep.js";

const sites = new Sites(process.env.DATABASE ?? ":memory:");
const pep = new Pep(process.env.HUMBABA ?? "http://127.0.0.1:8180");
const sessions = new Map<string, string>();
const SITE = "/sites/:site";
const MEMBER = `${SITE}/members/:user`;

declare global {
  namespace Express {
    interface Locals {
      /** The site that is to be created. */
      site: string;
    }
  }
}

class BadRequest extends Error {}

function text(request: Request, field: string): string {
  const value: unknown = request.body?.[field];
  if (typeof value !== "string" || value === "") throw new BadRequest(`the body must have a text \`${field}\``);
  return value;
}

function newRole(request: Request): SiteRole {
  const named = text(request, "role");
  const role = Object.values(SiteRole).find((role) => role === named);
  if (!role) throw new BadRequest(`\`role\` must be one of ${Object.values(SiteRole).join(", ")}`);
  return role;
}

const notFound = (response: Response) => {
  response.status(404).json({ error: "not found" });
};

const param = (request: Request, name: string) => String(request.params[name]);

const authenticated: RequestHandler = (request, response, next) => {
  const user = sessions.get(request.headers.authorization?.replace(/^Bearer /, "") ?? "");
  if (user === undefined) {
    response.status(401).json({ error: "unauthenticated" });
    return;
  }
  response.locals.user = user;
  next();
};

const requires = (action: Action) =>
  pep.requires(action, (request, { user }) => onSite(sites, user, param(request, "site")));

/** Whoever is no member yet is added, others change their role: two actions of the store. */
const requiresGrant: RequestHandler = (request, response, next) => {
  const [site, target, role] = [param(request, "site"), param(request, "user"), newRole(request)];
  const action = sites.role(site, target) ? Action.SiteMembersChangeRole : Action.SiteMembersAdd;
  const facts = onMember(sites, response.locals.user, site, target, role);
  return pep.requires(action, () => facts)(request, response, next);
};

let turn: Promise<unknown> = Promise.resolve();

/** Lets members change one at a time: whether an owner remains must still be true when it is written. */
const inTurn = (guard: RequestHandler): RequestHandler => (request, response, next) => {
  const mine = turn.then(() => guard(request, response, next));
  turn = mine.catch(() => {});
  return mine;
};

const app = express();

// A stub: it believes everybody. Put your sessions here.
app.post("/login", express.json(), (request, response) => {
  const token = randomUUID();
  sessions.set(token, text(request, "user"));
  response.json({ token });
});

app.use(authenticated, express.json());

// The question is asked with the site that is to be, so it has its id before.
const newSite: RequestHandler = (_request, response, next) => {
  response.locals.site = randomUUID();
  next();
};
const creation = pep.requires(Action.SiteCreate, (_, { user, site }) => onNewSite(sites, user, site));
app.post("/sites", newSite, creation, (request, response) => {
  const { user, site } = response.locals;
  sites.create(site, text(request, "name"), user);
  response.status(201).json({ id: site });
});

app.get(`${SITE}/goals`, requires(Action.SiteGoalsView), (request, response) => {
  response.json(sites.goals(param(request, "site")));
});

app.post(`${SITE}/goals`, requires(Action.SiteGoalsCreate), (request, response) => {
  const id = sites.createGoal(param(request, "site"), text(request, "name"));
  response.status(201).json({ id });
});

app.put(`${SITE}/goals/:goal`, requires(Action.SiteGoalsEdit), (request, response) => {
  const [goal, name] = [param(request, "goal"), text(request, "name")];
  if (sites.renameGoal(param(request, "site"), goal, name)) response.json({ id: goal, name });
  else notFound(response);
});

app.put(MEMBER, inTurn(requiresGrant), (request, response) => {
  const [user, role] = [param(request, "user"), newRole(request)];
  sites.setRole(param(request, "site"), user, role);
  response.json({ user, role });
});

const removal = pep.requires(Action.SiteMembersRemove, (request, { user }) =>
  onMember(sites, user, param(request, "site"), param(request, "user")),
);
app.delete(MEMBER, inTurn(removal), (request, response) => {
  if (sites.remove(param(request, "site"), param(request, "user"))) response.status(204).end();
  else notFound(response);
});

app.use((_request, response) => notFound(response));

const failed: ErrorRequestHandler = (error, _request, response, _next) => {
  const isCallers = error instanceof BadRequest || error.status === 400;
  if (!isCallers) console.error(error);
  response.status(isCallers ? 400 : 500).json({ error: isCallers ? error.message : "internal" });
};
app.use(failed);

const server = app.listen(Number(process.env.PORT ?? 8000), "127.0.0.1", (error) => {
  if (error) throw error;
  console.log(`listening on http://127.0.0.1:${(server.address() as AddressInfo).port}`);
});
