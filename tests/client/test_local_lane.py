"""The local lane as a user sees it: found without being asked for, the same results, arrays that stay what they are."""

from __future__ import annotations

import asyncio
import gc
import itertools
import os
import signal
import socket
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from openenv_grpc import aio
from openenv_grpc.client import AsyncEnvClient, AsyncVectorEnvClient, EnvClient, VectorEnv, VectorEnvClient
from openenv_grpc.errors import (
    EnvironmentCrashed,
    EnvironmentFailed,
    InvalidArgument,
    OpenEnvError,
    SessionLost,
    Unsupported,
)
from openenv_grpc.session.local import SLOTS
from openenv_grpc.specs import AutoresetMode
from tests.environments_for_tests.probe import blank
from tests.helpers import processes
from tests.helpers.packages import BARE, PROBE
from tests.helpers.server import Server, running

BIG = 30_000
"""Pixels of a lane: results of that size are not copied."""


@pytest.fixture(scope="module")
def bare() -> Iterator[Server]:
    with running(BARE) as server:
        yield server


@pytest.fixture(scope="module")
def probe() -> Iterator[Server]:
    with running(PROBE) as server:
        yield server


def vector(server: Server, lanes: int = 4, shards: int = 2, **options: Any) -> VectorEnvClient[Any, Any, Any]:
    return VectorEnvClient.connect(server.address, lanes, shards=shards, **{"size": BIG, "goal": 100} | options)


def moves(lanes: int, move: int = 1) -> dict[str, Any]:
    return {"move": np.full(lanes, move)}


# -- which way --------------------------------------------------------------------------------------------------------


def test_a_unix_socket_has_a_local_lane(bare: Server):
    with EnvClient.connect(bare.address) as env, EnvClient.connect(bare.address, transport="grpc") as other:
        assert (env.transport, other.transport) == ("local", "grpc")


def test_asyncio_too(bare: Server):
    async def main() -> tuple[str, str]:
        async with await AsyncEnvClient.connect(bare.address) as env, aio.connect(bare.address) as other:
            return env.transport, other.transport

    assert asyncio.run(main()) == ("local", "local")


@pytest.mark.parametrize("kind", ["tcp", "policy", "long path"])
def test_where_there_is_none_it_is_grpc_without_a_word(kind: str, tmp_path: Path):
    long = f"unix:{tmp_path}/{'x' * (104 - len(str(tmp_path)))}"
    arguments = ["--no-local-lane"] if kind == "policy" else []
    address = long if kind == "long path" else ""
    with running("echo", *arguments, tcp=kind == "tcp", address=address) as server:
        with EnvClient.connect(server.address) as env:
            assert env.transport == "grpc"
            assert env.reset().info == {}
        with pytest.raises(Unsupported, match="offers no local lane"):
            EnvClient.connect(server.address, transport="local")


def test_a_transport_that_is_none(bare: Server):
    with pytest.raises(InvalidArgument, match="'pigeon' is none of auto, grpc, local"):
        EnvClient.connect(bare.address, transport="pigeon")


def test_the_second_socket_is_gone_with_its_server(tmp_path: Path):
    with running("echo", address=f"unix:{tmp_path}/env.sock"):
        assert oct((tmp_path / "env.sock.local").stat().st_mode & 0o777) == "0o600"
    assert list(tmp_path.iterdir()) == []


# -- the same results -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", AutoresetMode)
@pytest.mark.parametrize("size", [4, BIG])
@pytest.mark.parametrize("shards", [1, 3])
def test_both_carriers_answer_the_same(bare: Server, mode: AutoresetMode, size: int, shards: int):
    traces = []
    for transport in ("grpc", "local"):
        with vector(bare, 7, shards, size=size, goal=6, transport=transport, autoreset_mode=mode) as env:
            assert env.transport == transport
            found = [env.reset(seed=[0, 1, 2, 3, 4, 5, -3])]
            for step in range(12):
                if mode is AutoresetMode.DISABLED and found[-1].done.any():
                    found.append(env.reset(seed=step, lanes=np.flatnonzero(found[-1].done).tolist()))
                found.append(env.step(moves(7, 1 if step < 8 else -2)))
            found.append(env.reset(seed=[0] * 7))
            found.append(env.step(moves(2), lanes=[1, 5]))
            found.append(env.step_chunk({"move": np.ones((3, 7), int)}))
            traces.append([flat(result) for result in found])
    assert traces[0] == traces[1]


def flat(result: Any) -> list[Any]:
    """A vector result as plain values."""
    finals = result.final_observation
    return [
        *(getattr(result.observation, name).tolist() for name in ("position", "steps")),
        result.observation.pixels[..., :2].tolist(),
        *(column.tolist() for column in (result.reward, result.terminated, result.truncated, result.lanes)),
        list(result.infos),
        result.final_lanes.tolist(),
        None if finals is None else (finals.position.tolist(), finals.pixels[:, -1].tolist()),
    ]


def test_long_requests_and_answers_pass_in_pieces(probe: Server):
    text = "a long tale " * 40_000
    with EnvClient.connect(probe.address, transport="local") as env:
        env.reset()
        for _ in range(20):
            assert env.step(blank(text)).observation.verb == text


def test_more_calls_than_slots(bare: Server):
    async def main() -> list[int]:
        async with await AsyncEnvClient.connect(bare.address, size=BIG, goal=1000, transport="local") as env:
            await env.reset()
            results = await asyncio.gather(*(env.step({"move": 1}) for _ in range(5 * SLOTS)))
            assert all((result.observation.pixels == result.observation.position % 256).all() for result in results)
            return [result.observation.position for result in results]

    assert asyncio.run(main()) == list(range(1, 5 * SLOTS + 1))


def test_threads_share_it(bare: Server):
    """Many steps: requests of one thread and answers of another meet in the same slots."""
    with EnvClient.connect(bare.address, size=BIG, goal=1 << 30, transport="local") as env:
        env.reset()
        found: list[int] = []
        wrong: list[Any] = []

        def work() -> None:
            for _ in range(600):
                result = env.step({"move": 1})
                found.append(result.observation.position)
                if not (result.observation.pixels == result.observation.position % 256).all():
                    wrong.append(result)

        threads = [threading.Thread(target=work) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert sorted(found) == list(range(1, 3601))
    assert not wrong


def test_long_requests_to_several_shards(probe: Server):
    """What a socket does not take at once is written later, and no shard waits for another's."""
    long = "y" * 400_000
    with VectorEnv.connect(probe.address, 6, shards=2, batch_size=1, transport="local") as env:
        env.async_reset()
        for _ in range(6):
            env.recv()
        env.send([blank("sleep", amount=0.3)], [0])
        for lane, verb in ((1, long), (2, long), (3, "on"), (4, long)):
            env.send([blank(verb)], [lane])
        texts = {}
        for _ in range(5):
            observation, *_, info = env.recv()
            texts[int(info["env_id"][0])] = observation["verb"][0]
        assert texts == {0: "sleep", 1: long, 2: long, 3: "on", 4: long}
        env.send([blank("on")], [3])
        assert env.recv()[4]["env_id"].tolist() == [3]


def test_a_long_request_does_not_wait_for_another_threads_answer(probe: Server):
    with VectorEnvClient.connect(probe.address, 2, shards=2, transport="local") as env:
        env.reset()
        slow = threading.Thread(target=lambda: env.step([blank("sleep", amount=3)], lanes=[1]))
        slow.start()
        time.sleep(0.2)
        began = time.monotonic()
        assert env.step([blank("z" * 400_000)], lanes=[0]).lanes.tolist() == [0]
        assert time.monotonic() - began < 2
        slow.join(10)


# -- arrays that stay -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lanes", [1, 4])
def test_what_is_kept_is_never_overwritten(bare: Server, lanes: int):
    with vector(bare, lanes, min(lanes, 2), transport="local") as env:
        kept = [env.reset(seed=[0] * lanes)]
        kept += [env.step(moves(lanes)) for _ in range(4 * SLOTS)]
        for position, result in enumerate(kept):
            assert (result.observation.pixels == position).all()
            assert not result.observation.pixels.flags.writeable
        views = [result.observation.pixels[0, 5:9] for result in kept]  # holds the memory as the array does
        del kept, result
        for _ in range(4 * SLOTS):
            env.step(moves(lanes))
        assert [int(view[0]) for view in views] == list(range(4 * SLOTS + 1))


def test_what_is_dropped_is_used_again(bare: Server):
    """One loop over results uses two slots: the one that it looks at, and the one that is written."""
    with vector(bare, transport="local") as env:
        result = env.reset()
        places = set()
        for _ in range(20):
            result = env.step(moves(4))
            places.add(result.observation.pixels.__array_interface__["data"][0])
        assert len(places) == 2


def test_lanes_of_several_shards_are_one_array_without_a_copy(bare: Server):
    with vector(bare, 5, 3, transport="local") as env:
        env.reset()
        pixels = env.step(moves(5)).observation.pixels
    assert (pixels.shape, pixels.flags.owndata, pixels.flags.c_contiguous) == ((5, BIG), False, True)
    assert (pixels == 1).all()


def test_without_copy_results_last_until_the_next_but_one(bare: Server):
    with vector(bare, 2, 1, transport="local", copy=False) as env:
        first = env.reset().observation.pixels
        second = env.step(moves(2)).observation.pixels
        assert (first == 0).all()
        assert (second == 1).all()
        third = env.step(moves(2)).observation.pixels
        assert (second == 1).all()
        assert (third == 2).all()
        kept = [env.step(moves(2)).observation.pixels for _ in range(6)]
        assert len({pixels.__array_interface__["data"][0] for pixels in kept}) == 2


def test_a_forked_child_sees_what_it_saw(bare: Server):
    with vector(bare, 2, 1, transport="local") as env:
        env.reset()
        result = env.step(moves(2))
        ours, theirs = socket.socketpair()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Python 3.12 and later warn of threads, gRPC of itself
            pid = os.fork()
        if pid == 0:
            theirs.recv(1)
            theirs.send(bytes([int(result.observation.pixels[0, 0])]))
            os._exit(0)
        del result
        for _ in range(3 * SLOTS):
            env.step(moves(2))
        ours.send(b"!")
        assert ours.recv(1) == b"\1"
        os.waitpid(pid, 0)
        ours.close()
        theirs.close()


def test_results_outlive_their_client(bare: Server):
    env = vector(bare, transport="local")
    env.reset()
    result = env.step(moves(4))
    env.close()
    assert (result.observation.pixels == 1).all()


# -- ends -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("verb", "what"), [("segfault", "SIGSEGV"), ("kill", "SIGKILL"), ("exit", "code 3")])
def test_a_worker_that_dies_says_how(probe: Server, verb: str, what: str):
    with EnvClient.connect(probe.address, transport="local") as env:
        env.reset()
        with pytest.raises(EnvironmentCrashed, match=what):
            env.step(blank(verb, amount=3))
        with pytest.raises(SessionLost):
            env.step(blank("on"))


def test_a_worker_that_dies_while_it_renders_leaves_results_as_they_are(bare: Server):
    with vector(bare, 2, 1, transport="local") as env:
        env.reset()
        kept = env.step(moves(2))
        worker = bare.workers[-1]
        os.kill(worker, signal.SIGSTOP)
        caught: list[BaseException] = []

        def step() -> None:
            try:
                env.step(moves(2))
            except OpenEnvError as error:
                caught.append(error)

        thread = threading.Thread(target=step)
        thread.start()
        os.kill(worker, signal.SIGKILL)
        thread.join(10)
        assert isinstance(caught[0], EnvironmentCrashed)
        assert (kept.observation.pixels == 1).all()


def test_a_server_that_dies_is_told(tmp_path: Path):
    with running(BARE) as server:
        env = EnvClient.connect(server.address, transport="local")
        env.reset()
        workers = server.workers
        server.process.kill()
        server.wait()
        processes.until(lambda: not processes.alive(workers), what="the end of its workers")
        with pytest.raises(SessionLost):
            env.step({"move": 0})
        env.close()


def test_an_environment_that_raises_leaves_the_lane_usable(probe: Server):
    with EnvClient.connect(probe.address, transport="local") as env:
        env.reset()
        with pytest.raises(EnvironmentFailed, match="ValueError: as told"):
            env.step(blank("raise:as told"))
        assert env.step(blank("on")).observation.steps == 1


def test_nothing_is_left_of_closed_sessions(bare: Server):
    def maps() -> int:
        gc.collect()
        return Path("/proc/self/maps").read_text().count("memfd:openenv-shard")

    def one(count: int) -> None:
        for _ in range(count):
            with vector(bare, transport="local") as env:
                env.reset()
                env.step(moves(4))

    before = maps()  # what tests before this one still hold
    one(2)
    ours, theirs = processes.descriptors(os.getpid()), processes.descriptors(bare.pid)
    one(5)
    processes.until(lambda: maps() <= before, what="our mappings")
    processes.until(lambda: processes.descriptors(bare.pid) <= theirs, what="the server's descriptors")
    processes.until(lambda: processes.descriptors(os.getpid()) <= ours + 1, what="our descriptors")
    assert bare.workers == []


def test_vectors_of_asyncio(bare: Server):
    async def main() -> None:
        async with await AsyncVectorEnvClient.connect(
            bare.address, 4, shards=2, size=BIG, goal=100, transport="local"
        ) as env:
            await env.reset()
            for position, _ in zip(itertools.count(1), range(10), strict=False):
                result = await env.step(moves(4))
                assert (result.observation.pixels == position).all()

    asyncio.run(main())
