"""Many lanes are what Gymnasium's SyncVectorEnv makes of the same environments in process, field by field."""

from __future__ import annotations

from typing import Any

import ale_py
import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from openenv_grpc.adapters.gymnasium import GymnasiumEnv, GymnasiumVectorEnv
from tests.environments_for_tests.arm import ArmEnvironment
from tests.helpers.packages import ARM
from tests.helpers.same import assert_same
from tests.helpers.server import Server

gymnasium.register_envs(ale_py)
LANES = 4
FIELDS = ("joints", "braked", "grip", "turns", "heat")


class InProcess(gymnasium.Env[Any, Any]):
    """The environment itself, without any server: what a lane must equal."""

    def __init__(self, like: GymnasiumVectorEnv, limit: int) -> None:
        self.observation_space, self.action_space = like.single_observation_space, like.single_action_space
        self._environment = ArmEnvironment(limit)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        result = self._environment.reset(seed=seed, options=options or {})
        return observed(result.observation), dict(result.info)

    def step(self, action: dict[str, Any]) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        from openenv_arm import ArmAction, Grip

        record = ArmAction(
            force=action["force"], brake=bool(action["brake"]), grip=Grip(int(action["grip"])), light=np.empty(0)
        )
        result = self._environment.step(record)
        return observed(result.observation), result.reward, result.terminated, result.truncated, dict(result.info)


def observed(record: Any) -> dict[str, Any]:
    return {name: getattr(record, name) for name in FIELDS}


def in_our_types(observation: dict[str, Any]) -> dict[str, Any]:
    """Gymnasium's Discrete makes 64-bit integers of truth values and enums; ours keep the columns' own types."""
    return observation | {
        "braked": observation["braked"].astype(np.bool_),
        "grip": observation["grip"].astype(np.int32),
    }


def compare(ours: tuple[Any, ...], theirs: tuple[Any, ...]) -> None:
    assert_same(ours[0], in_our_types(theirs[0]), "observation")
    for one, two in zip(ours[1:], theirs[1:], strict=True):
        assert_same(one, two, "outcome or info")


@pytest.mark.parametrize("shards", [1, 2, 3])
@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_every_autoreset_mode(arm: Server, mode: AutoresetMode, shards: int):
    vector = GymnasiumVectorEnv(ARM, LANES, address=arm.address, shards=shards, autoreset_mode=mode, limit=2)
    reference = SyncVectorEnv([lambda: InProcess(vector, 2)] * LANES, autoreset_mode=mode)
    assert vector.metadata["autoreset_mode"] is mode
    assert vector.observation_space == reference.observation_space
    assert vector.action_space == reference.action_space
    vector.action_space.seed(5)
    compare(vector.reset(seed=3), reference.reset(seed=3))
    ends = finals = 0
    for turn in range(20):
        actions = vector.action_space.sample()
        ours, theirs = vector.step(actions), reference.step(actions)
        compare(ours, theirs)
        done = ours[2] | ours[3]
        ends, finals = ends + done.sum(), finals + ("final_obs" in ours[4])
        mask = done if mode is AutoresetMode.DISABLED else np.arange(LANES) % 3 == turn % 3
        if mask.any() and (mode is AutoresetMode.DISABLED or turn % 5 == 4):
            seeds = [10, None, 11, None]
            compare(*(v.reset(seed=seeds, options={"reset_mask": mask, "shift": 2}) for v in (vector, reference)))
    assert ends >= 8
    assert bool(finals) == (mode is AutoresetMode.SAME_STEP)
    vector.close()


def test_masked_resets_with_one_seed(arm: Server):
    vector = GymnasiumVectorEnv(ARM, LANES, address=arm.address, autoreset_mode="Disabled")
    reference = SyncVectorEnv([lambda: InProcess(vector, 2)] * LANES, autoreset_mode=AutoresetMode.DISABLED)
    compare(vector.reset(seed=[1, 2, 3, 4]), reference.reset(seed=[1, 2, 3, 4]))
    for lanes in ([False, True, False, True], [True] * LANES):
        masked = [v.reset(seed=20, options={"reset_mask": np.array(lanes)}) for v in (vector, reference)]
        compare(*masked)
    vector.close()


def test_lanes_of_gymnasiums_own_vectors(arm: Server):
    """`GymnasiumEnv` in SyncVectorEnv is the same again."""
    vector = GymnasiumVectorEnv(ARM, 2, address=arm.address)
    lanes = SyncVectorEnv([lambda: GymnasiumEnv(ARM, address=arm.address)] * 2)
    compare(vector.reset(seed=3), lanes.reset(seed=3))
    for _ in range(8):
        actions = vector.action_space.sample()
        compare(vector.step(actions), lanes.step(actions))
    vector.close()
    lanes.close()


def test_atari_equals_gymnasiums(atari: Server):
    theirs = SyncVectorEnv([lambda: gymnasium.make("ALE/Pong-v5", disable_env_checker=True)] * 2)
    observation, info = theirs.reset(seed=[1, 4])
    seeds = [
        int(pair[1]) for pair in info.pop("seeds")
    ]  # what Gymnasium makes of its seeds; some have more than 31 bits
    assert max(seeds) < 1 << 31
    info.pop("_seeds")
    vector = GymnasiumVectorEnv("atari", 2, address=atari.address, game="pong")
    first, ours = vector.reset(seed=seeds)
    assert_same(first, observation)
    assert_same(ours, info | {"seed": np.array(seeds), "_seed": np.array([True, True])})
    assert vector.action_space == theirs.action_space
    theirs.action_space.seed(1)
    for _ in range(200):
        actions = theirs.action_space.sample()
        for one, two in zip(vector.step(actions), theirs.step(actions), strict=True):
            assert_same(one, two)
    vector.close()
    theirs.close()


def test_wrappers(arm: Server):
    vector = GymnasiumVectorEnv(ARM, 2, address=arm.address, limit=2)
    wrapped: Any = gymnasium.wrappers.vector.RecordEpisodeStatistics(vector)
    wrapped = gymnasium.wrappers.vector.TransformReward(wrapped, lambda reward: reward * 2)
    wrapped = gymnasium.wrappers.vector.VectorizeTransformObservation(
        wrapped, gymnasium.wrappers.TransformObservation, func=lambda seen: seen["joints"],
        observation_space=vector.single_observation_space["joints"],  # type: ignore[index]
    )  # fmt: skip
    wrapped.reset(seed=[0, 1])
    still = {"force": np.zeros((2, 2), np.float32), "brake": np.zeros(2, np.int64), "grip": np.ones(2, np.int64)}
    steps = [wrapped.step(still) for _ in range(3)]
    assert steps[0][0].tolist() == [[0, 0], [1, 1]]
    assert steps[0][1].tolist() == [0, 4]
    assert [step[4].get("_episode", np.zeros(2)).tolist() for step in steps] == [[0, 0], [1, 0], [0, 1]]
    assert steps[1][4]["episode"]["l"][0] == 2
    assert (steps[2][4]["episode"]["l"][1], steps[2][4]["episode"]["r"][1]) == (3, 6)
    wrapped.close()
    assert vector.vec.closed
