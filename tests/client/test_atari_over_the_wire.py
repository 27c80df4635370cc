"""What arrives is what ALE plays in process: byte for byte, over TCP and unix sockets, on one lane and on several."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from openenv_atari import AtariAction, AtariActionColumns, AtariEnv, AtariVectorEnv
from openenv_grpc.environment import StepResult
from openenv_grpc.specs import AutoresetMode
from tests.environments.reference import Reference, assert_same
from tests.helpers.server import Server, running

STEPS = 250


@pytest.fixture(scope="module", params=["unix", pytest.param("tcp", marks=pytest.mark.exhaustive)])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with running("atari", tcp=request.param == "tcp") as server:
        yield server


@pytest.mark.parametrize("obs_type", ["rgb", "ram"])
def test_one_lane_equals_ale_in_process(server: Server, obs_type: str):
    with AtariEnv.connect(server.address, game="breakout", obs_type=obs_type) as env:
        reference, rng, ends = Reference("breakout", 3, obs_type=obs_type), np.random.default_rng(1), 0
        first = env.reset(seed=3)
        assert_same(first, (reference.observe(), 0.0, False, False, reference.info() | {"seed": 3}))
        for _ in range(STEPS):
            index = int(rng.integers(4))
            result = env.step(AtariAction(action_id=index))
            assert_same(result, reference.step(index))
            if result.done:
                ends += 1
                reference.ale.reset_game()
                assert_same(env.reset(), (reference.observe(), 0.0, False, False, reference.info()))
        assert ends


def lane_of(result: Any, lane: int) -> StepResult[Any]:
    """One lane of a result of columns, as a result of its own."""
    fields = {"screen": result.observation.screen[lane], "ram": result.observation.ram[lane]}
    flags = bool(result.terminated[lane]), bool(result.truncated[lane])
    observation = type("Lane", (), fields)
    return StepResult(observation, float(result.reward[lane]), *flags, result.infos[lane])


def test_four_lanes_in_two_shards_equal_ale_in_process(server: Server):
    mode = AutoresetMode.NEXT_STEP
    with AtariVectorEnv.connect(server.address, 4, shards=2, game="breakout", autoreset_mode=mode) as env:
        references = [Reference("breakout", 20 + lane) for lane in range(4)]
        rng, done, ends = np.random.default_rng(2), np.zeros(4, bool), 0
        result = env.reset(seed=20)
        for lane, reference in enumerate(references):
            info = reference.info() | {"seed": 20 + lane}
            assert_same(lane_of(result, lane), (reference.observe(), 0.0, False, False, info))
        for _ in range(STEPS):
            actions = rng.integers(4, size=4)
            result = env.step(AtariActionColumns(action_id=actions))
            assert result.lanes.tolist() == [0, 1, 2, 3]
            for lane, reference in enumerate(references):
                if done[lane]:  # reset instead of stepping
                    ends += 1
                    reference.ale.reset_game()
                    expected = reference.observe(), 0.0, False, False, reference.info()
                else:
                    expected = reference.step(int(actions[lane]))
                assert_same(lane_of(result, lane), expected)
            done = result.done
        assert ends
