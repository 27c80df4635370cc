"""Importing a typed client, in a fresh interpreter each time."""

from __future__ import annotations

import subprocess
import sys


def test_import_of_a_typed_client(benchmark):
    command = [sys.executable, "-c", "import openenv_atari; openenv_atari.AtariEnv"]
    benchmark.pedantic(lambda: subprocess.run(command, check=True), rounds=5, warmup_rounds=1)
