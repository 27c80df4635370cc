"""What does it cost to import a client? Each import in a fresh interpreter; the largest memory it ever had."""

from __future__ import annotations

import subprocess
import sys

from benchmarks.figures import Figure
from benchmarks.peers import PeerUnavailable
from benchmarks.processes import ROOT
from benchmarks.setting import Setting

_PROGRAM = """
import time
start = time.perf_counter()
{}
seconds = time.perf_counter() - start
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(seconds, int(peak.split()[1]) / 1024)
"""
CLIENTS = {
    "openenv_atari (types)": "import openenv_atari",
    "openenv_atari and its client": "import openenv_atari; openenv_atari.AtariEnv",
    "openenv_grpc.connect (generic client)": "import openenv_grpc; openenv_grpc.connect",
    "grpc alone": "import grpc",
    "websockets.sync.client and numpy": "import numpy, websockets.sync.client",
}
OPENENV = "OpenEnv's GenericEnvClient"


def measure(setting: Setting, quick: bool) -> list[Figure]:
    """Seconds and MB of each."""
    figures = [
        figure for name, text in CLIENTS.items() for figure in _cost(name, text, sys.executable, 3 if quick else 9)
    ]
    try:
        python = setting.peer("openenv")
    except PeerUnavailable as error:
        return [*figures, Figure(f"import {OPENENV}", "s", [], skipped=str(error))]
    return figures + _cost(OPENENV, "from openenv import GenericEnvClient", python, 1 if quick else 5)


def _cost(name: str, text: str, python: str, times: int) -> list[Figure]:
    found = []
    for _ in range(times + 1):  # the first one warms the file cache
        done = subprocess.run(
            [python, "-c", _PROGRAM.format(text)], capture_output=True, text=True, check=True, cwd=ROOT / "benchmarks"
        )
        found.append([float(word) for word in done.stdout.split()])
    seconds, megabytes = zip(*found[1:], strict=True)
    return [Figure(f"import {name}", "s", seconds), Figure(f"import {name}, peak memory", "MB", megabytes)]
