"""Games of a shard that are played together are the games that single lanes play."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from openenv_atari_server import AtariEnvironment
from openenv_atari_server.raw_games import RawGames
from openenv_grpc.errors import IllegalVerb, InvalidArgument
from openenv_grpc.session.batch import BatchCore
from openenv_grpc.session.results import VectorResult
from openenv_grpc.session.shard import ShardCore
from openenv_grpc.specs import AutoresetMode
from tests.environments.vector_reference import NEXT, OFF, SAME
from tests.helpers.pair import Pair
from tests.helpers.same import assert_same

LANES = 3
SHORT = {"game": "breakout", "max_episode_frames": 60}


class OneByOne(AtariEnvironment):
    @classmethod
    def batch(cls, lanes: int, autoreset_mode: AutoresetMode, options: Any) -> None:
        return None


def assert_equal(ours: VectorResult[Any], theirs: VectorResult[Any]) -> None:
    for field in dataclasses.fields(VectorResult):
        one, two = getattr(ours, field.name), getattr(theirs, field.name)
        if "observation" in field.name and two is not None:
            one, two = vars(one), vars(two)
        if "infos" in field.name:
            one, two = list(map(dict, one)), list(map(dict, two))
        assert_same(one, two, field.name)


def both(mode: AutoresetMode, **options: Any) -> list[Pair]:
    pairs = [Pair(cls, lanes=LANES, mode=mode, **options) for cls in (AtariEnvironment, OneByOne)]
    assert [type(pair.shards[0].core) for pair in pairs] == [BatchCore, ShardCore]
    return pairs


@pytest.mark.parametrize("mode", [NEXT, SAME, OFF], ids=str)
@pytest.mark.parametrize(
    "obs_type", ["rgb", *(pytest.param(each, marks=pytest.mark.exhaustive) for each in ("grayscale", "ram"))]
)
def test_they_are_what_single_lanes_play(mode: AutoresetMode, obs_type: str):
    ours, theirs = both(mode, obs_type=obs_type, terminal_on_life_loss=True, noop_max=3, **SHORT)
    assert_equal(ours.reset(seed=7), theirs.reset(seed=7))
    rng, ends = np.random.default_rng(1), 0
    for _ in range(50):
        actions = rng.integers(0, 4, LANES)
        result = ours.step(actions)
        assert_equal(result, theirs.step(actions))
        ends += int(result.done.sum())
        if mode is OFF and result.done.any():
            over = np.flatnonzero(result.done).tolist()
            assert_equal(ours.reset(lanes=over), theirs.reset(lanes=over))
    assert ends >= LANES


@pytest.mark.parametrize("mode", [NEXT, SAME], ids=str)
def test_some_lanes_and_chunks_are_what_single_lanes_play(mode: AutoresetMode):
    ours, theirs = both(mode, **SHORT)
    assert_equal(ours.reset(seed=[3, 1, 2]), theirs.reset(seed=[3, 1, 2]))
    for _ in range(12):
        for lanes, actions in (([0, 2], [1, 2]), ([1], [3])):
            assert_equal(ours.step(actions, lanes=lanes), theirs.step(actions, lanes=lanes))
        chunk = np.array([[1, 2, 3], [0, 1, 2]])
        assert_equal(ours.step(chunk, chunk=2), theirs.step(chunk, chunk=2))


def test_states_are_each_lane_own():
    ours, theirs = both(NEXT, **SHORT)
    for pair in (ours, theirs):
        pair.reset(seed=7)
        pair.step([1, 2, 3])
        pair.step([0, 2], lanes=[0, 2])
    states = [[dataclasses.replace(state, episode_id="") for state in pair.state()] for pair in (ours, theirs)]
    assert [state.step_count for state in states[0]] == [2, 1, 2]
    assert [vars(state) for state in states[0]] == [vars(state) for state in states[1]]
    assert len({state.episode_id for state in ours.state()}) == LANES
    assert ours.state()[0].episode_id == ours.state()[0].episode_id != ""


def test_one_lane_and_wrong_options():
    assert AtariEnvironment.batch(1, NEXT, {}) is None
    with pytest.raises(InvalidArgument) as caught:
        AtariEnvironment.batch(2, NEXT, {"frameskip": 0})
    assert caught.value.field == "frameskip"


def test_bad_calls_change_nothing():
    games = AtariEnvironment.batch(2, NEXT, SHORT)
    assert isinstance(games, RawGames)
    with pytest.raises(IllegalVerb, match="not reset"):
        games.step([0, 1], {"action_id": np.array([0, 0])})
    with pytest.raises(IllegalVerb, match="not reset"):
        games.state(0)
    first = games.reset([0, 1], seeds=[1, 2], options={})
    for seeds, options in (([1, -1], {}), ([1, 2], {"fast": True})):
        with pytest.raises(InvalidArgument):
            games.reset([0, 1], seeds=seeds, options=options)
    assert games.state(0).frame_number == first.info["frame_number"][0]
    assert games.state(0).options == AtariEnvironment(**SHORT).settings.in_force
