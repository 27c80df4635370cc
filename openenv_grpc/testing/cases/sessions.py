"""Sessions: each is one's own, and what ends it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from openenv_grpc.testing.carriers import Stream
from openenv_grpc.testing.case import STREAM, UNARY, Violation, case
from openenv_grpc.testing.cases.description import describe
from openenv_grpc.testing.rows import first_difference

if TYPE_CHECKING:
    from openenv_grpc.testing.peer import Peer, Session

STEPS = 6
SOON_S = 0.02
"""How long to wait before a question is asked again."""


@case(needs=("seeds",))
def sessions_are_independent(peer: Peer) -> None:
    """Two sessions that step in turns give the rows that each gives alone."""
    first = peer.begin(seed=81)
    actions = [first.actions.sample() for _ in range(STEPS)]
    wanted = [first.trace(actions), peer.begin(seed=82).trace(actions)]
    turns = [peer.begin(seed=seed) for seed in (81, 82)]
    found = [(turns[0].step([action]).row, turns[1].step([action]).row) for action in actions[: min(map(len, wanted))]]
    for index in (0, 1):
        rows = [pair[index] for pair in found]
        difference = first_difference(wanted[index][: len(rows)], rows)
        if difference is not None:
            msg = "the rows of a session that is alone"
            raise Violation(msg, difference)


@case()
def a_session_ends_alone(peer: Peer) -> None:
    """The end of a session leaves the others as they are: they step on without another reset."""
    stays, goes = peer.begin(seed=83), peer.begin(seed=83)
    goes.ask("close").ok()
    stays.step().ok()


@case(faces=STREAM)
def a_broken_stream_ends_alone(peer: Peer) -> None:
    """A stream that breaks off in the middle of a request leaves the other sessions as they are."""
    stays, goes = peer.begin(seed=84), peer.begin(seed=84)
    if peer.target.hints.slow_action is None:
        goes.send_step()
    else:
        goes.send_slow()
        time.sleep(0.1)
    goes.carrier.close()
    for _ in range(3):
        stays.step().ok()


@case(faces=STREAM)
def a_broken_stream_loses_its_session(peer: Peer) -> None:
    """A session ends with its stream, without Close: soon its id gets SESSION_LOST."""
    session = peer.begin()
    session.carrier.close()
    end = time.monotonic() + peer.target.answer_timeout_s / 2
    while True:
        answer = peer.by_id(session.opened.session_id).ask("state", seq=session.seqs[0] + 1)
        if answer.refusal is not None and answer.refusal.reason == "SESSION_LOST":
            answer.refused("SESSION_LOST")
            return
        session.seqs[0] += answer.refusal is None
        if time.monotonic() > end:
            msg = "SESSION_LOST soon after the stream has broken off"
            raise Violation(msg, answer.refusal or "an answer")
        time.sleep(SOON_S)


@case(faces=STREAM)
def a_streams_session_answers_unary_calls(peer: Peer) -> None:
    """Both faces share one session table: a unary call with the id of a stream's session is one of its requests."""
    session = peer.begin()
    peer.by_id(session.opened.session_id).ask("reset", seq=2).ok()
    session.seqs[0] = 2
    session.step().ok()


@case(faces=STREAM)
def a_stream_ignores_session_ids(peer: Peer) -> None:
    """On the stream a request's session_id is ignored: the stream is the session."""
    session, other = peer.begin(), peer.begin()
    for session_id in ("", "another", other.opened.session_id):
        session.step(session_id=session_id).ok()


@case(faces=UNARY)
def closing_twice_is_no_error(peer: Peer) -> None:
    """Close of a session that has been closed is answered like the first one."""
    session = peer.begin()
    for _ in range(2):
        session.ask("close").ok()


@case(faces=STREAM)
def nothing_is_answered_after_close(peer: Peer) -> None:
    """The answer to Close is the stream's last: a request that was sent after Close gets none."""
    session = peer.begin(seed=88)
    assert isinstance(session.carrier, Stream)
    closed = session.send("close", session.request("close"))
    session.send("state", session.request("state"))
    closed().ok()
    session.carrier.wait_for_end()


@case(faces=UNARY, alone=True)
def closed_sessions_are_not_counted(peer: Peer) -> None:
    """Describe does not count a session that has been closed."""
    sessions = _some(peer)
    before = describe(peer).open_sessions
    for session in sessions:
        session.ask("close").ok()
    end = time.monotonic() + peer.target.answer_timeout_s / 2
    while (found := describe(peer).open_sessions) > max(before - len(sessions), 0):
        if time.monotonic() > end:
            msg = f"{before - len(sessions)} open_sessions after {len(sessions)} of {before} were closed"
            raise Violation(msg, found)
        time.sleep(SOON_S)


def _some(peer: Peer) -> list[Session]:
    return [peer.open() for _ in range(min(3, peer.target.limits.sessions))]
