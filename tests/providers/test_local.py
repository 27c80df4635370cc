"""`make` on this machine: a server process for as long as its client lives, and nothing left of it afterwards."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

import openenv_grpc as oe
from openenv_grpc.errors import (
    EnvironmentFailed,
    InvalidArgument,
    OpenEnvError,
    ServerFull,
    ServerUnavailable,
    SessionLost,
)
from openenv_grpc.providers.base import EnvironmentSource, find_provider
from openenv_grpc.providers.local import LocalProvider
from openenv_grpc.providers.running import start
from tests.client.environments import SLOW, UNBUILDABLE
from tests.helpers.packages import ROOT, environ
from tests.helpers.processes import alive, descendants, listens, until

CLIENT = """
import json, os, sys, time
import openenv_grpc as oe

tcp = sys.argv[1] == "tcp"
env = oe.make_vec("tests.client.environments:SlowEnvironment", 2, shards=2, tcp=tcp).client
env.reset()
print(json.dumps(env._carrier.address), flush=True)
env.step(["sleep 60"] * 2) if sys.argv[1] == "step" else time.sleep(60)
"""


class Remains:
    """What one server consists of, and whether it is all gone."""

    def __init__(self, env: Any) -> None:
        self.directory = Path(env._carrier.address.removeprefix("unix:")).parent
        self.processes = descendants(os.getpid())
        assert self.directory.is_dir()
        assert len(self.processes) >= 3  # server, warm parent, worker

    def assert_gone(self, timeout_s: float = 5.0) -> None:
        until(lambda: not alive(self.processes), timeout_s, "the end of all processes")
        assert not self.directory.exists()


@pytest.fixture(autouse=True)
def scratch(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where private directories are made. After every test it is empty, and no process is left."""
    with tempfile.TemporaryDirectory(prefix="oe-") as directory:
        monkeypatch.setenv("TMPDIR", directory)
        monkeypatch.setattr(tempfile, "tempdir", directory)
        yield Path(directory)
        until(lambda: not alive(descendants(os.getpid())), what="the end of all processes")
        until(lambda: not os.listdir(directory), what="the end of all directories")


def test_one_call_makes_an_environment_and_closing_removes_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OPENENV_TOKEN", "of-another-server")  # for the commands: a server of ours asks for none
    env = oe.make("echo")
    remains = Remains(env)
    env.reset(seed=1)
    assert env.step("hi").observation.message == "hi"
    env.close()
    remains.assert_gone()


def test_many_lanes_and_options():
    with oe.make_vec("atari", 2, shards=2, game="breakout", obs_type="ram") as env:
        remains = Remains(env.client)
        assert env.reset(seed=1)[0].shape == (2, 128)
        assert len(remains.processes) >= 4
    remains.assert_gone()


def test_from_asyncio():
    async def main() -> Remains:
        async with oe.aio.make("echo") as env:
            remains = Remains(env)
            await env.reset()
        return remains

    asyncio.run(main()).assert_gone()


def test_awaited_from_asyncio():
    async def main() -> Remains:
        env = await oe.aio.make_vec(SLOW, 2)
        remains = Remains(env)
        await env.reset()
        await env.close()
        return remains

    asyncio.run(main()).assert_gone()


def test_only_its_owner_can_reach_it():
    with oe.make("echo") as env:
        directory = Remains(env).directory
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
        assert directory.stat().st_uid == os.getuid()


def test_an_exception_inside_with():
    def use() -> None:
        with oe.make(SLOW) as env:
            env.reset()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        use()


def test_closing_in_the_middle_of_a_long_step():
    env = oe.make(SLOW)
    remains = Remains(env)
    env.reset()
    with pytest.raises(OpenEnvError):
        env.step("sleep 30", timeout_s=0.1)
    call = env._send(lambda: env._core.reset())
    assert call.frames
    env.close()
    remains.assert_gone()


@pytest.mark.parametrize("doing", ["step", "tcp"])
def test_a_killed_client_leaves_nothing(doing: str, scratch: Path):
    command = [sys.executable, "-c", CLIENT, doing]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environ(), cwd=ROOT) as client:
        assert client.stdout is not None
        address = json.loads(client.stdout.readline())
        family = descendants(client.pid)
        assert len(family) == 4  # server, warm parent, two workers
        assert os.listdir(scratch)
        time.sleep(0.2)
        assert doing != "tcp" or listens(address)
        client.kill()
        client.wait()
        until(lambda: not alive(family), 8, "the end of all processes")
        assert doing != "tcp" or not listens(address)


def test_a_client_that_is_killed_while_it_starts_leaves_nothing(scratch: Path):
    with subprocess.Popen([sys.executable, "-c", CLIENT, "nothing"], env=environ(), cwd=ROOT) as client:
        family = until(lambda: descendants(client.pid))
        client.kill()
        client.wait()
        until(lambda: not alive(family), 8, "the end of all processes")


def test_a_killed_server_is_noticed_and_cleaned_up():
    env = oe.make(SLOW)
    remains = Remains(env)
    env.reset()
    os.kill(remains.processes[0], signal.SIGKILL)
    until(lambda: not alive(remains.processes), what="the end of its workers, which the kernel ends with it")
    with pytest.raises(SessionLost):
        env.step("x")
    env.close()
    remains.assert_gone()


def test_a_hanging_server_is_killed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("openenv_grpc.client.channel.CLOSE_TIMEOUT_S", 0.3)
    monkeypatch.setattr("openenv_grpc.providers.local.STOP_TIMEOUT_S", 0.3)
    env = oe.make(SLOW)
    remains = Remains(env)
    env.reset()
    os.kill(remains.processes[0], signal.SIGSTOP)
    began = time.monotonic()
    env.close()
    assert time.monotonic() - began < 2
    remains.assert_gone()


def refused(environment: str, **kwargs: Any) -> OpenEnvError:
    """The error that `make` ends with."""
    with pytest.raises(OpenEnvError) as caught:
        oe.make(environment, **kwargs)
    return caught.value


def test_an_environment_that_cannot_be_built():
    error = refused(UNBUILDABLE)
    assert isinstance(error, EnvironmentFailed)
    assert "UnbuildableEnvironment cannot be built: RuntimeError: the engine is missing" in str(error)
    assert "the end of its log:" in str(error)
    assert "Traceback" in str(error)
    assert "raise RuntimeError(message)" in str(error)


def test_an_environment_that_is_not_there():
    error = refused("nope")
    assert isinstance(error, InvalidArgument)
    assert error.field == "environment"
    assert "no environment 'nope' is installed (installed: atari, echo)" in str(error)
    assert "\n" not in str(error)
    error = refused("no_such_module:Class")
    assert isinstance(error, EnvironmentFailed)
    assert "No module named 'no_such_module'" in str(error)


def test_a_wrong_option_leaves_nothing():
    error = refused("atari", game="pnog")
    assert isinstance(error, InvalidArgument)
    assert "did you mean pong?" in str(error)

    async def main() -> None:
        with pytest.raises(InvalidArgument, match="no such option"):
            await oe.aio.make("echo", volume=11)

    asyncio.run(main())


def test_a_server_that_starts_too_slowly():
    error = refused("echo", timeout_s=0.01)
    assert isinstance(error, ServerUnavailable)
    assert "echo did not serve in time" in str(error)


def test_a_server_that_dies_while_it_starts(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    monkeypatch.setattr(sys, "executable", "/bin/false")
    error = refused("echo")
    assert isinstance(error, ServerUnavailable)
    assert "the server of echo ended with exit code 1" in str(error)


def test_a_cancelled_start_leaves_nothing():
    async def main() -> None:
        making = asyncio.ensure_future(oe.aio.make("echo").__aenter__())
        await asyncio.sleep(0.1)
        making.cancel()
        with pytest.raises(asyncio.CancelledError):
            await making

    asyncio.run(main())


def test_providers_by_name():
    assert isinstance(find_provider("local"), LocalProvider)
    with pytest.raises(InvalidArgument, match="there are: local") as caught:
        oe.make("echo", provider="moon")
    assert caught.value.field == "provider"


def test_a_lease_can_be_ended_twice():
    lease = start(LocalProvider(), EnvironmentSource("echo"))
    pid = int(lease.details["pid"])
    assert psutil.Process(pid).is_running()
    lease.destroy()
    lease.destroy()
    assert not alive([pid])
    assert not Path(lease.address.removeprefix("unix:")).parent.exists()


def test_a_server_with_limits_of_its_own():
    lease = start(LocalProvider(), EnvironmentSource("echo", limits={"sessions": 1, "step_time_s": 2.5}))
    try:
        with oe.connect(lease.address) as env:
            assert (env.limits.sessions, env.limits.step_time_s) == (1, 2.5)
            with pytest.raises(ServerFull):
                oe.connect(lease.address)
    finally:
        lease.destroy()


def test_an_impossible_limit():
    with pytest.raises(ServerUnavailable, match="no such limit"):
        start(LocalProvider(), EnvironmentSource("echo", limits={"nope": 1}))
