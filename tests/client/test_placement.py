"""A client in lock step that sleeps and its worker take turns on one core, and nobody else is put anywhere."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from openenv_grpc.client import AsyncEnvClient, EnvClient, VectorEnv, VectorEnvClient
from openenv_grpc.client.local import ANEW
from openenv_grpc.scheduling import SPIN
from openenv_grpc.worker.placement import SHORT_STEPS
from tests.environments_for_tests.probe import blank
from tests.helpers import processes
from tests.helpers.packages import PROBE, environ
from tests.helpers.server import Server, running

CORES = os.sched_getaffinity(0)
pytestmark = pytest.mark.skipif(len(CORES) < 2, reason="this machine has one core")
Probe = EnvClient[Any, Any, Any]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running(PROBE) as found:
        yield found


@pytest.fixture(autouse=True)
def asleep(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SPIN, "0")


@pytest.fixture
def env(server: Server) -> Iterator[Probe]:
    with EnvClient.connect(server.address) as found:
        found.reset()
        yield found


def act(verb: str = "", amount: float = 0.0) -> Any:
    return dataclasses.replace(blank(verb, 2), amount=amount)


def cores(env: Any) -> set[int]:
    """Where the worker may run; asked without a request, which would change it."""
    return os.sched_getaffinity(env.pid)


@pytest.fixture
def together(env: Probe) -> Probe:
    """A client whose worker is beside it."""
    env.pid = env.state().pid  # type: ignore[attr-defined]
    for _ in range(20 * SHORT_STEPS):  # on a busy machine a step may be long
        env.step(act())
        if len(cores(env)) == 1:
            return env
    raise AssertionError(cores(env))


def test_in_lock_step_the_worker_is_beside_the_client(together: Probe):
    assert cores(together) < CORES
    assert os.sched_getaffinity(0) == CORES


@pytest.mark.parametrize("verb", ["reset", "state"])
def test_other_verbs_run_anywhere(together: Probe, verb: str):
    getattr(together, verb)()
    assert cores(together) == CORES


def test_now_and_then_the_kernel_chooses_anew(together: Probe):
    seen = []
    for _ in range(ANEW + 1):
        together.step(act())
        seen.append(len(cores(together)))
    assert len(CORES) in seen


def test_long_steps_run_anywhere(together: Probe):
    together.step(act("sleep", 0.01))
    together.step(act())
    assert cores(together) == CORES


def test_a_worker_with_threads_runs_anywhere_and_so_do_they(together: Probe):
    together.step(act("thread", 60.0))
    together.state()
    for _ in range(2 * SHORT_STEPS):
        together.step(act())
    threads = [int(name) for name in os.listdir(f"/proc/{together.pid}/task")]  # type: ignore[attr-defined]
    assert len(threads) == 2
    assert [os.sched_getaffinity(thread) for thread in threads] == [CORES, CORES]


def test_who_does_other_things_meanwhile_keeps_the_worker_away(server: Server):
    with VectorEnv.connect(server.address, 2, shards=1, batch_size=2) as vec:
        vec.reset()
        pid = vec.client.state()[0].pid
        for _ in range(2 * SHORT_STEPS):
            vec.send([act(), act()], [0, 1])
            vec.recv()
            assert os.sched_getaffinity(pid) == CORES


def test_of_several_workers_each_keeps_to_its_own(server: Server):
    with VectorEnvClient.connect(server.address, 2, shards=2) as vec:
        vec.reset()
        pids = [state.pid for state in vec.state()]
        before = [os.sched_getaffinity(pid) for pid in pids]
        assert [len(each) for each in before] == [1, 1]
        for _ in range(2 * SHORT_STEPS):
            vec.step([act(), act()])
        assert [os.sched_getaffinity(pid) for pid in pids] == before


def test_our_own_core_is_sent_to_last(server: Server):
    with VectorEnvClient.connect(server.address, 2, shards=2) as vec:
        vec.reset()
        there = [os.sched_getaffinity(state.pid) for state in vec.state()]
        lane: Any = vec._carrier._lane  # type: ignore[union-attr]
        try:
            for last in (0, 1):
                os.sched_setaffinity(0, there[last])
                assert [shard for shard, _ in lane._in_order([(0, b""), (1, b"")])] == [1 - last, last]
        finally:
            os.sched_setaffinity(0, CORES)


def test_asyncio_has_other_things_to_do(server: Server):
    async def main() -> None:
        async with await AsyncEnvClient.connect(server.address) as env:
            await env.reset()
            pid = (await env.state()).pid
            for _ in range(2 * SHORT_STEPS):
                await env.step(act())
                assert os.sched_getaffinity(pid) == CORES

    asyncio.run(main())


def test_ctrl_c_lets_the_thread_run_anywhere_again(env: Probe):
    def interrupt() -> None:
        time.sleep(0.3)
        os.kill(os.getpid(), signal.SIGINT)

    pressing = threading.Thread(target=interrupt)
    pressing.start()
    with pytest.raises(KeyboardInterrupt):
        env.step(act("sleep", 5.0), timeout_s=1.0)
    pressing.join()
    assert os.sched_getaffinity(0) == CORES


def test_a_thread_that_keeps_to_a_core_goes_on_doing_so(together: Probe):
    try:
        os.sched_setaffinity(0, {max(CORES)})
        for _ in range(2 * SHORT_STEPS):
            together.step(act())
        assert os.sched_getaffinity(0) == {max(CORES)}
        assert cores(together) in ({max(CORES)}, CORES)
    finally:
        os.sched_setaffinity(0, CORES)


def test_a_process_that_a_step_starts_is_not_kept_on_a_core(together: Probe):
    together.step(act("process", 60.0))
    together.state()
    (child,) = processes.descendants(together.pid)  # type: ignore[attr-defined]
    assert os.sched_getaffinity(child) == CORES
    for _ in range(2 * SHORT_STEPS):
        together.step(act())
        assert cores(together) == CORES


def test_where_the_kernel_is_against_it_steps_go_on(server: Server):
    """A thread that may not change its affinity: the whole process of a client, under seccomp."""
    command = [sys.executable, "-c", REFUSED, server.address]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environ(), check=False)
    assert (done.returncode, done.stdout) == (0, "refused\n30 steps\n"), done.stderr


REFUSED = """
import ctypes, os, struct, sys
from openenv_grpc.client import EnvClient
from tests.environments_for_tests.probe import blank

env = EnvClient.connect(sys.argv[1])
env.reset()
number = {"x86_64": 203, "aarch64": 122}[os.uname().machine]  # sched_setaffinity: EPERM, all else is allowed
code = [(0x20, 0, 0, 0), (0x15, 0, 1, number), (0x06, 0, 0, 0x50001), (0x06, 0, 0, 0x7FFF0000)]
program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *each) for each in code))
libc = ctypes.CDLL(None)
filtered = struct.pack("HxxxxxxP", len(code), ctypes.addressof(program))
assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, filtered, 0, 0) == 0
try:
    os.sched_setaffinity(0, os.sched_getaffinity(0))
except PermissionError:
    print("refused")
for _ in range(30):
    env.step(blank(""))
env.close()
print("30 steps")
"""
