"""A small analytics backend that asks Humbaba who may do what. README.md says how to run it."""

import asyncio
import os
import secrets
import socket
import sqlite3
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Annotated

import uvicorn
from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from humbaba.v1.types_pb2 import Entity, EntityUid, RoleAssignment, Value
from pydantic import BaseModel, Field

from hitkeep import Action, EntityType, SiteRole, TeamRole
from pep import Denied, Humbaba, Unavailable, question

TABLES = """
CREATE TABLE IF NOT EXISTS sites (id TEXT PRIMARY KEY, name TEXT NOT NULL, creator TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS goals (id TEXT PRIMARY KEY, site TEXT NOT NULL, name TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS members (
    site TEXT NOT NULL, user TEXT NOT NULL, role TEXT NOT NULL, PRIMARY KEY (site, user)
);
"""
SITES_OF_A_PLAN = 100
# Everybody who logs in is a member of the only team.
TEAM = EntityUid(type=EntityType.TEAM, id="main")

db = sqlite3.connect(os.environ.get("DATABASE", ":memory:"), isolation_level=None)
db.executescript(TABLES)
# Who is logged in, by token.
sessions: dict[str, str] = {}
# Held from the question to the write where the question counts rows: owners, or sites of a plan.
counted = asyncio.Lock()


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    app.state.humbaba = Humbaba(os.environ.get("HUMBABA", "http://127.0.0.1:8180"))
    yield
    await app.state.humbaba.close()


app = FastAPI(lifespan=lifespan)


def role_of(user: str, site: str) -> str | None:
    found = db.execute("SELECT role FROM members WHERE site = ? AND user = ?", (site, user))
    return next((role for (role,) in found), None)


def assignments(site: str, *users: str) -> list[RoleAssignment]:
    """The roles on a site of those on whom the answer depends."""
    scope = EntityUid(type=EntityType.SITE, id=site)
    return [
        RoleAssignment(principal=EntityUid(type=EntityType.USER, id=user), role=role, scope=scope)
        for user in dict.fromkeys(users)
        if (role := role_of(user, site))
    ]


async def logged_in(request: Request) -> str:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    user = sessions.get(token) if scheme.lower() == "bearer" else None
    if user is None:
        raise HTTPException(401)
    return user


User = Annotated[str, Depends(logged_in)]


def requires(action: Action) -> Callable[[Request, str, str], Awaitable[None]]:
    """A dependency: lets a request through only if its user may do this on the site of its path."""

    async def check(request: Request, site: str, user: User) -> None:
        principal = EntityUid(type=EntityType.USER, id=user)
        resource = EntityUid(type=EntityType.SITE, id=site)
        asked = question(principal, action, resource, assignments(site, user))
        await request.app.state.humbaba.require(asked)

    return check


async def require_to_change_member(
    action: Action, user: str, site: str, member: str, role: SiteRole | None
) -> None:
    """The same for a change of a member, of which the policies know more; without a role: removal."""
    target = EntityUid(type=EntityType.USER, id=member)
    others = db.execute(
        "SELECT count(*) FROM members WHERE site = ? AND role = 'owner' AND user <> ?",
        (site, member),
    ).fetchone()[0]
    remains = others > 0 or role == SiteRole.OWNER
    context = {"target": Value(entity=target), "owner_remains": Value(boolean=remains)}
    if role is not None:
        context["role"] = Value(entity=EntityUid(type=EntityType.SITE_ROLE, id=role))
    asked = question(
        EntityUid(type=EntityType.USER, id=user),
        action,
        EntityUid(type=EntityType.SITE, id=site),
        assignments(site, user, member),
        context,
    )
    await app.state.humbaba.require(asked)


async def require_to_create_site(user: str, site: str) -> None:
    """The same for a site that is to be, of which the policies want to know the team."""
    principal = EntityUid(type=EntityType.USER, id=user)
    resource = EntityUid(type=EntityType.SITE, id=site)
    (count,) = db.execute("SELECT count(*) FROM sites WHERE creator = ?", (user,)).fetchone()
    team: Mapping[str, Value] = {"team": Value(entity=TEAM)}
    asked = question(
        principal,
        Action.SITE_CREATE,
        resource,
        [RoleAssignment(role=TeamRole.MEMBER, scope=TEAM)],
        {"within_plan": Value(boolean=count < SITES_OF_A_PLAN)},
        [
            Entity(uid=resource, attributes=team),
            Entity(uid=principal, attributes={"active_team": Value(entity=TEAM)}),
            Entity(uid=TEAM, attributes={"archived": Value(boolean=False)}),
        ],
    )
    await app.state.humbaba.require(asked)


class Login(BaseModel):
    user: str = Field(min_length=1, max_length=100)


class Named(BaseModel):
    name: str = Field(min_length=1, max_length=100)


class Member(BaseModel):
    role: SiteRole


@app.post("/login")
async def login(body: Login) -> dict[str, str]:
    """A stub: whoever says that they are alice is alice."""
    token = secrets.token_urlsafe()
    sessions[token] = body.user
    return {"token": token}


@app.post("/sites", status_code=201)
async def create_site(body: Named, user: User) -> dict[str, str]:
    site = str(uuid.uuid4())
    async with counted:
        await require_to_create_site(user, site)
        with db:
            db.execute("BEGIN")
            db.execute("INSERT INTO sites VALUES (?, ?, ?)", (site, body.name, user))
            db.execute("INSERT INTO members VALUES (?, ?, ?)", (site, user, SiteRole.OWNER))
    return {"id": site}


@app.get("/sites/{site}/goals", dependencies=[Depends(requires(Action.SITE_GOALS_VIEW))])
async def list_goals(site: str) -> list[dict[str, str]]:
    goals = db.execute("SELECT id, name FROM goals WHERE site = ? ORDER BY rowid", (site,))
    return [{"id": goal, "name": name} for goal, name in goals]


@app.post(
    "/sites/{site}/goals",
    status_code=201,
    dependencies=[Depends(requires(Action.SITE_GOALS_CREATE))],
)
async def create_goal(site: str, body: Named) -> dict[str, str]:
    goal = str(uuid.uuid4())
    db.execute("INSERT INTO goals VALUES (?, ?, ?)", (goal, site, body.name))
    return {"id": goal}


@app.put("/sites/{site}/goals/{goal}", dependencies=[Depends(requires(Action.SITE_GOALS_EDIT))])
async def edit_goal(site: str, goal: str, body: Named) -> dict[str, str]:
    change = "UPDATE goals SET name = ? WHERE site = ? AND id = ?"
    if db.execute(change, (body.name, site, goal)).rowcount == 0:
        raise HTTPException(404)
    return {"id": goal, "name": body.name}


@app.put("/sites/{site}/members/{member}")
async def set_member(site: str, member: str, body: Member, user: User) -> dict[str, str]:
    async with counted:
        known = role_of(member, site)
        action = Action.SITE_MEMBERS_CHANGE_ROLE if known else Action.SITE_MEMBERS_ADD
        await require_to_change_member(action, user, site, member, body.role)
        db.execute("INSERT OR REPLACE INTO members VALUES (?, ?, ?)", (site, member, body.role))
    return {"user": member, "role": body.role}


@app.delete("/sites/{site}/members/{member}", status_code=204)
async def remove_member(site: str, member: str, user: User) -> None:
    async with counted:
        await require_to_change_member(Action.SITE_MEMBERS_REMOVE, user, site, member, None)
        removal = "DELETE FROM members WHERE site = ? AND user = ?"
        if db.execute(removal, (site, member)).rowcount == 0:
            raise HTTPException(404)


@app.exception_handler(Denied)
async def denied(_: Request, denied: Denied) -> JSONResponse:
    answer = {"action": denied.action, "why": denied.why, "decision_id": denied.decision_id}
    return JSONResponse({"error": "forbidden", **answer}, 403)


@app.exception_handler(Unavailable)
async def unavailable(_: Request, __: Unavailable) -> JSONResponse:
    return JSONResponse({"error": "unavailable"}, 503)


@app.exception_handler(RequestValidationError)
async def bad_body(_: Request, error: RequestValidationError) -> JSONResponse:
    return JSONResponse({"error": "; ".join(fault["msg"] for fault in error.errors())}, 400)


@app.exception_handler(HTTPException)
async def refused(_: Request, error: HTTPException) -> JSONResponse:
    words = {401: "unauthenticated", 404: "not found"}
    return JSONResponse({"error": words[error.status_code]}, error.status_code)


if __name__ == "__main__":
    listener = socket.create_server(("127.0.0.1", int(os.environ.get("PORT", "8000"))))
    print(f"listening on http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listener])
