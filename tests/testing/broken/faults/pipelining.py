"""Servers that lose their way when several requests are under way."""

from __future__ import annotations

from typing import Any

from openenv_grpc.errors import InvalidArgument, SequenceError
from tests.testing.broken.fault import fault, is_bare, reason, refuse, seed_of, spoil


@fault("answer", "answers_come_in_order")
def answers_states_late(talk: Any, request: Any, answer: Any) -> list[Any] | None:
    """A session with seed 73 tells a state after the next answer."""
    held = talk.notes.pop("held", None)
    if held is not None:
        return [answer, held]
    if seed_of(talk) == 73 and answer.HasField("state"):
        talk.notes["held"] = answer
        return []
    return None


@fault("answer", "pipelined_steps_are_single_steps")
def mixes_up_observations(talk: Any, request: Any, answer: Any) -> None:
    """Observations of steps in sessions that begin with seed 71 are other ones."""
    if seed_of(talk) == 71 and answer.HasField("step"):
        spoil(answer)


@fault("answer", "a_refusal_in_a_pipeline_shifts_nothing")
def shifts_what_follows_a_refusal(talk: Any, request: Any, answer: Any) -> None:
    """Answers after a refusal in a session with seed 72 carry the number before their own."""
    if talk.notes.get("refused") and answer.HasField("step"):
        answer.seq -= 1
    if seed_of(talk) == 72 and reason(answer) == "INVALID_ARGUMENT":
        talk.notes["refused"] = True


@fault("answer", "too_many_requests_are_refused")
def blames_the_number(talk: Any, request: Any, answer: Any) -> None:
    """A request too many is refused as a wrong argument."""
    if reason(answer) == "SERVER_FULL" and answer.seq:
        refuse(answer, InvalidArgument("not now", field="seq"))


@fault("answer", "a_request_too_many_uses_no_number")
def counts_what_it_had_no_room_for(talk: Any, request: Any, answer: Any) -> None:
    """The number of a request too many is used up."""
    if answer.seq == talk.notes.get("full"):
        refuse(answer, SequenceError("that number was used", field="seq"))
    if reason(answer) == "SERVER_FULL" and answer.seq:
        talk.notes["full"] = answer.seq


@fault("answer", "each_shard_counts_its_own_requests")
def counts_all_shards_together(talk: Any, request: Any, answer: Any) -> None:
    """A number under which a later shard has been answered is refused."""
    if not is_bare(talk) or not answer.seq or answer.HasField("status"):
        return
    if talk.notes.setdefault("used", {}).setdefault(answer.seq, request.shard) > request.shard:
        refuse(answer, SequenceError("that number was used", field="seq"))


@fault("answer", "half_close_ends_nothing_early")
def drops_what_nobody_may_read(talk: Any, request: Any, answer: Any) -> list[Any] | None:
    """Nothing is answered after the client's half-close."""
    return [] if talk.half_closed else None
