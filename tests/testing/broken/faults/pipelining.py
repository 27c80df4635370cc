"""Servers that lose their way when several requests are under way."""

from __future__ import annotations

from typing import Any

from openenv_grpc.errors import InvalidArgument, SequenceError
from tests.testing.broken.fault import fault, reason, refuse


def note_pipeline(talk: Any) -> None:
    """Remember that a request on a stream came before the answer to the one before it."""
    if not talk.method and len(talk.requests) > len(talk.answers) + 1:
        talk.notes["pipelined"] = True


def spoil(answer: Any) -> None:
    """Change the last byte of the payload."""
    answer.payload = answer.payload[:-1] + bytes([answer.payload[-1] ^ 1])


@fault("answer", "answers_come_in_order")
def answers_states_late(talk: Any, request: Any, answer: Any) -> list[Any] | None:
    """A state is told after the next answer, when that is a step's already asked for."""
    held = talk.notes.pop("held", None)
    if held is not None:
        return [answer, held]
    if answer.HasField("state") and len(talk.requests) > len(talk.answers):
        talk.notes["held"] = answer
        return []
    return None


@fault("request", "pipelined_steps_are_single_steps")
def notes_pipelines(talk: Any, request: Any) -> None:
    """It is another one to those who do not wait."""
    note_pipeline(talk)


@fault("answer", "pipelined_steps_are_single_steps", name="notes_pipelines")
def mixes_up_observations(talk: Any, request: Any, answer: Any) -> None:
    """Observations of pipelined steps are other ones."""
    if answer.HasField("step") and talk.notes.get("pipelined"):
        spoil(answer)


@fault("request", "a_refusal_in_a_pipeline_shifts_nothing")
def notes_refusals_in_pipelines(talk: Any, request: Any) -> None:
    """It does not number what it refuses in a pipeline."""
    note_pipeline(talk)


@fault("answer", "a_refusal_in_a_pipeline_shifts_nothing", name="notes_refusals_in_pipelines")
def shifts_what_follows_a_refusal(talk: Any, request: Any, answer: Any) -> None:
    """Answers after a refusal in a pipeline carry the number before their own."""
    if talk.notes.get("refused") and talk.notes.get("pipelined") and answer.HasField("step"):
        answer.seq -= 1
    if reason(answer) == "INVALID_ARGUMENT" and request is not None and request.step.lanes:
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
    """A number that another shard's request has had is refused."""
    used = talk.notes.setdefault("used", {})
    if answer.seq and used.setdefault(answer.seq, request.shard) != request.shard:
        refuse(answer, SequenceError("that number was used", field="seq"))


@fault("answer", "half_close_ends_nothing_early")
def drops_what_nobody_may_read(talk: Any, request: Any, answer: Any) -> list[Any] | None:
    """Nothing is answered after the client's half-close."""
    return [] if talk.half_closed else None
