"""Asks one question, without asyncio.

    python ask.py bob viewer site.goals.edit 42

Prints the answer and why. Ends with 0 for an allow, 2 for a deny and 1 without an answer.
"""

import argparse
import os
import sys

import grpc
from humbaba.v1.authorization_service_pb2 import DECISION_ALLOW
from humbaba.v1.authorization_service_pb2_grpc import AuthorizationServiceStub
from humbaba.v1.types_pb2 import EntityUid, RoleAssignment

from hitkeep import Action, EntityType, SiteRole
from pep import DEADLINE, OPTIONS, question, target


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("user")
    parser.add_argument("role", type=SiteRole)
    parser.add_argument("action", type=Action)
    parser.add_argument("site")
    given = parser.parse_args()
    asked = question(
        EntityUid(type=EntityType.USER, id=given.user),
        given.action,
        EntityUid(type=EntityType.SITE, id=given.site),
        # Without a principal and a scope: the principal and the resource of the question.
        [RoleAssignment(role=given.role)],
    )
    address = os.environ.get("HUMBABA", "http://127.0.0.1:8180")
    with grpc.insecure_channel(target(address), options=OPTIONS) as channel:
        try:
            answer = AuthorizationServiceStub(channel).IsAuthorized(asked, timeout=DEADLINE)
        except grpc.RpcError as error:
            sys.exit(f"no answer from Humbaba: {error}")
    allowed: bool = answer.decision == DECISION_ALLOW
    print("allow:" if allowed else "deny:", answer.explanation.summary)
    return 0 if allowed else 2


if __name__ == "__main__":
    sys.exit(main())
