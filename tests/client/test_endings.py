"""Clients end in bounded time and say why, whatever has become of the server."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from openenv_grpc import aio, connect
from openenv_grpc.client import VectorEnvClient, channel
from openenv_grpc.errors import OpenEnvError, ServerDraining, SessionClosed, SessionLost
from tests.client.environments import SLOW
from tests.helpers.processes import until
from tests.helpers.server import Server, running

CLOSE_TIMEOUT_S = 0.7


class Stopped:
    """A server that hangs with its workers for as long as the block lasts: it takes connections and never answers."""

    def __init__(self, server: Server) -> None:
        self._pids = [server.pid, *server.workers]

    def __enter__(self) -> None:
        for pid in self._pids:
            os.kill(pid, signal.SIGSTOP)

    def __exit__(self, *_: object) -> None:
        for pid in self._pids:
            os.kill(pid, signal.SIGCONT)


def caught(function: Callable[[], Any]) -> BaseException:
    """The error that a call ends with."""
    with pytest.raises(OpenEnvError) as error:
        function()
    return error.value


def test_closing_twice(slow: Server):
    env = connect(slow.address)
    cleaned: list[int] = []
    env.add_cleanup(lambda: cleaned.append(1))
    env.add_cleanup(lambda: cleaned.append(2))
    assert not env.closed
    env.close()
    env.close()
    assert env.closed
    assert cleaned == [1, 2]
    for call in (env.reset, lambda: env.step("x"), env.state):
        with pytest.raises(SessionClosed, match="open a new one"):
            call()
    until(lambda: not slow.workers)


def test_closing_twice_in_asyncio(slow: Server):
    async def main() -> None:
        env = await aio.connect(slow.address)
        cleaned: list[int] = []

        async def cleanup() -> None:
            cleaned.append(1)

        env.add_cleanup(cleanup)
        await asyncio.gather(env.close(), env.close())
        await env.close()
        assert env.closed
        assert cleaned == [1]
        with pytest.raises(SessionClosed, match="open a new one"):
            await env.step("x")

    asyncio.run(main())
    until(lambda: not slow.workers)


def test_every_cleanup_runs(slow: Server):
    env = connect(slow.address)
    cleaned: list[int] = []

    def fail() -> None:
        cleaned.append(1)
        raise OSError

    env.add_cleanup(fail)
    env.add_cleanup(lambda: cleaned.append(2))
    with pytest.raises(OSError):  # noqa: PT011 - the one above
        env.close()
    assert cleaned == [1, 2]


def test_a_forgotten_client_ends_its_session(slow: Server):
    env = connect(slow.address)
    env.reset()
    assert slow.workers
    del env
    gc.collect()
    until(lambda: not slow.workers)


def test_closing_while_another_thread_waits(slow: Server):
    with ThreadPoolExecutor(2) as pool:
        env = VectorEnvClient.connect(slow.address, 2, shards=2)
        env.reset()
        waiting = [pool.submit(env.step, ["sleep 20"], lanes=[lane]) for lane in range(2)]
        time.sleep(0.2)
        began = time.monotonic()
        env.close()
        assert time.monotonic() - began < 1.5
        assert {type(call.exception(5)) for call in waiting} <= {SessionClosed, SessionLost}


def test_closing_while_other_tasks_wait(slow: Server):
    async def main() -> None:
        env = await aio.connect_vec(slow.address, 2, shards=2)
        await env.reset()
        waiting = [asyncio.ensure_future(env.step(["sleep 20"], lanes=[lane])) for lane in range(2)]
        await asyncio.sleep(0.2)
        began = time.monotonic()
        await env.close()
        assert time.monotonic() - began < 1.5
        found = await asyncio.gather(*waiting, return_exceptions=True)
        assert {type(error) for error in found} <= {SessionClosed, SessionLost}

    asyncio.run(main())


@pytest.mark.parametrize("transport", ["grpc", "local"])
def test_a_server_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch, transport: str):
    monkeypatch.setattr(channel, "GRACE_S", 0.3)
    with (
        running(SLOW, step_time_s=0.5) as server,
        connect(server.address, transport=transport) as env,
        ThreadPoolExecutor(2) as pool,
    ):
        env.reset()
        with Stopped(server):
            began = time.monotonic()
            calls = [pool.submit(env.step, "x"), pool.submit(env.state)]
            errors = [call.exception(10) for call in calls]
            assert time.monotonic() - began < 4
            assert {type(error) for error in errors} == {SessionLost}
            assert "hangs or is cut off" in str(errors)
            again = caught(lambda: env.step("y"))
            assert isinstance(again, SessionLost)
            assert "the session has ended" in str(again)
            began = time.monotonic()
            env.close()
            assert time.monotonic() - began < 0.5


@pytest.mark.parametrize("transport", ["grpc", "local"])
def test_a_server_that_hangs_is_given_up_in_asyncio(monkeypatch: pytest.MonkeyPatch, transport: str):
    monkeypatch.setattr(channel, "GRACE_S", 0.3)

    async def main(server: Server) -> None:
        async with aio.connect(server.address, transport=transport) as env:
            await env.reset()
            with Stopped(server):
                began = time.monotonic()
                errors = await asyncio.gather(env.step("x"), env.state(), return_exceptions=True)
                assert time.monotonic() - began < 4
                assert {type(error) for error in errors} == {SessionLost}
                with pytest.raises(SessionLost, match="the session has ended"):
                    await env.step("y")

    with running(SLOW, step_time_s=0.5) as server:
        asyncio.run(main(server))


@pytest.mark.parametrize("size", [1, 3 << 20], ids=["small", "large"])
@pytest.mark.parametrize("transport", ["grpc", "local"])
def test_closing_never_hangs(slow: Server, size: int, monkeypatch: pytest.MonkeyPatch, transport: str):
    """Large: more than fits between client and server, so that frames wait to be sent."""
    monkeypatch.setattr(channel, "CLOSE_TIMEOUT_S", CLOSE_TIMEOUT_S)
    env = connect(slow.address, transport=transport)
    env.reset()
    with Stopped(slow), ThreadPoolExecutor(3) as pool:
        waiting = [pool.submit(env.step, "x" * size) for _ in range(3)]
        time.sleep(0.2)
        began = time.monotonic()
        env.close()
        assert time.monotonic() - began < CLOSE_TIMEOUT_S + 1.5
        assert {type(call.exception(5)) for call in waiting} <= {SessionClosed, SessionLost}


@pytest.mark.parametrize("size", [1, 3 << 20], ids=["small", "large"])
@pytest.mark.parametrize("transport", ["grpc", "local"])
def test_closing_never_hangs_in_asyncio(slow: Server, size: int, monkeypatch: pytest.MonkeyPatch, transport: str):
    monkeypatch.setattr(channel, "CLOSE_TIMEOUT_S", CLOSE_TIMEOUT_S)

    async def main() -> None:
        env = await aio.connect(slow.address, transport=transport)
        await env.reset()
        with Stopped(slow):
            waiting = [asyncio.ensure_future(env.step("x" * size)) for _ in range(3)]
            await asyncio.sleep(0.2)
            began = time.monotonic()
            await env.close()
            assert time.monotonic() - began < CLOSE_TIMEOUT_S + 1.5
            found = await asyncio.gather(*waiting, return_exceptions=True)
            assert {type(error) for error in found} <= {SessionClosed, SessionLost}

    asyncio.run(main())


@pytest.mark.parametrize("transport", ["grpc", "local"])
def test_a_step_that_waits_to_be_sent_can_be_given_up(monkeypatch: pytest.MonkeyPatch, transport: str):
    monkeypatch.setattr(channel, "GRACE_S", 0.3)

    async def main(server: Server) -> None:
        async with aio.connect(server.address, transport=transport) as env:
            await env.reset()
            with Stopped(server):
                began = time.monotonic()
                steps = [env.step("x" * (3 << 20)) for _ in range(3)]
                errors = await asyncio.gather(*steps, return_exceptions=True)
                assert time.monotonic() - began < 6
                assert {type(error) for error in errors} == {SessionLost}

    with running(SLOW, step_time_s=0.5) as server:
        asyncio.run(main(server))


def test_a_killed_server_ends_what_waits():
    with running(SLOW) as server, connect(server.address) as env:
        env.reset()
        threading.Timer(0.2, server.process.kill).start()
        began = time.monotonic()
        error = caught(lambda: env.step("sleep 20"))
        assert isinstance(error, SessionLost)
        assert "open a new session" in str(error)
        assert time.monotonic() - began < 2
        assert isinstance(caught(env.reset), SessionLost)


def test_a_killed_server_ends_what_waits_in_asyncio():
    async def main(server: Server) -> None:
        async with aio.connect(server.address) as env:
            await env.reset()
            asyncio.get_running_loop().call_later(0.2, server.process.kill)
            with pytest.raises(SessionLost, match="open a new session"):
                await env.step("sleep 20")
            with pytest.raises(SessionLost):
                await env.reset()

    with running(SLOW) as server:
        asyncio.run(main(server))


def test_a_server_that_shuts_down_says_so():
    with running(SLOW) as server, connect(server.address) as env, ThreadPoolExecutor(1) as pool:
        env.reset()
        running_step = pool.submit(env.step, "sleep 0.5")
        time.sleep(0.2)
        server.process.send_signal(signal.SIGTERM)
        assert running_step.result(5).observation.message == "sleep 0.5"
        until(lambda: server.process.poll() is not None)
        error = caught(lambda: env.step("x"))
        assert isinstance(error, SessionLost | ServerDraining)
        assert "shutting down" in str(error)


@pytest.mark.parametrize("transport", ["grpc", "local"])
def test_closing_is_quick_while_a_worker_is_busy(slow: Server, transport: str):
    with ThreadPoolExecutor(1) as pool:
        env = connect(slow.address, transport=transport)
        env.reset()
        waiting = pool.submit(env.step, "sleep 5")
        time.sleep(0.2)
        began = time.monotonic()
        env.close()
        assert time.monotonic() - began < 0.8
        assert isinstance(waiting.exception(5), SessionClosed | SessionLost)
