"""Capacity: a server allows so many sessions and no more.

These cases fill a server: a small one of their own, or the one that is checked where few sessions fill it.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from openenv_grpc.testing.case import STREAM, NotApplicable, Violation, case

if TYPE_CHECKING:
    from openenv_grpc.testing.peer import Peer, Session

MOST_SESSIONS = 8
"""A limit above this is not tried."""
IN_VAIN_MS = 300
AFTER_CLOSE_MS = 20
AFTER_BREAK_MS = 30
"""How long one attempt to open a session waits in line."""


def _patient_ms(peer: Peer) -> int:
    """A long wait in line, which still ends before the case gives up."""
    return 2 * int(peer.target.answer_timeout_s * 250)


def _fill(peer: Peer) -> tuple[Peer, list[Session]]:
    """A peer of a server that is full, and the sessions that fill it."""
    servers = peer.target.servers
    filler = peer if servers is None else peer.at(servers.limited(peer.target, sessions=2))
    limit = filler.target.limits.sessions
    if limit > MOST_SESSIONS:
        msg = f"the server allows {limit} sessions, too many to fill it"
        raise NotApplicable(msg)
    return filler, [filler.open(wait_ms=_patient_ms(peer)) for _ in range(limit)]


def _let_in(peer: Peer, wait_ms: int) -> None:
    """Open a session, trying until it is time to give up."""
    end = time.monotonic() + peer.target.answer_timeout_s / 2
    while True:
        answer, _ = peer.try_open(wait_ms=wait_ms)
        if answer.refusal is None or time.monotonic() > end:
            answer.ok()
            return


@case(alone=True)
def a_full_server_says_when_to_come_back(peer: Peer) -> None:
    """A session beyond Limits.sessions is refused with SERVER_FULL and a delay after which to try again."""
    full, _ = _fill(peer)
    refusal = full.try_open()[0].refused("SERVER_FULL")
    if not refusal.retry_s > 0:
        msg = "a retry delay above zero"
        raise Violation(msg, f"{refusal.retry_s:g} s")


@case(alone=True)
def a_closed_session_makes_room(peer: Peer) -> None:
    """The end of a session makes room for another on a server that was full."""
    full, sessions = _fill(peer)
    full.try_open()[0].refused("SERVER_FULL")
    sessions[0].ask("close").ok()
    _let_in(full, AFTER_CLOSE_MS)


@case(faces=STREAM, alone=True)
def a_broken_stream_makes_room(peer: Peer) -> None:
    """A stream that breaks off without Close makes room for another session soon."""
    full, sessions = _fill(peer)
    sessions[-1].carrier.close()
    _let_in(full, AFTER_BREAK_MS)


@case(alone=True)
def who_waits_in_line_is_let_in(peer: Peer) -> None:
    """Open with wait_ms waits for room on a full server, and is granted when a session ends in that time."""
    full, sessions = _fill(peer)
    opened = full.send_open(wait_ms=_patient_ms(peer) + 1)
    time.sleep(0.1)
    sessions[0].ask("close").ok()
    opened()[0].ok()


@case(alone=True)
def who_waits_in_vain_is_told(peer: Peer) -> None:
    """Open with wait_ms is refused with SERVER_FULL when there was no room in that time, and not sooner."""
    full, _ = _fill(peer)
    begin = time.monotonic()
    full.try_open(wait_ms=IN_VAIN_MS)[0].refused("SERVER_FULL")
    seconds = time.monotonic() - begin
    if seconds < IN_VAIN_MS / 1000 - 0.05:
        msg = f"a refusal after {IN_VAIN_MS} ms"
        raise Violation(msg, f"one after {seconds * 1000:.0f} ms")
