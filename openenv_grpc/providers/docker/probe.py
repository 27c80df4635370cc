"""Whether a server that says it serves does: its health, and its description; and whether it asks for its token."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from openenv_grpc.client import channel as net
from openenv_grpc.errors import ProtocolMismatch, ServerUnavailable
from openenv_grpc.session.token import VARIABLE

if TYPE_CHECKING:
    from openenv_grpc.specs import ServerSpec

MAX_ANSWER = 16 << 20
_SIZE = "grpc.max_receive_message_length"
OPTIONS = [(name, MAX_ANSWER if name == _SIZE else value) for name, value in net.OPTIONS]


def probe(address: str, deadline: float, token: str | None = None) -> ServerSpec:
    """What a healthy server says about itself; blocks.

    Args:
        address: Where it listens.
        deadline: In seconds of `time.monotonic`.
        token: What it asks of its clients.

    Raises:
        ServerUnavailable: It is not healthy, or does not answer in time.
        ProtocolMismatch: It speaks another revision, or something else.
    """
    metadata = net.metadata_of(token)
    with grpc.insecure_channel(net.check_address(address), options=OPTIONS) as channel:
        plain: Any = channel
        check: Any = health_pb2_grpc.HealthStub(channel).Check
        describe: Any = plain.unary_unary(net.SERVICE + "Describe")
        try:
            answer = check(health_pb2.HealthCheckRequest(), timeout=_left(deadline), metadata=metadata)
            if answer.status != health_pb2.HealthCheckResponse.SERVING:
                msg = "the server says that it serves, and that it is not healthy"
                raise ServerUnavailable(msg)
            return net.read_description(describe(b"", timeout=_left(deadline), metadata=metadata), address)
        except grpc.RpcError as error:
            raise net.translate(error, address) from None


def check_guarded(address: str, deadline: float) -> None:
    """See that a server refuses who shows no token, before everybody on this machine can reach it; blocks.

    Args:
        address: Where it listens.
        deadline: In seconds of `time.monotonic`.

    Raises:
        ProtocolMismatch: It does not.
    """
    with grpc.insecure_channel(net.check_address(address), options=OPTIONS) as channel:
        plain: Any = channel
        try:
            plain.unary_unary(net.SERVICE + "Describe")(b"", timeout=_left(deadline))
        except grpc.RpcError as error:
            failure: Any = error
            if failure.code() is grpc.StatusCode.UNAUTHENTICATED:
                return
    msg = f"its server does not ask for the token in {VARIABLE}, so it cannot be given a port; build it again"
    raise ProtocolMismatch(msg, field="image")


def _left(deadline: float) -> float:
    return max(deadline - time.monotonic(), 0.01)
