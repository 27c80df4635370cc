"""Pipelining: several requests on their way before the first answer is read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from openenv_grpc.testing.carriers import Stream
from openenv_grpc.testing.case import STREAM, NotApplicable, Violation, case
from openenv_grpc.testing.rows import first_difference
from openenv_grpc.v1 import session_pb2

if TYPE_CHECKING:
    from collections.abc import Callable

    from openenv_grpc.testing.answers import Answer
    from openenv_grpc.testing.peer import Peer, Session

STEPS = 8
PATIENT_MS = 10_000
"""A budget that no slow action uses up."""
SLOW = (2, 6, 12)
"""Slow steps in front of many requests, more at each try: those must be under way when the last of these comes."""
MOST_IN_FLIGHT = 1024
"""A limit above this is not tried."""


@case(faces=STREAM, needs=("pipelining",))
def answers_come_in_order(peer: Peer) -> None:
    """The answers of a shard come in the order of its requests, each with its own number, whatever the verbs."""
    session = peer.open()
    waiting = [_send_reset(session, 73)]
    for _ in range(_steps(peer)):
        waiting += [session.send("state", session.request("state")), session.send_step()]
    found = [wait().response.seq for wait in waiting]
    if found != list(range(1, len(waiting) + 1)):
        msg = f"answers 1 to {len(waiting)} in order"
        raise Violation(msg, found)


@case(faces=STREAM, needs=("pipelining", "seeds"))
def pipelined_steps_are_single_steps(peer: Peer) -> None:
    """Requests sent before any answer is read give the rows that the same requests give one by one."""
    one, two = peer.begin(), peer.open()
    actions = [one.actions.sample() for _ in range(_steps(peer))]
    singles = [one.reset([71]).row, *one.trace(actions)]
    waiting = [_send_reset(two, 71), *(two.send_step([action]) for action in actions[: len(singles) - 1])]
    difference = first_difference(singles, _rows([wait() for wait in waiting]))
    if difference is not None:
        msg = "the rows of single requests"
        raise Violation(msg, difference)


def _steps(peer: Peer) -> int:
    """How many steps, each with another request, may be in flight beside one more pair."""
    return min(STEPS, peer.target.limits.in_flight // 2 - 1)


def _send_reset(session: Session, seed: int) -> Callable[[], Answer]:
    """Send a reset of the only lane, with the seed where seeds are honoured."""
    seeds = [session_pb2.Seed(value=seed)] if session.peer.target.capabilities.seeds else []
    return session.send("reset", session.request("reset", session_pb2.Reset(seeds=seeds)), 1)


def _rows(answers: list[Answer]) -> list[Any]:
    """Their rows in the order of the requests, in whatever order they came."""
    return [answer.row for answer in sorted(answers, key=lambda answer: answer.response.seq)]


@case(faces=STREAM, needs=("pipelining",))
def a_refusal_in_a_pipeline_shifts_nothing(peer: Peer) -> None:
    """A request that is refused among others on their way leaves each of them its own answer."""
    session = peer.open()
    waiting = [_send_reset(session, 72), session.send_step()]
    waiting.append(session.send("step", session.request("step", {"lanes": [session.opening.lanes]})))
    steps = _steps(peer)
    waiting += [session.send_step() for _ in range(steps)]
    wanted = dict(enumerate(["reset", "step", "INVALID_ARGUMENT", *["step"] * steps], 1))
    found = {answer.response.seq: _outcome(answer) for answer in (wait() for wait in waiting)}
    if found != wanted:
        msg = f"the answers {wanted}"
        raise Violation(msg, found)


def _outcome(answer: Answer) -> str:
    refusal = answer.refusal
    return str(answer.response.WhichOneof("result") if refusal is None else refusal.reason)


def _overfill(peer: Peer) -> tuple[Session, dict[int, Answer]]:
    """Have one request more than may be in flight wait behind slow ones; the answers by number."""
    limit = peer.target.limits.in_flight
    if limit > MOST_IN_FLIGHT:
        msg = f"{limit} requests may be in flight, too many to try"
        raise NotApplicable(msg)
    for slow in SLOW:
        session, answers = _crowd(peer, min(slow, limit), limit + 1)
        last = answers.get(session.seqs[0])
        if last is not None and last.refusal is not None:
            break
    return session, answers


def _crowd(peer: Peer, slow: int, count: int) -> tuple[Session, dict[int, Answer]]:
    """A session's answers to so many requests, the first ones slow, by number."""
    session = peer.begin()
    waiting = [session.send_slow(timeout_ms=PATIENT_MS) for _ in range(slow)]
    waiting += [session.send("state", session.request("state")) for _ in range(count - slow)]
    return session, {answer.response.seq: answer for answer in (wait() for wait in waiting)}


@case(faces=STREAM, needs=("slow_action",))
def too_many_requests_are_refused(peer: Peer) -> None:
    """A request beyond Limits.in_flight is refused with SERVER_FULL; those before it are answered all the same."""
    session, answers = _overfill(peer)
    last = session.seqs[0]
    if last not in answers:
        msg = f"an answer to each of the requests 2 to {last}"
        raise Violation(msg, f"{len(answers)} answers, none to {last}")
    answers.pop(last).lives().refused("SERVER_FULL")
    for answer in answers.values():
        if answer.refusal is not None:
            msg = f"answers to the {last - 2} requests before the one too many"
            raise Violation(msg, answer.refusal)


@case(faces=STREAM, needs=("slow_action",))
def a_request_too_many_uses_no_number(peer: Peer) -> None:
    """A request that was refused because too many were in flight has used no number up: the next one takes it."""
    session, _ = _overfill(peer)
    answer = session.ask("state", seq=session.seqs[0])
    if answer.response.seq != session.seqs[0]:
        msg = f"an answer with the number {session.seqs[0]}"
        raise Violation(msg, answer.response.seq)
    answer.ok()


@case(needs=("shards",))
def each_shard_counts_its_own_requests(peer: Peer) -> None:
    """Shards number their requests each for itself, and are answered whichever of them is asked first."""
    session = peer.open(lanes=2, shards=2)
    for verb, shard in (("reset", 1), ("state", 1), ("reset", 0), ("state", 1), ("state", 0)):
        session.ask(verb, shard=shard).ok()


@case(faces=STREAM, needs=("pipelining",))
def half_close_ends_nothing_early(peer: Peer) -> None:
    """A client may half-close its stream: what it has sent until then is answered, then the stream ends."""
    session = peer.begin()
    assert isinstance(session.carrier, Stream)
    waiting = [session.send_step(), session.send("state", session.request("state"))]
    if peer.target.hints.slow_action is not None:
        waiting.append(session.send_slow(timeout_ms=PATIENT_MS))
    session.carrier.half_close()
    outcomes = {answer.response.seq: _outcome(answer) for answer in (wait() for wait in waiting)}
    wanted = dict(enumerate(["step", "state", "step"][: len(waiting)], 2))
    if outcomes != wanted:
        msg = f"the answers {wanted} after the half-close"
        raise Violation(msg, outcomes)
    session.carrier.wait_for_end()
