"""Humbaba with a directory of files, and with one that it keeps itself."""

import json
import shutil
import time
import urllib.request

import grpc

import facts
import load
from humbaba.v1 import authorization_service_pb2 as service
from humbaba.v1 import directory_service_pb2 as directory
from humbaba.v1 import types_pb2 as types
from humbaba.v1.authorization_service_pb2_grpc import AuthorizationServiceStub
from humbaba.v1.directory_service_pb2_grpc import DirectoryServiceStub
from measured import Process, Timed, until

HEADER = "principal_type,principal_id,role,scope_type,scope_id\n"
# Changes in one write.
BATCH = 5_000


def uid(kind, name):
    return types.EntityUid(type=kind, id=name)


class Humbaba(Process):
    def __init__(self, binary, policies, *flags):
        self.http, address = load.free_address(), load.free_address()
        command = [binary, "serve", "--policies", policies, "--listen", address, "--http-listen", self.http]
        super().__init__([*command, "--web-listen", "off", "--log-filter", "error", *flags])
        self.took = self.wait_until(self.is_ready)
        self.stub = AuthorizationServiceStub(grpc.insecure_channel(address))

    def is_ready(self):
        try:
            return urllib.request.urlopen(f"http://{self.http}/readyz", timeout=5).status == 200
        except OSError:
            return False

    def may_view(self, user, site, role=None):
        sent = [types.RoleAssignment(role=role)] if role else []
        question = service.IsAuthorizedRequest(
            policy_store="hitkeep", principal=uid("User", user), action=uid("", "site.view"),
            resource=uid("Site", site), role_assignments=sent)
        return lambda: self.stub.IsAuthorized(question).decision == service.DECISION_ALLOW

    def sites_of(self, user):
        question = service.ListResourcesRequest(
            policy_store="hitkeep", principal=uid("User", user), action=uid("", "site.view"),
            resource_type="Site", page_size=1_000)
        return lambda: [site.id for site in self.stub.ListResources(question).resources]

    def viewers_of(self, site):
        question = service.ListPrincipalsRequest(
            policy_store="hitkeep", principal_type="User", action=uid("", "site.view"),
            resource=uid("Site", site), page_size=1_000)
        return lambda: len(self.stub.ListPrincipals(question).principals)


def measure(args, scratch, answers, changes):
    policies, files, nothing = scratch / "policies", scratch / "files", scratch / "nothing"
    copy_store(policies)
    nothing.mkdir()
    write_rows(files, facts.assignments())
    write_team(files)
    asked = list(facts.questions(20_000))
    with Humbaba(args.binary, policies, "--directory", f"hitkeep=files:{nothing}") as empty, \
            Humbaba(args.binary, policies, "--directory", f"hitkeep=files:{files}") as full:
        # What reading took goes back to the system within seconds.
        time.sleep(10)
        load.row("Humbaba, files", full.took, full.memory(), full.peak(), empty.memory())
        sent = [empty.may_view(user, site, role) for user, role, site in asked]
        held = [full.may_view(user, site) for user, _, site in asked]
        alice, bob = full.sites_of("alice"), full.sites_of("bob")
        viewers = [full.viewers_of(site) for _, _, site in asked[: args.calls]]
        assert all(ask() for ask in sent + held)
        assert alice() == facts.OWN_SITES and bob() == facts.TEAM_SITES
        answers += [
            ("Humbaba, IsAuthorized, role sent, empty directory", Timed(empty, sent)),
            ("Humbaba, IsAuthorized, role held", Timed(full, held)),
            ("Humbaba, ListResources, alice's 100 sites", Timed(full, [alice] * args.calls, args.calls)),
            ("Humbaba, ListResources, 100 sites of bob's team", Timed(full, [bob] * args.calls, args.calls)),
            ("Humbaba, ListPrincipals of a site", Timed(full, viewers, args.calls)),
        ]
        steps = [file_change(full, files, number) for number in range(1, args.changes + 1)]
        changes.append(("Humbaba, a file of one row", Timed(full, steps)))
    measure_embedded(args, scratch, policies, changes)


def copy_store(folder):
    """HitKeep's store, whose callers may send roles besides."""
    shutil.copytree(load.ROOT / "policies" / "hitkeep", folder / "hitkeep")
    with (folder / "hitkeep" / "store.toml").open("a") as settings:
        settings.write('\n[directory]\nrequest_facts = "add"\n')


def write_rows(folder, assignments):
    folder.mkdir()
    with (folder / "all.assignments.csv").open("w") as rows:
        rows.write(HEADER)
        for user, role, site in assignments:
            rows.write(f"User,{user},{role},Site,{site}\n")


def write_team(folder):
    (folder / "team.assignments.csv").write_text(f"{HEADER}User,bob,owner,Team,t1\n")
    (folder / "team.cedarentities.json").write_text(json.dumps(list(entities())))


def entities():
    """Bob works in a team that has 100 sites."""
    team = {"type": "HitKeep::Team", "id": "t1"}
    yield {"uid": team, "attrs": {"archived": False}, "parents": []}
    in_team = [("User", "bob", "active_team")] + [("Site", site, "team") for site in facts.TEAM_SITES]
    for kind, name, attribute in in_team:
        entity = {"type": f"HitKeep::{kind}", "id": name}
        yield {"uid": entity, "attrs": {attribute: {"__entity": team}}, "parents": []}


def file_change(server, folder, number):
    def change():
        draft = folder / "draft"
        draft.write_text(f"{HEADER}User,changed-{number},viewer,Site,site-0000000\n")
        draft.rename(folder / "change.assignments.csv")
        until(server.may_view(f"changed-{number}", "site-0000000"))
    return change


def measure_embedded(args, scratch, policies, changes):
    flags = ["--directory", "hitkeep=embedded", "--data", scratch / "data"]
    flags += ["--directory-listen", f"unix:{scratch}/directory.sock"]
    with Humbaba(args.binary, policies, *flags) as server:
        write, before, rows = writer(scratch), server.memory(), list(facts.assignments())
        begun = time.monotonic()
        for at in range(0, len(rows), BATCH):
            write(rows[at:at + BATCH])
        name = f"Humbaba, embedded, written by one client, {BATCH:,} rows at once"
        load.row(name, time.monotonic() - begun, server.memory(), server.peak(), before)
    with Humbaba(args.binary, policies, *flags) as server:
        time.sleep(10)
        load.row("Humbaba, embedded, started again", server.took, server.memory(), server.peak(), "")
        write = writer(scratch)

        def written(number):
            def change():
                write([(f"changed-{number}", "viewer", "site-0000000")])
                assert server.may_view(f"changed-{number}", "site-0000000")()
            return change
        steps = [written(number) for number in range(args.changes)]
        changes.append(("Humbaba, embedded, a write of one row", Timed(server, steps)))


def writer(scratch):
    stub = DirectoryServiceStub(grpc.insecure_channel(f"unix:{scratch}/directory.sock"))

    def put(user, role, site):
        assignment = types.RoleAssignment(principal=uid("User", user), role=role, scope=uid("Site", site))
        return directory.DirectoryChange(put_assignment=assignment)

    def write(rows):
        changes = [put(*row) for row in rows]
        stub.Write(directory.WriteRequest(policy_store="hitkeep", changes=changes))
    return write
