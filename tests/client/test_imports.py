"""Importing a typed client is light: it loads neither an environment nor a framework."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = ["ale_py", "docker", "fastapi", "gymnasium", "ray", "rich", "torch", "typer", "uvicorn"]
SERVERS = ["openenv_atari_server", "openenv_echo_server", "openenv_grpc.server", "openenv_grpc.worker"]
TYPES = "import openenv_atari; openenv_atari.AtariAction"
CLIENT = "import openenv_atari; openenv_atari.AtariEnv; openenv_atari.AsyncAtariEnv"
LIBRARY = "import openenv_grpc; openenv_grpc.make; openenv_grpc.aio; openenv_grpc.connect_vec"
ENVIRONMENT = "import openenv_echo_server"
SHOW = "; import json, sys; print(json.dumps(sorted(sys.modules)))"


def loaded(statement: str) -> set[str]:
    """Modules that a fresh interpreter has loaded after a statement."""
    done = subprocess.run(
        [sys.executable, "-c", statement + SHOW], capture_output=True, text=True, timeout=30, check=True
    )
    return set(json.loads(done.stdout))


@pytest.mark.parametrize("statement", [TYPES, CLIENT, LIBRARY])
def test_nothing_heavy(statement: str):
    assert not loaded(statement) & {*HEAVY, *SERVERS}


@pytest.mark.parametrize("statement", [TYPES, ENVIRONMENT])
def test_types_and_environments_need_no_grpc(statement: str):
    assert not loaded(statement) & {*HEAVY, "grpc", "asyncio", "openenv_grpc.client"}


def test_the_other_environments_client_is_not_loaded():
    assert "openenv_echo" not in loaded(CLIENT)
