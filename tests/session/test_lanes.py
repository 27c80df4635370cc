"""Lanes, shards and fields: a part of the session is asked for, and only that is answered."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from openenv_grpc.errors import InvalidArgument
from openenv_grpc.specs import Layout
from tests.environments_for_tests.bare import BareEnvironment
from tests.environments_for_tests.probe import ProbeEnvironment, blank
from tests.helpers.pair import Pair
from tests.helpers.stream import fault


@pytest.mark.parametrize("shards", [1, 2, 3, 5])
def test_any_number_of_shards_looks_the_same(shards: int):
    pair = Pair(BareEnvironment, lanes=5, shards=shards)
    fresh = pair.reset(seed=10)
    assert fresh.observation.position.tolist() == [10, 11, 12, 13, 14]
    result = pair.step([1, 2, 3, 4, 5])
    assert result.observation.position.tolist() == [11, 13, 15, 17, 19]
    assert result.lanes.tolist() == [0, 1, 2, 3, 4]
    assert result.observation.pixels[:, 0].tolist() == [11, 13, 15, 17, 19]
    assert [state.position for state in pair.state()] == [11, 13, 15, 17, 19]


@pytest.mark.parametrize("shards", [1, 2, 3])
@pytest.mark.parametrize("lanes", [[0], [4], [1, 3], [0, 1, 2, 3, 4], [2, 3]])
def test_a_part_of_the_lanes(shards: int, lanes: list[int]):
    pair = Pair(BareEnvironment, lanes=5, shards=shards, goal=100)
    pair.reset(seed=0)
    result = pair.step([10] * len(lanes), lanes=lanes)
    assert result.lanes.tolist() == lanes
    assert result.observation.position.tolist() == [lane + 10 for lane in lanes]
    moved = [env.position for env in pair.environments]
    assert moved == [lane + 10 * (lane in lanes) for lane in range(5)]
    assert [state.position for state in pair.state(lanes=lanes)] == [lane + 10 for lane in lanes]


@pytest.mark.parametrize("lanes", [[1, 0], [0, 0], [5], [-1], [0, 99], []])
def test_lanes_that_do_not_exist_are_a_local_error(lanes: list[int]):
    pair = Pair(BareEnvironment, lanes=5, shards=2)
    pair.reset()
    sent = len(pair.sent)
    with pytest.raises(InvalidArgument) as caught:
        pair.step([0] * len(lanes), lanes=lanes)
    assert caught.value.field == "lanes"
    assert len(pair.sent) == sent


@pytest.mark.parametrize("verb", ["reset", "step", "state", "snapshot", "restore"])
@pytest.mark.parametrize("lanes", [[1, 0], [0, 0], [2], [2**32 - 1], [0, 99]], ids=str)
def test_lanes_of_another_shard_are_refused_by_the_server(verb: str, lanes: list[int]):
    pair = Pair(BareEnvironment, lanes=4, shards=2)
    pair.reset()
    found = fault(pair.plain(seq=2, **{verb: {"lanes": lanes}}).status)
    assert (found.reason, found.field) == ("INVALID_ARGUMENT", "lanes")


def test_only_the_wanted_fields_travel():
    pair = Pair(ProbeEnvironment, lanes=2, fields=("level", "words"))
    pair.reset()
    result = pair.step([blank("", level=3, words=["a"], grid=np.full((2, 3), 7, np.uint8))] * 2)
    assert result.observation.level.tolist() == [3, 3]
    assert result.observation.words == [["a"], ["a"]]
    assert result.observation.verb == []
    assert result.observation.grid.size == result.observation.steps.size == 0
    everything = Pair(ProbeEnvironment, lanes=2)
    everything.reset()
    everything.step([blank("")] * 2)
    assert len(pair.received[-1]) < len(everything.received[-1]) - 400


def test_unwanted_fields_of_a_record_are_empty():
    pair = Pair(ProbeEnvironment, fields=("grid",))
    pair.reset()
    grid = np.arange(6, dtype=np.uint8).reshape(2, 3)
    observation = pair.step(blank("say", level=3, words=["a"], grid=grid)).observation
    assert observation.grid.tolist() == grid.tolist()
    assert (observation.verb, observation.level, observation.words, observation.force.size) == ("", 0, [], 0)


def test_unwanted_fields_are_absent_from_records_too():
    pair = Pair(ProbeEnvironment, layout=Layout.RECORDS, fields=("level",))
    pair.plain(seq=1, reset={})
    action = pair.client.records.encode("openenv_probe.v1.ProbeAction", blank("say", level=-2)).SerializeToString()
    answer = pair.plain(seq=2, step={"actions": [action]})
    assert answer.step.observations[0] == b"\x10\x03"  # field 2, zigzag -2


def test_an_unknown_field_is_refused_with_the_names_there_are():
    with pytest.raises(InvalidArgument, match="pixels") as caught:
        Pair(BareEnvironment, fields=("pixel",))
    assert caught.value.field == "open.fields"


def test_seeds_go_to_their_lanes():
    pair = Pair(ProbeEnvironment, lanes=4, shards=2)

    def dice(**kwargs: Any) -> list[int]:
        return pair.reset(**kwargs).observation.dice.tolist()

    first = dice(seed=[1, 2, 3, 4])
    assert len(set(first)) == 4
    assert dice(seed=[4, 3, 2, 1]) == first[::-1]
    assert dice(seed=1) == first
    assert dice(seed=[3, 4], lanes=[1, 2]) == first[2:]
    mixed = dice(seed=[1, None, None, 4])
    assert (mixed[0], mixed[3]) == (first[0], first[3])
    assert mixed[1] != first[1]


def test_reset_options_reach_the_environment():
    pair = Pair(ProbeEnvironment, lanes=2)
    options = {"map": {"a": [1, 2.5, "x", None, True, b"\xff"]}, "n": 3}
    assert pair.reset(options=options).infos == [{"options": options}] * 2
    assert pair.reset().infos == [{}, {}]


def test_a_field_of_no_length_in_this_session():
    pair = Pair(ProbeEnvironment, lanes=2, joints=0)
    pair.reset()
    action = {"verb": ["a", "b"], "amount": np.zeros(2)}
    action |= {name: np.zeros(2, dtype) for name, dtype in (("level", int), ("ratio", np.float32), ("flag", bool))}
    action |= {"mood": np.zeros(2, int), "grid": np.zeros((2, 2, 3), np.uint8), "mask": np.zeros((2, 4), bool)}
    result = pair.step(action | {"force": np.zeros((2, 0), np.float32), "blob": [b"", b""]})
    assert result.observation.verb == ["a", "b"]
    assert result.observation.force.size == 0


def test_every_column_of_many_lanes_goes_there_and_back():
    pair = Pair(ProbeEnvironment, lanes=3, shards=2, joints=4)
    pair.reset()
    rng = np.random.default_rng(0)
    actions = [
        blank(
            f"verb {lane}",
            joints=4,
            level=lane - 1,
            ratio=lane / 4,
            flag=lane % 2 == 0,
            mood=lane,
            grid=rng.integers(0, 9, (2, 3), np.uint8),
            mask=rng.random(4) < 0.5,
            force=rng.uniform(-1, 1, 4).astype(np.float32),
            words=[f"w{lane}"] * lane,
            counts={"a": lane},
            part={"name": "p", "size": lane, "parts": [{"name": "q", "size": 1}]},
            number=lane,
            maybe=None if lane else 7,
            blob=bytes([lane]),
        )
        for lane in range(3)
    ]
    seen = pair.step(actions).observation
    for lane, action in enumerate(actions):
        for name in ("verb", "words", "counts", "number", "maybe", "blob"):
            assert getattr(seen, name)[lane] == getattr(action, name), name
        for name in ("level", "ratio", "flag", "mood", "grid", "mask", "force"):
            assert np.array_equal(getattr(seen, name)[lane], getattr(action, name)), name
        assert seen.part[lane].parts[0].name == "q"
        assert seen.name[lane] is None
