"""Chunks: several actions per lane in one request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openenv_grpc.testing.case import Violation, case
from openenv_grpc.testing.rows import first_difference

if TYPE_CHECKING:
    from openenv_grpc.testing.peer import Peer


@case(needs=("seeds", "chunks"))
def a_chunk_is_its_single_steps(peer: Peer) -> None:
    """A chunk of actions gives the rows that the same actions give one by one, and says how many it executed."""
    one, two = peer.begin(), peer.begin()
    actions = [one.actions.sample() for _ in range(min(4, peer.target.limits.chunk))]
    answer, singles = one.step(actions, chunk=len(actions)), two.trace(actions)
    executed = list(answer.transition.executed)
    if executed != [len(singles)] or answer.transition.chunk != len(actions):
        msg = f"chunk {len(actions)}, of which {len(singles)} executed"
        raise Violation(msg, f"chunk {answer.transition.chunk}, executed {executed}")
    difference = first_difference(singles, answer.rows[: len(singles)])
    if difference is not None:
        msg = "the rows of single steps"
        raise Violation(msg, difference)


@case(needs=("chunks",))
def a_chunk_beyond_the_limit_is_refused(peer: Peer) -> None:
    """A step of more actions per lane than Limits.chunk is refused, naming the chunk, and the session lives on."""
    session = peer.begin()
    step = {"chunk": peer.target.limits.chunk + 1}
    session.ask("step", step).lives().refused("INVALID_ARGUMENT", field="step.chunk")
    session.check_usable()
