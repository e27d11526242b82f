"""Serves SpiceDB, with the assignments of so many users and with alice's, until it is killed.

The argument is the number of users. The first line on the standard output is the path of the Unix
socket. `SPICEDB_LIBRARY_PATH` names SpiceDB's library, which keeps everything in memory.
"""

import signal
import sys
from itertools import islice

import facts
from authzed.api.v1 import (
    ObjectReference,
    Relationship,
    RelationshipUpdate,
    SubjectReference,
    WriteRelationshipsRequest,
)
from spicedb_embedded import EmbeddedSpiceDB

SCHEMA = """
definition user {}

definition site {
    relation owner: user
    relation admin: user
    relation editor: user
    relation viewer: user
    permission view = owner + admin + editor + viewer
}
"""
# The most that SpiceDB takes in one write.
BATCH = 1_000


def created(user, role, site):
    relationship = Relationship(
        resource=ObjectReference(object_type="site", object_id=site), relation=role,
        subject=SubjectReference(object=ObjectReference(object_type="user", object_id=user)))
    return RelationshipUpdate(operation=RelationshipUpdate.OPERATION_CREATE, relationship=relationship)


def main():
    with EmbeddedSpiceDB.start(SCHEMA) as spicedb:
        rows = facts.assignments(int(sys.argv[1]))
        while updates := [created(*row) for row in islice(rows, BATCH)]:
            spicedb.permissions().WriteRelationships(WriteRelationshipsRequest(updates=updates))
        print(spicedb.streaming_address(), flush=True)
        signal.pause()


if __name__ == "__main__":
    main()
