"""Time: what becomes of a request that takes too long, that nobody waits for any more, or that others wait behind."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from openenv_grpc.testing.answers import read_status
from openenv_grpc.testing.carriers import Unary
from openenv_grpc.testing.case import STREAM, UNARY, NotApplicable, Violation, case
from openenv_grpc.testing.rows import first_difference

if TYPE_CHECKING:
    from openenv_grpc.testing.peer import Peer, Session
    from openenv_grpc.v1 import session_pb2

GENEROUS_MS = 10_000
"""A budget that no slow action uses up."""
MORE_THAN_SLOW_S = 4.0
QUIET_S = 1.0
SHORT_S = 0.25
"""Less than a slow action takes."""
IDLE_S = 0.5
"""Less than two slow actions take, and more than a client needs between two calls."""
TRIES = 3
"""How often a case about who is first is tried before the machine's own delays are ruled out."""


@case(needs=("slow_action",))
def a_late_step_is_interrupted(peer: Peer) -> None:
    """A step beyond its own time budget gets DEADLINE_EXCEEDED; the lane must be reset, and later answers fit."""
    session = peer.begin()
    slow = session.act(peer.target.hints.slow_action or {})
    session.step([slow], timeout_ms=100).lives().refused("DEADLINE_EXCEEDED")
    session.step().lives().refused("ILLEGAL_VERB")
    session.check_usable()


@case(needs=("slow_action",))
def a_step_within_its_budget_goes_on(peer: Peer) -> None:
    """A slow step whose own time budget is longer is answered, and the next one needs no reset."""
    session = peer.begin()
    session.send_slow(timeout_ms=2 * GENEROUS_MS)().ok()
    session.step().ok()


@case(needs=("slow_action",))
def no_budget_is_the_servers_limit(peer: Peer) -> None:
    """A request without a time budget of its own has that of Limits.step_time_s."""
    if peer.target.limits.step_time_s < MORE_THAN_SLOW_S:
        msg = f"the server allows {peer.target.limits.step_time_s:g} s, which a slow action may use up"
        raise NotApplicable(msg)
    session = peer.begin(seed=87)
    session.send_slow(timeout_ms=0)().ok()
    session.step().ok()


@case(needs=("servers", "slow_action"))
def a_long_budget_ends_at_the_limit(peer: Peer) -> None:
    """A request beyond Limits.step_time_s gets DEADLINE_EXCEEDED, however long its own time budget is."""
    session = _limited(peer, step_time_s=SHORT_S).begin()
    session.send_slow(timeout_ms=GENEROUS_MS)().lives().refused("DEADLINE_EXCEEDED")
    session.check_usable()


def _limited(peer: Peer, **limits: float) -> Peer:
    """A peer of a server of the case's own, with other limits."""
    assert peer.target.servers is not None
    return peer.at(peer.target.servers.limited(peer.target, **limits))


@case(needs=("slow_action", "lanes"))
def a_late_lane_is_interrupted_alone(peer: Peer) -> None:
    """Of two lanes the late one fails with DEADLINE_EXCEEDED and must be reset; the one before it steps on."""
    session = peer.begin(lanes=2)
    actions = [session.actions.sample(), session.act(peer.target.hints.slow_action or {})]
    failures = session.step(actions, timeout_ms=150).lives().transition.failures
    found = [(failure.lane, read_status(failure.status).reason) for failure in failures]
    if found != [(1, "DEADLINE_EXCEEDED")]:
        msg = "the failure DEADLINE_EXCEEDED of lane 1 alone"
        raise Violation(msg, found)
    session.step(lanes=[0]).ok()
    session.step(lanes=[1]).lives().refused("ILLEGAL_VERB")
    session.reset(lanes=[1]).ok()
    session.step().ok()


def _cancelled(session: Session) -> session_pb2.SessionRequest:
    """Begin a slow step and cancel its call in the middle; the request is returned."""
    assert isinstance(session.carrier, Unary)
    payload, rest = session.actions.write([session.act(session.peer.target.hints.slow_action or {})])
    request = session.request("step", {"actions": rest}, payload=payload, timeout_ms=GENEROUS_MS)
    call = session.carrier.begin("step", request)
    time.sleep(0.1)
    call.cancel()
    return request


@case(faces=UNARY, needs=("slow_action", "seeds"))
def a_cancelled_call_leaves_nothing_behind(peer: Peer) -> None:
    """The call after one that was cancelled in the middle of its step gets its own answer, not the late one's."""
    session, patient = peer.begin(seed=91), peer.begin(seed=91)
    patient.send_slow(timeout_ms=GENEROUS_MS)().ok()
    _cancelled(session)
    action = session.actions.sample()
    answers = [each.step([action]) for each in (patient, session)]
    difference = first_difference([answers[0].row], [answers[1].row])
    if difference is not None or answers[1].response.seq != session.seqs[0]:
        msg = f"the number {session.seqs[0]} and the row of a session that has waited for the step before"
        raise Violation(msg, difference or f"the number {answers[1].response.seq}")


@case(faces=UNARY, needs=("slow_action",))
def a_cancelled_call_can_be_repeated(peer: Peer) -> None:
    """The number of a call that was cancelled is used up: the same request again gets the answer that was missed."""
    session = peer.begin()
    request = _cancelled(session)
    answer = session.exchange("step", request).ok()
    if answer.response.seq != request.seq:
        msg = f"an answer with the number {request.seq}"
        raise Violation(msg, answer.response.seq)
    session.step().ok()


@case(needs=("slow_action",))
def a_busy_session_delays_no_other(peer: Peer) -> None:
    """While a session takes its time over a step, the step of another one is answered."""
    busy, quick = peer.begin(), peer.begin(seed=85)
    for _ in range(TRIES):
        finish = busy.send_slow(timeout_ms=GENEROUS_MS)
        quick.step().ok()
        first = not busy.carrier.answered
        finish().ok()
        if first:
            return
    msg = "the step of another session answered before the slow one"
    raise Violation(msg, f"the slow one answered first, {TRIES} times of {TRIES}")


@case()
def a_quiet_session_stays(peer: Peer) -> None:
    """A session that is not used for a while, shorter than Limits.session_idle_s, steps on where it was."""
    if peer.target.limits.session_idle_s < 3 * QUIET_S:
        msg = f"sessions are closed when they are idle for {peer.target.limits.session_idle_s:g} s"
        raise NotApplicable(msg)
    session = peer.begin(seed=86)
    session.step().ok()
    time.sleep(QUIET_S)
    session.step().ok()


@case(faces=UNARY, needs=("servers",))
def an_idle_session_is_closed(peer: Peer) -> None:
    """A session without a stream that is not used for Limits.session_idle_s is closed: its id gets SESSION_LOST."""
    session = _limited(peer, session_idle_s=IDLE_S).begin(seed=93)
    time.sleep(IDLE_S + QUIET_S)
    session.step().refused("SESSION_LOST")


@case(faces=UNARY, needs=("servers", "slow_action", "lanes"))
def a_busy_session_is_not_idle(peer: Peer) -> None:
    """A session without a stream is not closed as idle in the middle of a request, nor right after it."""
    session = _limited(peer, session_idle_s=IDLE_S).begin(seed=94, lanes=2)
    session.send_slow(timeout_ms=GENEROUS_MS)().ok()
    session.step().ok()


@case(faces=STREAM, needs=("servers",))
def a_stream_is_not_idle(peer: Peer) -> None:
    """A session whose stream is open is never closed as idle."""
    session = _limited(peer, session_idle_s=IDLE_S).begin(seed=95)
    time.sleep(IDLE_S + QUIET_S)
    session.step().ok()
