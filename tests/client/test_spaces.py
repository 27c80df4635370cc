"""Gymnasium's spaces, from a session's columns; gymnasium is loaded when one is asked for, and never needed."""

from __future__ import annotations

import subprocess
import sys

import ale_py
import gymnasium
import numpy as np
import pytest

from openenv_grpc import connect
from openenv_grpc.client import VectorEnvClient
from openenv_grpc.errors import Unsupported
from tests.helpers.packages import PROBE, environ
from tests.helpers.server import Server, running

spaces = gymnasium.spaces
gymnasium.register_envs(ale_py)

WITHOUT_GYMNASIUM = """
import sys
sys.modules["gymnasium"] = None  # importing it raises ImportError
import openenv_grpc as oe
from openenv_grpc.errors import Unsupported

with oe.connect(sys.argv[1]) as env, oe.connect_vec(sys.argv[1], 2) as vec:
    env.reset(seed=1)
    env.step(2)
    for name in ("action_space", "observation_space"):
        for one in (env, vec):
            try:
                getattr(one, name)
            except Unsupported as error:
                print(error)
"""


def test_the_spaces_of_pong(atari: Server):
    with connect(atari.address) as env:
        assert env.action_space == spaces.Discrete(6)
        assert env.observation_space == spaces.Box(0, 255, (210, 160, 3), np.uint8)
        assert env.observation_space.contains(env.reset(seed=1).observation.screen)
        env.action_space.seed(1)
        for _ in range(20):
            result = env.step(env.action_space.sample())
            assert env.observation_space.contains(result.observation.screen)


def test_the_spaces_are_gymnasiums_own(atari: Server):
    theirs = gymnasium.make("ALE/Breakout-v5", obs_type="ram", disable_env_checker=True)
    with connect(atari.address, game="breakout", obs_type="ram", full_action_space=False) as env:
        assert env.action_space == theirs.action_space
        assert env.observation_space == theirs.observation_space
    theirs.close()


def test_the_spaces_of_many_lanes(atari: Server):
    with VectorEnvClient.connect(atari.address, 3, shards=2, game="breakout") as env:
        assert env.num_envs == 3
        assert env.single_action_space == spaces.Discrete(4)
        assert env.single_observation_space == spaces.Box(0, 255, (210, 160, 3), np.uint8)
        assert env.action_space == spaces.MultiDiscrete([4, 4, 4])
        assert env.observation_space == spaces.Box(0, 255, (3, 210, 160, 3), np.uint8)
        assert env.observation_space.contains(env.reset(seed=1).observation.screen)
        result = env.step(env.action_space.sample())
        assert env.observation_space.contains(result.observation.screen)


def test_text_and_several_fields(echo: Server):
    with connect(echo.address) as env:
        assert isinstance(env.action_space, spaces.Text)
        env.reset()
        assert env.step(env.action_space.sample()).observation.length >= 0
        assert set(env.observation_space.spaces) == {"message", "length"}
        assert env.observation_space["length"].dtype == np.int64


def test_what_gymnasium_has_no_space_for():
    no_space = pytest.raises(Unsupported, match="gymnasium has no space for openenv_probe")
    with running(PROBE) as server, connect(server.address) as env, no_space:
        _ = env.observation_space


def test_without_gymnasium(atari: Server):
    command = [sys.executable, "-c", WITHOUT_GYMNASIUM, atari.address]
    done = subprocess.run(command, capture_output=True, text=True, env=environ(), timeout=30, check=False)
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["spaces need gymnasium: pip install 'openenv-grpc[gymnasium]'"] * 4
