from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize("package", ["openenv_echo_server", "openenv_atari_server"])
def test_an_environment_loads_neither_grpc_nor_asyncio(package: str):
    code = f"import sys, {package}; print(sorted({{'grpc', 'asyncio'}} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr == ""
    assert done.stdout == "[]\n"


def test_atari_does_not_need_gymnasium():
    """Without gymnasium, as `pip install openenv-grpc[atari]` leaves it, ale-py leaves out some of its own names."""
    code = (
        "import sys; sys.modules['gymnasium'] = None; from openenv_atari_server import AtariEnvironment;"
        "env = AtariEnvironment(preprocessing=True); env.reset(seed=1, options={}); env.close()"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
