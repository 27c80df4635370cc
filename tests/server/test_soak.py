"""Nothing grows: memory, descriptors and processes stay where they were over many steps and many sessions."""

from __future__ import annotations

import asyncio
import gc
import os
import statistics
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from openenv_bare.client import BareVectorEnv

from openenv_echo import EchoAction
from openenv_echo.client import AsyncEchoEnv, EchoEnv, EchoVectorEnv
from tests.helpers import processes
from tests.helpers.packages import BARE
from tests.helpers.server import Server, running
from tests.helpers.stream import Request, Stream, opening

pytestmark = [pytest.mark.soak, pytest.mark.xdist_group("soak"), pytest.mark.timeout(120)]
MB = 1 << 20
TEXT = "the quick brown fox"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running("echo", sessions=256) as found:
        yield found


@dataclass
class Sizes:
    """Resident bytes, descriptors and processes of all that takes part."""

    client: tuple[int, int]
    server: tuple[int, int]
    parent: tuple[int, int]
    workers: list[tuple[int, int]]
    threads: int

    @classmethod
    def now(cls, server: Server) -> Sizes:
        gc.collect()
        pids = [os.getpid(), server.pid, server.parent, *server.workers]
        found = [(processes.rss(pid), processes.descriptors(pid)) for pid in pids]
        return cls(found[0], found[1], found[2], found[3:], threading.active_count())

    def assert_not_above(self, before: Sizes, client: int = 6 * MB, server: int = 4 * MB, worker: int = 1 * MB) -> None:
        """Memory may not have grown by more than so many bytes, and nothing else at all."""
        assert len(self.workers) == len(before.workers)
        assert self.threads <= before.threads
        pairs = [("client", self.client, before.client, client), ("server", self.server, before.server, server)]
        pairs += [("parent", self.parent, before.parent, worker)]
        pairs += [("worker", now, then, worker) for now, then in zip(self.workers, before.workers, strict=True)]
        for name, now, then, allowed in pairs:
            grown = now[0] - then[0]
            print(f"{name}: {then[0] / MB:.1f} MB, grown by {grown / MB:.2f} MB, {now[1]} descriptors")  # noqa: T201
            assert grown <= allowed, f"{name} has grown by {grown / MB:.1f} MB"
            assert now[1] <= then[1], f"{name} has {now[1]} descriptors, {then[1]} before"


def walk(vec: EchoVectorEnv, env: EchoEnv, vector: int, single: int) -> int:
    """Many steps, in all ways; how many lanes were stepped."""
    messages = [TEXT] * vec.num_envs
    for _ in range(vector):
        assert vec.step({"message": messages}).reward[0] > 0
    for _ in range(vector // 20):
        result = vec.step_chunk({"message": [messages] * 8})
        assert result.executed.tolist() == [8] * vec.num_envs
    for _ in range(single):
        assert env.step(EchoAction(message=TEXT)).observation.message == TEXT
    return vec.num_envs * (vector + vector // 20 * 8) + single


def test_nothing_grows_over_200_000_steps(server: Server):
    with EchoVectorEnv.connect(server.address, 64) as vec, EchoEnv.connect(server.address) as env:
        vec.reset()
        env.reset()
        walk(vec, env, 200, 500)
        before = Sizes.now(server)
        began, steps = time.monotonic(), 0
        while steps < 200_000:
            steps += walk(vec, env, 400, 800)
        print(f"{steps} steps, {steps / (time.monotonic() - began):.0f} per second")  # noqa: T201
        Sizes.now(server).assert_not_above(before)


def test_nothing_grows_over_500_sessions(server: Server):
    def play(count: int) -> None:
        for turn in range(count):
            with EchoEnv.connect(server.address) as env:
                env.reset()
                assert env.step(EchoAction(message=str(turn))).observation.length == len(str(turn))

    play(40)
    processes.until(lambda: not server.workers)
    before = Sizes.now(server)
    began = time.monotonic()
    play(500)
    print(f"500 sessions, {500 / (time.monotonic() - began):.0f} per second")  # noqa: T201
    processes.until(lambda: not server.workers)
    processes.until(lambda: Sizes.now(server).threads <= before.threads)
    Sizes.now(server).assert_not_above(before)


def test_nothing_grows_over_sessions_that_end_badly(server: Server):
    """Connections that break, openings that are refused."""

    def play(count: int) -> None:
        for turn in range(count):
            with Stream(server.address) as stream:
                if turn % 2:
                    stream.send(opening(lanes=0))
                else:
                    stream.open()
                    stream.send(Request(seq=1, reset={}))
                    stream.send(b"\xff" * 100)
                stream.receive()

    play(20)
    processes.until(lambda: not server.workers)
    before = Sizes.now(server)
    play(150)
    processes.until(lambda: not server.workers)
    processes.until(lambda: Sizes.now(server).threads <= before.threads)
    Sizes.now(server).assert_not_above(before)


def test_200_sessions_at_once(server: Server):
    count = 200

    async def play() -> dict[str, float]:
        idle = {pid: processes.pss(pid) for pid in (server.pid, server.parent)}
        began = time.monotonic()
        envs = await asyncio.gather(*(AsyncEchoEnv.connect(server.address) for _ in range(count)))
        opened = time.monotonic() - began
        try:
            await asyncio.gather(*(env.reset() for env in envs))
            workers = server.workers
            assert len(workers) == count
            shared = [processes.pss(pid) - idle[pid] for pid in (server.pid, server.parent)]
            private = [processes.pss(pid) for pid in workers]
            began = time.monotonic()
            for turn in range(20):
                results = await asyncio.gather(
                    *(env.step(EchoAction(message=f"{turn} {i}")) for i, env in enumerate(envs))
                )
                assert [result.observation.message for result in results] == [f"{turn} {i}" for i in range(count)]
            rate = 20 * count / (time.monotonic() - began)
            states = await asyncio.gather(*(env.state() for env in envs))
            assert {state.step_count for state in states} == {20}
            assert len({state.episode_id for state in states}) == count
        finally:
            await asyncio.gather(*(env.close() for env in envs))
        return {
            "opened_s": opened,
            "steps_per_s": rate,
            "worker": statistics.mean(private),
            "server": shared[0] / count,
            "parent": shared[1] / count,
        }

    found = asyncio.run(play())
    total = found["worker"] + found["server"] + found["parent"]
    print(  # noqa: T201
        f"{count} sessions opened in {found['opened_s']:.1f} s; {found['steps_per_s']:.0f} steps/s; memory per idle "
        f"session {total / MB:.2f} MB: {found['worker'] / MB:.2f} MB PSS of its worker, {found['server'] / MB:.2f} MB "
        f"in the server, {found['parent'] / MB:.2f} MB in the warm parent"
    )
    assert total < 8 * MB
    processes.until(lambda: not server.workers)


def test_memory_of_frames_is_given_back():
    """Frames of 1 MB, large enough to be mapped one by one if the allocator were left alone."""
    with running(BARE) as server, BareVectorEnv.connect(server.address, 8, size=1 << 17, goal=1 << 40) as vec:
        vec.reset()
        for _ in range(100):
            vec.step([1] * 8)
        before = Sizes.now(server)
        for _ in range(1000):
            vec.step([1] * 8)
        Sizes.now(server).assert_not_above(before, client=8 * MB, server=6 * MB)
