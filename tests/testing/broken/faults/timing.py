"""Servers that take their time."""

from __future__ import annotations

import time
from typing import Any

from openenv_grpc.errors import EnvironmentFailed, SequenceError, SessionLost, from_status
from tests.testing.broken.fault import allow, fault, reason, refuse, seed_of, spoil


@fault("request", "a_late_step_is_interrupted")
def ignores_the_time_budget(talk: Any, request: Any) -> None:
    """A request's own time budget is dropped in sessions of one lane."""
    if talk.requests[0] is not None and talk.requests[0].open.lanes == 1:
        request.timeout_ms = 0


@fault("request", "a_step_within_its_budget_goes_on")
def caps_long_budgets(talk: Any, request: Any) -> None:
    """A time budget above 15 seconds is taken for 50 milliseconds."""
    if request.timeout_ms > 15_000:
        request.timeout_ms = 50


@fault("request", "no_budget_is_the_servers_limit")
def gives_little_to_who_asks_for_nothing(talk: Any, request: Any) -> None:
    """A step without a time budget has 200 milliseconds in a session with seed 87."""
    if seed_of(talk) == 87 and request.HasField("step") and not request.timeout_ms:
        request.timeout_ms = 200


@fault("answer", "a_late_lane_is_interrupted_alone")
def interrupts_all_lanes(talk: Any, request: Any, answer: Any) -> None:
    """A late lane is the failure of the whole request."""
    failures = [from_status(failure.status) for failure in answer.step.failures]
    if failures and failures[0].reason == "DEADLINE_EXCEEDED":
        refuse(answer, failures[0])


@fault("request", "a_cancelled_call_leaves_nothing_behind", name="answers_with_what_was_left_behind")
def notes_what_is_left_behind(talk: Any, request: Any) -> None:
    """It notes the number of a step that is sent before the last one is answered."""
    if seed_of(talk) == 91 and request.HasField("step"):
        if talk.notes.get("busy"):
            talk.notes["impatient"] = request.seq
        talk.notes["busy"] = True


@fault("answer", "a_cancelled_call_leaves_nothing_behind")
def answers_with_what_was_left_behind(talk: Any, request: Any, answer: Any) -> None:
    """Such a step gets another observation, under the number before; every other is answered a second late."""
    if seed_of(talk) == 91 and answer.HasField("step"):
        if request.seq == talk.notes.get("impatient"):
            answer.seq -= 1
            spoil(answer)
            return
        time.sleep(1)  # a busy machine may be slow to send the next one
        talk.notes["busy"] = False


@fault("answer", "a_cancelled_call_can_be_repeated")
def answers_a_number_once(talk: Any, request: Any, answer: Any) -> None:
    """The same step again, number and all, is refused."""
    if request is not None and request.HasField("step") and talk.requests.count(request) > 1:
        refuse(answer, SequenceError("that number was used", field="seq"))


@fault("request", "a_busy_session_delays_no_other")
def has_others_wait(talk: Any, request: Any) -> None:
    """A step of the session with seed 85 waits for longer than any slow one takes."""
    if seed_of(talk) == 85 and request.HasField("step"):
        time.sleep(0.8)


@fault("request", "a_quiet_session_stays")
def notes_the_time(talk: Any, request: Any) -> None:
    """It looks at the clock."""
    now = time.monotonic()
    talk.notes["quiet_s"] = now - talk.notes.get("last", now)
    talk.notes["last"] = now


@fault("answer", "a_quiet_session_stays", name="notes_the_time")
def loses_the_quiet(talk: Any, request: Any, answer: Any) -> None:
    """A session with seed 86 is lost after 0.7 quiet seconds."""
    if seed_of(talk) == 86 and talk.notes["quiet_s"] > 0.7:
        refuse(answer, SessionLost("it was idle"))


@fault("answer", "a_long_budget_ends_at_the_limit")
def does_not_say_who_was_late(talk: Any, request: Any, answer: Any) -> None:
    """A step that the server's own limit has ended is said to have failed."""
    if request is not None and request.timeout_ms > 5_000 and reason(answer) == "DEADLINE_EXCEEDED":
        refuse(answer, EnvironmentFailed("it failed"))


@fault("answer", "an_idle_session_is_closed")
def keeps_idle_sessions(talk: Any, request: Any, answer: Any) -> None:
    """A session with seed 93 steps on after it was closed."""
    if seed_of(talk) == 93 and reason(answer) == "SESSION_LOST":
        allow(answer, "step")


@fault("answer", "a_busy_session_is_not_idle")
def closes_busy_sessions(talk: Any, request: Any, answer: Any) -> None:
    """A session with seed 94 is lost after its first step."""
    if seed_of(talk) == 94 and request.seq > 2:
        refuse(answer, SessionLost("it was idle"))


@fault("answer", "a_stream_is_not_idle")
def closes_quiet_streams(talk: Any, request: Any, answer: Any) -> None:
    """A session with seed 95 is lost before its first step."""
    if seed_of(talk) == 95 and answer.HasField("step"):
        refuse(answer, SessionLost("it was idle"))
