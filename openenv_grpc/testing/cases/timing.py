"""Time: what becomes of a request that takes too long."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openenv_grpc.testing.case import case

if TYPE_CHECKING:
    from openenv_grpc.testing.peer import Peer


@case(needs=("slow_action",))
def a_late_step_is_interrupted(peer: Peer) -> None:
    """A step beyond its own time budget gets DEADLINE_EXCEEDED; the lane must be reset, and later answers fit."""
    session = peer.begin()
    slow = session.act(peer.target.hints.slow_action or {})
    session.step([slow], timeout_ms=100).lives().refused("DEADLINE_EXCEEDED")
    session.step().lives().refused("ILLEGAL_VERB")
    session.check_usable()
