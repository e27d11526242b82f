"""Asks Humbaba whether somebody may do something. Whatever goes wrong, the answer is no."""

import logging
from collections.abc import Mapping, Sequence

import grpc
from humbaba.v1.authorization_service_pb2 import (
    DECISION_ALLOW,
    IsAuthorizedRequest,
    IsAuthorizedResponse,
)
from humbaba.v1.authorization_service_pb2_grpc import AuthorizationServiceStub
from humbaba.v1.types_pb2 import Entity, EntityUid, RoleAssignment, Value

from hitkeep import POLICY_STORE, Action

LOG = logging.getLogger(__name__)

# Seconds that an answer may take. A call without a deadline waits for as long as Humbaba hangs.
DEADLINE = 1.0

OPTIONS = [
    # Else gRPC sends even calls on loopback through the proxy that `http_proxy` names.
    ("grpc.enable_http_proxy", 0),
    # After failures gRPC waits longer and longer, up to two minutes, before it connects again.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    # No keepalive: Humbaba is on this machine. If it ends its connections close, and if it hangs
    # there is the deadline.
]


class Denied(Exception):
    """Humbaba denied."""

    def __init__(self, action: Action, answer: IsAuthorizedResponse):
        self.action, self.why = action, answer.explanation.summary
        self.decision_id = answer.decision_id


class Unavailable(Exception):
    """There is no answer."""


def target(address: str) -> str:
    """The address of Humbaba, `http://host:port` or `unix:/path`, as gRPC spells it."""
    if not address.startswith(("http://", "unix:/")):
        raise ValueError(f"HUMBABA={address}: must be http://host:port or unix:/path")
    return address.removeprefix("http://")


def question(
    principal: EntityUid,
    action: Action,
    resource: EntityUid,
    roles: Sequence[RoleAssignment],
    context: Mapping[str, Value] = {},
    entities: Sequence[Entity] = (),
) -> IsAuthorizedRequest:
    return IsAuthorizedRequest(
        policy_store=POLICY_STORE,
        principal=principal,
        action=EntityUid(id=action),
        resource=resource,
        role_assignments=roles,
        context=context,
        entities=entities,
        explain=True,
    )


class Humbaba:
    """One for the process: a channel carries any number of calls at once. Make it after a fork."""

    def __init__(self, address: str):
        self._channel = grpc.aio.insecure_channel(target(address), options=OPTIONS)
        self._stub = AuthorizationServiceStub(self._channel)

    async def require(self, asked: IsAuthorizedRequest) -> None:
        """Returns only if Humbaba allows it."""
        try:
            answer = await self._stub.IsAuthorized(asked, timeout=DEADLINE)
        except grpc.aio.AioRpcError as error:
            LOG.error("no answer from Humbaba: %s: %s", error.code().name, error.details())
            raise Unavailable from error
        if answer.decision != DECISION_ALLOW:
            raise Denied(Action(asked.action.id), answer)

    async def close(self) -> None:
        await self._channel.close()
