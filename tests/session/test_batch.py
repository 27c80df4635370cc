"""Lanes that one object steps: what a client sees is what single lanes answer."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from openenv_grpc.errors import Unsupported
from openenv_grpc.specs import AutoresetMode, Layout, Limits
from tests.environments_for_tests.bare import BareEnvironment
from tests.environments_for_tests.batched import (
    AllOrNoneEnvironment,
    BatchedBareEnvironment,
    BatchedProbeEnvironment,
)
from tests.environments_for_tests.probe import ProbeEnvironment, blank
from tests.helpers.pair import Pair
from tests.helpers.stream import fault

LANES = 5
NEXT, SAME, OFF = AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP, AutoresetMode.DISABLED


def bare_action(rng: random.Random) -> dict[str, Any]:
    return {"move": rng.choice([-5, -2, -1, 0, 1, 2, 5])}


def probe_action(rng: random.Random) -> Any:
    fields = {
        "level": rng.randrange(-5, 6),
        "ratio": rng.random(),
        "flag": rng.random() < 0.5,
        "mood": rng.randrange(3),
        "grid": np.array([[rng.randrange(9) for _ in range(3)] for _ in range(2)], np.uint8),
        "words": [f"w{n}" for n in range(rng.randrange(3))],
        "amount": rng.uniform(-1, 1),
        "maybe": rng.choice([None, 4]),
        "blob": bytes([rng.randrange(256)]),
    }
    return blank(rng.choice(["end", "cut", "on", "on", "on"]), **fields)


class Script:
    """The same random requests for two sessions, whose answers must be the same bytes."""

    def __init__(self, one: Pair, two: Pair, action: Any, seed: int) -> None:
        self.pairs, self.action, self.rng, self.seq = (one, two), action, random.Random(seed), 0
        self.done = [False] * LANES
        self.encode = one.client.records

    def ask(self, **verb: Any) -> Any:
        self.seq += 1
        one, two = (pair.plain(seq=self.seq, **verb) for pair in self.pairs)
        assert one == two
        assert self.pairs[0].received[-1] == self.pairs[1].received[-1]
        return one

    def some(self, among: Sequence[int]) -> list[int]:
        if self.rng.random() < 0.4 and len(among) == LANES:
            return []
        return sorted(self.rng.sample(among, self.rng.randint(1, len(among))))

    def reset(self) -> None:
        lanes = self.some(range(LANES))
        count = len(lanes) or LANES
        seeds = [{"value": self.rng.randrange(3)} if self.rng.random() < 0.5 else {} for _ in range(count)]
        self.ask(reset={"lanes": lanes, "seeds": seeds if self.rng.random() < 0.7 else []})

    def step(self) -> Any:
        lanes, chunk = self.some(range(LANES)), self.rng.choice([0, 0, 1, 3])
        rows = (len(lanes) or LANES) * max(chunk, 1)
        schema = self.encode.action
        actions = [self.encode.encode(schema.full_name, self.action(self.rng)).SerializeToString() for _ in range(rows)]
        return self.ask(step={"lanes": lanes, "chunk": chunk, "actions": actions})

    def play(self, steps: int) -> tuple[int, int]:
        """Play on; how many final rows and refusals there were."""
        self.ask(reset={})
        finals = refusals = 0
        for _ in range(steps):
            if self.rng.random() < 0.2:
                self.reset()
            answer = self.step()
            finals += len(answer.step.final_lanes)
            refusals += answer.HasField("status")
            if answer.HasField("status"):
                self.ask(reset={})
        return finals, refusals


@pytest.mark.parametrize("layout", list(Layout), ids=str)
@pytest.mark.parametrize("mode", list(AutoresetMode), ids=str)
@pytest.mark.parametrize(
    ("single", "batched", "action", "fields"),
    [
        (BareEnvironment, BatchedBareEnvironment, bare_action, ()),
        (BareEnvironment, BatchedBareEnvironment, bare_action, ("steps",)),
        (ProbeEnvironment, BatchedProbeEnvironment, probe_action, ()),
        (ProbeEnvironment, BatchedProbeEnvironment, probe_action, ("words", "mood", "grid")),
    ],
)
def test_the_same_bytes_as_single_lanes(single: Any, batched: Any, action: Any, fields: Any, mode: Any, layout: Any):
    pairs = [Pair(cls, lanes=LANES, mode=mode, layout=layout, fields=fields) for cls in (single, batched)]
    finals, refusals = Script(*pairs, action, seed=3).play(60)
    assert (finals > 0) == (mode is SAME)
    assert (refusals > 0) == (mode is OFF)


def test_columns_reach_the_batch_as_columns():
    pair = Pair(BatchedBareEnvironment, lanes=4, shards=1, goal=100)
    seen: list[Any] = []
    batch = BatchedBareEnvironment.batches[0]
    step = batch.step
    batch.step = lambda lanes, actions: (seen.append((lanes, actions["move"])), step(lanes, actions))[1]  # type: ignore[method-assign]
    pair.reset(seed=0)
    assert pair.step(np.array([1, 2, 3, 4])).observation.position.tolist() == [1, 3, 5, 7]
    assert pair.step([7, 8], lanes=[1, 3]).observation.position.tolist() == [10, 15]
    (all_, first), (some, second) = seen
    assert (all_, some) == ([0, 1, 2, 3], [1, 3])
    assert (first.tolist(), second.tolist()) == ([1, 2, 3, 4], [7, 8])
    assert first.dtype == second.dtype == np.int64
    assert not first.flags.writeable


def test_the_destinations_lie_in_the_shards_memory():
    pair = Pair(BatchedBareEnvironment, lanes=3, shards=1)
    pair.reset(seed=0)
    batch = BatchedBareEnvironment.batches[0]
    pair.step([1, 1, 1])
    memory = np.frombuffer(pair.shards[0].memory.map, np.uint8)
    assert batch.out.keys() == {"position", "steps", "pixels"}
    for column in batch.out.values():
        assert len(column) == 3
        assert column.flags.writeable
        assert np.shares_memory(column, memory)
    batch.out = {}
    del memory, column


def test_chunks_stop_lane_by_lane():
    pair = Pair(BatchedBareEnvironment, lanes=3, goal=4)
    pair.reset(seed=[0, 0, 0])
    result = pair.step(np.array([[1, 2, 3], [1, 2, 3], [1, 9, 9]]), chunk=3)
    assert result.executed.tolist() == [3, 2, 2]
    assert result.observation.position[:, 0].tolist() == [1, 2, 3]
    assert result.observation.position[2].tolist() == [3, 0, 0]
    assert result.terminated[1].tolist() == [False, True, True]


def test_states_and_snapshots_go_lane_by_lane():
    pair = Pair(BatchedBareEnvironment, lanes=3)
    pair.reset(seed=[0, 1, 2])
    saved = pair.snapshot(lanes=[1, 2])
    pair.step([2, 2, 5])
    assert [state.position for state in pair.state()] == [2, 3, 7]
    pair.restore(saved, lanes=[1, 2])
    assert [state.position for state in pair.state(lanes=[0, 2])] == [2, 2]
    assert pair.step([1, 1, 1]).observation.position.tolist() == [3, 2, 3]


def test_a_repeated_request_is_not_stepped_again():
    pair = Pair(BatchedBareEnvironment, lanes=2)
    pair.reset(seed=0)
    pair.step([1, 1])
    batch = BatchedBareEnvironment.batches[0]
    answer = pair.received[-1]
    assert pair.exchange(pair.sent[-1]) == answer
    assert batch.calls == 1


class TestAllOrNone:
    """A batch that steps all of its lanes or none."""

    def test_steps_of_some_lanes_are_refused(self):
        pair = Pair(AllOrNoneEnvironment, lanes=4, shards=2)
        pair.reset(seed=0)
        with pytest.raises(Unsupported, match=r"step all of 0\.\.1, or open the session with a shard") as caught:
            pair.step([1, 1], lanes=[0, 2])
        assert caught.value.field == "step.lanes"
        assert pair.step([1, 1], lanes=[2, 3]).observation.position.tolist() == [3, 4]

    def test_chunks_are_refused(self):
        pair = Pair(AllOrNoneEnvironment, lanes=2)
        pair.reset(seed=0)
        with pytest.raises(Unsupported, match="ask for single steps") as caught:
            pair.step(np.ones((2, 2), np.int64), chunk=2)
        assert caught.value.field == "step.chunk"
        assert pair.step(np.ones((1, 2), np.int64), chunk=1).executed.tolist() == [1, 1]

    def test_resets_and_states_of_some_lanes_are_not(self):
        pair = Pair(AllOrNoneEnvironment, lanes=3)
        pair.reset(seed=0)
        assert pair.reset(seed=7, lanes=[1]).observation.position.tolist() == [7]
        assert [state.position for state in pair.state(lanes=[1, 2])] == [7, 2]

    def test_lanes_in_shards_of_their_own_do_all_of_it(self):
        pair = Pair(AllOrNoneEnvironment, lanes=2, shards=2, goal=3)
        pair.reset(seed=0)
        assert pair.step([1], lanes=[1]).observation.position.tolist() == [2]
        assert pair.step(np.array([[1, 1], [1, 1]]), chunk=2).executed.tolist() == [2, 1]

    def test_what_is_illegal_is_so_first(self):
        pair = Pair(AllOrNoneEnvironment, lanes=2)
        pair.plain(seq=1, reset={"lanes": [1]})
        assert fault(pair.plain(seq=2, step={"lanes": [0], "actions": [b""]}).status).reason == "ILLEGAL_VERB"
        assert fault(pair.plain(seq=3, step={"lanes": [1], "actions": [b""]}).status).reason == "UNSUPPORTED"


def test_the_longest_chunk_fits():
    pair = Pair(BatchedBareEnvironment, lanes=2, mode=NEXT, limits=Limits(chunk=4), goal=1000)
    pair.reset(seed=0)
    assert pair.step(np.ones((4, 2), np.int64), chunk=4).observation.position[3].tolist() == [4, 5]
