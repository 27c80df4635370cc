"""Lanes that one object steps, in real workers: preprocessing on both carriers, deadlines, threads, exceptions."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import psutil
import pytest

import openenv_grpc as oe
from openenv_atari import AtariActionColumns, AtariVectorEnv
from openenv_grpc.client import VectorEnvClient
from openenv_grpc.errors import DeadlineExceeded, EnvironmentFailed, IllegalVerb, Unsupported
from openenv_grpc.specs import AutoresetMode
from tests.environments.vector_reference import NEXT, SAME, Drive, assert_columns, vector_env
from tests.helpers.server import Server, running

BATCHED = "tests.environments_for_tests.batched:BatchedBareEnvironment"
OPTIONS: dict[str, Any] = {"game": "breakout", "terminal_on_life_loss": True, "max_episode_frames": 160}


@pytest.fixture(scope="module")
def batched() -> Iterator[Server]:
    with running(BATCHED) as server:
        yield server


@pytest.mark.parametrize("transport", [pytest.param("grpc", marks=pytest.mark.exhaustive), "local"])
@pytest.mark.parametrize("mode", [pytest.param(NEXT, marks=pytest.mark.exhaustive), SAME], ids=str)
def test_preprocessing_equals_the_vector_environment(atari: Server, mode: AutoresetMode, transport: str):
    theirs = vector_env(OPTIONS, 4, mode)
    with AtariVectorEnv.connect(
        atari.address, 4, shards=2, autoreset_mode=mode, transport=transport, preprocessing=True, **OPTIONS
    ) as env:
        observation, info = theirs.reset(seed=21)
        result = env.reset(seed=21)
        drive = Drive(theirs)
        assert_columns(result.observation.screen, unmasked(result.info), observation, info)
        for _ in range(100):
            actions = drive.actions()
            result = env.step(AtariActionColumns(action_id=actions))
            ours = result.observation.screen, result.reward, result.terminated, result.truncated
            last = () if result.final_observation is None else result.final_observation.screen
            drive.check(actions, (*ours, unmasked(result.info)), (result.final_lanes, last))
        assert drive.terminations
        assert drive.truncations
        assert result.observation.ram.size == 0


def unmasked(info: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in info.items() if name[0] != "_"}


def test_one_preprocessed_lane_equals_lane_0(atari: Server):
    theirs = vector_env(OPTIONS, 1, NEXT)
    with oe.connect(atari.address, preprocessing=True, **OPTIONS) as env:
        observation, _ = theirs.reset(seed=4)
        result = env.reset(seed=4)
        for action in [1, 2, 3, 0] * 10:
            assert result.observation.screen.tobytes() == observation[0].tobytes()
            result = env.reset() if result.done else env.step(action)
            observation, *_ = theirs.step(np.array([action]))


def test_a_field_that_nobody_wants_is_not_sent(atari: Server):
    with VectorEnvClient.connect(atari.address, 2, shards=1, fields=["ram"], preprocessing=True) as env:
        env.reset(seed=1)
        result = env.step(np.array([1, 2]))
        assert result.observation.screen.size == 0
        assert result.info["episode_frame_number"].min() > 0


def test_a_step_of_some_lanes_is_refused_and_the_session_lives(atari: Server):
    with VectorEnvClient.connect(atari.address, 4, shards=2, preprocessing=True) as env:
        env.reset(seed=1)
        with pytest.raises(Unsupported) as caught:
            env.step(np.array([1]), lanes=[2])
        assert caught.value.field == "step.lanes"
        assert env.step(np.array([1, 1]), lanes=[2, 3]).lanes.tolist() == [2, 3]  # a whole shard


@pytest.mark.exhaustive
def test_an_alarm_finds_the_emulator_before_or_after_a_step(atari: Server):
    """Steps of about 0.2 seconds, interrupted at many moments: afterwards lanes play as if nothing had been."""
    options = {"game": "breakout", "frameskip": 400, "preprocessing": True}
    with (
        VectorEnvClient.connect(atari.address, 2, shards=1, **options) as env,
        VectorEnvClient.connect(atari.address, 2, shards=1, **options) as calm,
    ):
        interrupted = 0
        for budget_ms in (1, 2, 5, 20, 60, 150, 400):
            env.reset(seed=3)
            try:
                env.step(np.array([1, 1]), timeout_s=budget_ms / 1000)
            except DeadlineExceeded:
                interrupted += 1
                with pytest.raises(IllegalVerb, match="reset"):
                    env.step(np.array([1, 1]))
            found = [session.reset(seed=9) for session in (env, calm)]
            found += [session.step(np.array([1, 2])) for session in (env, calm)]
            for one, two in (found[:2], found[2:]):
                assert one.observation.screen.tobytes() == two.observation.screen.tobytes()
        assert interrupted > 2


def test_a_deadline_interrupts_a_batch_in_python(batched: Server):
    with VectorEnvClient.connect(batched.address, 2, shards=1, goal=1000) as env:
        env.reset(seed=0)
        began = time.monotonic()
        with pytest.raises(DeadlineExceeded, match="lanes 0, 1, stepped together"):
            env.step(np.array([1, -9]), timeout_s=0.1)
        assert time.monotonic() - began < 0.39
        env.reset(seed=0)
        assert env.step(np.array([1, 1])).observation.position.tolist() == [1, 2]


def test_an_exception_in_a_batch_leaves_the_session(batched: Server):
    with VectorEnvClient.connect(batched.address, 4, shards=2, goal=1000) as env:
        env.reset(seed=0)
        with pytest.raises(EnvironmentFailed, match="as told") as caught:
            env.step(np.array([1, 1, 9, 1]))
        assert sorted(caught.value.lane_errors) == [2, 3]
        assert caught.value.partial.observation.position.tolist() == [1, 2]
        assert env.step(np.array([1, 1, 1, 1])).observation.steps[:2].tolist() == [2, 2]


@pytest.mark.exhaustive
def test_only_workers_have_emulator_threads():
    with running("atari") as server:
        with VectorEnvClient.connect(server.address, 4, shards=2, preprocessing=True, game="breakout") as env:
            env.reset(seed=1)
            env.step(np.zeros(4, np.int64))
            assert psutil.Process(server.parent).num_threads() == 1
            assert [psutil.Process(pid).num_threads() for pid in server.workers] == [2, 2]
        # Forked after the threads ran.
        with VectorEnvClient.connect(server.address, 2, shards=2, preprocessing=True) as again:
            again.reset(seed=1)
            assert psutil.Process(server.parent).num_threads() == 1
