"""Worker processes are small and clean, and the library loads no more than it needs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import openenv_grpc as oe
from openenv_grpc.client import VectorEnvClient
from tests.helpers import processes
from tests.helpers.packages import PROBE, ROOT, environ
from tests.helpers.server import Server, running

HEAVY = {"ale_py", "docker", "fastapi", "gymnasium", "pydantic", "torch", "typer", "rich", "uvicorn", "starlette"}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running(PROBE) as found:
        yield found


def test_a_worker_has_loaded_neither_grpc_nor_asyncio_nor_a_client(server: Server):
    with oe.connect(server.address) as env:
        env.reset()
        modules = set(env.state().modules)
    assert "openenv_grpc.worker.shard" in modules
    tops = {name.partition(".")[0] for name in modules}
    assert not tops & {"grpc", "asyncio", "grpc_health", "grpc_reflection", "grpc_tools", *HEAVY}
    for package in ("client", "server", "cli", "codegen", "providers", "aio", "making"):
        assert not [name for name in modules if name.startswith(f"openenv_grpc.{package}")], package


def test_all_shards_build_their_lanes_at_the_same_time(server: Server, tmp_path: Path):
    """Each one's environment waits for the other's: one after the other they would never be built."""
    with VectorEnvClient.connect(server.address, 2, shards=2, construct=f"meet:{tmp_path}:2") as vec:
        vec.reset()
        assert {str(state.pid) for state in vec.state()} == set(os.listdir(tmp_path))


def test_a_worker_runs_one_thread_and_holds_few_descriptors(server: Server):
    with oe.connect(server.address) as env:
        env.reset()
        process = processes.psutil.Process(env.state().pid)
        assert process.num_threads() == 1
        assert process.num_fds() <= 8, process.open_files()


def test_sessions_never_share_a_worker_and_shards_do_not_either(server: Server):
    with (
        VectorEnvClient.connect(server.address, 4, shards=2) as one,
        VectorEnvClient.connect(server.address, 4, shards=2) as two,
    ):
        pids = []
        for vec in (one, two):
            vec.reset()
            pids += [[state.pid for state in vec.state()]]
        assert [len(set(part)) for part in pids] == [2, 2]
        assert not set(pids[0]) & set(pids[1])
        assert pids[0][0] == pids[0][1] != pids[0][2] == pids[0][3]


def test_no_shard_is_asked_for_gives_one_per_core(server: Server):
    with VectorEnvClient.connect(server.address, 64) as vec:
        assert len(server.workers) == min(64, len(os.sched_getaffinity(0)))
        vec.reset()


def loaded(statement: str) -> set[str]:
    """The modules that a fresh interpreter has loaded after a statement."""
    code = f"import sys; {statement}; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True, env=environ(), cwd=ROOT
    )
    return set(done.stdout.split())


@pytest.mark.parametrize("package", ["openenv_echo", "openenv_atari"])
def test_a_typed_client_loads_nothing_heavy(package: str):
    modules = loaded(f"import {package}")
    tops = {name.partition(".")[0] for name in modules}
    assert package in tops
    assert not tops & {*HEAVY, "grpc", "asyncio", f"{package}_server"}
    client = {name.partition(".")[0] for name in loaded(f"from {package} import client")}
    assert "grpc" in client
    assert not client & {*HEAVY, f"{package}_server"}


def test_importing_the_library_costs_next_to_nothing():
    modules = loaded("import openenv_grpc")
    assert not {name.partition(".")[0] for name in modules} & {"numpy", "google", "grpc", "asyncio", *HEAVY}
    assert [name for name in modules if name.startswith("openenv_grpc")] == ["openenv_grpc"]


def test_a_worker_module_loads_neither_grpc_nor_asyncio():
    modules = loaded("import openenv_grpc.worker.parent")
    assert not {name.partition(".")[0] for name in modules} & {"grpc", "asyncio", "typer", "rich"}
