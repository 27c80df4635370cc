"""The images of echo and atari: what they say, how small they are, and that what was left out is not missed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from importlib import metadata
from typing import Any

import docker
import numpy as np
import pytest

import openenv_grpc as oe
from openenv_atari import AtariAction, AtariEnv
from openenv_echo import EchoAction, EchoEnv
from tests.helpers.containers import engine
from tests.helpers.images import base, image
from tests.images.conftest import Served

pytestmark = pytest.mark.docker

NUMPY = """
import numpy as np, numpy.ma, numpy.polynomial, numpy.testing
a = np.random.default_rng(7).random((200, 200))
u, s, v = np.linalg.svd(a)
numpy.testing.assert_allclose(u * s @ v, a)
numpy.testing.assert_allclose(np.fft.ifft(np.fft.fft(a)).real, a)
numpy.testing.assert_allclose(np.linalg.inv(a) @ a, np.eye(200), atol=1e-8)
numpy.testing.assert_allclose(np.einsum("ij,kj->ik", a, a), a @ a.T)
assert np.ma.median(np.ma.masked_greater(a, 0.5)) < 0.5
assert np.polynomial.Polynomial.fit([0, 1, 2], [0, 1, 4], 2)(3).round() == 9
print(np.random.RandomState(7).normal(size=3).tolist())
"""


def config(name: str) -> Any:
    return json.loads(engine("image", "inspect", name))[0]["Config"]


def inside(name: str, *arguments: str) -> str:
    return engine("run", "--rm", "--network=none", "--read-only", "--entrypoint=/venv/bin/python", name, *arguments)


@pytest.mark.parametrize(("name", "most"), [("echo", 60e6), ("atari", 120e6)])
def test_an_image_is_small(name: str, most: float):
    size, under = (int(engine("image", "inspect", "--format={{.Size}}", each)) for each in (image(name), base()))
    assert size - under <= most


@pytest.mark.parametrize("name", ["echo", "atari"])
def test_an_image_says_what_it_is(name: str):
    with oe.make(name) as env:
        server = env.server
    found = config(image(name))
    assert (
        found["Labels"].items()
        >= {
            "org.openenv.name": name,
            "org.openenv.version": metadata.version("openenv-grpc"),
            "org.openenv.protocol-revision": str(server.protocol_revision),
            "org.openenv.spec-hash": server.environment.spec_hash,
        }.items()
    )
    assert found["User"] == "65532:65532"
    assert found["Entrypoint"] == ["/venv/bin/openenv-grpc", "serve", name]
    assert found["Cmd"] == ["--address", "unix:/run/openenv/env.sock"]
    assert not found.get("Volumes"), "each container would leave one"


def test_echo_serves_behind_walls(serve: Callable[..., Served]):
    _, address = serve(image("echo"))
    with EchoEnv.connect(address) as env:
        env.reset()
        assert env.step(EchoAction(message="hello")).observation.message == "hello"
        assert env.transport == "local"


def test_atari_in_a_container_is_atari(serve: Callable[..., Served]):
    _, address = serve(image("atari"))
    actions = np.random.default_rng(7).integers(0, 6, 60)
    with AtariEnv.connect(address, game="pong") as boxed, oe.make("atari", game="pong") as free:
        for env in (boxed, free):
            env.reset(seed=7)
        for action in actions:
            one, other = (env.step(AtariAction(action_id=int(action))) for env in (boxed, free))
            np.testing.assert_array_equal(one.observation.screen, other.observation.screen)
            assert one.reward == other.reward
    with AtariEnv.connect(address, game="breakout", preprocessing=True) as env:
        assert env.reset(seed=7).observation.screen.shape == (4, 84, 84)


def test_the_health_check_tells_the_two_states_apart(serve: Callable[..., Served]):
    container, _ = serve(image("echo"))
    check = config(image("echo"))["Healthcheck"]["Test"]
    assert check[0] == "CMD"
    client = docker.from_env()
    healthy = client.containers.get(container)
    assert healthy.exec_run(check[1:]).exit_code == 0
    assert healthy.exec_run([check[1], "unix:/run/openenv/none.sock"]).exit_code == 1
    client.close()


def test_an_idle_echo_container_takes_60_mb_at_most(serve: Callable[..., Served]):
    """As `docker stats` counts: processes, kernel, files that are mapped; not what was read once and can go."""
    container, _ = serve(image("echo"))
    client = docker.from_env()
    stats = client.containers.get(container).stats(stream=False)["memory_stats"]
    client.close()
    droppable = stats["stats"].get("total_inactive_file", stats["stats"].get("inactive_file", 0))
    assert stats["usage"] - droppable <= 60e6


@pytest.mark.parametrize("name", ["echo", "atari"])
def test_everything_is_compiled_already(name: str):
    modules = (
        f"import openenv_grpc.cli.serve, openenv_grpc.server.app, openenv_grpc.worker.parent, openenv_{name}_server"
    )
    done = engine(
        *("run", "--rm", "--network=none", "--entrypoint=/bin/sh", image(name)),
        *("-c", f"exec /venv/bin/python -v -c '{modules}' 2>&1"),
    )
    assert "code object from" in done
    assert not re.findall(r"code object from '?(\S+\.py)'?$", done, re.MULTILINE)


def test_numpy_lacks_nothing():
    expected = np.random.RandomState(7).normal(size=3).tolist()
    assert json.loads(inside(image("echo"), "-c", NUMPY)) == expected


def test_an_image_has_no_other_command():
    status = docker.from_env()
    with pytest.raises(docker.errors.ContainerError) as caught:
        status.containers.run(
            image("echo"), ["describe"], entrypoint="/venv/bin/openenv-grpc", network_mode="none", remove=True
        )
    status.close()
    assert b"has only the command serve" in caught.value.stderr
