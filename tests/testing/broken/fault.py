"""Faults: each breaks one rule of a good server, in one way, and names the case that must notice."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from openenv_grpc.errors import OpenEnvError, from_status, to_status
from openenv_grpc.v1 import environment_pb2
from tests.testing.subject import FULL

FAULTS: dict[str, Fault] = {}


@dataclass
class Talk:
    """What has passed in one session, for faults that depend on it.

    Attributes:
        method: Name of the unary call that is under way; empty on a stream.
        requests: Requests so far, the present one included; an empty one for one that cannot be read.
        answers: Answers so far, as the good server gave them, the present one included.
        half_closed: Whether the client has ended its side of the stream.
        unreadable: The present request where it cannot be read; otherwise empty.
        notes: Whatever a fault wants to remember.
    """

    method: str = ""
    requests: list[Any] = field(default_factory=list)
    answers: list[Any] = field(default_factory=list)
    half_closed: bool = False
    unreadable: bytes = b""
    notes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Fault:
    """One way of being broken.

    Attributes:
        case: The one case that must fail.
        environment: The environment that the good server behind it runs.
        acts: What it does, by hook: `request` and `answer` (of any verb, on both faces), `unreadable` (the answer to
            bytes that are no request), `end` (of a stream), or the name of another unary call, such as `Describe`.
    """

    name: str
    case: str
    environment: str
    acts: dict[str, Callable[..., Any]]

    def on(self, hook: str, *arguments: Any) -> Any:
        """What becomes of a message that passes: None for itself (perhaps changed), or what takes its place."""
        return self.acts[hook](*arguments) if hook in self.acts else None


def fault(
    hook: str, case: str, *, environment: str = FULL, name: str = ""
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a function as a fault, or as a part of one that has another hook already.

    A fault of `request` is called as (talk, request), one of `answer` as (talk, request, answer); it changes the last
    argument in place, or returns a list of messages (or bytes) to pass on instead: an empty one swallows it. A fault of
    `unreadable` is one of `answer` whose request is bytes. One of `end` is called as (talk), when a stream is over. A
    fault of any other call is called as (request, answer), both bytes, and returns the bytes to answer.

    Args:
        hook: Where it acts.
        case: The one case that must fail.
        environment: What the good server runs.
        name: The fault that this is another part of; by default the function's name, a new fault.
    """

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        assert inspect.getdoc(function), f"{function.__name__} does not say how it is broken"
        found = FAULTS.setdefault(name or function.__name__, Fault(name or function.__name__, case, environment, {}))
        assert found.case == case, f"{found.name} breaks two cases"
        assert hook not in found.acts, f"{found.name} acts twice on {hook}"
        found.acts[hook] = function
        return function

    return register


def description(case: str) -> Callable[[Callable[[Any], None]], Callable[[Any], None]]:
    """Register a function that changes what Describe says, in place."""

    def register(function: Callable[[Any], None]) -> Callable[[Any], None]:
        def act(request: bytes, answer: bytes) -> bytes:
            """Parse, change, serialize."""
            described = environment_pb2.DescribeResponse.FromString(answer)
            function(described)
            return described.SerializeToString()

        fault("Describe", case, name=function.__name__)(act)
        return function

    return register


def refuse(answer: Any, error: OpenEnvError) -> None:
    """Make an answer a refusal."""
    result = answer.WhichOneof("result")
    if result:
        answer.ClearField(result)
    answer.payload = b""
    answer.status.CopyFrom(to_status(error))


def allow(answer: Any, verb: str) -> None:
    """Make a refusal an answer without content."""
    answer.ClearField("status")
    getattr(answer, verb).SetInParent()


def reason(answer: Any) -> str:
    """Why an answer is a refusal; empty where it is none."""
    return from_status(answer.status).reason if answer.HasField("status") else ""


def spoil(answer: Any) -> None:
    """Change the last byte of the payload."""
    answer.payload = answer.payload[:-1] + bytes([answer.payload[-1] ^ 1])


def seed_of(talk: Any) -> int:
    """The seed of a session's first reset, by which cases mark their sessions; 0 where there is none."""
    resets = [request.reset for request in talk.requests if request is not None and request.HasField("reset")]
    return resets[0].seeds[0].value if resets and resets[0].seeds else 0


def is_bare(talk: Any) -> bool:
    """Whether a session is not one of the library's own client, which sends a hash and has cases of its own."""
    return talk.requests[0] is not None and not talk.requests[0].open.spec_hash
