"""A session against its model: hypothesis chooses the verbs, and shrinks what they disagree about.

The second half plants faults in the session and shows that the model finds each of them.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from openenv_grpc.codec.columns import ColumnLayout
from openenv_grpc.session import rules
from openenv_grpc.session.client import ClientCore
from openenv_grpc.session.rules import LaneState
from openenv_grpc.session.shard import ShardCore
from openenv_grpc.session.transition import Rows
from openenv_grpc.specs import AutoresetMode
from tests.fuzz.conversation import LIMITS, MOVES, WRONG_REQUESTS, Conversation
from tests.fuzz.targets import sequences

LANES = st.none() | st.lists(st.integers(0, 2), min_size=1, max_size=3, unique=True).map(sorted)
ROW = st.lists(st.sampled_from(MOVES), min_size=3, max_size=3)
ODD: list[dict[str, Any]] = [
    *({"patience": calls} for calls in range(4)),
    *({"wrong": which} for which in range(len(WRONG_REQUESTS))),
]
HOW = st.sampled_from([{}] * len(ODD) + [{"ahead": True}] * 6 + ODD)


class Sessions(RuleBasedStateMachine):
    """Any sequence of verbs; `Conversation` compares."""

    talk: Conversation

    @initialize(
        mode=st.sampled_from(AutoresetMode),
        size=st.sampled_from([(lanes, shards) for lanes in (1, 2, 3) for shards in range(1, lanes + 1)]),
        vector=st.booleans(),
        begin=st.integers(0, 7),
    )
    def open(self, mode: AutoresetMode, size: tuple[int, int], vector: bool, begin: int) -> None:
        self.talk = Conversation(mode, *size, vector)
        if begin:  # else hardly anything is legal
            self.talk.reset(None, [0] * size[0])

    def _lanes(self, lanes: list[int] | None) -> list[int] | None:
        return [lane for lane in lanes or () if lane < self.talk.lanes] or None

    @rule(lanes=LANES, seeds=st.lists(st.sampled_from(sequences.SEEDS), min_size=3, max_size=3), how=HOW)
    def reset(self, lanes: list[int] | None, seeds: list[int | None], how: dict[str, Any]) -> None:
        self.talk.reset(self._lanes(lanes), seeds, **how)

    @rule(moves=ROW)
    def plain_step(self, moves: list[int]) -> None:
        self.talk.step(None, [moves], 0)

    @rule(lanes=LANES, moves=ROW, how=HOW)
    def step(self, lanes: list[int] | None, moves: list[int], how: dict[str, Any]) -> None:
        self.talk.step(self._lanes(lanes), [moves], 0, **how)

    @rule(lanes=LANES, moves=st.lists(ROW, min_size=1, max_size=LIMITS.chunk), how=HOW)
    def chunk(self, lanes: list[int] | None, moves: list[list[int]], how: dict[str, Any]) -> None:
        self.talk.step(self._lanes(lanes), moves, len(moves), **how)

    @rule(lanes=LANES, how=HOW)
    def state(self, lanes: list[int] | None, how: dict[str, Any]) -> None:
        self.talk.state(self._lanes(lanes), **how)

    @rule(lanes=LANES, how=HOW)
    def snapshot(self, lanes: list[int] | None, how: dict[str, Any]) -> None:
        self.talk.snapshot(self._lanes(lanes), **how)

    @rule(lanes=LANES, which=st.lists(st.integers(0, 9), min_size=3, max_size=3), how=HOW)
    def restore(self, lanes: list[int] | None, which: list[int], how: dict[str, Any]) -> None:
        self.talk.restore(self._lanes(lanes), which, **how)

    @rule(verb=st.sampled_from(["reset", "step", "state", "snapshot"]), how=st.integers(0, 3))
    def wrong(self, verb: str, how: int) -> None:
        self.talk.wrong(verb, how)

    @rule(shard=st.integers(0, 2), same=st.booleans())
    def repeat(self, shard: int, same: bool) -> None:
        self.talk.repeat(shard, same)

    @rule(shard=st.integers(0, 2), by=st.integers(-2, 4))
    def skip(self, shard: int, by: int) -> None:
        self.talk.skip(shard, by)

    @rule()
    def receive(self) -> None:
        self.talk.receive()

    @rule(when=st.integers(0, 9), closed=st.booleans())
    def end(self, when: int, closed: bool) -> None:
        if when == 9:
            self.talk.close() if closed else self.talk.end()

    def teardown(self) -> None:
        if hasattr(self, "talk"):
            self.talk.receive()


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Environments that fail write a traceback each."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def run(examples: int, **changes: Any) -> None:
    run_state_machine_as_test(Sessions, settings=settings(max_examples=examples, stateful_step_count=20, **changes))


def test_sessions_do_what_the_model_says():
    run(300)


# -- planted faults ------------------------------------------------------------------------------------------------

Patch = pytest.MonkeyPatch


def _step_before_reset(patch: Patch) -> None:
    patch.setitem(rules.REFUSED, "step", {LaneState.INTERRUPTED: "", LaneState.DONE: ""})


def _step_after_an_interruption(patch: Patch) -> None:
    patch.setitem(rules.REFUSED, "step", {LaneState.FRESH: "", LaneState.DONE: ""})


def _saving_what_was_never_reset(patch: Patch) -> None:
    patch.setitem(rules.REFUSED, "snapshot", {})


def _step_after_the_end(patch: Patch) -> None:
    patch.setitem(rules.REFUSED, "step", {LaneState.FRESH: "", LaneState.INTERRUPTED: ""})


def _executed_twice(patch: Patch) -> None:
    handle = ShardCore.handle

    def again(self: ShardCore, data: bytes, slot: int) -> Any:
        self._seq, self._last = self._seq - (len(data) % 7 == 0 and self._seq > 0), None
        return handle(self, data, slot)

    patch.setattr(ShardCore, "handle", again)


def _end_forgotten_by_restore(patch: Patch) -> None:
    restore = ShardCore._restore

    def running(self: ShardCore, *arguments: Any) -> int:
        size = restore(self, *arguments)
        for lane in self._lanes:
            lane.state = LaneState.RUNNING
        return size

    patch.setattr(ShardCore, "_restore", running)


def _rows_not_cleared(patch: Patch) -> None:
    patch.setattr(Rows, "clear", lambda self, row: None)


def _chunk_past_the_end(patch: Patch) -> None:
    patch.setattr(Rows, "is_final", lambda self, lane: False)


def _interruption_not_noticed(patch: Patch) -> None:
    patch.setattr(ClientCore, "_note_failure", lambda self, lane, error: None)


def _columns_a_row_late(patch: Patch) -> None:
    views = ColumnLayout.views

    def late(self: ColumnLayout, *arguments: Any) -> dict[str, Any]:
        return {name: array[::-1] for name, array in views(self, *arguments).items()}

    patch.setattr(ColumnLayout, "views", late)


FAULTS = [
    _step_before_reset,
    _step_after_an_interruption,
    _step_after_the_end,
    _saving_what_was_never_reset,
    _executed_twice,
    _end_forgotten_by_restore,
    _rows_not_cleared,
    _chunk_past_the_end,
    _interruption_not_noticed,
    _columns_a_row_late,
]


QUICKLY_FOUND = [_saving_what_was_never_reset, _executed_twice, _rows_not_cleared, _step_after_the_end]


@pytest.mark.parametrize("plant", QUICKLY_FOUND, ids=lambda plant: plant.__name__.strip("_"))
def test_hypothesis_finds_a_planted_fault(plant: Callable[[Patch], None], monkeypatch: Patch):
    plant(monkeypatch)
    with pytest.raises(AssertionError):
        run(150, phases=[Phase.generate])


@pytest.mark.parametrize("plant", FAULTS, ids=lambda plant: plant.__name__.strip("_"))
def test_the_engines_inputs_find_a_planted_fault(plant: Callable[[Patch], None], monkeypatch: Patch):
    plant(monkeypatch)
    chance = random.Random("planted faults")
    with pytest.raises(AssertionError):
        _inputs(chance, 1000)


def _inputs(chance: random.Random, count: int) -> None:
    for _ in range(count):
        sequences.one_input(chance.randbytes(96))
