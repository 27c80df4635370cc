"""Servers that mix sessions up, keep them too long or end them too early."""

from __future__ import annotations

import time
from typing import Any

from openenv_grpc.errors import InvalidArgument, SessionLost
from tests.testing.broken.fault import allow, description, fault, is_bare, reason, refuse, seed_of, spoil

_seen: dict[str, Any] = {}
"""What a fault remembers of all sessions."""


def opened_on_a_stream(talk: Any, request: Any) -> bool:
    """Whether a unary call is for a session that the proxy has not seen opened."""
    return bool(talk.method) and not (talk.requests[0] is not None and talk.requests[0].HasField("open"))


@fault("answer", "sessions_are_independent")
def shares_one_game(talk: Any, request: Any, answer: Any) -> None:
    """Of the sessions with seed 81 and 82 only the one that was reset last steps as it should."""
    last = "last unary" if talk.method else "last"  # the case runs on both faces at once
    if seed_of(talk) in (81, 82) and answer.HasField("reset"):
        _seen[last] = seed_of(talk)
    if seed_of(talk) in (81, 82) and answer.HasField("step") and _seen[last] != seed_of(talk):
        spoil(answer)


@fault("answer", "a_session_ends_alone")
def ends_all_sessions_at_once(talk: Any, request: Any, answer: Any) -> None:
    """The end of a session with seed 83 is the end of all that have it."""
    if seed_of(talk) == 83 and answer.HasField("close"):
        _seen["closed"] = True
    if seed_of(talk) == 83 and answer.HasField("step") and _seen.get("closed"):
        refuse(answer, SessionLost("it has ended"))


@fault("end", "a_broken_stream_ends_alone")
def falls_over_a_broken_stream(talk: Any) -> None:
    """A stream with seed 84 that breaks off before its answer takes all others of that seed with it."""
    if seed_of(talk) == 84 and len(talk.requests) > len(talk.answers):
        _seen["broken"] = True


@fault("answer", "a_broken_stream_ends_alone", name="falls_over_a_broken_stream")
def loses_the_others(talk: Any, request: Any, answer: Any) -> None:
    """They are lost."""
    if seed_of(talk) == 84 and answer.HasField("step"):
        time.sleep(0.1)
        if _seen.get("broken"):
            refuse(answer, SessionLost("it has ended"))


@fault("answer", "a_broken_stream_loses_its_session")
def keeps_sessions_whose_stream_is_gone(talk: Any, request: Any, answer: Any) -> None:
    """The state of a session that was lost with its stream is told."""
    if opened_on_a_stream(talk, request) and request.seq > 1 and reason(answer) == "SESSION_LOST":
        allow(answer, "state")


@fault("answer", "a_streams_session_answers_unary_calls")
def keeps_its_faces_apart(talk: Any, request: Any, answer: Any) -> None:
    """A unary call for a session that a stream has opened is refused."""
    if opened_on_a_stream(talk, request) and answer.WhichOneof("result"):
        refuse(answer, SessionLost("no such session"))


@fault("answer", "a_stream_ignores_session_ids")
def insists_on_the_session_id(talk: Any, request: Any, answer: Any) -> None:
    """A stream's request with another session_id than its own is refused."""
    own = talk.answers[0].open.session_id
    asked = request is not None and request.HasField("step") and not talk.method and is_bare(talk)
    if asked and own and request.session_id != own:
        refuse(answer, InvalidArgument("another session", field="session_id"))


@fault("answer", "closing_twice_is_no_error")
def closes_only_once(talk: Any, request: Any, answer: Any) -> None:
    """The second Close is refused."""
    closes = [asked for asked in talk.requests if asked is not None and asked.HasField("close")]
    if talk.method == "Close" and len(closes) > 1:
        refuse(answer, SessionLost("no such session"))


@fault("answer", "nothing_is_answered_after_close")
def answers_after_the_end(talk: Any, request: Any, answer: Any) -> list[Any] | None:
    """A request sent after the Close of a session with seed 88 is refused before the stream ends."""
    if not answer.HasField("close") or seed_of(talk) != 88:
        return None
    late = type(answer)(seq=answer.seq + 1)
    refuse(late, SessionLost("it has ended"))
    return [answer, late]


@description("closed_sessions_are_not_counted")
def counts_what_was_closed(described: Any) -> None:
    """open_sessions never falls."""
    _seen["most"] = max(_seen.get("most", 0), described.open_sessions)
    described.open_sessions = _seen["most"]
