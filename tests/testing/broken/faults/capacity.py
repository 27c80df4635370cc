"""Servers that are full in a way of their own."""

from __future__ import annotations

from typing import Any

from openenv_grpc.errors import ServerFull
from openenv_grpc.testing.cases.capacity import AFTER_BREAK_MS, AFTER_CLOSE_MS, IN_VAIN_MS
from tests.testing.broken.fault import fault, reason, refuse


@fault("answer", "a_full_server_says_when_to_come_back")
def does_not_say_when_to_come_back(talk: Any, request: Any, answer: Any) -> None:
    """A full server gives no delay to who does not wait."""
    if request is not None and request.HasField("open") and reason(answer) == "SERVER_FULL":
        refuse(answer, ServerFull("full"))


@fault("request", "a_closed_session_makes_room")
def remembers_that_it_was_full(talk: Any, request: Any) -> None:
    """Who waits for as long as after a Close is never let in."""
    if request.open.wait_ms == AFTER_CLOSE_MS:
        request.open.lanes = 0


@fault("request", "a_broken_stream_makes_room")
def keeps_the_place_of_a_broken_stream(talk: Any, request: Any) -> None:
    """Who waits for as long as after a broken stream is never let in."""
    if request.open.wait_ms == AFTER_BREAK_MS:
        request.open.lanes = 0


@fault("request", "who_waits_in_line_is_let_in")
def has_no_patience(talk: Any, request: Any) -> None:
    """Nobody waits for longer than 1 ms, but for those who fill the server."""
    if request.open.wait_ms > IN_VAIN_MS and request.open.wait_ms % 2:
        request.open.wait_ms = 1


@fault("request", "who_waits_in_vain_is_told")
def has_no_line(talk: Any, request: Any) -> None:
    """Those who would wait for a short while are refused at once."""
    if request.open.wait_ms == IN_VAIN_MS:
        request.open.wait_ms = 0
