"""Seeds: what is reproducible, and what is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from openenv_grpc.testing.case import NotApplicable, Violation, case
from openenv_grpc.testing.rows import first_difference

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openenv_grpc.testing.peer import Peer, Session
    from openenv_grpc.testing.rows import Row

STEPS = 8


def _actions(session: Session) -> list[Any]:
    return [session.actions.sample() for _ in range(STEPS)]


def _episode(session: Session, seed: int, actions: Sequence[Any]) -> list[Row]:
    return [session.reset([seed]).row, *session.trace(actions)]


def _compare(what: str, first: Sequence[Row], second: Sequence[Row]) -> None:
    difference = first_difference(first, second)
    if difference is not None:
        raise Violation(what, difference)


@case(needs=("seeds",))
def same_seed_same_trace(peer: Peer) -> None:
    """Two sessions reset with the same seed and stepped with the same actions give the same rows."""
    one, two = peer.open(), peer.open()
    actions = _actions(one)
    _compare("the same rows in two sessions", _episode(one, 11, actions), _episode(two, 11, actions))


@case(needs=("seeds",))
def a_seed_fixes_the_episode_whatever_came_before(peer: Peer) -> None:
    """A session reset with a seed it has had before gives the same rows again, whatever was played in between."""
    session = peer.open()
    actions = _actions(session)
    first = _episode(session, 31, actions)
    _episode(session, 32, actions[:3])
    _compare("the same rows as the first time", first, _episode(session, 31, actions))


@case(needs=("seeds",))
def different_seeds_differ(peer: Peer) -> None:
    """Where the environment is stochastic, different seeds give different rows."""
    session = peer.open()
    actions = _actions(session)
    traces = [_episode(session, seed, actions) for seed in range(1, 5)]
    if any(first_difference(traces[0], trace) is not None for trace in traces[1:]):
        return
    if peer.target.hints.stochastic:
        msg = "seeds 1 to 4 to give different rows"
        raise Violation(msg, f"the same {len(traces[0])} rows")
    msg = "no seed changes anything: the environment may not be stochastic; where it is, say so with the hint"
    raise NotApplicable(msg)


@case(needs=("seeds", "lanes"))
def each_lane_has_its_seed(peer: Peer) -> None:
    """A lane with a seed gives the rows that a session of that one lane gives with it, and takes no other lane's."""
    pair, single = peer.open(lanes=2), peer.open()
    actions = _actions(single)
    rows = [pair.reset([21, 22]).rows]
    rows += [pair.step([action, action]).rows for action in actions[:3]]
    for lane in (0, 1):
        alone = _episode(single, 21 + lane, actions[:3])
        together = [row[lane] for row in rows]
        _compare(f"lane {lane} to be like a session of its own", alone, together[: len(alone)])


@case(needs=("seeds", "lanes"))
def lanes_without_a_seed_stand_beside_seeded_ones(peer: Peer) -> None:
    """A reset may give a seed to one lane and none to another; the seeded one is as reproducible as ever."""
    session = peer.open(lanes=2)
    first, second = (session.reset([None, 41]).rows[1] for _ in range(2))
    _compare("the same first row of the seeded lane", [first], [second])


@case(needs=("seeds", "lanes"))
def a_wrong_number_of_seeds_is_refused(peer: Peer) -> None:
    """A reset with more or fewer seeds than lanes is refused, naming them, and no lane is reset."""
    session = peer.open(lanes=2)
    for seeds in ([51], [51] * 3):
        session.reset(seeds).lives().refused("INVALID_ARGUMENT", field="reset.seeds")
    session.step().refused("ILLEGAL_VERB")
    session.check_usable()


@case(needs=("seeds",))
def extreme_seeds_are_answered(peer: Peer) -> None:
    """A seed at the ends of 64 bits is honoured or refused as an argument, never a crash."""
    session = peer.open()
    for seed in (0, -1, 2**63 - 1, -(2**63)):
        answer = session.reset([seed]).lives()
        if answer.refusal is not None:
            answer.refused("INVALID_ARGUMENT")
    session.check_usable()


@case(needs=("no_seeds",))
def seeds_are_refused_where_they_cannot_be_honoured(peer: Peer) -> None:
    """Where Describe says that seeds are not honoured, one is refused with UNSUPPORTED and none is accepted."""
    session = peer.open()
    session.reset([61]).lives().refused("UNSUPPORTED", field="reset.seeds")
    session.step().refused("ILLEGAL_VERB")
    session.reset([None]).ok()
    session.step().ok()
