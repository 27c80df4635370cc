"""One lane as a `gymnasium.Env`, its registration, and Gymnasium's own wrappers on top."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import metadata
from typing import Any

import ale_py
import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from openenv_grpc.adapters.gymnasium import GymnasiumEnv, GymnasiumVectorEnv
from openenv_grpc.errors import InvalidArgument, Unsupported
from tests.helpers.packages import ARM, PROBE, environ
from tests.helpers.processes import descendants, until
from tests.helpers.same import assert_same
from tests.helpers.server import Server, running

gymnasium.register_envs(ale_py)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        pytest.param("atari", {"game": "breakout"}, marks=pytest.mark.exhaustive),
        pytest.param("atari", {"obs_type": "ram"}, marks=pytest.mark.exhaustive),
        ("echo", {}),
    ],
    ids=str,
)
def test_gymnasiums_own_checks(name: str, options: dict[str, Any]):
    """Their warnings are errors here. `check_env` also makes an environment of its own from the spec, and closes it."""
    env = gymnasium.make(f"openenv_grpc/{name}-v0", **options)
    check_env(env.unwrapped)
    env.close()
    env.close()


def test_checks_of_several_fields(arm: Server):
    env = gymnasium.make(f"openenv_grpc.adapters.gymnasium:{register(ARM)}", address=arm.address, limit=9, light=3)
    assert set(env.observation_space) == {"joints", "braked", "grip", "turns", "heat", "camera"}  # type: ignore[call-overload]
    assert set(env.action_space) == {"force", "brake", "grip", "light"}  # type: ignore[call-overload]
    with pytest.warns(UserWarning, match="infinity|normalized"):  # about the spaces themselves
        check_env(env.unwrapped)
    env.close()


def register(environment: str) -> str:
    """Register an environment of these tests."""
    identifier = "openenv_tests/arm-v0"
    if identifier not in gymnasium.registry:
        spec = gymnasium.spec("openenv_grpc/echo-v0")
        gymnasium.register(identifier, spec.entry_point, kwargs={"environment": environment})
    return identifier


@pytest.mark.parametrize("game", ["ALE/Pong-v5", "ALE/Breakout-v5"])
def test_equal_to_gymnasium_step_for_step(atari: Server, game: str):
    theirs = gymnasium.make(game)
    observation, info = theirs.reset(seed=1)
    seed = int(info.pop("seeds")[1])  # what Gymnasium makes of its seed
    ours = gymnasium.make("openenv_grpc/atari-v0", game=game[4:-3].lower(), address=atari.address)
    assert ours.action_space == theirs.action_space
    assert ours.observation_space == theirs.observation_space
    found, our_info = ours.reset(seed=seed)
    assert_same(found, observation)
    assert our_info == info | {"seed": seed}
    theirs.action_space.seed(2)
    for _ in range(300):
        action = theirs.action_space.sample()
        one, two = ours.step(action), theirs.step(action)
        assert_same(one[0], two[0])
        assert one[1:] == two[1:]
        assert [type(item) for item in one] == [type(item) for item in two]
        if two[2] or two[3]:
            assert_same(ours.reset()[0], theirs.reset()[0])
    ours.close()
    theirs.close()


def test_every_installed_environment_is_registered():
    names = {entry.name for entry in metadata.entry_points(group="openenv_grpc.environments")}
    registered = {spec.name for spec in gymnasium.registry.values() if spec.namespace == "openenv_grpc"}
    assert {"atari", "echo"} <= names == registered


def test_an_id_with_the_module_in_front():
    """Nothing has to be imported first; nothing is left of the session."""
    code = """
import gymnasium
env = gymnasium.make("openenv_grpc.adapters.gymnasium:openenv_grpc/echo-v0")
env.reset(seed=1)
print(env.step("hi")[0]["length"])
env.close()
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        env=environ(),
        timeout=60,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("2\n", "")


def test_make_vec_starts_and_ends_a_server():
    before = set(descendants(os.getpid()))
    vector = gymnasium.make_vec(
        "openenv_grpc/atari-v0", num_envs=4, vectorization_mode="vector_entry_point", obs_type="ram", batch_size=2
    )
    assert isinstance(vector, GymnasiumVectorEnv)
    assert (vector.num_envs, vector.vec.batch_size) == (4, 2)
    observation, info = vector.reset(seed=1)
    assert vector.observation_space.contains(observation)
    assert info["seed"].tolist() == [1, 2, 3, 4]
    assert vector.spec is not None
    assert vector.spec.id == "openenv_grpc/atari-v0"
    vector.close()
    vector.close()
    until(lambda: set(descendants(os.getpid())) <= before, what="the end of the server")


def test_wrappers(atari: Server):
    env: Any = gymnasium.make("openenv_grpc/atari-v0", address=atari.address, obs_type="grayscale", max_episode_steps=5)
    env = gymnasium.wrappers.RecordEpisodeStatistics(env)
    env = gymnasium.wrappers.TransformObservation(
        env, lambda seen: seen[::10, ::10], gymnasium.spaces.Box(0, 255, (21, 16), np.uint8)
    )
    env = gymnasium.wrappers.FrameStackObservation(env, 3)
    first, _ = env.reset(seed=1)
    assert first.shape == (3, 21, 16)
    steps = [env.step(env.action_space.sample()) for _ in range(5)]
    assert (steps[-1][0][:2] == steps[-2][0][1:]).all()
    assert [step[3] for step in steps] == [False] * 4 + [True]
    assert steps[-1][4]["episode"]["l"] == 5
    assert env.observation_space.contains(steps[-1][0])
    env.close()


@pytest.mark.parametrize("kind", [GymnasiumEnv, GymnasiumVectorEnv])
def test_refusals(echo_and_probe: tuple[Server, Server], kind: type[Any]):
    echo, probe = echo_and_probe
    for arguments, error, hint in (
        ({"environment": "atari", "address": echo.address}, InvalidArgument, "serves echo, not atari"),
        ({"environment": PROBE, "address": probe.address}, Unsupported, "no space"),
        ({"environment": "echo", "address": echo.address, "render_mode": "human"}, Unsupported, "not rendered"),
        ({"environment": "echo", "address": echo.address, "colour": 1}, InvalidArgument, "no such option"),
    ):
        with pytest.raises(error, match=hint):
            kind(**arguments)
    assert all(not server.workers for server in echo_and_probe)  # no session was left open


@pytest.fixture
def echo_and_probe() -> Any:
    with running("echo") as echo, running(PROBE) as probe:
        yield echo, probe
