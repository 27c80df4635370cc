"""Draining: a server that is told to shut down finishes what runs, opens nothing new, and says so.

Each case ends a server of its own.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from grpc_health.v1 import health_pb2, health_pb2_grpc

from openenv_grpc.testing.answers import Answer
from openenv_grpc.testing.carriers import Stream
from openenv_grpc.testing.case import STREAM, UNARY, Face, Violation, case
from openenv_grpc.testing.cases.description import describe

if TYPE_CHECKING:
    from collections.abc import Callable

    from openenv_grpc.testing.peer import Peer

GENEROUS_MS = 10_000
"""A budget that no slow action uses up."""
ON_THE_WAY_S = 0.1
"""After this a request that was sent is being worked on."""
SERVING = health_pb2.HealthCheckResponse.SERVING
SERVICES = ("", "openenv_grpc.v1.EnvironmentService")


def _mortal(peer: Peer) -> tuple[Peer, Callable[[], None]]:
    """A peer of a server of its own, and what tells that to shut down."""
    assert peer.target.servers is not None
    target, shut_down = peer.target.servers.mortal(peer.target)
    return peer.at(target), shut_down


def _draining(peer: Peer) -> Peer:
    """A peer of a server that drains: slow steps on a stream keep it from ending."""
    own, shut_down = _mortal(peer)
    busy = own.at(own.target, Face.STREAM).begin()
    for _ in range(3):
        busy.send_slow(timeout_ms=GENEROUS_MS)
    time.sleep(ON_THE_WAY_S)
    shut_down()
    end = time.monotonic() + 0.5
    while time.monotonic() < end and not describe(own).draining and SERVING in _health(own):
        time.sleep(0.01)
    return own


def _health(peer: Peer) -> list[int]:
    """What the health service says of the server as a whole and of EnvironmentService."""
    stub, timeout_s = health_pb2_grpc.HealthStub(peer.target.channel), peer.target.answer_timeout_s
    requests = [health_pb2.HealthCheckRequest(service=service) for service in SERVICES]
    return [stub.Check(request, timeout=timeout_s).status for request in requests]


@case(needs=("servers", "slow_action"), alone=True)
def a_draining_server_opens_nothing(peer: Peer) -> None:
    """A server that drains refuses new sessions with SERVER_DRAINING and a delay after which to try again."""
    refusal = _draining(peer).try_open()[0].refused("SERVER_DRAINING")
    if not refusal.retry_s > 0:
        msg = "a retry delay above zero"
        raise Violation(msg, f"{refusal.retry_s:g} s")


@case(needs=("servers", "slow_action"), alone=True)
def a_draining_server_finishes_what_runs(peer: Peer) -> None:
    """A step that runs when the server is told to shut down is finished and answered."""
    own, shut_down = _mortal(peer)
    finish = own.begin(seed=92).send_slow(timeout_ms=GENEROUS_MS)
    time.sleep(ON_THE_WAY_S)
    shut_down()
    finish().ok()


@case(faces=UNARY, needs=("servers", "slow_action"), alone=True)
def a_draining_server_is_not_serving(peer: Peer) -> None:
    """While a server drains, the health service says NOT_SERVING, of the server as a whole and of the service."""
    found = [health_pb2.HealthCheckResponse.ServingStatus.Name(status) for status in _health(_draining(peer))]
    if found != ["NOT_SERVING"] * 2:
        msg = "NOT_SERVING twice"
        raise Violation(msg, found)


@case(faces=UNARY, needs=("servers", "slow_action"), alone=True)
def describe_says_draining(peer: Peer) -> None:
    """While a server drains, Describe says so."""
    if not describe(_draining(peer)).draining:
        msg = "draining true"
        raise Violation(msg, "false")


@case(faces=STREAM, needs=("servers",), alone=True)
def a_draining_server_says_goodbye(peer: Peer) -> None:
    """A stream that is open when its server ends gets SERVER_DRAINING in an answer without a number, then its end."""
    own, shut_down = _mortal(peer)
    session = own.begin()
    assert isinstance(session.carrier, Stream)
    shut_down()
    goodbye = session.carrier.receive("a goodbye")
    Answer("goodbye", goodbye, None, 0).refused("SERVER_DRAINING")
    if goodbye.seq or not goodbye.ended:
        msg = "number 0 and ended true"
        raise Violation(msg, f"number {goodbye.seq} and ended {goodbye.ended}")
    session.carrier.wait_for_end()
