"""Servers that mix up verbs, numbers and lanes."""

from __future__ import annotations

from typing import Any

from openenv_grpc.errors import EnvironmentCrashed, IllegalVerb, InvalidArgument
from openenv_grpc.v1 import session_pb2
from tests.testing.broken.fault import allow, fault, is_bare, reason, refuse
from tests.testing.subject import PLAIN


@fault("answer", "step_before_reset")
def steps_what_was_never_reset(talk: Any, request: Any, answer: Any) -> None:
    """A step as the first request is answered."""
    if request.HasField("step") and request.seq == 1 and reason(answer) == "ILLEGAL_VERB":
        allow(answer, "step")


@fault("answer", "state_before_reset")
def tells_the_state_of_what_was_never_reset(talk: Any, request: Any, answer: Any) -> None:
    """The state as the first request is answered."""
    if request.HasField("state") and reason(answer) == "ILLEGAL_VERB":
        allow(answer, "state")


@fault("answer", "states_are_records")
def tells_one_state_too_many(talk: Any, request: Any, answer: Any) -> None:
    """The state of lanes that are named comes with another one."""
    if answer.HasField("state") and request.state.lanes:
        answer.state.states.append(answer.state.states[0])


@fault("answer", "double_reset")
def resets_only_once(talk: Any, request: Any, answer: Any) -> None:
    """A second reset in a row is refused."""
    last = talk.requests[-2:]
    unseeded = [asked.HasField("reset") and not asked.reset.seeds and asked.shard == request.shard for asked in last]
    if unseeded == [True, True] and answer.HasField("reset"):
        refuse(answer, IllegalVerb("the lane has just been reset"))


@fault("request", "verbs_reach_the_lanes_named")
def resets_all_lanes_whatever_is_named(talk: Any, request: Any) -> None:
    """The lanes that a reset names are ignored."""
    if request.HasField("reset"):
        del request.reset.lanes[:]


@fault("answer", "snapshot_without_the_capability", environment=PLAIN)
def pretends_to_save(talk: Any, request: Any, answer: Any) -> None:
    """A snapshot that cannot be taken is answered."""
    if request.HasField("snapshot") and reason(answer) == "UNSUPPORTED":
        allow(answer, "snapshot")


@fault("answer", "snapshot_before_reset")
def saves_what_was_never_reset(talk: Any, request: Any, answer: Any) -> None:
    """A snapshot as the first request is answered."""
    if request.HasField("snapshot") and reason(answer) == "ILLEGAL_VERB":
        allow(answer, "snapshot")


@fault("answer", "second_open")
def opens_twice(talk: Any, request: Any, answer: Any) -> None:
    """A second Open on a stream is answered like the first."""
    if request.HasField("open") and len(talk.answers) > 1 and answer.HasField("status"):
        answer.ClearField("status")
        answer.open.CopyFrom(talk.answers[0].open)


@fault("request", "first_request_must_open")
def opens_by_itself(talk: Any, request: Any) -> list[Any] | None:
    """A stream whose first request is no Open gets a session all the same."""
    if len(talk.requests) > 1 or request.HasField("open") or talk.method:
        return None
    opening = session_pb2.Open(lanes=1, protocol_revision=1)
    return [session_pb2.SessionRequest(open=opening), request]


@fault("request", "calls_carry_their_own_verb")
def goes_by_the_name_of_the_call(talk: Any, request: Any) -> None:
    """Reset resets, whatever verb its message carries."""
    if talk.method == "Reset":
        request.reset.SetInParent()


@fault("answer", "an_unset_verb_is_an_empty_one")
def insists_on_a_verb(talk: Any, request: Any, answer: Any) -> None:
    """A call without a verb is refused."""
    if talk.method and request.WhichOneof("verb") is None:
        refuse(answer, InvalidArgument("there is none", field="verb"))


@fault("answer", "answers_echo_shard_and_number")
def names_the_first_shard_always(talk: Any, request: Any, answer: Any) -> None:
    """Every answer says shard 0, but for the library's client: it gives up on such an answer."""
    if is_bare(talk):
        answer.shard = 0


@fault("request", "a_repeated_number_is_answered_again")
def steps_twice(talk: Any, request: Any) -> None:
    """Another step with the number of the last one is carried out, under a number that the client has not given."""
    last = talk.requests[-2] if len(talk.requests) > 1 else None
    again = last is not None and request.seq == last.seq and request != last
    if request.HasField("step") and again and not request.header_size:  # a wrong one is read by nobody
        talk.notes["ahead"] = talk.notes.get("ahead", 0) + 1
    request.seq += talk.notes.get("ahead", 0)


@fault("answer", "a_repeated_number_is_answered_again", name="steps_twice")
def hides_the_second_number(talk: Any, request: Any, answer: Any) -> None:
    """The answer says the number that the client has given."""
    if answer.seq:
        answer.seq -= talk.notes.get("ahead", 0)


@fault("request", "a_skipped_number_is_refused")
def counts_for_itself(talk: Any, request: Any) -> None:
    """A request for the state whose number is ahead of the next one is taken for the next one."""
    seen = talk.notes.get("seq", 0)
    if request.HasField("state"):
        request.seq = min(request.seq, seen + 1)
    talk.notes["seq"] = max(seen, request.seq)


@fault("request", "a_refused_verb_uses_its_number")
def does_not_count_what_it_refuses(talk: Any, request: Any) -> None:
    """The number of a refused request for the state of lane 1 has to be used again."""
    if (
        len(talk.requests) > 1
        and list(talk.requests[-2].state.lanes) == [1]
        and reason(talk.answers[-1]) == "INVALID_ARGUMENT"
    ):
        request.seq += 1


@fault("answer", "use_after_close")
def does_not_say_that_it_has_ended(talk: Any, request: Any, answer: Any) -> None:
    """The answer to Close does not say that the session has ended."""
    if answer.HasField("close"):
        answer.ended = False


@fault("answer", "an_environment_that_raises_is_an_answer")
def calls_an_exception_a_crash(talk: Any, request: Any, answer: Any) -> None:
    """An environment that has raised is said to have crashed."""
    if reason(answer) == "ENVIRONMENT_FAILED":
        refuse(answer, EnvironmentCrashed("the worker is gone"))
