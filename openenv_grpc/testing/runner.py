"""Runs cases against a target; the command line and pytest both stand on this."""

from __future__ import annotations

import fnmatch
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from openenv_grpc.errors import InvalidArgument
from openenv_grpc.testing.case import ALL, CASES, Case, Face, NotApplicable, Violation
from openenv_grpc.testing.peer import Peer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from openenv_grpc.testing.target import Target

NO_LANE = "the server offers no local lane: it has no second socket, or is on another host"
PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"


@dataclass(frozen=True)
class Result:
    """How one case went on one face.

    Attributes:
        status: `passed`, `failed` or `skipped`.
        message: Why it failed or was skipped.
        expected: What the rule asks for, of a failure.
        got: What the server did, of a failure.
    """

    case: Case
    face: Face
    status: str
    seconds: float
    message: str = ""
    expected: str = ""
    got: str = ""

    @property
    def id(self) -> str:
        """Case and face, as pytest names them too."""
        return f"{self.case.name}-{self.face.value}"


def select(pattern: str = "*", faces: Sequence[Face] = ALL) -> list[tuple[Case, Face]]:
    """Cases whose name or topic matches a shell pattern, once per face; those that run alone come last.

    Raises:
        InvalidArgument: There is none.
    """
    chosen = [
        (case, face)
        for case in sorted(CASES.values(), key=lambda case: case.alone)
        for face in case.faces
        if face in faces and any(fnmatch.fnmatchcase(name, pattern) for name in (case.name, case.topic))
    ]
    if not chosen:
        msg = f"no case matches {pattern!r}; there are {', '.join(CASES)}"
        raise InvalidArgument(msg, field="case")
    return chosen


def run_cases(target: Target, chosen: Sequence[tuple[Case, Face]], jobs: int = 1) -> Iterator[Result]:
    """Run cases; results come as they are ready.

    Args:
        target: The server.
        chosen: What to run, from `select`.
        jobs: How many cases may run side by side, on sessions of their own.
    """
    together = [(case, face) for case, face in chosen if not case.alone]
    with ThreadPoolExecutor(jobs) as pool:
        yield from pool.map(lambda item: run_case(target, *item), together)
    for case, face in chosen:
        if case.alone:
            yield run_case(target, case, face)


def run_case(target: Target, case: Case, face: Face) -> Result:
    """Run one case on one face. It ends within the target's time limit, whatever the server does."""
    unmet = case.unmet(target)
    if face is Face.LOCAL and not target.has_local_lane:
        unmet = NO_LANE
    if unmet is not None:
        return Result(case, face, SKIPPED, 0.0, unmet)
    peer = Peer(target, face)
    raised: list[BaseException | None] = []
    thread = threading.Thread(target=_attempt, args=(case, peer, raised), daemon=True)
    begin = time.monotonic()
    thread.start()
    thread.join(target.case_timeout_s)
    seconds = time.monotonic() - begin
    if not raised:  # the thread still waits: ending what it waits for ends it too
        peer.close()
        raised.append(Violation(f"an end within {target.case_timeout_s:g} s", "none"))
    return _judge(case, face, seconds, raised[0])


def _attempt(case: Case, peer: Peer, raised: list[BaseException | None]) -> None:
    try:
        case.run(peer)
    except Exception as error:  # noqa: BLE001 - whatever a broken server makes of a case is its result
        raised.append(error)
    else:
        raised.append(None)
    finally:
        peer.close()


def _judge(case: Case, face: Face, seconds: float, error: BaseException | None) -> Result:
    if error is None:
        return Result(case, face, PASSED, seconds)
    if isinstance(error, NotApplicable):
        return Result(case, face, SKIPPED, seconds, str(error))
    if not isinstance(error, Violation):
        msg = "answers that a client can make sense of"
        error = Violation(msg, f"{type(error).__name__}: {error}")
    return Result(case, face, FAILED, seconds, str(error), error.expected, error.got)
