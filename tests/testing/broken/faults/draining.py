"""Servers that shut down without ceremony."""

from __future__ import annotations

from typing import Any

from grpc_health.v1 import health_pb2

from openenv_grpc.errors import ServerDraining, ServerUnavailable, SessionLost
from tests.testing.broken.fault import description, fault, reason, refuse, seed_of


@fault("answer", "a_draining_server_opens_nothing")
def is_just_not_there(talk: Any, request: Any, answer: Any) -> None:
    """A session that is not opened because the server drains is refused without that reason."""
    if request is not None and request.HasField("open") and reason(answer) == "SERVER_DRAINING":
        refuse(answer, ServerUnavailable("gone"))


@fault("answer", "a_draining_server_finishes_what_runs")
def drops_what_runs(talk: Any, request: Any, answer: Any) -> None:
    """A step of the session with seed 92 is refused at the end."""
    if seed_of(talk) == 92 and answer.HasField("step"):
        refuse(answer, ServerDraining("the server is shutting down"))


@fault("Check", "a_draining_server_is_not_serving")
def says_it_is_serving(request: bytes, answer: bytes) -> bytes:
    """The health service says SERVING, whatever happens."""
    return health_pb2.HealthCheckResponse(status=health_pb2.HealthCheckResponse.SERVING).SerializeToString()


@description("describe_says_draining")
def never_says_that_it_drains(described: Any) -> None:
    """Describe never says so."""
    described.draining = False


@fault("answer", "a_draining_server_says_goodbye")
def leaves_without_a_reason(talk: Any, request: Any, answer: Any) -> None:
    """Sessions that end with their server are just lost."""
    if talk.answers[0].HasField("open") and not answer.seq and reason(answer) == "SERVER_DRAINING":
        refuse(answer, SessionLost("the server is gone"))
