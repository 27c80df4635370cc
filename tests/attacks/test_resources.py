"""More than its share: a hostile environment meets its own limits, and the neighbour's steps go on."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from openenv_grpc.errors import OpenEnvError, RemoteError
from openenv_grpc.providers.profiles import MIB
from tests.attacks.conftest import SMALL, Attacker, Neighbour

pytestmark = [pytest.mark.docker, pytest.mark.xdist_group("attacks")]
SLOWEST_S = 5.0
"""What a neighbour's step may take at most while somebody else burns all cores."""


def shared_bytes(directory: str) -> int:
    """What lies in a directory, in bytes of memory."""
    return sum(os.lstat(path).st_blocks * 512 for path in Path(directory).rglob("*"))


def beside(attacker: Attacker, neighbour: Neighbour, name: str, *arguments: Any) -> Any:
    """Have it attack while the neighbour steps all the time."""
    found: list[Any] = []

    def attack() -> None:
        try:
            found.append(attacker(name, *arguments, timeout_s=30))
        except OpenEnvError as error:
            found.append(error)

    thread = threading.Thread(target=attack)
    thread.start()
    took = [neighbour.check()]
    while thread.is_alive():
        took.append(neighbour.check())
    thread.join()
    assert max(took) < SLOWEST_S
    return found[0]


def test_fork_bomb(attacker: Attacker, neighbour: Neighbour):
    found = beside(attacker, neighbour, "fork_bomb", 1.0)
    assert found["why"] == "EAGAIN"
    assert found["forked"] < SMALL.pids
    assert attacker("fork_bomb", 0)["why"] == "EAGAIN"  # it can do so again: what it forked is gone
    threads = attacker("threads")
    assert threads["why"] == "EAGAIN"
    assert threads["started"] < SMALL.pids


def test_daemons_that_fork_without_end(fresh: Attacker, neighbour: Neighbour):
    fresh("fork_forever")
    for _ in range(20):
        assert neighbour.check() < SLOWEST_S
    begin = time.monotonic()
    with contextlib.suppress(RemoteError):  # it can hardly start a thing, but that is its own affair
        fresh("who", timeout_s=5)
    assert time.monotonic() - begin < 20


def test_all_cores(attacker: Attacker, neighbour: Neighbour):
    attacker("spin", 2.0, 2 * (os.cpu_count() or 1))
    assert max(neighbour.check() for _ in range(20)) < SLOWEST_S


def test_descriptors(attacker: Attacker, neighbour: Neighbour):
    found = attacker("descriptors")
    assert found["why"] == "EMFILE"
    assert found["opened"] < SMALL.open_files


def test_a_process_that_eats_memory(fresh: Attacker, neighbour: Neighbour):
    before = psutil.virtual_memory().available
    found = beside(fresh, neighbour, "eat", 8 << 30)
    assert isinstance(found, RemoteError), found
    assert before - psutil.virtual_memory().available < SMALL.memory_bytes + 200 * MIB


def test_many_processes_that_eat_memory(fresh: Attacker, neighbour: Neighbour):
    found = beside(fresh, neighbour, "eat_in_many", 100 * MIB, 20)
    assert isinstance(found, RemoteError) or -9 in found["codes"]


def test_memory_that_belongs_to_no_process(fresh: Attacker, neighbour: Neighbour):
    found = beside(fresh, neighbour, "eat_memfd", 8 << 30)
    assert isinstance(found, RemoteError) or found["written"] < SMALL.memory_bytes


def test_places_that_are_full(attacker: Attacker, neighbour: Neighbour):
    assert attacker("fill", "/tmp", 1 << 30) == {"written": SMALL.tmp_bytes, "why": "refused"}
    assert attacker("fill", "/dev/shm", 1 << 30) == {"written": SMALL.shm_bytes, "why": "refused"}


def test_the_shared_directory_is_full(fresh: Attacker, neighbour: Neighbour):
    """It lies in the host's memory, and is charged to the container's: neither the host's disk nor its memory fills."""
    assert fresh.directory.startswith("/dev/shm/")
    before = psutil.virtual_memory().available
    found = beside(fresh, neighbour, "leave", "/run/openenv", 8 << 30)
    assert isinstance(found, RemoteError) or found["written"] < SMALL.memory_bytes
    assert shared_bytes(fresh.directory) <= SMALL.memory_bytes
    assert before - psutil.virtual_memory().available < SMALL.memory_bytes + 200 * MIB


def test_what_it_leaves_is_cleared_away(fresh: Attacker, neighbour: Neighbour):
    """Ten thousand files, two thousand directories in each other, links, pipes, closed directories."""
    clutter = fresh("clutter", "/run/openenv")
    assert clutter.pop("up") in ("EACCES", "EROFS")
    assert set(clutter.values()) == {"ok"}, clutter
    assert fresh("many_files", "/run/openenv", 10_000) == {"made": 10_000, "why": "ok"}
    assert fresh("deep_directories", "/run/openenv", 2_000) == {"made": 2_000}
    assert os.path.exists("/etc/shadow")


def test_more_files_than_memory(fresh: Attacker, neighbour: Neighbour):
    """Empty files cost memory too, their maker's: when it is used up, there are no more."""
    with contextlib.suppress(RemoteError):
        assert fresh("many_files", "/run/openenv", 10_000_000, timeout_s=8)["why"] != "ok"
    made = len(os.listdir(f"{fresh.directory}/box"))
    assert made < 1_000_000
    neighbour.check()


def test_log_flood(attacker: Attacker, neighbour: Neighbour):
    """The engine keeps two files of a megabyte, whatever is written."""
    found = beside(attacker, neighbour, "flood", 2.0)
    assert found["written"] > 4 * MIB
    inspected = subprocess.run(["docker", "inspect", attacker.name], capture_output=True, check=True)
    log = Path(json.loads(inspected.stdout)[0]["LogPath"])
    if os.geteuid() == 0:
        assert sum(file.stat().st_size for file in log.parent.glob(f"{log.name}*")) < 3 * MIB
