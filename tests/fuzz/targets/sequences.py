"""Sequences of verbs: a session and a model of it carry out the same ones, in all modes, lane by lane.

What may happen: what `tests/fuzz/model.py` says. What may not: anything else, be it an observation, a reward, an end,
the kind of an error, or what is legal afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from openenv_grpc.specs import AutoresetMode
from tests.fuzz import model
from tests.fuzz.conversation import LIMITS, MOVES, Conversation
from tests.fuzz.source import Source

SEEDS = (None, 0, 2, -3, 300, model.BAD_SEED, model.SHORT_SEED)


def one_input(data: bytes) -> None:
    source = Source(data)
    lanes = 1 + source.below(3)
    talk = Conversation(source.pick(list(AutoresetMode)), lanes, 1 + source.below(lanes), source.flag())
    if source.flag(8):
        _reset(source, talk)
    else:
        talk.reset(None, [0] * lanes)
    while source.at < len(data) and source.at < 256:
        source.pick(CHOICES)(source, talk)
    talk.receive()


def _lanes(source: Source, talk: Conversation) -> Sequence[int] | None:
    chosen = [lane for lane in range(talk.lanes) if source.flag()] if source.flag(4) else []
    return chosen or None


def _how(source: Source) -> dict[str, int | bool | None]:
    """What happens to a request on its way."""
    how = source.below(16)
    return {
        "patience": source.below(4) if how == 15 else model.UNLIMITED,
        "wrong": source.below(16) if how == 14 else None,
        "ahead": how > 9,
    }


def _reset(source: Source, talk: Conversation) -> None:
    talk.reset(_lanes(source, talk), [source.pick(SEEDS) for _ in range(talk.lanes)], **_how(source))


def _step(source: Source, talk: Conversation) -> None:
    lanes = _lanes(source, talk)
    talk.step(lanes, [[source.pick(MOVES) for _ in range(talk.lanes)]], 0, **_how(source))


def _chunk(source: Source, talk: Conversation) -> None:
    chunk, lanes = 1 + source.below(LIMITS.chunk), _lanes(source, talk)
    moves = [[source.pick(MOVES) for _ in range(talk.lanes)] for _ in range(chunk)]
    talk.step(lanes, moves, chunk, **_how(source))


def _restore(source: Source, talk: Conversation) -> None:
    talk.restore(_lanes(source, talk), [source.below(256) for _ in range(talk.lanes)], **_how(source))


def _wrong(source: Source, talk: Conversation) -> None:
    talk.wrong(source.pick(("reset", "step", "state", "snapshot")), source.below(4))


def _end(source: Source, talk: Conversation) -> None:
    if source.flag(8):
        talk.close() if source.flag() else talk.end()


CHOICES: Sequence[Callable[[Source, Conversation], None]] = (
    _reset,
    _step,
    _step,
    _step,
    _chunk,
    _chunk,
    _restore,
    lambda source, talk: talk.state(_lanes(source, talk), **_how(source)),
    lambda source, talk: talk.snapshot(_lanes(source, talk), **_how(source)),
    lambda source, talk: talk.repeat(source.below(3), source.flag()),
    lambda source, talk: talk.skip(source.below(3), source.below(7) - 2),
    lambda source, talk: talk.receive(),
    _wrong,
    _end,
)
