"""Which verb is legal when: one table, read by the worker before it acts and by the client before it sends."""

from __future__ import annotations

from enum import Enum

from openenv_grpc.errors import IllegalVerb
from openenv_grpc.specs import AutoresetMode


class LaneState(Enum):
    """Where a lane is in its life."""

    FRESH = "fresh"
    RUNNING = "running"
    DONE = "done"
    INTERRUPTED = "interrupted"


_RESET_FIRST = "call reset() first"
_AFTER_END = "the episode has ended and autoreset is off; call reset()"
_AFTER_INTERRUPT = "the last request ran out of time and was interrupted; call reset()"

# Verb → lane state → why it is refused. What is not here is allowed.
REFUSED: dict[str, dict[LaneState, str]] = {
    "reset": {},
    "step": {
        LaneState.FRESH: _RESET_FIRST,
        LaneState.INTERRUPTED: _AFTER_INTERRUPT,
        LaneState.DONE: _AFTER_END,  # in AutoresetMode.DISABLED only
    },
    "state": {LaneState.FRESH: _RESET_FIRST},
    "snapshot": {LaneState.FRESH: _RESET_FIRST, LaneState.INTERRUPTED: _AFTER_INTERRUPT},
    "restore": {},
}


def check(verb: str, lane: int, state: LaneState, mode: AutoresetMode) -> None:
    """Refuse a verb that is not legal now.

    Raises:
        IllegalVerb: Says what to call instead.
    """
    reason = REFUSED[verb].get(state)
    if reason is None or (state is LaneState.DONE and mode is not AutoresetMode.DISABLED):
        return
    msg = f"{verb} on lane {lane}: {reason}"
    raise IllegalVerb(msg)
