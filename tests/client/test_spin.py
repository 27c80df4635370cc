"""Waiting awake: what ends it, how it is given up, and where the worker goes meanwhile."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from openenv_grpc import scheduling
from openenv_grpc.client import EnvClient
from openenv_grpc.scheduling import FIRST_PENALTY, LAST_PENALTY, SPIN, STEADY, Spin
from openenv_grpc.worker.placement import SHORT_STEPS
from tests.environments_for_tests.probe import blank
from tests.helpers.packages import PROBE
from tests.helpers.server import running

CORES = os.sched_getaffinity(0)
pytestmark = pytest.mark.skipif(len(CORES) < 2, reason="this machine has one core")


@pytest.fixture
def pipe() -> Iterator[tuple[int, select.poll]]:
    """An end to write to, and who looks at the other."""
    ours, theirs = os.pipe()
    poll = select.poll()
    poll.register(ours, select.POLLIN)
    yield theirs, poll
    os.close(ours)
    os.close(theirs)


def waits_slept_through(spin: Spin) -> int:
    slept = 0
    while not spin.is_worth_it():
        slept += 1
    return slept


def test_what_comes_in_time_is_found(pipe: tuple[int, select.poll]):
    end, poll = pipe
    writer = threading.Timer(0.05, os.write, (end, b"x"))
    writer.start()
    start, found = time.monotonic(), []
    while not found and time.monotonic() < start + 5:  # a busy machine takes the core now and then
        found = Spin(2.0).wait(poll)
    writer.join()
    assert [event for _, event in found] == [select.POLLIN]
    assert time.monotonic() - start >= 0.04


def test_what_comes_too_late_is_slept_for_twice_as_often_each_time(pipe: tuple[int, select.poll]):
    spin = Spin(0.001)
    expected = FIRST_PENALTY
    assert waits_slept_through(spin) == 0
    for _ in range(8):
        assert spin.wait(pipe[1]) == []
        assert waits_slept_through(spin) == expected
        expected = min(2 * expected, LAST_PENALTY)
    assert expected == LAST_PENALTY


def test_after_many_that_went_well_a_failure_costs_less(pipe: tuple[int, select.poll]):
    end, poll = pipe
    spin = Spin(0.001)
    for _ in range(2):
        spin.wait(poll)
    os.write(end, b"x")
    for _ in range(STEADY):
        assert spin.wait(poll)
    os.read(poll.poll(0)[0][0], 1)
    waits_slept_through(spin)
    spin.wait(poll)
    assert waits_slept_through(spin) == 2 * FIRST_PENALTY


def test_who_wants_the_core_gets_it(pipe: tuple[int, select.poll]):
    """Beside a process that never sleeps, on one core: given up long before the time is over."""
    core = min(CORES)
    command = f"import os; os.sched_setaffinity(0, {{{core}}}); print(flush=True)\nwhile True: pass"
    with subprocess.Popen([sys.executable, "-c", command], stdout=subprocess.PIPE) as busy:
        assert busy.stdout is not None
        busy.stdout.readline()
        spin = Spin(20.0)
        try:
            os.sched_setaffinity(0, {core})
            assert spin.wait(pipe[1]) == []
            assert not spin.is_worth_it()
        finally:
            os.sched_setaffinity(0, CORES)
            busy.kill()


def test_nobody_begins_on_a_machine_that_is_busy():
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(os.cpu_count() or 1)]
    try:
        deadline = time.monotonic() + 20
        while scheduling.idle_core() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not scheduling.idle_core()
        assert not Spin(1.0).is_worth_it(asks=True)
        assert Spin(1.0).is_worth_it()
    finally:
        for process in busy:
            process.kill()
            process.wait()


def test_it_can_be_forbidden(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(SPIN, "0")
    assert not Spin(1.0).is_worth_it()


def test_with_one_core_nobody_waits_awake():
    try:
        os.sched_setaffinity(0, {min(CORES)})
        assert not Spin(1.0).is_worth_it()
    finally:
        os.sched_setaffinity(0, CORES)


def test_the_worker_leaves_the_core_to_a_client_that_waits_awake(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("openenv_grpc.scheduling.idle_core", lambda: True)
    monkeypatch.setattr("openenv_grpc.client.local.current_core", lambda: min(CORES))
    with running(PROBE) as server, EnvClient[Any, Any, Any].connect(server.address) as env:
        env.reset()
        pid, seen = env.state().pid, set()
        for _ in range(100 * SHORT_STEPS):  # on a busy machine a step may be long
            env.step(blank("", 2))
            seen.add(frozenset(os.sched_getaffinity(pid)))
            if CORES - {min(CORES)} in seen:
                break
        assert CORES - {min(CORES)} in seen
        env.state()
        assert os.sched_getaffinity(pid) == CORES
