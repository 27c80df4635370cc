"""Preprocessing equals ale-py's `AtariVectorEnv`, byte for byte, however it is served."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from openenv_atari import AtariAction, AtariActionColumns
from openenv_atari_server import AtariEnvironment
from openenv_atari_server.preprocessed import PreprocessedGames
from openenv_grpc.errors import Unsupported
from openenv_grpc.session.batch import BatchCore
from openenv_grpc.session.shard import ShardCore
from openenv_grpc.specs import AutoresetMode
from tests.environments.vector_reference import NEXT, OFF, SAME, Drive, assert_columns, games, vector_env
from tests.helpers.pair import Pair

LANES = 3


def drive_batch(batch: PreprocessedGames, drive: Drive, steps: int) -> None:
    lanes = list(range(drive.theirs.num_envs))
    for _ in range(steps):
        actions = drive.actions()
        result = batch.step(lanes, {"action_id": actions})
        screen = result.observation["screen"]
        final = result.final_lanes, result.final_observation.get("screen", ())
        drive.check(actions, (screen, result.reward, result.terminated, result.truncated, result.info), final)


@pytest.mark.parametrize("mode", [pytest.param(NEXT, marks=pytest.mark.exhaustive), SAME], ids=str)
@pytest.mark.parametrize(
    ("game", "life", "fire"),
    [
        ("breakout", True, True),
        pytest.param("breakout", False, False, marks=pytest.mark.exhaustive),
        pytest.param("space_invaders", True, False, marks=pytest.mark.exhaustive),
        pytest.param("pong", False, True, marks=pytest.mark.exhaustive),
    ],
)
def test_equal_to_the_vector_environment(game: str, mode: AutoresetMode, life: bool, fire: bool):
    options = {"game": game, "terminal_on_life_loss": life, "use_fire_reset": fire, "max_episode_frames": 160}
    theirs, batch = vector_env(options, LANES, mode), games(LANES, mode, **options)
    drive = Drive(theirs)
    for seed in (7, 2**31 - 1 - LANES):
        observation, info = theirs.reset(seed=seed)
        result = batch.reset(range(LANES), seeds=range(seed, seed + LANES), options={})
        assert_columns(result.observation["screen"], result.info, observation, info)
        drive_batch(batch, drive, 150)
    assert drive.truncations
    assert (drive.terminations > 0) == (life and game == "breakout")
    batch.close()


@pytest.mark.parametrize(
    "options",
    [
        {"img_height": 40, "img_width": 70, "stack_num": 2, "obs_type": "rgb"},
        {"img_height": 210, "img_width": 160, "stack_num": 1, "maxpool": False},
        {"frameskip": 1, "reward_clipping": False, "noop_max": 0},
        {"frameskip": 7, "repeat_action_probability": 0.25, "full_action_space": True, "noop_max": 3},
    ],
    ids=str,
)
def test_equal_with_options(options: dict[str, Any]):
    options = {"game": "seaquest"} | options
    theirs, batch = vector_env(options, 2, NEXT), games(2, NEXT, **options)
    observation, info = theirs.reset(seed=3)
    result = batch.reset([0, 1], seeds=[3, 4], options={})
    assert_columns(result.observation["screen"], result.info, observation, info)
    assert batch.observation_spec()["screen"].shape == observation.shape[1:]
    drive_batch(batch, Drive(theirs), 100)


def test_resets_of_some_lanes():
    theirs, batch = vector_env({"game": "breakout"}, LANES, NEXT), games(LANES, NEXT, game="breakout")
    theirs.reset(seed=1)
    batch.reset([0, 1, 2], seeds=[1, 2, 3], options={})
    drive = Drive(theirs)
    for seeds in ([9, 10], [-1, 5], [-1, -1]):
        drive_batch(batch, drive, 30)
        observation, info = theirs.reset(seed=np.array(seeds), options={"reset_mask": np.array([True, False, True])})
        result = batch.reset([0, 2], seeds=[None if seed < 0 else seed for seed in seeds], options={})
        assert_columns(
            result.observation["screen"],
            result.info,
            observation[[0, 2]],
            {name: column[[0, 2]] for name, column in info.items()},
        )
        if max(seeds) < 0:
            assert "seed" not in result.info
        else:
            assert result.info["_seed"].tolist() == [seed >= 0 for seed in seeds]
    drive_batch(batch, drive, 30)


def test_the_first_reset_draws_seeds_that_play_the_same_again():
    batch, other = (games(LANES, NEXT, game="breakout") for _ in range(2))
    first = batch.reset([1], seeds=[None], options={})
    rest = batch.reset([0, 2], seeds=[None, 5], options={})
    seeds = [int(rest.info["seed"][0]), int(first.info["seed"][0]), 5]
    assert len({*seeds}) == 3
    again = other.reset([0, 1, 2], seeds=seeds, options={})
    for _ in range(50):
        results = [games_.step([0, 1, 2], {"action_id": np.array([1, 2, 3])}) for games_ in (batch, other)]
        assert results[0].observation["screen"].tobytes() == results[1].observation["screen"].tobytes()
    assert "seed" not in batch.reset([0, 1, 2], seeds=[None] * 3, options={}).info
    assert again.info["seed"].tolist() == seeds


@pytest.mark.exhaustive
@pytest.mark.parametrize("mode", [NEXT, SAME], ids=str)
@pytest.mark.parametrize("shards", [1, 2, 4])
def test_equal_through_the_shards(mode: AutoresetMode, shards: int):
    """In four shards each lane is one environment and the library resets it; in fewer the C++ steps them together."""
    options = {"game": "breakout", "terminal_on_life_loss": True, "max_episode_frames": 160}
    theirs = vector_env(options, 4, mode)
    pair = Pair(AtariEnvironment, lanes=4, shards=shards, mode=mode, preprocessing=True, **options)
    assert {type(shard.core) for shard in pair.shards} == {ShardCore if shards == 4 else BatchCore}
    observation, info = theirs.reset(seed=11)
    assert_columns(*rows(pair.reset(seed=11)), observation, info)
    drive = Drive(theirs)
    for _ in range(150):
        actions = drive.actions()
        result = pair.step(AtariActionColumns(action_id=actions))
        screen, found = rows(result)
        last = () if result.final_observation is None else result.final_observation.screen
        outcome = result.reward, result.terminated, result.truncated
        drive.check(actions, (screen, *outcome, found), (result.final_lanes, last))
        assert all(info["lives"] < 5 or info["episode_frame_number"] >= 160 for info in result.final_infos)
    assert drive.terminations > 5
    assert drive.truncations


def rows(result: Any) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Screens, and infos as columns."""
    return result.observation.screen, {name: value for name, value in result.info.items() if name[0] != "_"}


def test_one_lane_equals_lane_0():
    options = {"game": "breakout", "terminal_on_life_loss": True, "max_episode_frames": 300}
    theirs = vector_env(options, 1, NEXT)
    env = AtariEnvironment(preprocessing=True, **options)
    observation, info = theirs.reset(seed=5)
    result = env.reset(seed=5, options={})
    drive, done = Drive(theirs), False
    assert result.info == {name: int(info[name][0]) for name in info if name != "env_id"} | {"seed": 5}
    for _ in range(200):
        assert result.observation.screen.tobytes() == observation[0].tobytes()
        actions = drive.actions()
        result = env.reset(seed=None, options={}) if done else env.step(AtariAction(action_id=int(actions[0])))
        observation, reward, terminated, truncated, info = theirs.step(actions)
        assert [result.reward, result.terminated, result.truncated] == [reward[0], terminated[0], truncated[0]]
        assert result.info == {name: int(info[name][0]) for name in info if name != "env_id"}
        assert result.observation.ram.size == 0
        drive.terminations += terminated[0]
        done = result.done
    assert drive.terminations > 2
    env.close()


def test_one_lane_renders_into_the_destination():
    env = AtariEnvironment(preprocessing=True)
    target = np.zeros((4, 84, 84), np.uint8)
    env.out = {"screen": target}
    assert env.reset(seed=1, options={}).observation.screen is target
    assert target[3].any()
    assert not target[:3].any()
    env.out = {}  # the client does not want the field
    assert env.step(AtariAction(action_id=0)).observation.screen.size == 0


def test_autoreset_off_and_lanes_alone_are_served_lane_by_lane():
    assert AtariEnvironment.batch(4, OFF, {"preprocessing": True}) is None
    assert AtariEnvironment.batch(1, NEXT, {"preprocessing": True}) is None
    pair = Pair(AtariEnvironment, lanes=3, mode=OFF, preprocessing=True, game="breakout", terminal_on_life_loss=True)
    pair.reset(seed=1)
    assert pair.step([0, 1], lanes=[0, 2]).lanes.tolist() == [0, 2]
    assert pair.step(np.ones((2, 3), np.int64), chunk=2).executed.tolist() == [2, 2, 2]


def test_what_the_vector_environment_cannot_do_is_refused():
    pair = Pair(AtariEnvironment, lanes=3, preprocessing=True)
    pair.reset(seed=1)
    with pytest.raises(Unsupported, match="shard for each lane") as caught:
        pair.step([0, 1], lanes=[0, 2])
    assert caught.value.field == "step.lanes"
    with pytest.raises(Unsupported) as caught:
        pair.step(np.ones((2, 3), np.int64), chunk=2)
    assert caught.value.field == "step.chunk"
    assert pair.step([0, 0, 0]).infos[0]["lives"] == 0
