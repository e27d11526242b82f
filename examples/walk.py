#!/usr/bin/env python3
"""Walks through a story of roles at one of the example backends.

    walk.py http://127.0.0.1:8000                     the story
    walk.py http://127.0.0.1:8000 --humbaba-stopped   nobody gets an answer while Humbaba is away

Prints a line for each step. Ends with 1 at the first that is not as it must be.
"""

import argparse
import json
import sys
import urllib.error
import urllib.request

# Seconds; longer than a backend may wait for Humbaba.
TIMEOUT = 10
# Past any proxy: the backend is on this machine.
OPEN = urllib.request.build_opener(urllib.request.ProxyHandler({})).open


class Wrong(Exception):
    """A step that is not as it must be."""


class Backend:
    """Speaks to a backend for one user, or for nobody."""

    def __init__(self, base, token=None):
        self.base, self.token = base.rstrip("/"), token

    def ask(self, method, path, body=None):
        """Returns the status and the JSON of an answer; None where it has no body."""
        request = urllib.request.Request(self.base + path, method=method)
        if body is not None:
            request.data = body if isinstance(body, bytes) else json.dumps(body).encode()
            request.add_header("Content-Type", "application/json")
        if self.token is not None:
            request.add_header("Authorization", f"Bearer {self.token}")
        try:
            with OPEN(request, timeout=TIMEOUT) as answer:
                status, text = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                status, text = error.code, error.read()
        except OSError as error:
            raise Wrong(f"{method} {path}: {error}") from error
        if status == 204 or not text:
            return status, None
        try:
            return status, json.loads(text)
        except ValueError as error:
            raise Wrong(f"{method} {path}: {status}, and the body is no JSON: {text!r}") from error

    def login(self, user):
        status, answer = self.ask("POST", "/login", {"user": user})
        holds = status == 200 and isinstance(answer, dict) and bool(answer.get("token"))
        require(holds, f"login of {user}: must be 200 with a token", (status, answer))
        return Backend(self.base, answer["token"])


def require(holds, step, got):
    if not holds:
        raise Wrong(f"{step}: got {got}")


def step(text, answer, status, **fields):
    """Holds an answer against its status and the fields that it must have; returns its body."""
    got, body = answer
    require(got == status, f"{text}: must be {status}", answer)
    for name, value in fields.items():
        holds = isinstance(body, dict) and body.get(name) == value
        require(holds, f"{text}: {name} must be {value!r}", answer)
    print(f"ok  {got}  {text}")
    return body


def created(text, answer):
    """Returns the id of what was created."""
    body = step(text, answer, 201)
    require(isinstance(body, dict) and bool(body.get("id")), f"{text}: id must be there", answer)
    return body["id"]


def denied(text, answer, action):
    """A 403 that says what was asked for, why not, and under which id the decision is logged."""
    body = step(text, answer, 403, error="forbidden", action=action)
    for name in ("why", "decision_id"):
        require(bool(body.get(name)), f"{text}: {name} must be there", answer)
    print(f"         why: {body['why']}")
    return body


def goals_are(text, answer, *names):
    listed = step(text, answer, 200)
    holds = isinstance(listed, list) and all(isinstance(one, dict) for one in listed)
    got = [one.get("name") for one in listed] if holds else None
    require(got == [*names], f"{text}: the names must be {names}", answer)


def story(base):
    nobody = Backend(base)
    alice, bob, carol = nobody.login("alice"), nobody.login("bob"), nobody.login("carol")
    print("ok  200  alice, bob and carol log in")

    id = created("alice creates a site", alice.ask("POST", "/sites", {"name": "Shop"}))
    site = f"/sites/{id}"
    goals, bobs = f"{site}/goals", f"{site}/members/bob"
    id = created("alice creates a goal", alice.ask("POST", goals, {"name": "Sold"}))
    goal = f"{goals}/{id}"
    better, best = {"name": "Sold something"}, {"name": "Sold a lot"}

    read = bob.ask("GET", goals)
    denied("bob, who is no member, may not read the goals", read, "site.goals.view")
    read = bob.ask("GET", "/sites/none/goals")
    denied("nor those of a site that does not exist", read, "site.goals.view")

    done = alice.ask("PUT", bobs, {"role": "viewer"})
    step("alice invites bob as viewer", done, 200, user="bob", role="viewer")
    goals_are("bob reads the goals", bob.ask("GET", goals), "Sold")
    edit = bob.ask("PUT", goal, better)
    body = denied("bob, a viewer, may not edit a goal", edit, "site.goals.edit")
    require("`editor`" in body["why"], "why must name the role that would allow it", body)
    rise = bob.ask("PUT", bobs, {"role": "owner"})
    denied("nor may he make himself owner", rise, "site.members.change-role")

    done = alice.ask("PUT", bobs, {"role": "editor"})
    step("alice promotes bob to editor", done, 200, user="bob", role="editor")
    step("bob edits the goal", bob.ask("PUT", goal, better), 200, name="Sold something")
    goals_are("alice sees his edit", alice.ask("GET", goals), "Sold something")
    step("there is no such goal", bob.ask("PUT", f"{goals}/none", better), 404)
    step("a body without a name is refused", bob.ask("PUT", goal, {}), 400)
    step("so is one that is no JSON", bob.ask("PUT", goal, b"{"), 400)
    step("and a role that does not exist", alice.ask("PUT", bobs, {"role": "king"}), 400)

    gone = bob.ask("DELETE", f"{site}/members/alice")
    denied("bob, an editor, may not remove the owner", gone, "site.members.remove")
    gone = alice.ask("DELETE", f"{site}/members/alice")
    denied("nor may alice, the last owner, leave", gone, "site.members.remove")

    carols, daves = f"{site}/members/carol", f"{site}/members/dave"
    step("alice invites carol as admin", alice.ask("PUT", carols, {"role": "admin"}), 200)
    step("carol invites dave", carol.ask("PUT", daves, {"role": "viewer"}), 200)
    rise = carol.ask("PUT", daves, {"role": "owner"})
    denied("but does not make him owner", rise, "site.members.change-role")
    step("carol removes dave", carol.ask("DELETE", daves), 204)
    gone = carol.ask("DELETE", f"{site}/members/alice")
    denied("but not alice", gone, "site.members.remove")
    step("nor somebody who is no member", alice.ask("DELETE", daves), 404)

    step("alice removes bob", alice.ask("DELETE", bobs), 204)
    denied("bob may no longer edit the goal", bob.ask("PUT", goal, best), "site.goals.edit")
    denied("nor read the goals", bob.ask("GET", goals), "site.goals.view")

    step("without a token nobody reads", nobody.ask("GET", goals), 401)
    step("nor with a wrong one", Backend(base, "wrong").ask("GET", goals), 401)


def without_humbaba(base):
    alice = Backend(base).login("alice")
    answer = alice.ask("GET", "/sites/any/goals")
    step("no answer from Humbaba is no permission", answer, 503)
    step("nor one to create a site", alice.ask("POST", "/sites", {"name": "Shop"}), 503)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("base_url")
    parser.add_argument("--humbaba-stopped", action="store_true")
    arguments = parser.parse_args()
    try:
        (without_humbaba if arguments.humbaba_stopped else story)(arguments.base_url)
    except Wrong as wrong:
        sys.exit(f"wrong: {wrong}")


if __name__ == "__main__":
    main()
