"""Cases: one rule each, as a small function that a server passes or violates, and the registry of them all."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from openenv_grpc.testing.peer import Peer
    from openenv_grpc.testing.target import Target

    CaseFunction = Callable[[Peer], None]


class Face(Enum):
    """The ways to drive a session."""

    STREAM = "stream"
    UNARY = "unary"
    LOCAL = "local"


ALL = (Face.STREAM, Face.UNARY, Face.LOCAL)
BOTH = (Face.STREAM, Face.UNARY)
STREAM = (Face.STREAM,)
UNARY = (Face.UNARY,)


class Violation(Exception):
    """The server broke the rule of a case.

    Attributes:
        expected: What the rule asks for.
        got: What the server did.
    """

    def __init__(self, expected: str, got: object) -> None:
        """Keep both."""
        super().__init__(f"expected {expected}; got {got}")
        self.expected = expected
        self.got = str(got)


class NotApplicable(Exception):
    """The environment or the server cannot show what the case is about; the message says why."""


@dataclass(frozen=True)
class Case:
    """One rule and the function that checks it.

    Attributes:
        name: The function's name.
        topic: Name of the module that it stands in.
        rule: Its docstring: what every server must do.
        faces: Faces that it applies to.
        needs: Names of `NEEDS` that the target must meet.
        alone: It disturbs other sessions of the server, or is disturbed by them: it never runs beside other cases.
    """

    name: str
    topic: str
    rule: str
    run: CaseFunction
    faces: tuple[Face, ...]
    needs: tuple[str, ...]
    alone: bool

    def unmet(self, target: Target) -> str | None:
        """Why the case cannot be run against a target; None when it can."""
        return next((NEEDS[need][1] for need in self.needs if not NEEDS[need][0](target)), None)


NEEDS: dict[str, tuple[Callable[[Target], bool], str]] = {
    "seeds": (lambda target: target.capabilities.seeds, "the environment honours no seeds"),
    "no_seeds": (lambda target: not target.capabilities.seeds, "the environment honours seeds"),
    "snapshot": (lambda target: target.capabilities.snapshot, "the environment cannot be saved"),
    "no_snapshot": (lambda target: not target.capabilities.snapshot, "the environment can be saved"),
    "lanes": (lambda target: target.limits.lanes >= 2, "the server allows one lane"),
    "shards": (lambda target: target.limits.lanes >= 2 and target.limits.shards >= 2, "the server allows one shard"),
    "chunks": (lambda target: target.limits.chunk >= 2, "the server allows one action per request"),
    "pipelining": (lambda target: target.limits.in_flight >= 4, "the server lets fewer than four requests wait"),
    "default_options": (lambda target: not target.options, "options were given"),
    "servers": (lambda target: target.servers is not None, "needs a server of its own: name an environment to start"),
    "ending_action": (lambda target: target.hints.ending_action is not None, "needs the hint ending_action"),
    "truncating_action": (
        lambda target: target.hints.truncating_action is not None,
        "needs the hint truncating_action",
    ),
    "slow_action": (lambda target: target.hints.slow_action is not None, "needs the hint slow_action"),
    "failing_action": (lambda target: target.hints.failing_action is not None, "needs the hint failing_action"),
}
"""What cases may need of a target: the test for it, and what to say where it fails."""

CASES: dict[str, Case] = {}
"""All cases by name, in the order of `openenv_grpc.testing.cases`."""


def case(
    *,
    faces: tuple[Face, ...] = ALL,
    needs: tuple[str, ...] = (),
    alone: bool = False,
) -> Callable[[CaseFunction], CaseFunction]:
    """Register a function as a case; its name is the case's, its docstring the rule.

    Args:
        faces: Faces that it applies to.
        needs: Names of `NEEDS`; where one is not met the case is skipped with the reason.
        alone: It never runs beside other cases.
    """

    def register(function: CaseFunction) -> CaseFunction:
        name, rule = function.__name__, " ".join((inspect.getdoc(function) or "").split())
        unknown = set(needs) - set(NEEDS)
        if name in CASES or not rule or unknown:
            msg = f"case {name}: its name must be unique, its docstring is its rule, and {unknown or 'needs'} be known"
            raise ValueError(msg)
        topic = function.__module__.rpartition(".")[2]
        CASES[name] = Case(name, topic, rule, function, faces, needs, alone)
        return function

    return register
